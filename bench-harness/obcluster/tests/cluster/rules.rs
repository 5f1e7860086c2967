//! Rules besides those about state: transactions and locks that stay where they are, ids that
//! belong to somebody, KILL, and what follows when a rule is broken.

use crate::client::{Client, Credentials, Ids, MASKS, http};
use crate::{Database, cluster, cluster_of, until};
use obcluster::{Cluster, OnViolation, ViolationKind};
use obring_wire::protocol::capability;
use obring_wire::protocol::mysql::Command;

/// A link of a session to a server.
fn link(cluster: &Cluster, server: u32, mask: u64, ids: Ids) -> Client {
    let mut who = Credentials::proxy("root@test", mask);
    who.ids = Some(ids);
    Client::new(cluster.address(server).unwrap(), &who)
}

/// The number that the model gave to a link.
fn number(cluster: &Cluster, client: &Client) -> u64 {
    let links = cluster.links();
    let own = |l: &&obcluster::LinkInfo| l.kernel_id == client.greeting.connection_id;
    links.iter().find(own).expect("a link").link
}

/// All violations, as text.
fn found(cluster: &Cluster) -> Vec<String> {
    let all = cluster.violations();
    all.iter().map(|b| b.violation.to_string()).collect()
}

#[test]
fn a_transaction_stays_on_its_link() {
    let cluster = cluster();
    let mut named = 0;
    let db = Database::new(cluster.address(1).unwrap(), "escape");
    db.client()
        .ask(&format!("create table {}.t(id int primary key)", db.1));
    let (begin, insert) = (
        "begin".to_owned(),
        format!("insert into {}.t values(1)", db.1),
    );
    for (_, mask) in MASKS {
        for opening in [
            vec!["begin", &insert],
            vec!["set autocommit=0", &insert],
            vec![&begin],
        ] {
            let ids = Ids::new();
            let [mut a, mut b] = [1, 2].map(|n| link(&cluster, n, mask, ids));
            opening.iter().for_each(|sql| drop(a.ask(sql)));
            let before = cluster.violations().len();
            // What brings state may come, and what has nothing to do with it.
            b.ask("set @brought=1");
            b.send(Command::PING, b"").unwrap();
            b.reply().unwrap().unwrap();
            assert_eq!(cluster.violations().len(), before, "{mask:#x}");
            let escaped = format!("tx_escape: link:{}", number(&cluster, &a));
            for sql in ["select 1", "select 2"] {
                let before = cluster.violations().len();
                b.ask(sql);
                let new = &found(&cluster)[before..];
                assert!(new.contains(&escaped), "{mask:#x} {opening:?}: {new:?}");
                named += 1;
            }
            a.ask("rollback");
            let before = cluster.violations().len();
            b.ask("select 3");
            let new = &found(&cluster)[before..];
            assert!(!new.contains(&escaped), "{mask:#x}: {new:?}");
        }
        // A transaction ends with its link, and one of another session is another's.
        let ids = Ids::new();
        let [mut a, mut b] = [1, 2].map(|n| link(&cluster, n, mask, ids));
        let mut other = link(&cluster, 3, mask, Ids::new());
        let before = cluster.violations().len();
        a.ask("begin");
        other.ask("select 1");
        let own = number(&cluster, &a);
        drop(a);
        until("it ends", || cluster.links().iter().all(|l| l.link != own));
        b.ask("select 1");
        assert_eq!(found(&cluster)[before..], [""; 0], "{mask:#x}");
    }
    println!(
        "figure: raw client: transaction escapes | {named} of {named} times with the link it is \
         on, in 4 framings; right client: never"
    );
}

