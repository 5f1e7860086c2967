//! What the cluster says about itself.

use crate::client::{Client, Credentials};
use crate::{Cluster, Database, cluster, cluster_of};
use obcluster::{Change, Outcome};
use obring_wire::protocol::capability;
use obring_wire::protocol::mysql::Command;

fn sys(cluster: &Cluster) -> Client {
    let address = cluster.address(1).unwrap();
    Client::new(address, &Credentials::direct("root@sys"))
}

/// The statements of OBProxy for clusters of version 4.
const SERVERS: &str = "SELECT /*+READ_CONSISTENCY(WEAK)*/ svr_ip, svr_port AS rpc_port, sql_port \
    AS svr_port, zone, status,start_service_time is not null AS start_service_time, \
    stop_time is not null as stop_time FROM oceanbase.DBA_OB_SERVERS WHERE svr_port > 0 \
    ORDER BY zone LIMIT 9223372036854775807";
const BUILD: &str = "SELECT /*READ_CONSISTENCY(WEAK)*/ parameters.value as cluster, \
    zs.zone AS zone, zs.status AS zone_status, ss.status AS server_status, zs.region AS region, \
    zs.idc AS spare4, zs.type AS spare5, ss.svr_ip AS svr_ip, ss.sql_port AS svr_port, \
    ss.svr_port AS rpc_port, ss.start_service_time is not null AS start_service_time, \
    ss.stop_time is not null as stop_time FROM oceanbase.DBA_OB_SERVERS ss \
    left join oceanbase.DBA_OB_ZONES zs ON zs.zone = ss.zone join V$OB_PARAMETERS parameters \
    WHERE ss.svr_port > 0 and parameters.name = 'cluster' ORDER BY ss.zone \
    LIMIT 9223372036854775807";
const SINGLE_LEADER: &str = "SELECT /*+READ_CONSISTENCY(WEAK)*/ t.tenant_name as tenant_name, \
    leader_addr, count(*) = 1 AS is_single_leader FROM oceanbase.DBA_OB_TENANTS t RIGHT JOIN ( \
    SELECT DISTINCT tenant_id, CONCAT(svr_ip, ':', sql_port) AS leader_addr FROM \
    oceanbase.CDB_OB_LS_LOCATIONS WHERE ls_id != 1 AND role='leader' AND tenant_id IN (1002)) s \
    ON t.tenant_id = s.tenant_id GROUP BY tenant_name";

#[test]
fn statements_of_obproxy_run_unchanged() {
    let cluster = cluster_of(|t| t.name = "ob1".into());
    let mut client = sys(&cluster);
    let set = client.ask(SERVERS);
    let want = [
        "svr_ip",
        "rpc_port",
        "svr_port",
        "zone",
        "status",
        "start_service_time",
        "stop_time",
    ];
    assert_eq!(set.columns, want);
    assert_eq!(set.column("zone"), ["z1", "z2", "z3"]);
    assert_eq!(set.column("stop_time"), ["0", "0", "0"]);
    assert_eq!(
        client.refused(BUILD),
        1146,
        "V$OB_PARAMETERS is unqualified"
    );
    client.ask("use oceanbase");
    let set = client.ask(BUILD);
    assert_eq!(set.column("cluster"), ["ob1"; 3]);
    assert_eq!(set.column("spare4"), ["idc1", "idc2", "idc3"]);
    let set = client.ask(SINGLE_LEADER);
    assert_eq!(set.column("is_single_leader"), ["0"]);
    let last = cluster.log_since(0).pop().unwrap();
    assert_eq!(last.meta, "DBA_OB_TENANTS,CDB_OB_LS_LOCATIONS");
    assert_eq!((last.outcome, last.rows), (Outcome::Model, 1));
    let counters = cluster.counters();
    assert_eq!(counters.views["DBA_OB_SERVERS"], 3);
}

#[test]
fn one_row_for_each_server_multiplies_a_join() {
    let cluster = cluster_of(|t| t.param_rows_all = true);
    let mut client = sys(&cluster);
    client.ask("use oceanbase");
    assert_eq!(client.ask(BUILD).rows.len(), 9);
}

#[test]
fn only_sys_sees_the_cluster_and_views_are_not_prepared() {
    let cluster = cluster();
    let address = cluster.address(1).unwrap();
    for user in ["root@test", "root@sys"] {
        let mut client = Client::new(address, &Credentials::proxy(user, capability::PLAIN));
        let got = client
            .query("select * from oceanbase.DBA_OB_ZONES")
            .unwrap();
        assert_eq!(got.is_ok(), user == "root@sys", "{got:?}");
    }
    let mut client = sys(&cluster);
    client
        .send(
            Command::STMT_PREPARE,
            b"select * from oceanbase.DBA_OB_ZONES",
        )
        .unwrap();
    assert_eq!(client.reply().unwrap().unwrap_err().code, 1235);
    // What is no view of the cluster is the kernel's.
    assert_eq!(client.ask("select ob_version() v").rows.len(), 1);
    assert_eq!(client.refused("select * from oceanbase.nosuch"), 1146);
}

