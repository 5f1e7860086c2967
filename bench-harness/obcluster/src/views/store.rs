//! The database in memory that statements run on.

use super::Refusal;
use super::result::ResultSet;
use super::text::column_name;
use rusqlite::types::{Value, ValueRef};
use rusqlite::{Connection, params_from_iter};

/// Rows of an answer; beyond it the statement is refused.
const ROWS_MAX: usize = 200_000;

/// A view that is filled for one statement.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Table {
    /// Definitions of columns, as SQLite reads them.
    pub(super) columns: Vec<String>,
    /// Rows, by these columns.
    pub(super) rows: Vec<Vec<Value>>,
}

impl Table {
    pub(super) fn new(columns: &[&str]) -> Self {
        Self {
            columns: columns.iter().map(|&c| c.to_owned()).collect(),
            rows: vec![],
        }
    }

    /// Place of a column.
    pub(super) fn column(&self, name: &str) -> Option<usize> {
        let first = |c: &String| c.split(' ').next().unwrap_or_default().to_owned();
        self.columns
            .iter()
            .position(|c| first(c).trim_matches('"').eq_ignore_ascii_case(name))
    }
}

/// SQLite with a schema `oceanbase`.
#[derive(Debug)]
pub(super) struct Store(Connection);

impl Store {
    pub(super) fn open() -> rusqlite::Result<Self> {
        let db = Connection::open_in_memory()?;
        // Columns are named by what stands in the statement, as a server does it.
        db.execute_batch(
            "ATTACH ':memory:' AS oceanbase; \
             PRAGMA short_column_names = 0; PRAGMA full_column_names = 0;",
        )?;
        Ok(Self(db))
    }

    /// Puts these rows, and no others, into a view.
    pub(super) fn fill(&self, name: &str, table: &Table) -> rusqlite::Result<()> {
        let columns = table.columns.join(", ");
        self.0
            .execute_batch(&format!("CREATE TABLE oceanbase.\"{name}\" ({columns});"))?;
        let marks = vec!["?"; table.columns.len()].join(",");
        let sql = format!("INSERT INTO oceanbase.\"{name}\" VALUES ({marks})");
        let mut insert = self.0.prepare(&sql)?;
        for row in &table.rows {
            insert.execute(params_from_iter(row))?;
        }
        Ok(())
    }

    /// Takes a view away: the next statement finds only what it names.
    pub(super) fn clear(&self, name: &str) -> rusqlite::Result<()> {
        let sql = format!("DROP TABLE IF EXISTS oceanbase.\"{name}\"");
        self.0.execute_batch(&sql)
    }

    /// Runs a statement.
    pub(super) fn run(&self, sql: &str) -> Result<ResultSet, Refusal> {
        let mut statement = self.0.prepare(sql).map_err(|e| refusal(&e))?;
        let mut columns: Vec<(String, Option<bool>)> = statement
            .columns()
            .iter()
            .map(|c| (column_name(c.name()), c.decl_type().map(is_number)))
            .collect();
        let width = columns.len();
        let mut found = statement.query([]).map_err(|e| refusal(&e))?;
        let mut rows = vec![];
        while let Some(row) = found.next().map_err(|e| refusal(&e))? {
            if rows.len() >= ROWS_MAX {
                return Err(Refusal::new(
                    4013,
                    "HY000",
                    "No memory or reach tenant memory limit",
                ));
            }
            let mut values = Vec::with_capacity(width);
            for (at, column) in columns.iter_mut().enumerate() {
                let value = row.get_ref(at).map_err(|e| refusal(&e))?;
                if column.1.is_none() && value != ValueRef::Null {
                    column.1 = Some(matches!(value, ValueRef::Integer(_)));
                }
                values.push(match value {
                    ValueRef::Null => None,
                    ValueRef::Integer(n) => Some(n.to_string().into_bytes()),
                    ValueRef::Real(n) => Some(n.to_string().into_bytes()),
                    ValueRef::Text(bytes) | ValueRef::Blob(bytes) => Some(bytes.to_vec()),
                });
            }
            rows.push(values);
        }
        let known = |(name, number): (String, Option<bool>)| (name, number.unwrap_or(false));
        Ok(ResultSet {
            columns: columns.into_iter().map(known).collect(),
            rows,
        })
    }
}

fn is_number(kind: &str) -> bool {
    kind.eq_ignore_ascii_case("INTEGER")
}

/// What SQLite says, in the words and numbers of a server.
fn refusal(e: &rusqlite::Error) -> Refusal {
    let said = match e {
        rusqlite::Error::SqliteFailure(_, Some(text)) => text.clone(),
        rusqlite::Error::SqlInputError { msg, .. } => msg.clone(),
        other => other.to_string(),
    };
    if let Some(name) = said.strip_prefix("no such column: ") {
        let text = format!("Unknown column '{name}' in 'field list'");
        return Refusal::new(1054, "42S22", &text);
    }
    if let Some(name) = said.strip_prefix("no such table: ") {
        return Refusal::new(1146, "42S02", &format!("Table '{name}' doesn't exist"));
    }
    let text = format!("You have an error in your SQL syntax: {said}");
    Refusal::new(1064, "42000", &text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store() -> Store {
        let store = Store::open().unwrap();
        let mut table = Table::new(&["SVR_IP TEXT COLLATE NOCASE", "SQL_PORT INTEGER"]);
        let row = |ip: &str, port| vec![Value::Text(ip.into()), port];
        table.rows.push(row("127.0.1.1", Value::Integer(2881)));
        table.rows.push(row("127.0.1.2", Value::Null));
        store.fill("DBA_OB_SERVERS", &table).unwrap();
        store
    }

    #[test]
    fn results_have_the_names_and_types_of_a_server() {
        let set = store()
            .run(
                "select ss.svr_ip, sql_port AS p, sql_port is not null, ss.* \
                 from oceanbase.dba_ob_servers ss order by 1",
            )
            .unwrap();
        let names: Vec<_> = set.columns.iter().map(|c| (c.0.as_str(), c.1)).collect();
        let want = [
            ("svr_ip", false),
            ("p", true),
            ("sql_port is not null", true),
            ("SVR_IP", false),
            ("SQL_PORT", true),
        ];
        assert_eq!(names, want);
        assert_eq!(set.rows.len(), 2);
        assert_eq!(set.rows[1][1], None);
    }

    #[test]
    fn errors_are_those_of_a_server() {
        let store = store();
        let code = |sql: &str| store.run(sql).unwrap_err().code;
        assert_eq!(code("select x from oceanbase.DBA_OB_SERVERS"), 1054);
        assert_eq!(code("select 1 from oceanbase.nosuch"), 1146);
        assert_eq!(code("select from from"), 1064);
    }

    #[test]
    fn a_view_is_filled_anew() {
        let store = store();
        let mut table = Table::new(&["N INTEGER"]);
        store.clear("DBA_OB_SERVERS").unwrap();
        store.fill("DBA_OB_SERVERS", &table).unwrap();
        let of = || store.run("select N from oceanbase.DBA_OB_SERVERS").unwrap();
        assert!(of().rows.is_empty() && of().columns[0].1);
        table.rows.push(vec![Value::Integer(1)]);
        store.clear("DBA_OB_SERVERS").unwrap();
        store.fill("DBA_OB_SERVERS", &table).unwrap();
        assert_eq!(of().rows.len(), 1);
        assert_eq!(table.column("n"), Some(0));
    }
}
