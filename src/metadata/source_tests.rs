//! Answers of all kinds, read.

use super::*;
use crate::base::put_lenenc_bytes;
use crate::protocol::mysql::{ErrPacket, ReplySink, put_packet};

/// An answer with these columns.
fn answer(columns: &[&str], rows: &[&[Option<&str>]]) -> Rows {
    let mut b = vec![];
    put_packet(&mut b, 1, |b| b.push(columns.len() as u8));
    for name in columns {
        put_packet(&mut b, 2, |b| {
            b.extend_from_slice(b"\x03def\0\0\0");
            put_lenenc_bytes(b, name.as_bytes());
            b.extend_from_slice(&[0; 14]);
        });
    }
    put_packet(&mut b, 4, |b| b.extend_from_slice(&[0xFE, 0, 0, 2, 0]));
    for row in rows {
        put_packet(&mut b, 5, |b| {
            for value in *row {
                match value {
                    None => b.push(0xFB),
                    Some(text) => put_lenenc_bytes(b, text.as_bytes()),
                }
            }
        });
    }
    put_packet(&mut b, 6, |b| b.extend_from_slice(&[0xFE, 0, 0, 2, 0]));
    let mut rows = Rows::default();
    rows.collect(&b).pass(0, b.len());
    rows
}

fn error(code: u16) -> Rows {
    let mut b = vec![];
    ErrPacket {
        code,
        sqlstate: b"HY000",
        message: b"no",
    }
    .put(&mut b, 1);
    let mut rows = Rows::default();
    rows.collect(&b).pass(0, b.len());
    rows
}

const SERVER: [&str; 7] = [
    "svr_ip",
    "sql_port",
    "zone",
    "status",
    "start_service_time",
    "stop_time",
    "with_rootserver",
];

/// A row of the servers: the last two are "started" and "stopped".
fn row<'a>(
    ip: Option<&'a str>,
    port: &'a str,
    status: &'a str,
    is_started: bool,
    is_stopped: bool,
) -> [Option<&'a str>; 7] {
    let time = |is_set: bool| is_set.then_some("2024-02-29 01:02:03.000004");
    [
        ip,
        Some(port),
        Some("z1"),
        Some(status),
        time(is_started),
        time(is_stopped),
        Some("YES"),
    ]
}

fn read_servers(rows: &[[Option<&str>; 7]]) -> (Vec<Server>, Option<String>) {
    let rows: Vec<_> = rows.iter().map(|r| &r[..]).collect();
    let mut complaints = Complaints::default();
    let all = Selection::all(&SERVERS);
    match servers(&all, &answer(&SERVER, &rows), &mut complaints) {
        Reading::Rows(servers) => (servers, complaints.line()),
        Reading::Refused(e) => panic!("{e}"),
    }
}

#[test]
fn one_bad_row_spoils_only_itself_and_is_described() {
    let (servers, complaints) = read_servers(&[
        row(Some("10.0.0.1"), "2881", "ACTIVE", true, false),
        row(None, "2881", "ACTIVE", true, false),
        row(Some("10.0.0.2"), "x", "ACTIVE", true, false),
        row(Some("10.0.0.3"), "0", "ACTIVE", true, false),
        row(Some("fe80::1"), "2881", "ACTIVE", true, false),
        row(Some("10.0.0.1"), "2881", "INACTIVE", true, false),
        row(Some("host.example"), "2881", "ACTIVE", true, false),
    ]);
    let addresses: Vec<_> = servers.iter().map(|s| s.address.to_string()).collect();
    assert_eq!(addresses, ["10.0.0.1:2881", "[fe80::1]:2881"]);
    assert_eq!(servers[0].state, ServerState::Active);
    assert!(servers[0].is_root);
    let name = "of oceanbase.DBA_OB_SERVERS";
    assert_eq!(
        complaints.unwrap(),
        format!(
            "row 2 {name}: svr_ip \"\" is no address; row 3 {name}: sql_port \"x\" is no port; row \
             4 {name}: sql_port \"0\" is no port; and 1 more"
        )
    );
}

