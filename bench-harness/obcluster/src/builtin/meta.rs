//! Questions of the model about tables, answered in the kernel's columns.

use super::data::Present;
use super::execute::{Outcome, Ran, Run, Stop, unsupported};
use super::reply::{Definition, Failure};
use super::statement::Expr;
use super::table::{BINARY, Shape, Table, Value};

/// Columns of the views as recorded from seekdb 1.3.0.post5: view, column, character set, length,
/// type, flags, decimals, and the value with what differs by table in braces.
const RECORDED: &str = include_str!("views.tsv");
const PROXY_SCHEMA: &str = "__all_virtual_proxy_schema";
const PARTITION_INFO: &str = "__all_virtual_proxy_partition_info";
const PARTITION: &str = "__all_virtual_proxy_partition";
const TABLET_TO_LS: &str = "__all_virtual_tablet_to_ls";
const PROCESS_LIST: &str = "__all_virtual_processlist";
/// Version of every table: none ever changes.
pub const SCHEMA_VERSION: u64 = 1_700_000_000_000_000;
/// The table of a proxy's first question about a tenant, its database and its number.
const DUMMY: (&str, &str, u64) = ("oceanbase", "__all_dummy", 135);
/// `table_type` of a table of the system, and of a user's.
const SYSTEM_TABLE: u64 = 0;
const USER_TABLE: u64 = 3;
/// The only tenant, as questions name it.
const TENANT: &[u8] = b"sys";

/// A recorded column, and the value it has.
struct Recorded {
    definition: Definition,
    template: &'static str,
}

/// What a row tells of.
#[derive(Clone, Copy)]
struct About<'a> {
    table: Option<&'a Table>,
    database: &'a str,
    /// The table as it was asked for.
    name: &'a str,
    leaf: u32,
    tablet: u64,
    present: Option<&'a Present>,
}

fn recorded(view: &str) -> Vec<Recorded> {
    let mut all = vec![];
    for line in RECORDED.lines() {
        let fields: Vec<&'static str> = line.split('\t').collect();
        let &[of, name, charset, length, kind, flags, decimals, template] = &fields[..] else {
            continue;
        };
        if of != view {
            continue;
        }
        let charset = charset.parse().unwrap_or(BINARY);
        let (kind, flags) = (kind.parse().unwrap_or(0), flags.parse().unwrap_or(0));
        let length = length.parse().unwrap_or(0);
        let mut definition = Definition::computed(name.as_bytes(), kind, charset, length, flags);
        definition.database = "oceanbase".into();
        definition.table = of.into();
        definition.org_table = of.into();
        definition.org_name = name.into();
        definition.decimals = decimals.parse().unwrap_or(0);
        all.push(Recorded {
            definition,
            template,
        });
    }
    all
}

/// The value of a template.
fn value(template: &str, about: About<'_>) -> Value {
    let number = |n: u64| Value::Text(n.to_string().into());
    let text = |t: &str| Value::Text(t.into());
    let leaves = about.table.map_or(1, |t| t.partitions.max(1));
    let is_kv = about.table.is_some_and(|t| t.shape == Shape::Kv);
    match template {
        "\\N" => Value::Null,
        "{database}" => text(about.database),
        "{table}" => text(about.name),
        "{id}" => number(about.table.map_or(DUMMY.2, |t| t.id)),
        "{type}" => number(about.table.map_or(SYSTEM_TABLE, |_| USER_TABLE)),
        "{part}" => number(about.table.map_or(0, |t| t.id) + 1 + u64::from(about.leaf)),
        "{leaf}" => number(about.leaf.into()),
        "p{leaf}" => text(&format!("p{}", about.leaf)),
        "{tablet}" => number(about.tablet),
        "{version}" => number(SCHEMA_VERSION),
        "{parts}" => number(leaves.into()),
        // Types of the kernel: bigint(20) and int(11).
        "{key_type}" => text(if is_kv { "5" } else { "4" }),
        "{key_precision}" => text(if is_kv { "20" } else { "11" }),
        "{session}" => number(about.present.map_or(0, |p| p.id.into())),
        "{host}" => about
            .present
            .and_then(|p| p.peer)
            .map_or(Value::Null, |peer| text(&peer.to_string())),
        "\\x00\\x07\\x00\\xff" => Value::Text(vec![0, 7, 0, 0xFF]),
        other => text(other),
    }
}

/// Values that a column may have; none if it is not bound.
fn bound<'c>(conditions: &'c [(String, Vec<Expr>)], name: &str) -> Option<Vec<&'c [u8]>> {
    let (_, values) = conditions.iter().find(|(n, _)| n == name)?;
    let text = |v: &'c Expr| match v {
        Expr::Text(text) => Some(&text[..]),
        _ => None,
    };
    Some(values.iter().filter_map(text).collect())
}

fn bound_numbers(conditions: &[(String, Vec<Expr>)], name: &str) -> Option<Vec<u64>> {
    let (_, values) = conditions.iter().find(|(n, _)| n == name)?;
    let number = |v: &Expr| match v {
        Expr::Int(n) => u64::try_from(*n).ok(),
        Expr::Text(text) => std::str::from_utf8(text).ok()?.parse().ok(),
        _ => None,
    };
    Some(values.iter().filter_map(number).collect())
}

