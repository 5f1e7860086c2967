//! Statements that read and write rows.

use super::data::Data;
use super::execute::{Outcome, Ran, Run, Stop, unsupported};
use super::reply::{Definition, Done, Failure};
use super::statement::{Expr, Filter, Order, Select, Set, Shown, Statement, TableName};
use super::table::{BINARY, DECIMAL, LONGLONG, Row, Shape, Value};
use super::transaction::TransactionId;
use obring_wire::protocol::mysql::{client, status};

/// Rows that one statement may read or write at most; a longer one is refused.
const READ_MAX: usize = 1_000_000;

/// Which rows, with values in place of parameters.
enum Keys {
    Ids(Vec<i64>),
    Range(i64, i64),
}

impl Run<'_> {
    /// An id; none for NULL, which no row has.
    fn id(&self, expr: &Expr) -> Result<Option<i64>, Stop> {
        match self.bound(expr)? {
            Expr::Null => Ok(None),
            Expr::Int(n) => Ok(Some(*n)),
            Expr::Text(text) => {
                let digits = std::str::from_utf8(text).ok().and_then(|t| t.parse().ok());
                digits.map(Some).ok_or_else(unsupported)
            }
            Expr::Decimal(_) | Expr::Parameter(_) => Err(unsupported()),
        }
    }

    fn keys(&self, filter: &Filter) -> Result<Keys, Stop> {
        match filter {
            Filter::All => Ok(Keys::Range(i64::MIN, i64::MAX)),
            Filter::Ids(exprs) => {
                let mut ids = Vec::with_capacity(exprs.len());
                for expr in exprs {
                    ids.extend(self.id(expr)?);
                }
                Ok(Keys::Ids(ids))
            }
            Filter::Between(from, to) => match (self.id(from)?, self.id(to)?) {
                (Some(from), Some(to)) => Ok(Keys::Range(from, to)),
                _ => Ok(Keys::Ids(vec![])),
            },
        }
    }

    /// Rows that a statement reads, in the order of reading.
    fn find(&self, place: usize, filter: &Filter) -> Result<Vec<(i64, Row)>, Stop> {
        let Some(table) = self.data.tables.get(place) else {
            return Ok(vec![]);
        };
        let transaction = self.state.transaction;
        let mut found = vec![];
        match self.keys(filter)? {
            Keys::Ids(mut ids) => {
                if ids.len() > 1 {
                    ids.sort_unstable_by_key(|id| (table.leaf(*id), *id));
                    ids.dedup();
                }
                for id in ids {
                    let row = table.slot(id).and_then(|s| s.seen(transaction));
                    found.extend(row.map(|row| (id, row.clone())));
                }
            }
            Keys::Range(from, to) => {
                for (id, slot) in table.ids(from, to) {
                    let row = slot.seen(transaction);
                    found.extend(row.map(|row| (id, row.clone())));
                    if found.len() > READ_MAX {
                        return Err(unsupported());
                    }
                }
            }
        }
        Ok(found)
    }

    /// Ids that a statement writes: rows that anybody has, so that locks are waited for.
    fn wanted(&self, place: usize, filter: &Filter) -> Result<Vec<i64>, Stop> {
        let Some(table) = self.data.tables.get(place) else {
            return Ok(vec![]);
        };
        match self.keys(filter)? {
            Keys::Ids(mut ids) => {
                ids.sort_unstable_by_key(|id| (table.leaf(*id), *id));
                ids.dedup();
                ids.retain(|id| table.slot(*id).is_some());
                Ok(ids)
            }
            Keys::Range(from, to) => {
                let ids: Vec<i64> = table.ids(from, to).map(|(id, _)| id).collect();
                if ids.len() > READ_MAX {
                    return Err(unsupported());
                }
                Ok(ids)
            }
        }
    }

    fn seen(&self, place: usize, id: i64, transaction: TransactionId) -> Option<Row> {
        let slot = self.data.tables.get(place)?.slot(id)?;
        slot.seen(Some(transaction)).cloned()
    }

    pub(super) fn select(&mut self, select: &Select) -> Ran {
        let place = self.table(&select.table)?;
        let shape = self.shape(place)?;
        let columns = self.shown(select, shape)?;
        let bits = self.state.bits();
        if !select.for_update {
            let rows = self.find(place, &select.filter)?;
            let rows = arranged(select, shape, rows)?;
            return Ok(Outcome::Rows {
                columns,
                rows,
                bits,
            });
        }
        self.writing(|run, id| {
            let mut rows = vec![];
            for key in run.wanted(place, &select.filter)? {
                let Some(row) = run.lock(place, key, id)? else {
                    continue;
                };
                rows.push((key, row));
            }
            let locked = if rows.is_empty() {
                0
            } else {
                status::IN_TRANSACTION
            };
            let rows = arranged(select, shape, rows)?;
            Ok(Outcome::Rows {
                columns,
                rows,
                bits: bits | locked,
            })
        })
    }

    pub(super) fn shape(&self, place: usize) -> Result<Shape, Stop> {
        let table = self.data.tables.get(place);
        table.map(|t| t.shape).ok_or_else(unsupported)
    }

    /// Locks a row as it is; none if there is none.
    fn lock(&mut self, place: usize, id: i64, owner: TransactionId) -> Result<Option<Row>, Stop> {
        let row = self.seen(place, id, owner);
        let is_other = |run: &Self| {
            let slot = run.data.tables.get(place).and_then(|t| t.slot(id));
            slot.and_then(|s| s.pending.as_ref())
                .is_some_and(|(o, _)| *o != owner)
        };
        if row.is_none() && !is_other(self) {
            return Ok(None);
        }
        let written = self.data.write(owner, place, id, row.clone());
        written.map_err(|denied| self.refuse(denied))?;
        Ok(row)
    }

    /// Definitions of what a select shows.
    pub(super) fn shown(&self, select: &Select, shape: Shape) -> Result<Vec<Definition>, Stop> {
        let TableName {
            database,
            name,
            alias,
        } = &select.table;
        let database = database.as_ref().unwrap_or(&self.state.database);
        let place = self.data.table(name);
        let name = place
            .and_then(|p| self.data.tables.get(p))
            .map_or("", |t| &t.name);
        let of = |place: usize| {
            let column = shape.columns().get(place);
            column.map(|c| Definition::of(database, name, alias.as_deref(), c))
        };
        match &select.shown {
            Shown::All => Ok((0..shape.columns().len()).filter_map(of).collect()),
            Shown::Columns(names) => names
                .iter()
                .map(|(name, alias)| {
                    let found = shape.place(name).and_then(of);
                    let mut found = found.ok_or_else(|| unknown_column(name))?;
                    found.name = alias.as_ref().unwrap_or(name).clone().into();
                    Ok(found)
                })
                .collect(),
            Shown::Count(typed) => Ok(vec![Definition::computed(
                typed, LONGLONG, BINARY, 20, 0x80,
            )]),
            Shown::Sum(column, typed) => {
                let place = shape.place(column).ok_or_else(|| unknown_column(column))?;
                // Only what is NOT NULL sums up to what the kernel says of this column.
                if (shape, place) != (Shape::Sbtest, 1) {
                    return Err(unsupported());
                }
                Ok(vec![Definition::computed(typed, DECIMAL, BINARY, 34, 0x81)])
            }
        }
    }

    pub(super) fn insert(
        &mut self,
        table: &TableName,
        columns: Option<&[String]>,
        rows: &[Vec<Expr>],
        is_replace: bool,
    ) -> Ran {
        let place = self.table(table)?;
        let shape = self.shape(place)?;
        let places = places(shape, columns)?;
        let mut made = vec![];
        for (row, number) in rows.iter().zip(1..) {
            check_count(row, &places, number)?;
            made.push(self.new_row(shape, &places, row, number)?);
        }
        let mut first_id = None;
        let ran = self.writing(|run, id| {
            let mut affected = 0;
            for values in &made {
                let (key, is_given) = run.key(place, shape, values)?;
                if !is_given {
                    first_id.get_or_insert(key as u64);
                }
                let mut values = values.clone();
                if let Some(value) = values.first_mut() {
                    *value = Value::Int(key);
                }
                if let Some(column) = missing(shape, &values) {
                    let text = format!("Column '{column}' cannot be null");
                    return Err(Failure::new(1048, "23000", text).into());
                }
                affected += run.put(place, key, values, id, is_replace)?;
            }
            let mut message = String::new();
            if made.len() > 1 {
                let n = made.len();
                message = format!(
                    "Records: {n}  Duplicates: {}  Warnings: 0",
                    affected - n as u64
                );
            }
            Ok(Outcome::Done(Done {
                affected,
                insert_id: first_id.unwrap_or(0),
                warnings: 0,
                message,
            }))
        });
        if ran.is_ok()
            && let Some(id) = first_id
        {
            self.state.inserted(id);
        }
        ran
    }

    /// A row as it is given; its id may be NULL still.
    fn new_row(
        &self,
        shape: Shape,
        places: &[usize],
        row: &[Expr],
        number: usize,
    ) -> Result<Vec<Value>, Stop> {
        let mut values = shape.empty(0);
        if let Some(id) = values.first_mut() {
            *id = Value::Null;
        }
        for (at, expr) in places.iter().zip(row) {
            let value = self.stored(shape, *at, expr, number)?;
            if let Some(place) = values.get_mut(*at) {
                *place = value;
            }
        }
        Ok(values)
    }

    /// What a column stores of a value.
    fn stored(&self, shape: Shape, at: usize, expr: &Expr, row: usize) -> Result<Value, Stop> {
        let column = shape.columns().get(at).ok_or_else(unsupported)?;
        let is_text = column.chars > 0;
        let value = match (self.bound(expr)?, is_text) {
            (Expr::Null, _) => Value::Null,
            (Expr::Int(n), true) => Value::Text(n.to_string().into()),
            (Expr::Int(n), false) => Value::Int(*n),
            (Expr::Text(text), true) => Value::Text(text.clone()),
            (Expr::Text(text), false) => {
                let digits = std::str::from_utf8(text).ok().and_then(|t| t.parse().ok());
                let wrong = || {
                    let text = format!(
                        "Incorrect integer value for column '{}' at row {row}",
                        column.name
                    );
                    Failure::new(1366, "HY000", text)
                };
                Value::Int(digits.ok_or_else(wrong)?)
            }
            (Expr::Decimal(_) | Expr::Parameter(_), _) => return Err(unsupported()),
        };
        match &value {
            Value::Text(text) => {
                let chars = std::str::from_utf8(text)
                    .map_err(|_| unsupported())?
                    .chars();
                if chars.count() > column.chars {
                    let text = format!("Data too long for column '{}' at row {row}", column.name);
                    return Err(Failure::new(1406, "22001", text).into());
                }
                Ok(value)
            }
            // What an INT does not hold the kernel refuses in words of its own.
            Value::Int(n) if shape == Shape::Sbtest && i32::try_from(*n).is_err() => {
                Err(unsupported())
            }
            _ => Ok(value),
        }
    }

    /// The id of a new row, and whether it was given.
    fn key(&mut self, place: usize, shape: Shape, values: &[Value]) -> Result<(i64, bool), Stop> {
        let given = match values.first() {
            Some(Value::Int(n)) => Some(*n),
            _ => None,
        };
        if shape == Shape::Kv {
            let missing = || Failure::new(1048, "23000", "Column 'id' cannot be null");
            return given.map(|n| (n, true)).ok_or_else(|| missing().into());
        }
        let Some(table) = self.data.tables.get_mut(place) else {
            return Err(unsupported());
        };
        match given.filter(|n| *n != 0) {
            Some(n) => {
                table.next_id = table.next_id.max(n.saturating_add(1));
                Ok((n, true))
            }
            None => {
                let n = table.next_id;
                table.next_id += 1;
                Ok((n, false))
            }
        }
    }

    /// Puts a row where there must be none, or in the place of another. Returns affected rows.
    fn put(
        &mut self,
        place: usize,
        key: i64,
        values: Vec<Value>,
        owner: TransactionId,
        is_replace: bool,
    ) -> Result<u64, Stop> {
        let before = self.lock(place, key, owner)?;
        if before.is_some() && !is_replace {
            let text = format!("Duplicate entry '{key}' for key 'PRIMARY'");
            return Err(Failure::new(1062, "23000", text).into());
        }
        // A row that is replaced by the same counts once.
        let is_other = before.is_some_and(|before| values[..] != before[..]);
        let row = Data::row(values);
        let written = self.data.write(owner, place, key, Some(row));
        written.map_err(|denied| self.refuse(denied))?;
        Ok(1 + u64::from(is_other))
    }

    pub(super) fn update(
        &mut self,
        table: &TableName,
        sets: &[(String, Set)],
        filter: &Filter,
    ) -> Ran {
        let place = self.table(table)?;
        let shape = self.shape(place)?;
        let mut changes = vec![];
        for (name, set) in sets {
            let at = changed(shape, name)?;
            let value = match set {
                Set::To(expr) => Ok(self.stored(shape, at, expr, 1)?),
                Set::Plus(n) => Err(*n),
            };
            changes.push((at, value));
        }
        let counts_found = self.who.capabilities & client::FOUND_ROWS != 0;
        self.writing(|run, id| {
            let (mut matched, mut changed) = (0, 0);
            for key in run.wanted(place, filter)? {
                let Some(before) = run.lock(place, key, id)? else {
                    continue;
                };
                matched += 1;
                let mut values = before.to_vec();
                for (at, value) in &changes {
                    let Some(old) = values.get_mut(*at) else {
                        continue;
                    };
                    *old = match (value, &*old) {
                        (Ok(new), _) => new.clone(),
                        (Err(plus), Value::Int(n)) => Value::Int(n.wrapping_add(*plus)),
                        (Err(_), _) => return Err(unsupported()),
                    };
                    if let Value::Int(n) = old
                        && i32::try_from(*n).is_err()
                    {
                        return Err(unsupported());
                    }
                }
                if let Some(column) = missing(shape, &values) {
                    let text = format!("Column '{column}' cannot be null");
                    return Err(Failure::new(1048, "23000", text).into());
                }
                if values[..] != before[..] {
                    changed += 1;
                    let written = run.data.write(id, place, key, Some(Data::row(values)));
                    written.map_err(|denied| run.refuse(denied))?;
                }
            }
            let affected = if counts_found { matched } else { changed };
            Ok(Outcome::Done(Done {
                affected,
                message: format!("Rows matched: {matched}  Changed: {changed}  Warnings: 0"),
                ..Done::default()
            }))
        })
    }

    /// What is wrong with a write before any value is known.
    pub(super) fn check_write(&self, statement: &Statement) -> Result<(), Stop> {
        let Some(table) = statement.table() else {
            return Ok(());
        };
        let shape = self.shape(self.table(table)?)?;
        match statement {
            Statement::Insert { columns, rows, .. } => {
                let places = places(shape, columns.as_deref())?;
                let mut rows = rows.iter().zip(1..);
                rows.try_for_each(|(row, number)| check_count(row, &places, number))
            }
            Statement::Update { sets, .. } => {
                let mut names = sets.iter().map(|(name, _)| name);
                names.try_for_each(|name| changed(shape, name).map(drop))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn delete(&mut self, table: &TableName, filter: &Filter) -> Ran {
        let place = self.table(table)?;
        self.writing(|run, id| {
            let mut affected = 0;
            for key in run.wanted(place, filter)? {
                if run.lock(place, key, id)?.is_some() {
                    let written = run.data.write(id, place, key, None);
                    written.map_err(|denied| run.refuse(denied))?;
                    affected += 1;
                }
            }
            Ok(Outcome::Done(Done {
                affected,
                ..Done::default()
            }))
        })
    }
}

/// A column that must have a value and has none.
fn missing(shape: Shape, values: &[Value]) -> Option<&'static str> {
    let mut columns = shape.columns().iter().zip(values);
    let is_missing = |v: &Value| shape == Shape::Sbtest && *v == Value::Null;
    columns.find(|(_, v)| is_missing(v)).map(|(c, _)| c.name)
}

/// Places of the columns that an insert names.
fn places(shape: Shape, columns: Option<&[String]>) -> Result<Vec<usize>, Stop> {
    let Some(names) = columns else {
        return Ok((0..shape.columns().len()).collect());
    };
    let found = names.iter().map(|name| {
        let place = shape.place(name);
        place.ok_or_else(|| Stop::from(unknown_column(name)))
    });
    found.collect()
}

fn check_count(row: &[Expr], places: &[usize], number: usize) -> Result<(), Stop> {
    if row.len() == places.len() {
        return Ok(());
    }
    let text = format!("Column count doesn't match value count at row {number}");
    Err(Failure::new(1136, "21S01", text).into())
}

/// Place of a column that an update sets; its id a row keeps.
fn changed(shape: Shape, name: &str) -> Result<usize, Stop> {
    match shape.place(name) {
        None => Err(unknown_column(name).into()),
        Some(0) => Err(unsupported()),
        Some(at) => Ok(at),
    }
}

fn unknown_column(name: &str) -> Failure {
    let text = format!("Unknown column '{name}' in 'field list'");
    Failure::new(1054, "42S22", text)
}

/// Rows in the order and form that a select asks for.
fn arranged(
    select: &Select,
    shape: Shape,
    mut rows: Vec<(i64, Row)>,
) -> Result<Vec<Vec<Value>>, Stop> {
    match &select.shown {
        Shown::Count(_) => {
            let n = rows.len() as i64;
            return plain_only(select).map(|()| vec![vec![Value::Int(n)]]);
        }
        Shown::Sum(..) => {
            plain_only(select)?;
            let mut sum = None;
            for (_, row) in &rows {
                if let Some(Value::Int(n)) = row.get(1) {
                    *sum.get_or_insert(0i128) += i128::from(*n);
                }
            }
            let sum = sum.map_or(Value::Null, |n| Value::Text(n.to_string().into()));
            return Ok(vec![vec![sum]]);
        }
        Shown::All | Shown::Columns(_) => {}
    }
    if let Some(order) = &select.order {
        sort(&mut rows, order, shape)?;
    }
    let places: Vec<usize> = match &select.shown {
        Shown::Columns(names) => names.iter().filter_map(|(n, _)| shape.place(n)).collect(),
        _ => (0..shape.columns().len()).collect(),
    };
    let limit = select.limit.map_or(usize::MAX, |n| n as usize);
    let of = |(_, row): &(i64, Row)| -> Vec<Value> {
        let values = places.iter().filter_map(|p| row.get(*p));
        values.cloned().collect()
    };
    let mut out: Vec<Vec<Value>> = vec![];
    for row in &rows {
        if out.len() >= limit {
            break;
        }
        let values = of(row);
        if !(select.is_distinct && out.contains(&values)) {
            out.push(values);
        }
    }
    if select.is_distinct {
        check_distinct(&out)?;
    }
    Ok(out)
}

/// Aggregates are known without anything else.
fn plain_only(select: &Select) -> Result<(), Stop> {
    let is_plain = select.order.is_none() && select.limit.is_none() && !select.is_distinct;
    is_plain.then_some(()).ok_or_else(unsupported)
}

/// Texts that the collation takes for the same although their bytes differ: which of them the
/// kernel shows cannot be known here.
fn check_distinct(rows: &[Vec<Value>]) -> Result<(), Stop> {
    let mut folded = vec![];
    for row in rows {
        for value in row {
            if let Value::Text(text) = value {
                folded.push(fold(text).ok_or_else(unsupported)?);
            }
        }
    }
    let n = folded.len();
    folded.sort_unstable();
    folded.dedup();
    if folded.len() < n && rows.first().is_some_and(|r| r.len() == 1) {
        return Err(unsupported());
    }
    Ok(())
}

/// A text as utf8mb4_general_ci compares it; only ASCII is known here.
fn fold(text: &[u8]) -> Option<Vec<u8>> {
    let text = text.trim_ascii_end();
    text.is_ascii().then(|| text.to_ascii_uppercase())
}

fn sort(rows: &mut [(i64, Row)], order: &Order, shape: Shape) -> Result<(), Stop> {
    let at = shape.place(&order.column);
    let at = at.ok_or_else(|| {
        let text = format!("Unknown column '{}' in 'order clause'", order.column);
        Failure::new(1054, "42S22", text)
    })?;
    if at == 0 {
        rows.sort_by_key(|(id, _)| *id);
    } else {
        let mut keyed = vec![];
        for (n, (_, row)) in rows.iter().enumerate() {
            let key = match row.get(at) {
                Some(Value::Int(n)) => (Some(*n), vec![]),
                Some(Value::Text(text)) => (Some(0), fold(text).ok_or_else(unsupported)?),
                _ => (None, vec![]),
            };
            keyed.push((key, n));
        }
        keyed.sort();
        let sorted: Vec<_> = keyed
            .iter()
            .filter_map(|(_, n)| rows.get(*n).cloned())
            .collect();
        rows.clone_from_slice(&sorted);
    }
    if order.is_descending {
        rows.reverse();
    }
    Ok(())
}
