//! Random sessions through obring and a cluster whose leaders move, and directly on the kernel: a
//! client sees the same (`bench_harness::random`).
//!
//! `OBRING_RANDOM_SEED=n` replays a seed, `OBRING_RANDOM_SEEDS=a..b` runs others.

use super::routing::Place;
use super::{binary, kernel};
use bench_harness::checks::{Setup, switching};
use bench_harness::random::{FRAMINGS, Loss, RANDOM, ServerFraming, Sort, World, seeds};
use bench_harness::raw::{Conn, Login};
use std::collections::BTreeSet;

/// Scripts of one session per framing and mode; `accept session` plays more.
const SINGLES: u64 = 8;
/// Scripts of two sessions.
const PAIRS: u64 = 3;
/// Statements before a broken rule that are printed.
const STATEMENTS_SHOWN: u64 = 60;
/// Status of a session outside of transactions: autocommit, and a bit that OceanBase always sets.
const IDLE: u8 = 0x22;
/// Scripts in which a planted fault must show.
const ROBBED: u64 = 60;

fn setup() -> Setup {
    Setup {
        binary: binary(),
        kernel: kernel(),
    }
}

fn hunt(world: &mut World, has_locks: bool, first: u64) {
    for (sort, count) in [(Sort::Single, SINGLES), (Sort::Pair, PAIRS)] {
        let range = seeds(first..first + count);
        let tally = world.hunt(sort, has_locks, range).expect("a hunt");
        println!("{sort:?}: {tally}");
        assert!(tally.different.is_empty(), "{tally}");
        // Scripts that the kernel does not answer the same twice prove nothing.
        assert!(tally.unsteady.len() as u64 * 4 <= tally.scripts, "{tally}");
    }
    let broken = world.cluster.violations();
    let Some(first) = broken.first() else {
        return;
    };
    for e in world.cluster.log_since(0) {
        if e.seq <= first.seq && e.seq + STATEMENTS_SHOWN > first.seq {
            println!("{e:?}");
        }
    }
    panic!("{broken:?}");
}

/// The settings of a framing, with statements sent to servers at random; `None` if this obring
/// cannot do that.
fn at_random(world: &World, framing: usize) -> Option<Vec<(&'static str, &'static str)>> {
    if !world.has_random_mode().expect("the administrator") {
        println!("NOT RUN: server_routing_mode=random, which this obring does not have");
        return None;
    }
    Some([FRAMINGS[framing].settings, &[RANDOM]].concat())
}

/// In one framing: sessions of both sorts, with servers chosen as always and at random.
fn in_framing(framing: usize) {
    let ServerFraming {
        name,
        settings,
        has_locks,
    } = FRAMINGS[framing];
    let first = framing as u64 * 1_000;
    let mut world = World::start(&setup(), settings).expect(name);
    hunt(&mut world, has_locks, first);
    let Some(settings) = at_random(&world, framing) else {
        return;
    };
    drop(world);
    let mut world = World::start(&setup(), &settings).expect(name);
    hunt(&mut world, has_locks, first);
}

#[test]
fn a_client_sees_the_same_in_plain_framing() {
    in_framing(0);
}

#[test]
fn a_client_sees_the_same_in_checksum_framing() {
    in_framing(1);
}

#[test]
fn a_client_sees_the_same_in_oceanbase_framing() {
    in_framing(2);
}

#[test]
fn a_client_sees_the_same_in_compressed_oceanbase_framing() {
    in_framing(3);
}

/// Statements of one request, the last of which fails.
fn fail_at_the_end(c: &mut Conn, sql: &str) {
    c.query(sql).expect(sql);
    loop {
        let got = c.receive();
        if !got.is_ok() {
            break assert!(got.error().is_some(), "{sql}: {got:?}");
        }
    }
}

