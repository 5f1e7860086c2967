//! The views that show the cluster's own state.

use super::store::Table;
use crate::state::{Server, State, Tenant};
use rusqlite::types::Value;

/// Names of the views of this file.
pub(super) const NAMES: [&str; 6] = [
    "DBA_OB_SERVERS",
    "DBA_OB_ZONES",
    "DBA_OB_TENANTS",
    "CDB_OB_LS_LOCATIONS",
    "V$OB_PARAMETERS",
    "CDB_OB_ZONE_MAJOR_COMPACTION",
];

/// The rows of a view of this file at this time.
pub(super) fn table(name: &str, state: &State, now_us: u64) -> Option<Table> {
    match name {
        "DBA_OB_SERVERS" => Some(servers(state)),
        "DBA_OB_ZONES" => Some(zones(state)),
        "DBA_OB_TENANTS" => Some(tenants(state)),
        "CDB_OB_LS_LOCATIONS" => Some(streams(state, now_us)),
        "V$OB_PARAMETERS" => Some(parameters(state)),
        "CDB_OB_ZONE_MAJOR_COMPACTION" => Some(compactions(state)),
        _ => None,
    }
}

pub(super) fn text(value: impl Into<String>) -> Value {
    Value::Text(value.into())
}

pub(super) fn number(value: impl TryInto<i64>) -> Value {
    Value::Integer(value.try_into().unwrap_or(i64::MAX))
}

fn time(us: Option<u64>) -> Value {
    us.map_or(Value::Null, |us| text(timestamp(us)))
}

/// A time as a server writes it: `2024-02-29 12:00:00.000000`, in UTC.
fn timestamp(us: u64) -> String {
    let (seconds, micros) = (us / 1_000_000, us % 1_000_000);
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    // Days since 1970 to a date; years begin in March, so that a leap day ends them.
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let day_of_era = shifted % 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = (march_month + 2) % 12 + 1;
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (hour, minute, second) = (rest / 3_600, rest / 60 % 60, rest % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}.{micros:06}")
}

fn servers(state: &State) -> Table {
    let mut table = Table::new(&[
        "SVR_IP TEXT COLLATE NOCASE",
        "SVR_PORT INTEGER",
        "ID INTEGER",
        "ZONE TEXT COLLATE NOCASE",
        "SQL_PORT INTEGER",
        "WITH_ROOTSERVER TEXT COLLATE NOCASE",
        "STATUS TEXT COLLATE NOCASE",
        "START_SERVICE_TIME TEXT",
        "STOP_TIME TEXT",
        "BLOCK_MIGRATE_IN_TIME TEXT",
        "CREATE_TIME TEXT",
        "MODIFY_TIME TEXT",
        "BUILD_VERSION TEXT",
        "LAST_OFFLINE_TIME TEXT",
    ]);
    let root = state.root_server();
    for server in &state.servers {
        let is_root = if root == Some(server.id) { "YES" } else { "NO" };
        table.rows.push(vec![
            text(server.address.ip().to_string()),
            number(server.rpc_port),
            number(server.id),
            text(&server.zone),
            number(server.address.port()),
            text(is_root),
            text(&server.status),
            time(server.start_service_us),
            time(server.stop_us),
            Value::Null,
            time(Some(server.created_us)),
            time(server.start_service_us.or(Some(server.created_us))),
            text(&state.build_version),
            time(server.last_offline_us),
        ]);
    }
    table
}

fn zones(state: &State) -> Table {
    let mut table = Table::new(&[
        "ZONE TEXT COLLATE NOCASE",
        "CREATE_TIME TEXT",
        "MODIFY_TIME TEXT",
        "STATUS TEXT COLLATE NOCASE",
        "IDC TEXT COLLATE NOCASE",
        "REGION TEXT COLLATE NOCASE",
        "TYPE TEXT COLLATE NOCASE",
    ]);
    let created = state.tenants.first().map(|t| t.created_us);
    for zone in &state.zones {
        table.rows.push(vec![
            text(&zone.name),
            time(created),
            time(created),
            text(&zone.status),
            text(&zone.idc),
            text(&zone.region),
            text(&zone.kind),
        ]);
    }
    table
}

/// Major compactions, a row for each tenant and zone. Columns as OceanBase 4.x has them.
fn compactions(state: &State) -> Table {
    let mut table = Table::new(&[
        "TENANT_ID INTEGER",
        "ZONE TEXT COLLATE NOCASE",
        "BROADCAST_SCN INTEGER",
        "LAST_SCN INTEGER",
        "LAST_FINISH_TIME TEXT",
        "START_TIME TEXT",
        "STATUS TEXT COLLATE NOCASE",
    ]);
    for tenant in &state.tenants {
        for zone in &state.zones {
            let status = if zone.is_merging {
                "COMPACTING"
            } else {
                "IDLE"
            };
            table.rows.push(vec![
                number(tenant.id),
                text(&zone.name),
                number(1),
                number(1),
                time(Some(tenant.created_us)),
                time(Some(tenant.created_us)),
                text(status),
            ]);
        }
    }
    table
}

