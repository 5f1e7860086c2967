//! The framings of server links, as the model sees them.

use super::{client, cluster, options, start};
use obcluster::{Entry, Topology};

#[test]
fn every_framing_carries_statements_and_the_model_sees_which() {
    let cluster = cluster(Topology::default());
    for (protocol, level, want) in [
        ("Auto", 0, "ob20"),
        ("OceanBase 2.0", 0, "ob20"),
        ("MySQL", 0, "plain"),
        ("Compressed MySQL", 0, "checksum"),
    ] {
        let options = options(&cluster).set("server_protocol", protocol);
        let _ = level;
        let proxy = start(&options);
        let mut c = client(&proxy);
        let sql = format!("select '{protocol}'");
        assert_eq!(c.cell(&sql), Ok(protocol.into()));
        let log = cluster.log_since(0);
        let run: Vec<&Entry> = log.iter().filter(|e| e.sql == sql).collect();
        assert_eq!((run.len(), run[0].framing.as_str()), (1, want));
    }
}
