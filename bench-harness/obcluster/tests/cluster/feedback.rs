//! What replies tell of where their statements ran, and what happens where nobody leads.

use crate::client::{Client, Credentials, MASKS};
use crate::{Database, cluster, cluster_of};
use obcluster::{Change, Entry, Fault, FaultKind, FeedbackMode, Role, VerdictKind};
use obring_wire::protocol::mysql::Command;

/// Three leaves; leaf n is led by server n + 1.
const TABLE: &str = "create table t(id int primary key, v int) partition by hash(id) partitions 3";

fn table(db: &Database) {
    let mut client = db.client();
    client.ask(&format!("use {}", db.1));
    client.ask(TABLE);
    client.ask("insert into t values(0, 0), (1, 1), (2, 2), (3, 3)");
}

fn proxy<'a>(db: &'a Database, mask: u64) -> Credentials<'a> {
    Credentials {
        database: Some(&db.1),
        ..Credentials::proxy("root@test", mask)
    }
}

/// The last entry of the log whose statement holds a text.
fn entry(cluster: &obcluster::Cluster, text: &str) -> Entry {
    let log = cluster.log_since(0);
    let found = log.into_iter().rev().find(|e| e.sql.contains(text));
    found.unwrap_or_else(|| panic!("not in the log: {text}"))
}

const MISS: &[u8] = b"ob_proxy_partition_hit";

fn is_miss(client: &Client) -> bool {
    client
        .told
        .variables
        .iter()
        .any(|(n, v)| n == MISS && v == b"OFF")
}

#[test]
fn a_statement_that_another_server_leads_is_told_in_every_framing() {
    let cluster = cluster();
    let db = Database::new(cluster.address(1).unwrap(), "feedback");
    table(&db);
    for (framing, mask) in MASKS {
        for server in 1..=3u32 {
            let mut client = Client::new(cluster.address(server).unwrap(), &proxy(&db, mask));
            for id in 0..3u32 {
                let wrong = id + 1 != server;
                let text = format!("select v from t where id = {id} /* {framing:?} {server} */");
                assert_eq!(client.ask(&text).rows.len(), 1);
                assert_eq!(is_miss(&client), wrong, "{text}");
                let entry = entry(&cluster, &text);
                assert_eq!(entry.verdict.kind, VerdictKind::Exact);
                assert_eq!(entry.verdict.tables[0].leaves, [id]);
                assert_eq!(entry.verdict.tables[0].leaders, [id + 1]);
                assert_eq!(entry.miss_sent, wrong);
                let role = if wrong { Role::Follower } else { Role::Leader };
                assert_eq!(entry.role_here, role);
                client.ask(&format!("update t set v = v + 1 where id = {id}"));
                assert_eq!(is_miss(&client), wrong, "an OK of a write");
                client.ask(&format!("replace into t values({id}, 7)"));
                assert_eq!(is_miss(&client), wrong, "an insert, row by row");
            }
            // Leaders on several servers: no opinion. No table: none either.
            for text in ["select v from t", "select 1", "set @a = 1"] {
                client.ask(text);
                assert!(!is_miss(&client), "{text}");
            }
            assert_eq!(client.refused("select nosuch from t where id = 0"), 1054);
            assert!(!is_miss(&client), "an error says nothing");
        }
    }
    println!("figure: feedback | a miss is told where another server leads all, 36 of 36 leaves");
}

#[test]
fn a_reply_of_many_frames_is_told_at_its_end() {
    let cluster = cluster();
    let db = Database::new(cluster.address(1).unwrap(), "feedback_long");
    table(&db);
    for (framing, mask) in MASKS {
        let mut client = Client::new(cluster.address(2).unwrap(), &proxy(&db, mask));
        let long = "select id, repeat('x', 100000) r from t where id = 0 \
                    union all select id, repeat('y', 100000) from t where id = 3";
        let set = client.ask(long);
        assert_eq!(set.rows.len(), 2, "{framing:?}");
        assert!(set.column("r").iter().all(|r| r.len() == 100_000));
        assert!(is_miss(&client), "{framing:?}");
        assert_eq!(client.ask("select 5 n").column("n"), ["5"], "{framing:?}");
    }
}

#[test]
fn prepared_statements_are_judged_by_the_values_of_each_execute() {
    let cluster = cluster();
    let db = Database::new(cluster.address(1).unwrap(), "feedback_prepared");
    table(&db);
    for (framing, mask) in MASKS {
        let mut client = Client::new(cluster.address(2).unwrap(), &proxy(&db, mask));
        let (id, _) = client.prepare("select v from t where id = ?");
        for value in [0u64, 1, 2, 4] {
            let mut body = id.to_le_bytes().to_vec();
            body.extend_from_slice(&[0, 1, 0, 0, 0, 0, 1, 8, 0]);
            body.extend_from_slice(&value.to_le_bytes());
            client.send(Command::STMT_EXECUTE, &body).unwrap();
            client.binary_reply();
            assert_eq!(is_miss(&client), value % 3 != 1, "{framing:?} {value}");
        }
    }
}