#[test]
fn states_of_servers() {
    use ServerState::{Active, Deleting, Inactive, Starting, Stopped, Unknown};
    for (status, is_started, is_stopped, want) in [
        ("ACTIVE", true, false, Active),
        ("active", true, false, Active),
        ("ACTIVE", true, true, Stopped),
        ("INACTIVE", true, true, Stopped),
        ("ACTIVE", false, false, Starting),
        ("INACTIVE", false, false, Inactive),
        ("INACTIVE", true, false, Inactive),
        ("TAKEOVER_BY_RS", true, false, Inactive),
        ("DELETING", true, false, Deleting),
        ("DREAMING", true, false, Unknown),
    ] {
        let ip = Some("10.0.0.1");
        let (servers, complaints) =
            read_servers(&[row(ip, "2881", status, is_started, is_stopped)]);
        assert_eq!(servers[0].state, want, "{status} {is_started} {is_stopped}");
        assert_eq!(complaints.is_some(), want == Unknown, "{complaints:?}");
    }
}

#[test]
fn zero_is_no_time() {
    let mut rows = row(Some("10.0.0.1"), "2881", "ACTIVE", true, false);
    for (zero, is_set) in [
        ("0", false),
        ("0000-00-00 00:00:00", false),
        ("1", true),
        ("", false),
    ] {
        rows[5] = Some(zero);
        let state = read_servers(&[rows]).0[0].state;
        assert_eq!(state == ServerState::Stopped, is_set, "{zero:?}");
    }
}

#[test]
fn errors_are_told_apart() {
    let all = Selection::all(&SERVERS);
    let mut complaints = Complaints::default();
    let mut read = |code| servers(&all, &error(code), &mut complaints);
    assert_eq!(read(1146), Reading::Refused(Refused::NoView));
    assert_eq!(read(1054), Reading::Refused(Refused::NoColumn));
    let Reading::Refused(Refused::Error(text)) = read(1142) else {
        panic!("no error");
    };
    assert_eq!(text, "error 1142: no");
    let mut rows = Rows::default();
    rows.collect(&[1, 0, 0, 1, 1]).pass(0, 5);
    let Reading::Refused(Refused::Error(text)) = servers(&all, &rows, &mut complaints) else {
        panic!("no error");
    };
    assert_eq!(text, "malformed result");
}

#[test]
fn a_column_that_is_not_there_is_left_out_after_one_look() {
    let mut selection = Selection::all(&SERVERS);
    let text = |sql: Vec<u8>| String::from_utf8(sql).unwrap();
    assert_eq!(
        text(selection.probe()),
        "SELECT /*+READ_CONSISTENCY(WEAK)*/ * FROM oceanbase.DBA_OB_SERVERS LIMIT 1"
    );
    let there = ["ID", "SQL_PORT", "SVR_IP", "STATUS"];
    selection.narrow(&answer(&there, &[])).unwrap();
    assert_eq!(
        text(selection.sql()),
        "SELECT /*+READ_CONSISTENCY(WEAK)*/ svr_ip, sql_port, status FROM oceanbase.DBA_OB_SERVERS"
    );
    let row = [Some("10.0.0.1"), Some("2881"), Some("ACTIVE")];
    let got = answer(&["svr_ip", "sql_port", "status"], &[&row]);
    let Reading::Rows(servers) = servers(&selection, &got, &mut Complaints::default()) else {
        panic!("no rows");
    };
    // Without the column nothing is known of a start.
    assert_eq!(servers[0].state, ServerState::Active);
    let missing = selection.narrow(&answer(&["SVR_IP", "STATUS"], &[]));
    let want = "oceanbase.DBA_OB_SERVERS has no column sql_port";
    assert_eq!(missing.unwrap_err(), want);
}

