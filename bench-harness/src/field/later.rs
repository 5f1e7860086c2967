//! Cases that are not checked yet: why, and which issue brings them.

use super::{Case, Plan};

const fn later(id: &'static str, title: &'static str, why: &'static str) -> Case {
    Case {
        id,
        title,
        plan: Plan::Later(why),
    }
}

const CLUSTER: &str = "needs several servers: issue A3 (model cluster)";
const THREE: &str = "checked on three servers, in needs_c1: issue C1";
const LEADERS: &str = "needs partitions and leaders: issue B2";
const FRONT: &str = "comes with TLS, PROXY headers and the health port of the front door: later";

#[rustfmt::skip]
pub(super) const CASES: &[Case] = &[
    later("F009", "an idle link dies while rows stream", THREE),
    later("F018", "a prepared statement follows its session", THREE),
    later("F037", "a locking read runs on the leader", LEADERS),
    later("F038", "a large statement goes back to the coordinator",
        "needs routing inside a transaction, which the kernel does not offer: builtin, issue C1"),
    later("F042", "joins with replicated tables", LEADERS),
    later("F045", "procedure calls", LEADERS),
    later("F049", "locations after TRUNCATE", LEADERS),
    later("F050", "locations after a partition split", LEADERS),
    later("F051", "weak reads of one user", LEADERS),
    later("F052", "weak reads when the local machine room is down", LEADERS),
    later("F053", "read your own writes", LEADERS),
    later("F054", "weak reads inside a transaction", LEADERS),
    later("F059", "state queries against a dying server", CLUSTER),
    later("F060", "a server with another address", CLUSTER),
    later("F064", "clusters with different proxyro passwords", "needs several clusters: issue A3"),
    later("F068", "TLS and large statements", FRONT),
    later("F070", "TLS required", FRONT),
    later("F071", "renewed certificates", FRONT),
    later("F076", "server connections stay within the settings", THREE),
    later("F077", "the configuration server is down", CLUSTER),
    later("F078", "wrong root server lists", CLUSTER),
    later("F079", "nonsense from the configuration server", CLUSTER),
    later("F082", "PROXY headers of probes", FRONT),
    later("F083", "the health URL", FRONT),
    later("F084", "forged PROXY headers", FRONT),
    later("F086", "the reason of a cut after a restart", "hot restart comes with a later issue"),
    later("F088", "a new binary without dropping anyone", "hot restart comes with a later issue"),
    later("F099", "a distinct text for each login failure",
        "needs tenants, white lists and several clusters: issue A3"),
    later("F100", "a slow statement traced from end to end",
        "needs the trace TLV of OceanBase 2.0: issue C1"),
    later("F101", "EXPLAIN ROUTE agrees with the run", LEADERS),
];