fn tenants(state: &State) -> Table {
    let mut table = Table::new(&[
        "TENANT_ID INTEGER",
        "TENANT_NAME TEXT",
        "TENANT_TYPE TEXT COLLATE NOCASE",
        "CREATE_TIME TEXT",
        "MODIFY_TIME TEXT",
        "PRIMARY_ZONE TEXT COLLATE NOCASE",
        "LOCALITY TEXT COLLATE NOCASE",
        "PREVIOUS_LOCALITY TEXT COLLATE NOCASE",
        "COMPATIBILITY_MODE TEXT COLLATE NOCASE",
        "STATUS TEXT COLLATE NOCASE",
        "IN_RECYCLEBIN TEXT COLLATE NOCASE",
        "LOCKED TEXT COLLATE NOCASE",
        "TENANT_ROLE TEXT COLLATE NOCASE",
    ]);
    for tenant in &state.tenants {
        let kind = if tenant.is_sys() { "SYS" } else { "USER" };
        let units = units(state, tenant);
        let previous = tenant.previous_locality.clone();
        table.rows.push(vec![
            number(tenant.id),
            text(&tenant.name),
            text(kind),
            time(Some(tenant.created_us)),
            time(Some(tenant.created_us)),
            text(&tenant.primary_zone),
            text(state.locality(&units)),
            previous.map_or(Value::Null, Value::Text),
            text("MYSQL"),
            text("NORMAL"),
            text("NO"),
            text("NO"),
            text("PRIMARY"),
        ]);
    }
    table
}

fn units<'s>(state: &'s State, tenant: &Tenant) -> Vec<&'s Server> {
    let has_unit = |s: &&Server| tenant.servers.contains(&s.id);
    state.servers.iter().filter(has_unit).collect()
}

fn streams(state: &State, now_us: u64) -> Table {
    let mut table = Table::new(&[
        "TENANT_ID INTEGER",
        "LS_ID INTEGER",
        "SVR_IP TEXT COLLATE NOCASE",
        "SVR_PORT INTEGER",
        "SQL_PORT INTEGER",
        "ZONE TEXT COLLATE NOCASE",
        "ROLE TEXT COLLATE NOCASE",
        "REPLICA_TYPE TEXT COLLATE NOCASE",
    ]);
    for tenant in &state.tenants {
        for stream in &tenant.streams {
            let leader = stream.leader_at(now_us);
            for id in &stream.replicas {
                let Some(server) = state.server(*id) else {
                    continue;
                };
                let role = if leader == Some(*id) {
                    "LEADER"
                } else {
                    "FOLLOWER"
                };
                let writable = state.zone_of(*id).is_none_or(|z| z.is_writable());
                table.rows.push(vec![
                    number(tenant.id),
                    number(stream.id),
                    text(server.address.ip().to_string()),
                    number(server.rpc_port),
                    number(server.address.port()),
                    text(&server.zone),
                    text(role),
                    text(if writable { "FULL" } else { "READONLY" }),
                ]);
            }
        }
    }
    table
}

fn parameters(state: &State) -> Table {
    let mut table = Table::new(&[
        "SVR_IP TEXT COLLATE NOCASE",
        "SVR_PORT INTEGER",
        "ZONE TEXT COLLATE NOCASE",
        "SCOPE TEXT COLLATE NOCASE",
        "TENANT_ID INTEGER",
        "NAME TEXT COLLATE NOCASE",
        "DATA_TYPE TEXT COLLATE NOCASE",
        "VALUE TEXT COLLATE NOCASE",
        "INFO TEXT COLLATE NOCASE",
    ]);
    let rows = if state.param_rows_all {
        state.servers.len()
    } else {
        1
    };
    for server in state.servers.iter().take(rows) {
        table.rows.push(vec![
            text(server.address.ip().to_string()),
            number(server.rpc_port),
            text(&server.zone),
            text("CLUSTER"),
            Value::Null,
            text("cluster"),
            text("STRING"),
            text(&state.name),
            text("Name of the cluster"),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::timestamp;

    #[test]
    fn times_are_written_as_a_server_does() {
        assert_eq!(timestamp(0), "1970-01-01 00:00:00.000000");
        assert_eq!(
            timestamp(1_709_208_000_000_001),
            "2024-02-29 12:00:00.000001"
        );
        assert_eq!(
            timestamp(1_735_689_599_000_000),
            "2024-12-31 23:59:59.000000"
        );
    }
}