/// A server that is told of the session's state takes it, although a later statement of the request
/// fails: told once more, it would forget what the statement before has set.
#[test]
fn what_the_first_of_several_statements_sets_outlives_the_error_of_the_last() {
    let settings = [("server_protocol", "OceanBase 2.0")];
    let place = Place::with("session_several", &settings);
    let mut c = place.client();
    c.run("insert into h values (0, 1), (1, 1), (2, 1), (3, 1), (4, 1), (5, 1)")
        .expect("rows");
    let since = place.cluster.log_next();
    for k in 0..6 {
        c.run("set autocommit = 1, sql_safe_updates = 0")
            .expect("on");
        let text =
            format!("update h set v = 2 where k = {k}; set autocommit = 0; table_of_nothing");
        fail_at_the_end(&mut c, &text);
        assert_eq!(c.cell("select @@autocommit").expect("a row"), "0", "{k}");
        c.run("rollback").expect("over");
        assert_eq!(c.cell("select @@autocommit").expect("a row"), "0", "{k}");
    }
    let log = place.cluster.log_since(since);
    let servers = log.iter().filter(|e| e.sql.starts_with("update"));
    let servers: BTreeSet<_> = servers.map(|e| e.server_id).collect();
    assert!(servers.len() > 1, "each is told something: {servers:?}");
}

/// The comparison sees that state is missing: a script differs, and few steps are left of it.
fn finds(settings: &[(&str, &str)], loss: Loss) {
    let mut world = World::start_robbed(&setup(), settings, loss).expect("a world");
    let tally = world.hunt_first(0..ROBBED).expect("a hunt");
    println!("{loss:?}: {} lost, {tally}", world.stolen());
    assert!(world.stolen() > 0, "{loss:?}: nothing was there to lose");
    assert!(
        !tally.different.is_empty(),
        "{loss:?} is not found: {tally}"
    );
}

#[test]
fn a_set_that_is_lost_is_found() {
    finds(FRAMINGS[0].settings, Loss::Text("set @"));
}

#[test]
fn state_that_does_not_reach_another_server_is_found() {
    let world = World::start(&setup(), FRAMINGS[2].settings).expect("a world");
    let Some(settings) = at_random(&world, 2) else {
        return;
    };
    drop(world);
    // System variables, user variables, COM_INIT_DB, COM_STMT_PREPARE; `accept session` has more.
    finds(&settings, Loss::SubType(4));
    finds(&settings, Loss::Text("SET @"));
    finds(&settings, Loss::Again(0x02));
    finds(&settings, Loss::Again(0x16));
}

/// What it costs that a statement goes to another server than the one before, in every framing;
/// and that a session may have as many statements open as a direct one.
#[test]
fn a_switch_costs_one_round_trip_at_most_and_none_without_changes() {
    let world = World::start(&setup(), FRAMINGS[2].settings).expect("a world");
    if at_random(&world, 2).is_none() {
        return;
    }
    drop(world);
    for framing in FRAMINGS {
        for figure in [
            switching::switch_without_state,
            switching::switch_with_state,
            switching::open_statements,
            switching::begin_waits,
        ] {
            let said =
                figure(&setup(), framing).unwrap_or_else(|e| panic!("{}: {e}", framing.name));
            println!("{}: {said}", framing.name);
        }
    }
}

/// Of COM_CHANGE_USER: utf8mb4_0900_bin, utf8mb4_0900_as_ci, utf8mb4_0900_ai_ci, gbk_chinese_ci.
/// The first two are numbers that no login packet can tell.
const COLLATIONS: [u16; 4] = [309, 305, 255, 28];
/// Questions to servers at random: that one of three is not asked is one chance in ten million.
const QUESTIONS: usize = 40;
/// What is asked about character sets.
const CHARSETS: &str = "select @@character_set_client, @@character_set_connection, \
                        @@character_set_results, @@collation_connection, \
                        @@character_set_database, @@collation_database, 'a' = 'A', 'a' = 'a '";

/// COM_CHANGE_USER without a password.
fn change_user(c: &mut Conn, user: &str, collation: u16) {
    let payload = [
        &[0x11][..],
        user.as_bytes(),
        b"\0\0\0",
        &collation.to_le_bytes(),
        b"mysql_native_password\0",
    ];
    c.send(&payload.concat(), 0).expect("sent");
    let mut got = c.receive();
    if let Some(switch) = got.packet().filter(|p| p.payload.first() == Some(&0xFE)) {
        c.send(b"", switch.seq.wrapping_add(1)).expect("sent");
        got = c.receive();
    }
    assert!(got.is_ok(), "{collation}: {got:?}");
}

