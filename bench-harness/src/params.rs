//! Parameters of prepared statements as they stand in COM_STMT_EXECUTE, and the command of
//! OceanBase's drivers that has them too.

use obring_wire::base::put_lenenc_bytes;
use obring_wire::protocol::ob20::Crc32c;

/// A parameter of COM_STMT_EXECUTE.
#[derive(Clone, Debug)]
pub enum P {
    /// NULL, by the bitmap.
    Null,
    /// TINYINT.
    Tiny(i8),
    /// SMALLINT.
    Short(i16),
    /// INT.
    Long(i32),
    /// BIGINT.
    Big(i64),
    /// BIGINT UNSIGNED.
    UBig(u64),
    /// FLOAT.
    Float(f32),
    /// DOUBLE.
    Double(f64),
    /// VARCHAR.
    Text(&'static str),
    /// BLOB.
    Blob(Vec<u8>),
    /// Sent before by COM_STMT_SEND_LONG_DATA.
    Sent,
    /// year, month, day, hour, minute, second, microsecond; shortest form.
    Stamp(u16, [u8; 5], u32),
    /// negative, days, hour, minute, second.
    Span(bool, u32, [u8; 3]),
}

impl P {
    const fn kind(&self) -> u16 {
        match self {
            Self::Null => 0x06,
            Self::Tiny(_) => 0x01,
            Self::Short(_) => 0x02,
            Self::Long(_) => 0x03,
            Self::Big(_) => 0x08,
            Self::UBig(_) => 0x8008,
            Self::Float(_) => 0x04,
            Self::Double(_) => 0x05,
            Self::Text(_) => 0xFD,
            Self::Blob(_) | Self::Sent => 0xFC,
            Self::Stamp(..) => 0x0C,
            Self::Span(..) => 0x0B,
        }
    }

    fn put(&self, out: &mut Vec<u8>) {
        let text = |out: &mut Vec<u8>, b: &[u8]| put_lenenc_bytes(out, b);
        match self {
            Self::Null | Self::Sent => {}
            Self::Tiny(v) => out.push(*v as u8),
            Self::Short(v) => out.extend(v.to_le_bytes()),
            Self::Long(v) => out.extend(v.to_le_bytes()),
            Self::Big(v) => out.extend(v.to_le_bytes()),
            Self::UBig(v) => out.extend(v.to_le_bytes()),
            Self::Float(v) => out.extend(v.to_le_bytes()),
            Self::Double(v) => out.extend(v.to_le_bytes()),
            Self::Text(v) => text(out, v.as_bytes()),
            Self::Blob(v) => text(out, v),
            Self::Stamp(year, rest, micros) => {
                out.push(11);
                out.extend(year.to_le_bytes());
                out.extend(rest);
                out.extend(micros.to_le_bytes());
            }
            Self::Span(negative, days, rest) => {
                out.push(8);
                out.push(u8::from(*negative));
                out.extend(days.to_le_bytes());
                out.extend(rest);
            }
        }
    }
}

/// Body of COM_STMT_EXECUTE: null bitmap, flag 1 and types if `types`, values.
#[must_use]
pub fn params(list: &[P], types: bool) -> Vec<u8> {
    let mut out = vec![0; list.len().div_ceil(8)];
    for (i, p) in list.iter().enumerate() {
        if matches!(p, P::Null) {
            out[i / 8] |= 1 << (i % 8);
        }
    }
    out.push(u8::from(types));
    if types {
        for p in list {
            out.extend(p.kind().to_le_bytes());
        }
    }
    for p in list {
        p.put(&mut out);
    }
    out
}

/// COM_STMT_PREPARE_EXECUTE, as OceanBase's drivers send it. `statement` 0: a new one. `rows`: so
/// many come with the reply. `body`: what [`params`] makes of `count` parameters.
#[must_use]
pub fn prepare_execute(statement: u32, sql: &str, rows: u32, count: u32, body: &[u8]) -> Vec<u8> {
    let checksum = Crc32c::default().then(sql.as_bytes()).value();
    let mut out = vec![0xA1];
    out.extend(statement.to_le_bytes());
    out.push(0);
    out.extend(rows.to_le_bytes());
    put_lenenc_bytes(&mut out, sql.as_bytes());
    out.extend(count.to_le_bytes());
    if count > 0 {
        out.extend(body);
    }
    // Mode, statements to close, checksum, extend flag.
    for number in [0, 0, checksum, 0] {
        out.extend(number.to_le_bytes());
    }
    out
}