#[test]
fn user_locks_stay_on_their_link() {
    let cluster = cluster();
    let mut named = 0;
    for (framing, mask) in MASKS {
        let ids = Ids::with_client_id();
        let [mut a, mut b] = [1, 2].map(|n| link(&cluster, n, mask, ids));
        let name = format!("obcluster_rules_{}", ids.client.unwrap());
        let (lock, release) = (
            format!("select get_lock('{name}', 1)"),
            format!("select release_lock('{name}')"),
        );
        let before = cluster.violations().len();
        if !framing.has_packets() {
            // The kernel gives proxies no locks where it cannot tell them.
            assert_eq!(a.refused(&lock), 1235);
            assert_eq!(b.refused(&lock), 1235);
            assert_eq!(found(&cluster)[before..], [""; 0]);
            continue;
        }
        a.ask(&lock);
        b.ask("select 'get_lock(1)'");
        assert_eq!(found(&cluster)[before..], [""; 0], "{mask:#x}");
        let escaped = format!("lock_escape: link:{}", number(&cluster, &a));
        let free = format!("select is_free_lock('{name}')");
        for sql in [&free, &release] {
            let before = cluster.violations().len();
            b.ask(sql);
            let new = &found(&cluster)[before..];
            assert!(new.contains(&escaped), "{mask:#x} {sql}: {new:?}");
            named += 1;
        }
        // The same at home.
        let before = cluster.violations().len();
        for sql in [&lock, &free, &release] {
            a.ask(sql);
        }
        assert_eq!(found(&cluster)[before..], [""; 0], "{mask:#x}");
    }
    println!(
        "figure: raw client: user lock escapes | {named} of {named} times with the link they are \
         on, in the 2 framings that have locks (1235 in the others); right client: never"
    );
}

#[test]
fn ids_belong_to_one_session() {
    let cluster = cluster();
    let (mut stolen_ids, mut connections) = (0, 0);
    for (framing, mask) in MASKS {
        let ids = Ids::with_client_id();
        let [mut a, mut b] = [1, 2].map(|n| link(&cluster, n, mask, ids));
        let before = cluster.violations().len();
        a.ask("select 1");
        b.ask("select 1");
        assert_eq!(
            found(&cluster)[before..],
            [""; 0],
            "two links of one session"
        );
        let mut thief = Ids::new();
        thief.client = ids.client;
        let mut stolen = link(&cluster, 3, mask, thief);
        let name = format!("foreign_id: client_session_id:{}", ids.client.unwrap());
        assert_eq!(found(&cluster)[before..], [name], "{mask:#x}");
        stolen_ids += 1;
        stolen.ask("select 1");
        if framing.has_packets() {
            let before = cluster.violations().len();
            let foreign = a.greeting.connection_id;
            b.speak_as(foreign);
            b.send(Command::QUERY, b"select 1").unwrap();
            assert!(b.is_ended(), "{mask:#x}");
            let name = format!("foreign_id: connection_id:{foreign}");
            assert_eq!(found(&cluster)[before..], [name], "{mask:#x}");
            let last = cluster.log_since(0).pop().unwrap();
            assert_eq!(last.violations[0].kind, ViolationKind::ForeignId);
            connections += 1;
        }
    }
    println!(
        "figure: raw client: foreign client session id | {stolen_ids} of {stolen_ids} times by its \
         number, in 4 framings; two links of one session: never"
    );
    println!(
        "figure: raw client: foreign connection id | {connections} of {connections} times by its \
         number, in the 2 framings that name one"
    );
}

#[test]
fn a_server_kills_its_own_connections_only() {
    let cluster = cluster();
    for (_, mask) in MASKS {
        let mask = mask & !capability::CLIENT_SESSION_ID_V2;
        let mut victim = link(&cluster, 1, mask, Ids::new());
        let id = victim.greeting.connection_id;
        let mut elsewhere = link(&cluster, 2, mask, Ids::new());
        for sql in [format!("kill {id}"), format!("kill query {id}")] {
            assert_eq!(elsewhere.refused(&sql), 1094, "{mask:#x}");
        }
        let body = id.to_le_bytes();
        elsewhere.send(Command::PROCESS_KILL, &body).unwrap();
        assert_eq!(elsewhere.reply().unwrap().unwrap_err().code, 1094);
        let last = cluster.log_since(0).pop().unwrap();
        assert_eq!((last.cmd.as_str(), last.errno), ("process_kill", 1094));
        victim.ask("select 1");
        elsewhere.ask("select 1");
        let mut here = link(&cluster, 1, mask, Ids::new());
        here.ask(&format!("kill {id}"));
        assert!(victim.is_ended());
    }
    assert_eq!(found(&cluster), [""; 0]);
}