#[test]
fn views_are_answered_in_every_framing() {
    let cluster = cluster();
    let address = cluster.address(2).unwrap();
    for who in Credentials::all("root@sys") {
        let mut client = Client::new(address, &who);
        for _ in 0..2 {
            assert_eq!(client.ask(SERVERS).rows.len(), 3, "{who:?}");
            assert_eq!(client.refused("select x from oceanbase.DBA_OB_ZONES"), 1054);
            assert_eq!(client.ask("select 1 n").column("n"), ["1"]);
        }
    }
}

fn located(client: &mut Client, tenant: &str, table: &str, rest: &str) -> Vec<(String, String)> {
    let (db, table) = table.split_once('.').unwrap();
    let set = client.ask(&format!(
        "SELECT /*+READ_CONSISTENCY(WEAK)*/ * FROM oceanbase.__all_virtual_proxy_schema \
         WHERE tenant_name = '{tenant}' AND database_name = '{db}' AND table_name = '{table}' \
         {rest} ORDER BY tablet_id, role"
    ));
    let address = set.column("svr_ip").into_iter().zip(set.column("role"));
    address.map(|(ip, role)| (ip.into(), role.into())).collect()
}

fn leaders(client: &mut Client, tenant: &str, table: &str, tablets: &[String]) -> Vec<String> {
    let rest = format!("AND tablet_id IN ({})", tablets.join(","));
    let found = located(client, tenant, table, &rest);
    let leaders = found.into_iter().filter(|(_, role)| role == "1");
    leaders.map(|(ip, _)| ip).collect()
}

fn tablets(client: &mut Client, table: &str) -> (String, Vec<String>) {
    let (db, table) = table.split_once('.').unwrap();
    let set = client.ask(&format!(
        "SELECT table_id FROM oceanbase.__all_virtual_proxy_schema WHERE tenant_name = 'test' \
         AND database_name = '{db}' AND table_name = '{table}'"
    ));
    let id = set.column("table_id")[0].to_owned();
    let set = client.ask(&format!(
        "SELECT tablet_id FROM oceanbase.__all_virtual_proxy_partition \
         WHERE tenant_name = 'test' AND table_id = {id}"
    ));
    let list = set
        .column("tablet_id")
        .iter()
        .map(|t| (*t).to_owned())
        .collect();
    (id, list)
}

#[test]
fn partitions_are_where_their_leaders_are() {
    let cluster = cluster();
    let db = Database::new(cluster.address(1).unwrap(), "places");
    let mut client = sys(&cluster);
    let name = format!("{}.t", db.1);
    client.ask(&format!(
        "create table {name}(id int primary key) partition by hash(id) partitions 3"
    ));
    let (_, list) = tablets(&mut client, &name);
    assert_eq!(list.len(), 3);
    let ips = ["127.0.1.1", "127.0.1.2", "127.0.1.3"];
    assert_eq!(leaders(&mut client, "test", &name, &list), ips);
    assert_eq!(leaders(&mut client, "sys", &name, &list), [ips[0]; 3]);
    // Each zone has a replica.
    let all = located(&mut client, "test", &name, "");
    let roles: Vec<&str> = all.iter().map(|(_, role)| role.as_str()).collect();
    assert_eq!(roles, ["1", "2", "2"]);
    // A leader moves.
    let change = Change::Lead {
        tenant: "test".into(),
        stream: 1001,
        server: Some(3),
    };
    cluster.change(&change).unwrap();
    let moved = leaders(&mut client, "test", &name, &list);
    assert_eq!(moved, [ips[2], ips[1], ips[2]]);
    // A leaf is placed.
    let change = Change::PlaceLeaf {
        tenant: "test".into(),
        table: name.clone(),
        leaf: 2,
        server: 2,
    };
    cluster.change(&change).unwrap();
    let moved = leaders(&mut client, "test", &name, &list);
    assert_eq!(moved, [ips[2], ips[1], ips[1]]);
}

#[test]
fn a_truncated_table_moves() {
    let cluster = cluster();
    let db = Database::new(cluster.address(1).unwrap(), "truncated");
    let mut client = sys(&cluster);
    let name = format!("{}.t", db.1);
    client.ask(&format!(
        "create table {name}(id int primary key) partition by hash(id) partitions 3"
    ));
    let (id, list) = tablets(&mut client, &name);
    let before = leaders(&mut client, "test", &name, &list);
    client.ask(&format!("truncate table {name}"));
    let (same, new) = tablets(&mut client, &name);
    assert_eq!(id, same);
    assert_ne!(list, new);
    let after = leaders(&mut client, "test", &name, &new);
    assert_eq!(
        after,
        [before[1].clone(), before[2].clone(), before[0].clone()]
    );
    // A tablet that is gone is shown at the first one's place.
    let gone = leaders(&mut client, "test", &name, &list[2..]);
    assert_eq!(gone, after[..1]);
}