fn invalid() -> Stop {
    Failure::new(1210, "HY000", "Invalid argument").into()
}

impl Run<'_> {
    /// Answers a question about tables.
    pub(super) fn meta(
        &self,
        view: &str,
        column: Option<&str>,
        conditions: &[(String, Vec<Expr>)],
    ) -> Ran {
        let mut columns = recorded(view);
        if columns.is_empty() {
            return Err(unsupported());
        }
        if let Some(name) = column {
            columns.retain(|c| c.definition.org_name == name);
            if columns.is_empty() {
                return Err(unsupported());
            }
        }
        let tenants = bound(conditions, "tenant_name");
        let is_here = tenants.is_none_or(|names| names.contains(&TENANT));
        let abouts = match view {
            _ if !is_here => vec![],
            PROXY_SCHEMA => self.located(conditions)?,
            PARTITION_INFO | PARTITION => self.partitions(view, conditions)?,
            TABLET_TO_LS => self.tablets(conditions),
            PROCESS_LIST => self.sessions(conditions),
            // No table has two levels, and there are no routines.
            _ => vec![],
        };
        let row = |about: &About<'_>| columns.iter().map(|c| value(c.template, *about)).collect();
        let rows = abouts.iter().map(row).collect();
        Ok(Outcome::Rows {
            rows,
            columns: columns.into_iter().map(|c| c.definition).collect(),
            bits: self.state.bits(),
        })
    }

    const fn about<'s>(&'s self, table: Option<&'s Table>, leaf: u32, tablet: u64) -> About<'s> {
        About {
            table,
            database: self.data.layout.database.as_str(),
            name: "",
            leaf,
            tablet,
            present: None,
        }
    }

    /// A row for each tablet that is asked for; without any, the first one, named 0.
    fn located<'s>(
        &'s self,
        conditions: &'s [(String, Vec<Expr>)],
    ) -> Result<Vec<About<'s>>, Stop> {
        let text = |name| -> Result<&'s str, Stop> {
            let values = bound(conditions, name).ok_or_else(invalid)?;
            let first = values.first().ok_or_else(invalid)?;
            std::str::from_utf8(first).map_err(|_| invalid())
        };
        let (database, name) = (text("database_name")?, text("table_name")?);
        if database.eq_ignore_ascii_case(DUMMY.0) && name.eq_ignore_ascii_case(DUMMY.1) {
            return Ok(vec![About {
                database,
                name,
                ..self.about(None, 0, 0)
            }]);
        }
        let is_here = database.eq_ignore_ascii_case(&self.data.layout.database);
        let place = self.data.table(name).filter(|_| is_here);
        let Some(table) = place.and_then(|p| self.data.tables.get(p)) else {
            return Ok(vec![]);
        };
        let asked = bound_numbers(conditions, "tablet_id").unwrap_or_default();
        let asked = if asked.is_empty() { vec![0] } else { asked };
        let each = asked.into_iter().map(|tablet| About {
            database,
            name,
            ..self.about(Some(table), 0, tablet)
        });
        Ok(each.collect())
    }

    fn partitions<'s>(
        &'s self,
        view: &str,
        conditions: &[(String, Vec<Expr>)],
    ) -> Result<Vec<About<'s>>, Stop> {
        let ids = bound_numbers(conditions, "table_id").ok_or_else(invalid)?;
        let mut all = vec![];
        for table in self.data.tables.iter().filter(|t| ids.contains(&t.id)) {
            match (view, table.partitions) {
                (PARTITION, 0) => return Err(invalid()),
                (PARTITION, _) => {
                    let tablets = table.tablets().into_iter().zip(0..);
                    all.extend(tablets.map(|(t, leaf)| self.about(Some(table), leaf, t)));
                }
                (_, 0) => {}
                _ => all.push(self.about(Some(table), 0, 0)),
            }
        }
        Ok(all)
    }

    /// Tablets of the tables that are asked for, or of those that have the tablets asked for.
    fn tablets(&self, conditions: &[(String, Vec<Expr>)]) -> Vec<About<'_>> {
        let ids = bound_numbers(conditions, "table_id");
        let tablets = bound_numbers(conditions, "tablet_id");
        let mut all = vec![];
        for table in &self.data.tables {
            let own = table.tablets();
            let is_asked = ids.as_ref().is_none_or(|ids| ids.contains(&table.id))
                && (tablets.as_ref()).is_none_or(|t| t.iter().any(|t| own.contains(t)));
            if is_asked {
                let rows = own.into_iter().zip(0..);
                all.extend(rows.map(|(t, leaf)| self.about(Some(table), leaf, t)));
            }
        }
        all
    }

    fn sessions(&self, conditions: &[(String, Vec<Expr>)]) -> Vec<About<'_>> {
        let hosts = bound(conditions, "host").unwrap_or_default();
        let is_asked = |p: &&Present| {
            let host = p.peer.map(|peer| peer.to_string());
            host.is_some_and(|host| hosts.contains(&host.as_bytes()))
        };
        let present = self.data.present.values().filter(is_asked);
        let about = |p| About {
            present: Some(p),
            ..self.about(None, 0, 0)
        };
        present.map(about).collect()
    }
}