#[test]
fn zones_have_defaults_and_kinds() {
    let columns = ["zone", "status", "idc", "region", "type"];
    let got = answer(
        &columns,
        &[
            &[
                Some("z1"),
                Some("ACTIVE"),
                Some("i1"),
                Some("r1"),
                Some("ReadWrite"),
            ],
            &[
                Some("z2"),
                Some("INACTIVE"),
                None,
                Some(""),
                Some("ReadOnly"),
            ],
            &[None, Some("ACTIVE"), None, None, None],
            &[Some("z3"), Some("MERGING"), None, None, Some("Encryption2")],
        ],
    );
    let mut complaints = Complaints::default();
    let Reading::Rows(zones) = zones(&Selection::all(&ZONES), &got, &mut complaints) else {
        panic!("no rows");
    };
    let shown: Vec<_> = zones
        .iter()
        .map(|z| (&*z.name, &*z.idc, &*z.region, z.kind.name(), z.is_stopped))
        .collect();
    assert_eq!(
        shown,
        [
            ("z1", "i1", "r1", "ReadWrite", false),
            ("z2", "default_idc", "default_region", "ReadOnly", true),
            ("z3", "default_idc", "default_region", "Encryption", false),
        ]
    );
    let line = complaints.line().unwrap();
    assert!(line.contains("row 3 of oceanbase.DBA_OB_ZONES"), "{line}");
    assert!(
        line.contains("zone \"z3\" has status \"MERGING\""),
        "{line}"
    );
}

#[test]
fn names_of_tenants_cannot_leave_their_literal() {
    let sql = |name: &[u8]| tenant_sql(name).map(|sql| String::from_utf8(sql).unwrap());
    let shown = sql(b"a'b\\c' OR '1'='1").unwrap();
    assert!(
        shown.contains("tenant_name = 'a''b\\\\c'' OR ''1''=''1' AND "),
        "{shown}"
    );
    assert!(sql("租户".as_bytes()).unwrap().contains("'租户'"));
    for never in [&b""[..], b"a\0b", b"a\nb", b"\xff"] {
        assert_eq!(sql(never), None, "{never:?}");
    }
}

#[test]
fn servers_of_a_tenant() {
    let columns = ["svr_ip", "sql_port"];
    let read = |rows: &[&[Option<&str>]]| {
        tenant_servers(&answer(&columns, rows), &mut Complaints::default())
    };
    let (a, b) = ([Some("10.0.0.1"), Some("1")], [Some("10.0.0.2"), Some("1")]);
    let bad = [Some("nobody"), Some("1")];
    assert_eq!(read(&[&a, &bad, &b, &a]).unwrap().len(), 2);
    assert_eq!(read(&[]).unwrap(), []);
    assert!(read(&[&bad]).unwrap_err().contains("svr_ip \"nobody\""));
    let refused = tenant_servers(&error(1142), &mut Complaints::default());
    assert!(refused.unwrap_err().contains("error 1142"));
}

#[test]
fn a_tenant_has_changed_only_by_the_same_columns() {
    let mut selection = Selection::all(&TENANTS);
    let columns = [
        "tenant_name",
        "locality",
        "previous_locality",
        "primary_zone",
        "status",
    ];
    let print = |selection: &Selection, columns: &[&str], row: &[Option<&str>]| {
        let Reading::Rows(list) = tenants(selection, &answer(columns, &[row])) else {
            panic!("no rows");
        };
        list[0].print
    };
    let row = [Some("t"), Some("F@z1"), None, Some("z1"), Some("NORMAL")];
    let moved = [Some("t"), Some("F@z2"), None, Some("z1"), Some("NORMAL")];
    let before = print(&selection, &columns, &row);
    assert!(!print(&selection, &columns, &row).contradicts(before));
    assert!(print(&selection, &columns, &moved).contradicts(before));
    selection.narrow(&answer(&columns[..3], &[])).unwrap();
    let narrow = print(&selection, &columns[..3], &row[..3]);
    assert!(!narrow.contradicts(before));
}
