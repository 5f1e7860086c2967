//! The framings of server links, as the model sees them.

use super::{client, cluster, options, start};
use bench_harness::raw::Conn;
use obcluster::fault::{Fault, FaultKind};
use obcluster::{Entry, Topology};

/// `server_protocol`, `compression_algorithm`, and what the model calls what comes of it.
const FRAMINGS: &[(&str, &str, &str)] = &[
    ("Auto", "", "ob20"),
    ("OceanBase 2.0", "", "ob20"),
    ("OceanBase 2.0", "zlib:6", "ob20_compressed"),
    ("MySQL", "", "plain"),
    ("Compressed MySQL", "", "checksum"),
];

#[test]
fn every_framing_carries_statements_and_the_model_sees_which() {
    let cluster = cluster(Topology::default());
    for (protocol, compression, want) in FRAMINGS {
        let options = options(&cluster)
            .set("server_protocol", protocol)
            .set("compression_algorithm", compression);
        let proxy = start(&options);
        let mut c = client(&proxy);
        let sql = format!("select '{protocol} {compression}'");
        assert_eq!(c.cell(&sql), Ok(format!("{protocol} {compression}")));
        let log = cluster.log_since(0);
        let run: Vec<&Entry> = log.iter().filter(|e| e.sql == sql).collect();
        assert_eq!((run.len(), run[0].framing.as_str()), (1, *want));
    }
}

/// What a checksum or a number of a frame tells to be wrong is told to the client; the next one has
/// a connection of its own.
#[test]
fn wrong_frames_are_found() {
    let cluster = cluster(Topology::default());
    for (protocol, kinds) in [
        (
            "OceanBase 2.0",
            &[
                FaultKind::BadCrc,
                FaultKind::BadSeq,
                FaultKind::WrongConnectionId,
            ][..],
        ),
        ("Compressed MySQL", &[FaultKind::BadCrc][..]),
    ] {
        for kind in kinds {
            let options = options(&cluster).set("server_protocol", protocol);
            let mut proxy = start(&options);
            let mut c = client(&proxy);
            // A read runs again on another connection, what may have changed something does not.
            cluster.fault(Fault::new(kind.clone()).sql("spoilt").times(1));
            let read = c.cell("select 'spoilt'");
            assert_eq!(read.as_deref(), Ok("spoilt"), "{protocol} {kind:?}");
            proxy.wait_log("event=server_frame").expect("a reason");
            cluster.fault(Fault::new(kind.clone()).sql("spoilt").times(1));
            let text = c
                .cell("select uuid_short(), 'spoilt'")
                .expect_err("a wrong frame");
            assert!(text.contains("wrong frame"), "{protocol} {kind:?}: {text}");
            proxy.wait_log("reason=server_frame").expect("a reason");
            assert_eq!(c.cell("select 'good'"), Ok("good".into()));
        }
    }
}

/// Both need the framing, and what it carries beside the packets. A session that holds a lock stays
/// where it is.
#[test]
fn user_locks_and_application_info_work_and_a_lock_ties() {
    let cluster = cluster(Topology::default());
    let proxy = start(&options(&cluster));
    let mut clients: Vec<Conn> = (0..6).map(|_| client(&proxy)).collect();
    for (n, c) in clients.iter_mut().enumerate() {
        let take = format!("select get_lock('obring framing {n}', 1)");
        assert_eq!(c.cell(&take), Ok("1".into()));
    }
    let stop = obcluster::Change::Stop {
        server: 2,
        shutdown: false,
    };
    cluster.change(&stop).expect("a stop");
    let mut admin = super::admin(&proxy);
    super::until("the stop in the list", || {
        let rows = admin.rows("show proxycluster").expect("rows");
        let is_stopped = |row: &Vec<Option<String>>| row[10].as_deref() == Some("UPGRADE");
        rows.iter().any(is_stopped).then_some(())
    });
    super::until_all_cores_agree(&mut admin, None);
    for (n, c) in clients.iter_mut().enumerate() {
        let free = format!("select release_lock('obring framing {n}')");
        assert_eq!(c.cell(&free), Ok("1".into()), "client {n}");
        c.run("call dbms_application_info.set_module('m', 'a')")
            .expect("an OK");
    }
}
