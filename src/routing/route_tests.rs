use super::super::fixture::{self, at, key, row, table};
use super::*;
use crate::base::CoreId;
use crate::routing::{Blocks, Cluster, Loads, Preferences, StrongBy, TableEntry, WeakBy};
use crate::sql::Syntax;
use std::sync::Arc;

const NOW: Tick = Tick(1_000_000);

/// `PARTITION BY HASH(id) PARTITIONS 4` over a bigint.
fn by_hash() -> partition::Table {
    partition::Table::by_hash(b"id", (0..4).map(|n| (&b"p"[..], n)))
}

/// Three servers; table `h` has leaf n led by server n + 1 (leaf 3 by 1), table `p` one leaf led by
/// server 3.
struct World {
    cluster: Cluster,
    tables: Tables,
    preferences: Preferences,
    blocks: Blocks,
    loads: Loads,
    consistency: Consistency,
    pin: Option<(SocketAddr, Reason)>,
    current: Option<SocketAddr>,
    is_impatient: bool,
    now: Tick,
}

impl World {
    fn new() -> Self {
        let zones = [("z1", "i", "r"), ("z2", "i", "r"), ("z3", "i", "r")];
        let mut tables = Tables::default();
        let rows: Vec<_> = (0..4)
            .map(|leaf| row(leaf, leaf as u8 % 3 + 1, true))
            .collect();
        let mut hashed = TableEntry::clone(&table("h", 1, 4, &rows));
        hashed.partitions = Some(Arc::new(by_hash()));
        tables.install(NOW, Arc::new(hashed));
        tables.install(NOW, table("p", 1, 1, &[row(0, 3, true), row(0, 2, false)]));
        Self {
            cluster: fixture::cluster(&zones),
            tables,
            preferences: Preferences::default(),
            blocks: Blocks::default(),
            loads: Loads::default(),
            consistency: Consistency::Strong(StrongBy::Default),
            pin: None,
            current: Some(at(2)),
            is_impatient: false,
            now: NOW,
        }
    }

