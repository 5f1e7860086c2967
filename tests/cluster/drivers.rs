//! OceanBase's own drivers: their framing and their commands, on several servers.

use super::routing::Place;
use super::server_of;
use bench_harness::params::P;
use bench_harness::raw::{Conn, Got, Login};
use bench_harness::session::{Reach, Run, Session};
use obcluster::Entry;
use std::io::Write;

const FRAMES: (&str, &str) = ("enable_ob_protocol_v2_with_client", "True");

fn user(database: &str) -> Login {
    Login::user("root@test#obcluster", "").db(database)
}

/// The requests of the drivers' own command since an entry of the log.
fn ran(place: &Place, since: u64) -> Vec<Entry> {
    let log = place.cluster.log_since(since);
    let is = |e: &Entry| e.cmd == "stmt_prepare_execute";
    log.into_iter().filter(is).collect()
}

/// The rows of a reply to COM_STMT_PREPARE_EXECUTE, and of one to COM_STMT_FETCH.
fn rows(got: &[Got]) -> usize {
    let is_row = |got: &&Got| {
        let packet = got.packet().expect("a packet");
        packet.payload.first() == Some(&0) && packet.payload.len() == 6
    };
    got.iter().filter(is_row).count()
}

#[test]
fn statements_go_where_their_rows_are() {
    const DATABASE: &str = "drivers_rows";
    const KEYS: i32 = 30;
    let place = Place::with(DATABASE, &[FRAMES]);
    let run = Run::of_drivers(place.proxy.address());
    let mut s: Session = run.login("driver", &user(DATABASE));
    let since = place.cluster.log_next();
    for k in 0..KEYS {
        let got = s.prepare_execute(0, "insert into h values (?, 1)", 0, &[P::Long(k)]);
        assert!(got.iter().all(|g| g.error().is_none()), "{got:?}");
    }
    let inserts = ran(&place, since);
    let since = place.cluster.log_next();
    const SELECT: &str = "select k from h where k = ?";
    for k in 0..KEYS {
        let statement = if k == 0 { 0 } else { s.statement };
        let got = s.prepare_execute(statement, SELECT, 10, &[P::Long(k)]);
        assert_eq!(rows(&got), 1, "{got:?}");
    }
    let selects = ran(&place, since);
    assert_eq!(
        (inserts.len(), selects.len()),
        (KEYS as usize, KEYS as usize)
    );
    let mut servers = vec![];
    for k in 0..KEYS {
        // The model says of a text what it leads.
        let since = place.cluster.log_next();
        s.q(&format!("select v from h where k = {k}"));
        let exact = place.exact(since);
        let leader = exact[0].verdict.tables[0].leaders[0];
        let at = |ran: &[Entry]| ran[k as usize].server_id;
        assert_eq!((at(&inserts), at(&selects)), (leader, leader), "key {k}");
        servers.push(leader);
    }
    servers.sort_unstable();
    servers.dedup();
    assert_eq!(servers, [1, 2, 3]);
}

#[test]
fn rows_that_wait_are_fetched_where_they_are() {
    const DATABASE: &str = "drivers_cursors";
    let place = Place::with(DATABASE, &[FRAMES]);
    let run = Run::of_drivers(place.proxy.address());
    let mut s = run.login("driver", &user(DATABASE));
    s.q("insert into h values (1, 1), (2, 1), (3, 1), (4, 1), (5, 1)");
    let mut away = 0;
    for k in 1..=5 {
        let sql = format!("select k, {k} from h where k <> ?");
        let got = s.prepare_execute(0, &sql, 2, &[P::Long(k)]);
        assert_eq!(
            got.iter().filter(|g| g.error().is_some()).count(),
            0,
            "{got:?}"
        );
        // Where its row is, if nothing bound the session.
        let since = place.cluster.log_next();
        let between = format!("select v, 'between {k}' from h where k = {k}");
        s.q(&between);
        let here = ran(&place, 0).pop().expect("an entry").server_id;
        assert_eq!(server_of(&place.cluster, &between), here);
        away += usize::from(place.exact(since)[0].verdict.tables[0].leaders[0] != here);
        let got = s.by_id(0x1c, s.statement, &9u32.to_le_bytes(), Reach::ToEof);
        assert_eq!(got.len(), 2 + 1, "{got:?}");
        s.by_id(0x19, s.statement, b"", Reach::Nothing);
    }
    assert!(away > 0, "all rows are where the cursors were");
}

#[test]
fn only_drivers_that_may_have_frames_get_them() {
    for (settings, has_frames) in [(&[][..], false), (&[FRAMES][..], true)] {
        let place = Place::with("drivers_may", settings);
        let mut c = Conn::login(place.proxy.address(), &user("drivers_may").driver()).expect("in");
        assert_eq!(c.has_frames(), has_frames);
        assert_eq!(c.cell("select 'x'").as_deref(), Ok("x"));
        // A reply of many frames.
        let long = c
            .cell("select repeat('0123456789', 100000)")
            .expect("a cell");
        assert_eq!(long.len(), 1_000_000);
        let mut other = Conn::login(place.proxy.address(), &user("drivers_may")).expect("in");
        assert!(!other.has_frames());
        assert_eq!(other.cell("select 'y'").as_deref(), Ok("y"));
        if !has_frames {
            continue;
        }
        // What is no frame ends in an error, and the session with it.
        let plain =
            bench_harness::raw::framed(b"\x03select 'this is no frame of OceanBase 2.0'", 0);
        c.stream().write_all(&plain).expect("sent");
        let got = c.receive();
        let (_, text) = got.error().unwrap_or_else(|| panic!("{got:?}"));
        assert!(text.contains("a wrong frame of the client"), "{text}");
        assert!(matches!(c.receive(), Got::Closed | Got::Reset));
    }
}
