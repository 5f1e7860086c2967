//! obring in front of a model cluster on a real kernel: servers that come and go, tenants that
//! move, a sys tenant in trouble, several clusters, the framings, random sessions.
//!
//! `OBRING_KERNEL=host:port cargo test --features e2e --test cluster`. `OBRING_ECHO=1` shows
//! obring's log.
#![cfg(feature = "e2e")]
#![allow(missing_docs, reason = "a test")]

#[path = "cluster/drivers.rs"]
mod drivers;
#[path = "cluster/framing.rs"]
mod framing;
#[path = "cluster/kills.rs"]
mod kills;
#[path = "cluster/outcome.rs"]
mod outcome;
#[path = "cluster/reroute.rs"]
mod reroute;
#[path = "cluster/routing.rs"]
mod routing;
#[path = "cluster/servers.rs"]
mod servers;
#[path = "cluster/session.rs"]
mod session;
#[path = "cluster/several.rs"]
mod several;
#[path = "cluster/tenants.rs"]
mod tenants;
#[path = "cluster/texts.rs"]
mod texts;
#[path = "cluster/transactions.rs"]
mod transactions;
#[path = "cluster/troubles.rs"]
mod troubles;

use bench_harness::clock::{Deadline, wait_for};
use bench_harness::process::{Obring, Options, kernel};
use bench_harness::raw::{Conn, Login};
use obcluster::builtin::Layout;
use obcluster::{Cluster, Engine, Entry, Topology};
use std::ops::Deref;

/// Longest time between two rounds: in tests everything is to happen soon.
const ROUND: &str = "400ms";

/// The binary of this build, or the one that `OBRING_BINARY` names.
fn binary() -> std::path::PathBuf {
    std::env::var_os("OBRING_BINARY")
        .map_or_else(|| env!("CARGO_BIN_EXE_obring").into(), Into::into)
}

/// A model that looks at the end whether obring has broken a rule: state that was not brought
/// along, a transaction, a lock or an id on the wrong server.
struct Ruled(Cluster);

impl Deref for Ruled {
    type Target = Cluster;

    fn deref(&self) -> &Cluster {
        &self.0
    }
}

impl Drop for Ruled {
    fn drop(&mut self) {
        let broken = self.0.violations();
        // A test that fails has said why.
        if !std::thread::panicking() {
            assert!(broken.is_empty(), "broken rules: {broken:#?}");
        }
    }
}

fn cluster(topology: Topology) -> Ruled {
    Ruled(Cluster::start(topology, kernel()).expect("the model starts"))
}

/// obring with four cores, in front of all servers of a cluster.
fn options(cluster: &Cluster) -> Options {
    Options::new(binary(), &cluster.addresses())
        .set("obproxy_sys_password", "")
        .set("server_state_refresh_interval", ROUND)
        .set("work_thread_num", 4)
}

fn start(options: &Options) -> Obring {
    let mut proxy = Obring::start(options).expect("obring starts");
    proxy.wait_log("event=metadata_ready").expect("a round");
    proxy
}

fn login(proxy: &Obring, user: &str) -> Conn {
    Conn::login(proxy.address(), &Login::user(user, "")).unwrap_or_else(|e| panic!("{user}: {e}"))
}

/// A model with engine `builtin`, and obring with these settings in front of it.
fn builtin(layout: Layout, settings: &[(&str, &str)]) -> (Ruled, Obring) {
    let engine = Engine::Builtin(layout);
    let cluster = Ruled(Cluster::start(Topology::default(), engine).expect("the model"));
    let proxy = start(&with(options(&cluster), settings));
    (cluster, proxy)
}

fn with(options: Options, settings: &[(&str, &str)]) -> Options {
    let set = |options: Options, (name, value): &(&str, &str)| options.set(name, value);
    settings.iter().fold(options, set)
}

/// A client of the tenant that is not everywhere.
fn client(proxy: &Obring) -> Conn {
    login(proxy, "root@test#obcluster")
}

fn admin(proxy: &Obring) -> Conn {
    login(proxy, "root@proxysys")
}

/// One counter of SHOW PROXYSTAT.
fn counter(admin: &mut Conn, name: &str) -> u64 {
    let rows = admin
        .rows(&format!("show proxystat like '{name}'"))
        .expect(name);
    let value = rows.first().and_then(|row| row[1].clone());
    value.and_then(|v| v.parse().ok()).expect("a number")
}

/// A cell of the first row of SHOW PROXYRESOURCE, by the number of its column.
fn resource(admin: &mut Conn, column: usize) -> String {
    let rows = admin.rows("show proxyresource").expect("rows");
    rows[0][column].clone().unwrap_or_default()
}
const HEALTH: usize = 14;
const CAUSE: usize = 15;
const AGE_MS: usize = 16;

/// Waits for something, at most 10 s.
fn until<T>(what: &str, found: impl FnMut() -> Option<T>) -> T {
    wait_for(Deadline::secs(10), what, found).expect(what)
}

/// The number of the server that ran a statement, which has to be unique.
fn server_of(cluster: &Cluster, sql: &str) -> u32 {
    let log = cluster.log_since(0);
    let mut runs = log.iter().filter(|e| e.sql == sql && e.errno == 0);
    let run = runs.next().unwrap_or_else(|| panic!("{sql} has not run"));
    assert!(runs.next().is_none(), "{sql} has run twice");
    run.server_id
}

/// Look-ups of tenants since an entry of the log.
fn look_ups(cluster: &Cluster, since: u64) -> usize {
    let is = |e: &&Entry| e.sql.contains("__all_dummy");
    cluster.log_since(since).iter().filter(is).count()
}

/// Waits until every core has the newest version of that tenant, or of the cluster.
fn until_all_cores_agree(admin: &mut Conn, tenant: Option<&str>) {
    until("all cores to agree", || {
        let rows = admin.rows("show proxyresource core").expect("rows");
        let of: Vec<_> = rows.iter().filter(|r| r[1].as_deref() == tenant).collect();
        let same = of.windows(2).all(|w| w[0][3] == w[1][3]);
        (of.len() == 4 && same).then_some(())
    });
}