#[test]
fn tables_of_other_kinds_are_located() {
    let cluster = cluster();
    let db = Database::new(cluster.address(1).unwrap(), "kinds");
    let mut client = sys(&cluster);
    let db = db.1.as_str();
    client.ask(&format!("create table {db}.n(id int primary key)"));
    client.ask(&format!("create view {db}.v as select * from {db}.n"));
    client.ask(&format!(
        "create table {db}.s(a int, b int, primary key(a, b)) partition by range(a) \
         subpartition by hash(b) subpartitions 2 \
         (partition p0 values less than (10), partition p1 values less than (20))"
    ));
    let n = located(&mut client, "test", &format!("{db}.n"), "");
    assert_eq!(n.len(), 3);
    assert_eq!(located(&mut client, "test", &format!("{db}.v"), ""), n);
    // Two levels: four tablets, in turn.
    let set = client.ask(&format!(
        "select B.tablet_id, B.ls_id from oceanbase.__all_virtual_tablet_to_ls B where \
         tenant_id = 1002 and table_id = (select table_id from \
         oceanbase.__all_virtual_proxy_schema where tenant_name = 'test' and \
         database_name = '{db}' and table_name = 's' limit 1) order by tablet_id"
    ));
    assert_eq!(set.column("ls_id"), ["1001", "1002", "1003", "1001"]);
    // Virtual tables are nowhere, unknown ones have no rows, and tenants have their servers.
    let nowhere = [("0.0.0.0".to_owned(), "2".to_owned())];
    let table = "oceanbase.__all_virtual_processlist";
    assert_eq!(located(&mut client, "test", table, ""), nowhere);
    assert!(located(&mut client, "test", &format!("{db}.nosuch"), "").is_empty());
    assert!(located(&mut client, "nosuch", &format!("{db}.n"), "").is_empty());
    assert!(located(&mut client, "TEST", &format!("{db}.n"), "").is_empty());
    assert_eq!(
        located(&mut client, "test", "oceanbase.__all_dummy", "").len(),
        3
    );
    // Names of tables come back as they were asked.
    let set = client.ask(&format!(
        "select table_name, part_num from oceanbase.__all_virtual_proxy_schema where \
         (tenant_name, database_name, table_name, tablet_id) in \
         (('test','{db}','N',0),('test','{db}','s',0)) and role = 1"
    ));
    assert_eq!(set.column("table_name"), ["N", "s"]);
    assert_eq!(set.column("part_num"), ["1", "4"]);
}

#[test]
fn servers_of_a_tenant_come_in_groups_of_one_of_each_zone() {
    let cluster = cluster_of(|t| {
        t.servers = 5;
        t.zones = 2;
        t.tenants = vec!["t2:1,2,4,5".parse().unwrap()];
    });
    let mut client = sys(&cluster);
    let set = client.ask(
        "select svr_ip, role from oceanbase.__all_virtual_proxy_schema where tenant_name = 't2' \
         and database_name = 'oceanbase' and table_name = '__all_dummy'",
    );
    let ips = set.column("svr_ip");
    let last: Vec<_> = ips
        .iter()
        .map(|ip| ip.rsplit('.').next().unwrap())
        .collect();
    assert_eq!(last, ["1", "2", "5", "4"]);
    assert_eq!(set.column("role"), ["1", "2", "1", "2"]);
    assert_eq!(cluster.rs_list().split(';').count(), 5);
}

#[test]
fn questions_that_bind_too_little_are_refused() {
    let cluster = cluster();
    let mut client = sys(&cluster);
    for (condition, code) in [
        ("tenant_name = 'test' and database_name = 'd'", 1210),
        (
            "tenant_name in ('sys','test') and database_name = 'd' and table_name = 't'",
            1235,
        ),
        (
            "tenant_name = 'test' and database_name in ('a','b') and table_name = 't'",
            1235,
        ),
    ] {
        let sql = format!("select 1 from oceanbase.__all_virtual_proxy_schema where {condition}");
        assert_eq!(client.refused(&sql), code, "{condition}");
    }
    let view = "oceanbase.__all_virtual_proxy_partition";
    assert_eq!(client.refused(&format!("select 1 from {view}")), 1210);
    let sql = format!("select 1 from {view} where tenant_name = 'test' and table_id in (1, 2)");
    assert_eq!(client.refused(&sql), 1235);
    assert_eq!(
        client.refused("select nosuch from oceanbase.DBA_OB_ZONES"),
        1054
    );
}
