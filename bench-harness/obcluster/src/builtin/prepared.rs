//! Prepared statements.

use super::data::Data;
use super::execute::{Run, Stop};
use super::parse::{Parsed, parse};
use super::reply::{Definition, Done, Failure};
use super::session::Session;
use super::state::{PREPARED_MAX, Prepared};
use super::statement::{Expr, Statement};
use super::table::{LONGLONG, UTF8MB4, VAR_STRING};
use obring_wire::base::Cursor;
use std::collections::HashMap;
use std::sync::Arc;

/// Bytes of parameters that are sent ahead, for one statement; with more it fails.
const LONG_MAX: usize = 4 << 20;
/// Bits of a type: its number, and that it has no sign.
const TYPE: u16 = 0xFF;
const UNSIGNED: u16 = 0x8000;
/// Flags that ask for a cursor.
const CURSOR: u8 = 0x0F;

/// A prepared statement that is bound.
type Bound = (Arc<[u8]>, (Arc<Parsed>, Vec<Expr>));

impl Session {
    /// COM_STMT_PREPARE.
    pub(super) fn prepare(&mut self, data: &mut Data, out: &mut Vec<u8>, text: &[u8]) {
        let text: Arc<[u8]> = text.into();
        let parsed = match parse(&text, 0) {
            Ok(Some(parsed)) if parsed.next.is_none() => parsed,
            Ok(None) => {
                let empty = Failure::new(1065, "42000", "Query was empty");
                return self.answer(data, Err(empty), out);
            }
            _ => return self.answer(data, Err(Failure::unsupported()), out),
        };
        let columns = match self
            .runner(data, 0, 0, false, &[])
            .described(&parsed.statement)
        {
            Ok(columns) => columns,
            Err(failure) => return self.answer(data, Err(failure), out),
        };
        if self.state.prepared.len() >= PREPARED_MAX {
            return self.answer(data, Err(Failure::unsupported()), out);
        }
        self.state.last_prepared += 1;
        let id = self.state.last_prepared;
        let parameters = parsed.parameters;
        self.state.prepared.insert(
            id,
            Prepared {
                text,
                parsed: Arc::new(parsed),
                types: vec![],
                long: HashMap::new(),
            },
        );
        self.packets.put(|b| {
            b.push(0);
            b.extend_from_slice(&id.to_le_bytes());
            b.extend_from_slice(&(columns.len() as u16).to_le_bytes());
            b.extend_from_slice(&(parameters as u16).to_le_bytes());
            // A filler, and no warnings.
            b.extend_from_slice(&[0, 0, 0]);
        });
        let bits = self.state.bits();
        if parameters > 0 {
            let one = Definition::computed(b"?", LONGLONG, UTF8MB4, 0, 0);
            self.packets.definitions(&vec![one; parameters], bits);
        }
        if !columns.is_empty() {
            self.packets.definitions(&columns, bits);
        }
        self.terminal();
        self.flush(data, out);
    }

    /// Reads COM_STMT_EXECUTE.
    pub(super) fn bind(&mut self, body: &[u8]) -> Result<Bound, Failure> {
        let unknown = || Failure::new(1243, "HY000", "Unknown prepared statement handle");
        let short = |_| malformed();
        let mut c = Cursor::new(body);
        let id = c.u32().map_err(short)?;
        let flags = c.u8().map_err(short)?;
        c.u32().map_err(short)?;
        let prepared = self.state.prepared.get_mut(&id).ok_or_else(unknown)?;
        if flags & CURSOR != 0 {
            return Err(Failure::unsupported());
        }
        let n = prepared.parsed.parameters;
        let long = std::mem::take(&mut prepared.long);
        let values = parameters(&mut c, n, &mut prepared.types, &long)?;
        Ok((prepared.text.clone(), (prepared.parsed.clone(), values)))
    }

    /// COM_STMT_SEND_LONG_DATA, which has no reply: what is wrong shows at the execute.
    pub(super) fn long_data(&mut self, body: &[u8]) {
        let mut c = Cursor::new(body);
        let (Ok(id), Ok(at)) = (c.u32(), c.u16()) else {
            return;
        };
        if let Some(prepared) = self.state.prepared.get_mut(&id) {
            let held = prepared.long.entry(at).or_default();
            // One byte more than is allowed says that there was more.
            let room = (LONG_MAX + 1).saturating_sub(held.len());
            let bytes = c.rest();
            held.extend_from_slice(bytes.get(..room.min(bytes.len())).unwrap_or_default());
        }
    }