    fn with<T>(&self, text: &str, call: impl FnOnce(Routed<'_>) -> T) -> T {
        let mut scan = Scan::default();
        scan.read(text.as_bytes(), Syntax::default(), true);
        let context = Context {
            database: b"d",
            ..Context::default()
        };
        let statement = Statement {
            text: text.as_bytes(),
            scan: &scan,
            context: &context,
            cluster: "ob1",
            tenant: b"t",
            consistency: self.consistency,
            has_written_dup: false,
            pin: self.pin,
            current: self.current,
            tried: &[],
            is_impatient: self.is_impatient,
            seed: 7,
        };
        let view = View {
            cluster: &self.cluster,
            tenant: None,
            blocks: &self.blocks,
            loads: &self.loads,
            preferences: &self.preferences,
        };
        call(route(self.now, &self.tables, &view, &statement))
    }

    /// Server and reason, or the name that is waited for.
    fn route(&self, text: &str) -> Result<(SocketAddr, Reason), (String, Option<Tick>)> {
        self.with(text, |routed| match routed {
            Routed::To(choice, _) => Ok((choice.server, choice.reason)),
            Routed::Wait { name, until } => {
                Err((String::from_utf8_lossy(name.name).into_owned(), until))
            }
            Routed::Nowhere(reason) => panic!("{reason:?}"),
        })
    }
}

#[test]
fn statements_find_their_leaves() {
    let world = World::new();
    for (text, server, reason) in [
        ("select * from h where id = 1", 2, Reason::Leader),
        ("select * from `d`.`h` where id = 6", 3, Reason::Leader),
        (
            "update h set v = 1 where id in (3, 4)",
            1,
            Reason::MostLeaders,
        ),
        ("insert into h (id, v) values (2, 0)", 3, Reason::Leader),
        ("select * from h", 1, Reason::LeafUnknown),
        ("select * from h where id = 1 and id = 2", 2, Reason::NoLeaf),
        ("delete from p where id = 1", 3, Reason::Leader),
        ("select 1", 2, Reason::CurrentServer),
        ("select * from (select 1) as x", 2, Reason::CurrentServer),
        (
            "select * from p, h where h.id = 5 and p.a = h.id",
            3,
            Reason::MostLeaders,
        ),
        ("select 'oops", 2, Reason::Unparsed),
        (
            "/*ODP: target_db_server=127.0.0.1:2881*/ select * from p",
            1,
            Reason::TargetServer,
        ),
        // A comment names table and key: the statement itself is not looked at.
        (
            "/*ODP: table(h), part_key(id = 2)*/ select * from p",
            3,
            Reason::Leader,
        ),
        (
            "/*ODP: table(h), part_key(id = 1)*/ call f()",
            2,
            Reason::Leader,
        ),
        (
            "/*ODP: table(h), part_key(z = 1)*/ select 1",
            1,
            Reason::LeafUnknown,
        ),
        (
            "/*ODP: part_key(id = 2)*/ select * from h where id = 1",
            2,
            Reason::Leader,
        ),
    ] {
        let routed = world.route(text);
        let is_tie = text.contains("p, h");
        match is_tie {
            true => assert_eq!(routed.unwrap().1, reason, "{text}"),
            false => assert_eq!(routed, Ok((at(server), reason)), "{text}"),
        }
    }
}

#[test]
fn a_missing_table_is_waited_for_and_then_done_without() {
    let mut world = World::new();
    let text = "select * from n where id = 1";
    assert_eq!(world.route(text), Err(("n".into(), None)));
    let (mail, until) = world.tables.ask(NOW, CoreId(0), &key("n").as_name());
    assert!(mail.is_some());
    assert_eq!(world.route(text), Err(("n".into(), Some(until))));
    world.is_impatient = true;
    assert_eq!(world.route(text), Ok((at(2), Reason::LocationPending)));
    // The tables that are known decide.
    let both = "select * from n, p where n.id = p.id";
    assert_eq!(world.route(both), Ok((at(3), Reason::Leader)));
    world.is_impatient = false;
    world.now = until;
    assert_eq!(world.route(text), Ok((at(2), Reason::LocationPending)));
}

#[test]
fn a_doubted_entry_is_waited_for_and_then_used() {
    let mut world = World::new();
    let name = key("p");
    assert!(world.tables.doubt(NOW, &name.as_name(), 1));
    let text = "select * from p";
    assert_eq!(world.route(text), Err(("p".into(), None)));
    let (_, until) = world.tables.ask(NOW, CoreId(0), &name.as_name());
    assert_eq!(until, NOW.after_ms(2));
    assert_eq!(world.route(text), Err(("p".into(), Some(until))));
    world.now = until;
    assert_eq!(world.route(text), Ok((at(3), Reason::Leader)));
    world
        .tables
        .install(until, table("p", 2, 1, &[row(0, 1, true)]));
    assert_eq!(world.route(text), Ok((at(1), Reason::Leader)));
}

#[test]
fn tables_without_a_place_say_why() {
    let mut world = World::new();
    let mut odd = |name: &str, change: fn(&mut TableEntry)| {
        let mut entry = TableEntry::clone(&table(name, 1, 1, &[]));
        change(&mut entry);
        world.tables.install(NOW, Arc::new(entry));
    };
    odd("v", |e| e.kind = TableKind::Everywhere);
    odd("a", |e| e.standing = Standing::Absent);
    odd("u", |e| {
        e.standing = Standing::Unanswered { cause: "x".into() }
    });
    for (table, reason) in [
        ("v", Reason::NoLocation),
        ("a", Reason::TableAbsent),
        ("u", Reason::LocationFailed),
    ] {
        let text = format!("select * from {table}");
        assert_eq!(world.route(&text), Ok((at(2), reason)));
    }
}

#[test]
fn a_pin_asks_nobody() {
    let mut world = World::new();
    world.pin = Some((at(1), Reason::Coordinator));
    let routed = world.route("select * from unheard_of");
    assert_eq!(routed, Ok((at(1), Reason::Coordinator)));
}

#[test]
fn weak_reads_leave_the_leader() {
    let mut world = World::new();
    world.consistency = Consistency::Weak(WeakBy::Hint);
    world.preferences.set_weak_policy("FOLLOWER_ONLY");
    assert_eq!(
        world.route("select * from p"),
        Ok((at(2), Reason::WeakRead))
    );
}

#[test]
fn without_a_database_there_is_no_table() {
    let world = World::new();
    let context = Context::default();
    let mut scan = Scan::default();
    scan.read(b"select * from p", Syntax::default(), true);
    let statement = Statement {
        text: b"select * from p",
        scan: &scan,
        context: &context,
        cluster: "ob1",
        tenant: b"t",
        consistency: world.consistency,
        has_written_dup: false,
        pin: None,
        current: Some(at(1)),
        tried: &[],
        is_impatient: false,
        seed: 1,
    };
    assert!(name(&statement, b"p").is_none());
    assert_eq!(name(&statement, b"x.`p`").unwrap().name, b"p");
}
