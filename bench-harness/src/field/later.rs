//! Cases that are not checked yet: why, and which issue brings them.

use super::{Case, Plan};

const fn later(id: &'static str, title: &'static str, why: &'static str) -> Case {
    Case {
        id,
        title,
        plan: Plan::Later(why),
    }
}

const FRONT: &str = "comes with TLS, PROXY headers and the health port of the front door: later";

const CONFIG: &str = "comes with the configuration server: a later issue";
const RESTART: &str = "hot restart comes with a later issue";

#[rustfmt::skip]
pub(super) const CASES: &[Case] = &[
    later("F042", "joins with replicated tables",
        "nothing replicates a table: the kernel refuses duplicate_scope, engine builtin has one \
         kind of table and no joins, and no view of the model tells such tables"),
    later("F045", "procedure calls",
        "calls run on the server of the session; routing them comes with a later issue"),
    later("F050", "locations after a partition split",
        "the kernel does not split partitions: needs the model to do so"),
    later("F060", "a server with another address",
        "needs a server of the model that comes back with another address"),
    later("F064", "clusters with different proxyro passwords",
        "tests/cluster/several.rs has them, tests/e2e/administration.rs a password that changes"),
    later("F068", "TLS and large statements", FRONT),
    later("F070", "TLS required", FRONT),
    later("F071", "renewed certificates", FRONT),
    later("F077", "the configuration server is down", CONFIG),
    later("F078", "wrong root server lists",
        "tests/cluster/servers.rs has a list that is half dead; wrong ports and names: later"),
    later("F079", "nonsense from the configuration server", CONFIG),
    later("F082", "PROXY headers of probes", FRONT),
    later("F083", "the health URL", FRONT),
    later("F084", "forged PROXY headers", FRONT),
    later("F086", "the reason of a cut after a restart", RESTART),
    later("F088", "a new binary without dropping anyone", RESTART),
    later("F099", "a distinct text for each login failure",
        "white lists, TLS and the diagnosis log come with later issues"),
    later("F100", "a slow statement traced from end to end",
        "the full link trace comes with a later issue"),
];
