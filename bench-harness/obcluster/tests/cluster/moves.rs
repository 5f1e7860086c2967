//! What only engine `builtin` offers: transactions that go from server to server with the state of
//! their session, requests that are sent elsewhere, feedback about weak reads. No kernel is asked.

use crate::client::{Client, Credentials, Ids, MASKS};
use obcluster::builtin::{InternalRouting, Layout, SCHEMA_VERSION};
use obcluster::{Cluster, Engine, Topology};
use obring_wire::base::Cursor;
use obring_wire::protocol::capability;
use obring_wire::protocol::mysql::Command;
use obring_wire::protocol::ob20::flag;
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};

/// Three leaves of `kv`; leaf n is led by server n + 1, of six in three zones.
fn cluster() -> Cluster {
    let layout = Layout {
        kv_partitions: 3,
        kv_rows: (0..9).map(|n| (n, format!("v{n}"))).collect(),
        ..Layout::default()
    };
    let topology = Topology {
        servers: 6,
        ..Topology::default()
    };
    Cluster::start(topology, Engine::Builtin(layout)).expect("the cluster starts")
}

fn link(cluster: &Cluster, server: u32, mask: u64, ids: Ids) -> Client {
    let mut who = Credentials::proxy("root@test", mask);
    who.ids = Some(ids);
    who.database = Some("test");
    Client::new(cluster.address(server).unwrap(), &who)
}

/// The framings that carry session state.
fn masks() -> impl Iterator<Item = u64> {
    MASKS.into_iter().skip(2).map(|(_, mask)| mask)
}

/// Rules broken since a look, as text.
fn found(cluster: &Cluster, seen: &mut usize) -> Vec<String> {
    let all = cluster.violations();
    let new = all[*seen..].iter().map(|b| b.violation.to_string());
    let new = new.collect();
    *seen = all.len();
    new
}

/// A session on three servers: its links, and the newest of every part of its state.
struct Session<'a> {
    cluster: &'a Cluster,
    links: Vec<Client>,
    parts: BTreeMap<u16, Vec<u8>>,
    seen: usize,
}

impl<'a> Session<'a> {
    fn new(cluster: &'a Cluster, mask: u64) -> Self {
        let ids = Ids::with_client_id();
        let mut links: Vec<_> = (1..=3).map(|n| link(cluster, n, mask, ids)).collect();
        links
            .iter_mut()
            .for_each(|l| l.flags = flag::INTERNAL_ROUTING);
        Self {
            cluster,
            links,
            parts: BTreeMap::new(),
            seen: cluster.violations().len(),
        }
    }

    /// A statement with all state but one part. Whatever follows: a server may end a session whose
    /// state does not fit together.
    fn says_without(&mut self, link: usize, sql: &str, left_out: u16) {
        let parts = self.parts.clone().into_iter();
        let parts: Vec<_> = parts.filter(|(kind, _)| *kind != left_out).collect();
        let client = &mut self.links[link];
        client
            .send_with(Command::QUERY, sql.as_bytes(), &parts)
            .unwrap();
        let _ = client.reply();
    }

    /// A statement with all state; the error.
    fn says(&mut self, link: usize, sql: &str) -> Result<(), u16> {
        let parts: Vec<_> = self.parts.clone().into_iter().collect();
        let client = &mut self.links[link];
        client
            .send_with(Command::QUERY, sql.as_bytes(), &parts)
            .unwrap();
        let reply = client.reply().unwrap();
        self.parts.extend(client.told.beside.parts.clone());
        reply.map(|_| ()).map_err(|said| said.code)
    }

    fn found(&mut self) -> Vec<String> {
        found(self.cluster, &mut self.seen)
    }
}

#[test]
fn a_transaction_moves_with_its_state_and_breaks_no_rule() {
    let cluster = cluster();
    let mut statements = 0;
    for (n, mask) in masks().enumerate() {
        let mut s = Session::new(&cluster, mask);
        for round in 0..2 {
            s.says(0, "begin").unwrap();
            assert!(s.links[0].told.is_free);
            for link in [1, 2, 0, 2, 1] {
                let sql = format!("update kv set v='{n}{round}{link}' where id={link}");
                assert_eq!(s.says(link, &sql), Ok(()), "{mask:#x}");
                assert!(s.links[link].told.is_free);
                statements += 1;
            }
            s.says(0, if round == 0 { "commit" } else { "rollback" })
                .unwrap();
            // The end is known everywhere, and the next one begins where it likes.
            for link in [1, 2, 0] {
                assert_eq!(s.says(link, "select v from kv where id=1"), Ok(()));
                statements += 1;
            }
            assert_eq!(s.found(), [""; 0], "{mask:#x}");
        }
        let mut other = link(&cluster, 2, mask, Ids::new());
        let set = other.ask("select v from kv where id=1");
        assert_eq!(set.column("v"), [format!("{n}01")]);
    }
    println!(
        "figure: builtin: transaction that moves | {statements} statements on 3 servers in 2 \
         framings, 0 rules broken; each part left out is named; 6279 where it may not move"
    );
}