#[test]
fn a_weak_read_missed_where_there_is_no_replica() {
    let cluster = cluster_of(|t| t.servers = 6);
    let db = Database::new(cluster.address(1).unwrap(), "feedback_weak");
    table(&db);
    let (_, mask) = MASKS[2];
    let weak = "select /*+ READ_CONSISTENCY(WEAK) */ v from t where id = 0";
    for server in 1..=6 {
        let mut client = Client::new(cluster.address(server).unwrap(), &proxy(&db, mask));
        client.ask(weak);
        // Leaf 0 lives on servers 1, 2 and 3.
        assert_eq!(is_miss(&client), server > 3, "server {server}");
        client.ask("select v from t where id = 0");
        assert_eq!(is_miss(&client), server > 1, "server {server}, strong");
    }
    assert!(entry(&cluster, "READ_CONSISTENCY").class.is_weak);
}

#[test]
fn feedback_can_be_switched() {
    let cluster = cluster();
    let db = Database::new(cluster.address(1).unwrap(), "feedback_switch");
    table(&db);
    let (_, mask) = MASKS[2];
    let mut client = Client::new(cluster.address(1).unwrap(), &proxy(&db, mask));
    let mut missed = |mode: Option<FeedbackMode>, id: u32| {
        cluster.clear_faults();
        if let Some(mode) = mode {
            cluster.fault(Fault::new(FaultKind::Feedback(mode)));
        }
        client.ask(&format!("select v from t where id = {id}"));
        is_miss(&client)
    };
    assert!(missed(Some(FeedbackMode::AlwaysMiss), 0));
    assert!(!missed(Some(FeedbackMode::Off), 1));
    assert!(missed(None, 1) && !missed(None, 0));
    let random = (0..200).filter(|_| missed(Some(FeedbackMode::Random), 0));
    let random = random.count();
    assert!((50..150).contains(&random));
    println!("figure: feedback: switches | off: none; always_miss: all; random: {random} of 200");
}

#[test]
fn a_statement_waits_for_a_leader() {
    let cluster = cluster();
    let db = Database::new(cluster.address(3).unwrap(), "feedback_election");
    table(&db);
    let (_, mask) = MASKS[2];
    let mut client = Client::new(cluster.address(3).unwrap(), &proxy(&db, mask));
    let text = "select v from t where id = 0";
    client.ask(text);
    assert!(is_miss(&client));
    cluster
        .adjust(|state| state.timing.election_ms = 300)
        .unwrap();
    cluster.change(&Change::Kill(1)).unwrap();
    assert!(entry(&cluster, text).miss_sent);
    assert_eq!(client.ask(text).column("v"), ["0"]);
    assert_eq!(entry(&cluster, text).verdict.tables[0].leaders, [2]);
    // A weak read does not wait, nor does what somebody leads.
    cluster
        .adjust(|state| state.timing.election_ms = 60_000)
        .unwrap();
    cluster.change(&Change::Kill(2)).unwrap();
    client.ask("select /*+ READ_CONSISTENCY(WEAK) */ v from t where id = 0");
    client.ask("select v from t where id = 2");
    client.ask("set ob_query_timeout = 200000");
    assert_eq!(client.refused(text), 4012);
}

#[test]
fn a_transaction_that_wrote_where_a_leader_died_is_rolled_back() {
    let cluster = cluster();
    let db = Database::new(cluster.address(2).unwrap(), "feedback_rollback");
    table(&db);
    for (n, (framing, mask)) in MASKS.into_iter().enumerate() {
        cluster.reset().unwrap();
        cluster
            .adjust(|state| state.timing.election_ms = 20)
            .unwrap();
        let mut client = Client::new(cluster.address(2).unwrap(), &proxy(&db, mask));
        client.ask("begin");
        client.ask(&format!("insert into t values({}, 1)", 300 + 3 * n));
        client.ask("select v from t where id = 1");
        let is_kept = n == 3;
        cluster
            .adjust(|state| state.keeps_lost_transactions = is_kept)
            .unwrap();
        cluster.change(&Change::Kill(1)).unwrap();
        if is_kept {
            client.ask("commit");
        } else {
            assert_eq!(client.refused("commit"), 6002, "{framing:?}");
        }
        let set = client.ask("select count(*) n from t where id >= 300");
        assert_eq!(set.column("n"), [if is_kept { "1" } else { "0" }]);
        let after = entry(&cluster, "id >= 300");
        assert!(!after.tx_before);
    }
    // One that only read there, or wrote elsewhere, goes on.
    cluster.reset().unwrap();
    let mut client = Client::new(cluster.address(2).unwrap(), &proxy(&db, MASKS[2].1));
    client.ask("begin");
    client.ask("select v from t where id = 0");
    client.ask("insert into t values(301, 1)");
    cluster.change(&Change::Kill(1)).unwrap();
    client.ask("commit");
}