/// The different answers to a question.
fn answers(c: &mut Conn, sql: &str, times: usize) -> BTreeSet<Vec<String>> {
    let mut row = || {
        let mut rows = c.rows(sql).expect("a row");
        let cells = rows.remove(0).into_iter();
        cells.map(Option::unwrap_or_default).collect()
    };
    (0..times).map(|_| row()).collect()
}

/// In every framing, with statements that go to servers at random: `act` on a session, and then all
/// three servers answer as the kernel does that is asked directly. The differences.
fn everywhere(sql: &str, act: impl Fn(&mut Conn, &str)) -> Vec<String> {
    let mut wrong = vec![];
    for framing in FRAMINGS {
        let settings = [framing.settings, &[RANDOM]].concat();
        let world = World::start(&setup(), &settings).expect("a world");
        let mut c = Conn::login(kernel(), &Login::default()).expect("a login");
        act(&mut c, "root@sys");
        let direct = answers(&mut c, sql, 1);
        let through = world.through();
        let user = format!("root{}", through.tenant);
        let mut c = Conn::login(through.address, &Login::user(&user, "")).expect("a login");
        act(&mut c, &user);
        let since = world.cluster.log_next();
        let seen = answers(&mut c, sql, QUESTIONS);
        let log = world.cluster.log_since(since);
        let asked = log
            .iter()
            .filter(|e| sql.starts_with(&e.sql) && !e.sql.is_empty());
        let servers: BTreeSet<_> = asked.map(|e| e.server_id).collect();
        assert_eq!(servers.len(), 3, "asked everywhere");
        if seen != direct {
            wrong.push(format!("{}: {seen:?}, not {direct:?}", framing.name));
        }
    }
    wrong
}

#[test]
fn the_collation_of_a_changed_user_holds_on_every_server() {
    let mut wrong = vec![];
    for collation in COLLATIONS {
        let of = everywhere(CHARSETS, |c, user| change_user(c, user, collation));
        wrong.extend(of.into_iter().map(|text| format!("{collation}: {text}")));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_character_set_of_the_database_is_what_the_session_set() {
    let mut wrong = vec![];
    for texts in [
        &["use test", "set collation_database = 'utf8mb4_bin'"][..],
        &["use test", "set character_set_database = 'gbk'"],
        &["set collation_database = 'gbk_chinese_ci'"],
        // The next database has its own.
        &[
            "use test",
            "set character_set_database = 'gbk'",
            "use mysql",
        ],
    ] {
        let of = everywhere(CHARSETS, |c, _| {
            for sql in texts {
                c.run(sql).expect(sql);
            }
        });
        wrong.extend(of.into_iter().map(|text| format!("{texts:?}: {text}")));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// EOF packets of a reply to COM_STMT_PREPARE say that the transaction is open that the client has
/// begun, although no server knows of it yet. COM_RESET_CONNECTION ends it, and its OK says so.
#[test]
fn a_prepare_behind_begin_is_inside_the_transaction_and_a_reset_ends_it() {
    let mut wrong = vec![];
    for framing in FRAMINGS {
        let world = World::start(&setup(), framing.settings).expect("a world");
        let through = world.through();
        let login = Login::user(&format!("root{}", through.tenant), "");
        for (to, login) in [(kernel(), Login::default()), (through.address, login)] {
            let mut c = Conn::login(to, &login).expect("a login");
            c.run("start transaction").expect("begun");
            c.send(b"\x16select ? as n", 0).expect("sent");
            // Head, one parameter, EOF, one column, EOF.
            let got: Vec<_> = (0..5).map(|_| c.receive()).collect();
            for n in [2, 4] {
                let eof = got[n].packet().expect("a packet");
                if eof.payload != [0xFE, 0, 0, 3, 0] {
                    wrong.push(format!("{}, {to}, packet {n}: {eof:?}", framing.name));
                }
            }
            c.send(b"\x1f", 0).expect("sent");
            let got = c.receive();
            let ok = got.packet().expect("a packet");
            // OK, no rows, no id, the status; what more there is differs by framing.
            if ok.payload.get(..5) != Some(&[0, 0, 0, IDLE, 0]) {
                wrong.push(format!("{}, {to}, reset: {ok:?}", framing.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