#[test]
fn a_part_of_a_transaction_that_is_left_out_is_named() {
    let cluster = cluster();
    for mask in masks() {
        for kind in 5..=8 {
            let mut s = Session::new(&cluster, mask);
            s.says(0, "begin").unwrap();
            s.says(0, "update kv set v='x' where id=0").unwrap();
            assert_eq!(s.found(), [""; 0], "{mask:#x}");
            s.says_without(1, "select v from kv where id=1", kind);
            let found = s.found();
            assert_eq!(found, [format!("stale_state: session_info:{kind}")]);
        }
    }
}

#[test]
fn a_transaction_that_may_not_move_is_refused_or_escapes() {
    let cluster = cluster();
    let engine = cluster.builtin().unwrap();
    for mask in masks() {
        let mut s = Session::new(&cluster, mask);
        engine.set_internal_routing(InternalRouting::Refuse);
        s.says(0, "begin").unwrap();
        assert_eq!(s.says(1, "update kv set v='x' where id=1"), Err(6279));
        s.says(0, "rollback").unwrap();
        engine.set_internal_routing(InternalRouting::On);
        // Not a statement on a table; and one that does not say that it may move.
        let mut s = Session::new(&cluster, mask);
        s.says(0, "begin").unwrap();
        assert_eq!(s.says(1, "commit"), Err(6279));
        assert_eq!(s.found(), [""; 0], "{mask:#x}");
        s.links[1].flags = 0;
        assert_eq!(s.says(1, "update kv set v='x' where id=1"), Err(6279));
        let found = s.found();
        assert!(found[0].starts_with("tx_escape: link:"), "{found:?}");
        s.says(0, "rollback").unwrap();
        engine.set_internal_routing(InternalRouting::Off);
        let mut s = Session::new(&cluster, mask);
        s.says(0, "begin").unwrap();
        assert!(!s.links[0].told.is_free);
        let _ = s.says(1, "update kv set v='x' where id=1");
        let found = s.found();
        assert!(found[0].starts_with("tx_escape: link:"), "{found:?}");
        s.says(0, "rollback").unwrap();
        engine.set_internal_routing(InternalRouting::On);
    }
}

/// The server that a reroute names, its role, the table and its version.
fn named(value: &[u8]) -> (SocketAddr, u64, String, u64) {
    let mut c = Cursor::new(value);
    let inner = c.lenenc_bytes().unwrap();
    assert_eq!(c.left(), 0);
    let mut c = Cursor::new(inner);
    assert_eq!(c.lenenc().unwrap(), 4);
    let ip = Ipv4Addr::from(c.lenenc().unwrap() as u32);
    let port = c.lenenc().unwrap() as u16;
    let role = c.lenenc().unwrap();
    assert_eq!(c.lenenc().unwrap(), 0, "a replica with all data");
    let table = String::from_utf8(c.lenenc_bytes().unwrap().to_vec()).unwrap();
    (
        SocketAddr::from((ip, port)),
        role,
        table,
        c.lenenc().unwrap(),
    )
}

#[test]
fn a_request_that_may_be_rerouted_is_sent_to_the_leader() {
    let cluster = cluster();
    let mut rerouted = 0;
    for mask in masks().map(|mask| mask | capability::PROXY_REROUTE) {
        let mut links: Vec<_> = (1..=6)
            .map(|n| link(&cluster, n, mask, Ids::new()))
            .collect();
        links.iter_mut().for_each(|l| l.flags = flag::REROUTE);
        let (statement, _) = links[1].prepare("update kv set v=? where id=?");
        for id in 0..3u32 {
            let want = cluster.address(id + 1).unwrap();
            for (server, client) in (1u32..).zip(&mut links) {
                let sql = format!("update kv set v='r{server}' where id={id}");
                if server == id + 1 {
                    client.ask(&sql);
                    continue;
                }
                assert_eq!(client.refused(&sql), 5727, "{mask:#x}");
                let told = &client.told.user_variables;
                let [(name, value)] = &told[..] else {
                    panic!("{told:?}");
                };
                assert_eq!(name, b"ob_client_reroute_info");
                assert_eq!(named(value), (want, 1, "kv".into(), SCHEMA_VERSION));
                rerouted += 1;
                // Nothing has run here, and without the flag it does.
                client.flags = 0;
                let seen = client.ask(&format!("select v from kv where id={id}"));
                assert_ne!(seen.column("v"), [format!("r{server}")]);
                client.flags = flag::REROUTE;
            }
            // Where several lead, or nothing is touched, there is no better place.
            for sql in ["select 1", "select v from kv where id in (0,1)", "set @x=1"] {
                links[5].ask(sql);
            }
        }
        let body = [
            &statement.to_le_bytes()[..],
            b"\0\x01\0\0\0\0\x01\xFD\0\x08\0\x01p\0\0\0\0\0\0\0\0",
        ]
        .concat();
        links[1].send(Command::STMT_EXECUTE, &body).unwrap();
        let said = links[1].reply().unwrap().unwrap_err();
        assert_eq!((said.code, said.state.as_str()), (5727, "HY000"));
        // A weak read goes where there is a replica: leaf 0 is on servers 1, 2 and 3.
        let weak = "select /*+ READ_CONSISTENCY(WEAK) */ v from kv where id=0";
        links[2].ask(weak);
        assert_eq!(links[4].refused(weak), 5727);
        // Inside a transaction it stays.
        links[3].ask("begin");
        links[3].ask("select v from kv where id=0");
        links[3].ask("rollback");
        assert_eq!(links[3].refused("select v from kv where id=0"), 5727);
        let entry = cluster.log_since(0).pop().unwrap();
        assert_eq!((entry.errno, entry.miss_sent), (5727, false));
        assert_eq!(entry.verdict.tables[0].leaders, [1]);
    }
    // Who has not agreed on it is not sent away, whatever the packets say.
    let others = MASKS[2].1 & !capability::PROXY_REROUTE;
    let mut client = link(&cluster, 2, others, Ids::new());
    client.flags = flag::REROUTE;
    client.ask("select v from kv where id=0");
    assert_eq!(cluster.violations(), []);
    println!("figure: builtin: reroute | {rerouted} of {rerouted} named the leader, none ran");
}