#[test]
fn a_killed_session_ends_on_all_servers() {
    let cluster = cluster();
    for (_, mask) in MASKS {
        let ids = Ids::with_client_id();
        let id = ids.client.unwrap();
        let mut victims = [1, 2, 3].map(|n| link(&cluster, n, mask, ids));
        victims.iter_mut().for_each(|v| drop(v.ask("select 1")));
        let mut killer = link(&cluster, 2, mask, Ids::with_client_id());
        killer.ask(&format!("kill query {id}"));
        victims.iter_mut().for_each(|v| drop(v.ask("select 2")));
        killer.ask(&format!("kill {id}"));
        assert!(victims.iter_mut().all(Client::is_ended), "{mask:#x}");
        killer.ask("select 1");
        // Of the own session: all of it ends.
        let ids = Ids::with_client_id();
        let mut own = [1, 2].map(|n| link(&cluster, n, mask, ids));
        let id = ids.client.unwrap();
        assert_eq!(own[0].refused(&format!("kill {id}")), 4401);
        assert!(own[1].is_ended(), "{mask:#x}");
        drop((killer, own));
        until("all end", || cluster.links().is_empty());
    }
    assert_eq!(found(&cluster), [""; 0]);
}

#[test]
fn what_follows_can_be_chosen() {
    for (_, mask) in MASKS {
        let strict = |on_violation| cluster_of(|t| t.on_violation = on_violation);
        let cluster = strict(OnViolation::Error);
        let ids = Ids::with_client_id();
        let [mut a, mut b] = [1, 2].map(|n| link(&cluster, n, mask, ids));
        a.ask("set @x=1");
        let said = b.query("select @x").unwrap().unwrap_err();
        assert_eq!((said.code, said.state.as_str()), (1105, "HY000"));
        assert_eq!(said.text, "violation: stale_state: @x");
        let last = cluster.log_since(0).pop().unwrap();
        assert_eq!((last.errno, last.violations.len()), (1105, 1));
        b.ask("set @x=1");
        assert_eq!(b.ask("select @x x").column("x"), ["1"]);
        let mut who = Credentials::proxy("root@test", mask);
        who.ids = Some(Ids {
            client: ids.client,
            ..Ids::new()
        });
        let said = Client::login(cluster.address(1).unwrap(), &who).unwrap();
        assert_eq!(said.unwrap_err().code, 1105);

        let cluster = strict(OnViolation::Close);
        let [mut a, mut b] = [1, 2].map(|n| link(&cluster, n, mask, ids));
        a.ask("set @x=1");
        b.send(Command::QUERY, b"select @x").unwrap();
        assert!(b.is_ended());
        a.ask("select @x");
        assert_eq!(found(&cluster), ["stale_state: @x"]);
    }
}

#[test]
fn violations_are_shown_and_forgotten() {
    let cluster = cluster();
    let ids = Ids::new();
    let [mut a, mut b] = [1, 2].map(|n| link(&cluster, n, capability::PLAIN, ids));
    a.ask("set @x=1");
    b.ask("select /* 17 */ 1");
    let (status, body) = http(cluster.control(), "GET /violations", "");
    assert_eq!(status, 200);
    for part in [
        r#""kind":"stale_state""#,
        r#""names":["@x"]"#,
        r#""request":"query select /* 17 */ 1""#,
        r#""server_id":2"#,
    ] {
        assert!(body.contains(part), "{body}");
    }
    let (_, body) = http(cluster.control(), "GET /counters", "");
    assert!(body.contains(r#""violations":{"stale_state":1}"#), "{body}");
    let seq = cluster.violations()[0].seq;
    let entry = cluster.log_since(seq).remove(0);
    assert_eq!(entry.sql, "select /* 17 */ 1");
    assert_eq!(
        entry.violations,
        [cluster.violations()[0].violation.clone()]
    );
    http(cluster.control(), "POST /reset", "");
    assert!(cluster.violations().is_empty());
    let (_, body) = http(cluster.control(), "GET /violations", "");
    assert_eq!(body, "[]");
}