    /// COM_STMT_RESET.
    pub(super) fn reset_statement(&mut self, body: &[u8]) -> Result<Done, Failure> {
        let id = body.first_chunk().map_or(0, |id| u32::from_le_bytes(*id));
        let missing = || Failure::new(4201, "HY000", "hash map/set entry not exist");
        let prepared = self.state.prepared.get_mut(&id).ok_or_else(missing)?;
        prepared.long.clear();
        Ok(Done::default())
    }
}

impl Run<'_> {
    /// Columns of the result that a statement will have; none without a result.
    fn described(&self, statement: &Statement) -> Result<Vec<Definition>, Failure> {
        let described = match statement {
            Statement::Select(select) => {
                let place = self.table(&select.table);
                place
                    .and_then(|p| self.shape(p))
                    .and_then(|s| self.shown(select, s))
            }
            Statement::Values(list) => list
                .iter()
                .map(|(function, name)| self.defined(function, name))
                .collect(),
            Statement::Canned { .. } => Ok(vec![Definition::computed(
                b"row",
                VAR_STRING,
                UTF8MB4,
                1 << 23,
                1,
            )]),
            Statement::LoadData { .. } | Statement::Xa(..) | Statement::Meta { .. } => {
                return Err(Failure::unsupported());
            }
            other => self.check_write(other).map(|()| vec![]),
        };
        described.map_err(|stop| match stop {
            Stop::Failure(failure) => failure,
            Stop::Wait { .. } | Stop::Gone => Failure::unsupported(),
        })
    }
}

/// The parameters of an execute, from the null bits on. `types` are those that were bound last,
/// `long` what was sent ahead.
pub(super) fn parameters(
    c: &mut Cursor<'_>,
    n: usize,
    types: &mut Vec<u16>,
    long: &HashMap<u16, Vec<u8>>,
) -> Result<Vec<Expr>, Failure> {
    let short = |_| malformed();
    let mut values = Vec::with_capacity(n);
    if n == 0 {
        return Ok(values);
    }
    let nulls = c.take(n.div_ceil(8)).map_err(short)?;
    if c.u8().map_err(short)? == 1 {
        types.clear();
        for _ in 0..n {
            types.push(c.u16().map_err(short)?);
        }
    }
    if types.len() < n {
        let text = "unsupport MySQL type 6. Maybe you should use java.sql.Timestamp instead of \
                    java.util.Date.";
        return Err(Failure::new(5023, "S1004", text));
    }
    for (at, kind) in types.iter().enumerate() {
        let is_null = nulls.get(at / 8).is_some_and(|b| b >> (at % 8) & 1 == 1);
        if let Some(bytes) = long.get(&(at as u16)) {
            values.push(Expr::Text(bytes.clone()));
        } else if is_null {
            values.push(Expr::Null);
        } else {
            values.push(value(c, *kind)?);
        }
    }
    if long.values().map(Vec::len).sum::<usize>() > LONG_MAX {
        return Err(Failure::unsupported());
    }
    Ok(values)
}

/// An execute that ends too early.
fn malformed() -> Failure {
    Failure::new(9747, "HY000", "malformed ps packet")
}

/// A parameter of this type.
fn value(c: &mut Cursor<'_>, kind: u16) -> Result<Expr, Failure> {
    let short = |_| malformed();
    let is_unsigned = kind & UNSIGNED != 0;
    Ok(match kind & TYPE {
        0x01 => {
            let n = c.u8().map_err(short)?;
            Expr::Int(if is_unsigned {
                n.into()
            } else {
                (n as i8).into()
            })
        }
        0x02 => {
            let n = c.u16().map_err(short)?;
            Expr::Int(if is_unsigned {
                n.into()
            } else {
                (n as i16).into()
            })
        }
        0x03 => {
            let n = c.u32().map_err(short)?;
            Expr::Int(if is_unsigned {
                n.into()
            } else {
                (n as i32).into()
            })
        }
        0x08 => {
            let n = c.u64().map_err(short)? as i64;
            if is_unsigned && n < 0 {
                return Err(Failure::unsupported());
            }
            Expr::Int(n)
        }
        0x06 => Expr::Null,
        0x0F | 0xFC..=0xFE => Expr::Text(c.lenenc_bytes().map_err(short)?.to_vec()),
        _ => return Err(Failure::unsupported()),
    })
}