#[test]
fn state_that_comes_with_a_rerouted_request_arrives() {
    let cluster = cluster();
    for mask in masks().map(|mask| mask | capability::PROXY_REROUTE) {
        let ids = Ids::with_client_id();
        let [mut a, mut b] = [1, 2].map(|n| link(&cluster, n, mask, ids));
        a.ask("set time_zone='+03:00'");
        let parts = a.told.beside.parts.clone();
        b.flags = flag::REROUTE;
        let sql = b"select v from kv where id=0";
        b.send_with(Command::QUERY, sql, &parts).unwrap();
        assert_eq!(b.reply().unwrap().unwrap_err().code, 5727);
        assert_eq!(b.ask("select @@time_zone as z").column("z"), ["+03:00"]);
        assert_eq!(cluster.violations(), [], "{mask:#x}");
    }
}

#[test]
fn feedback_about_weak_reads_says_what_the_server_has() {
    const WEAK: &[u8] = b"_ob_proxy_weakread_feedback";
    let cluster = cluster();
    // By statement, what servers 1 to 6 say. Leaf n is on the three servers of its log stream.
    let cases = [
        ("id=0", ["2", "", "", "1", "1", "1"]),
        ("id in (0,3,6)", ["2", "", "", "1", "1", "1"]),
    ];
    for (_, mask) in MASKS {
        for (server, place) in (1..=6).zip(0..) {
            let mut client = link(&cluster, server, mask, Ids::new());
            for (filter, want) in &cases {
                let sql = format!("select /*+ READ_CONSISTENCY(WEAK) */ v from kv where {filter}");
                client.ask(&sql);
                let told = client.told.variables.iter().find(|(n, _)| n == WEAK);
                let value = told.map_or("", |(_, v)| std::str::from_utf8(v).unwrap());
                assert_eq!(value, want[place], "{mask:#x} {server} {filter}");
                client.ask(&format!("select v from kv where {filter}"));
                let strong = client.told.variables.iter().any(|(n, _)| n == WEAK);
                assert!(!strong, "a strong read has none");
            }
            // Nor has a proxy that has not asked for it.
            let mask = mask & !capability::WEAK_STALE_FEEDBACK;
            let mut client = link(&cluster, server, mask, Ids::new());
            client.ask("select /*+ READ_CONSISTENCY(WEAK) */ v from kv where id=0");
            assert!(!client.told.variables.iter().any(|(n, _)| n == WEAK));
        }
    }
    // Two leaves of one set of replicas with two leaders: each leads a part.
    let few = Topology::default();
    let layout = Layout {
        kv_partitions: 3,
        ..Layout::default()
    };
    let cluster = Cluster::start(few, Engine::Builtin(layout)).unwrap();
    let value = |server: u32, filter: &str| {
        let mut client = link(&cluster, server, MASKS[2].1, Ids::new());
        client.ask(&format!(
            "select /*+ READ_CONSISTENCY(WEAK) */ v from kv where {filter}"
        ));
        let told = client.told.variables.iter().find(|(n, _)| n == WEAK);
        told.map(|(_, v)| String::from_utf8_lossy(v).into_owned())
    };
    assert_eq!(value(1, "id in (0,1)"), Some("3".into()));
    assert_eq!(value(2, "id in (0,1)"), Some("3".into()));
    assert_eq!(value(3, "id in (0,1)"), None);
    assert_eq!(value(3, "id=2"), Some("2".into()));
    println!("figure: feedback: weak reads | 1, 2, 3 and none as the rule says, 4 framings");
}
