//! Random sessions through obring and a cluster whose leaders move, and directly on the kernel: a
//! client sees the same (`bench_harness::random`).
//!
//! `OBRING_RANDOM_SEED=n` replays a seed, `OBRING_RANDOM_SEEDS=a..b` runs others.

use super::{Obring, Options, Ruled, admin, cluster, kernel, options, start};
use bench_harness::random::{Rig, Sort, Tally, Through, hunt, seeds};
use obcluster::{Change, Cluster, Topology};
use obring_wire::base::Rng;
use std::ops::Range;

/// The first log stream of a tenant's data; as many as servers.
const FIRST_STREAM: u64 = 1001;

/// Scripts of one session per framing and mode; `accept session` plays more.
const SINGLES: u64 = 12;
/// Scripts of two sessions.
const PAIRS: u64 = 4;

/// A cluster, an obring in front of it, and the kernel behind it.
struct World {
    cluster: Ruled,
    proxy: Obring,
    rig: Rig,
    rng: Rng,
}

impl World {
    fn new(set: impl FnOnce(Options) -> Options) -> Self {
        let cluster = cluster(Topology::default());
        let proxy = start(&set(options(&cluster)));
        Self {
            cluster,
            proxy,
            rig: Rig::new(kernel()).expect("databases"),
            rng: Rng::new(1),
        }
    }

    fn hunt(&mut self, sort: Sort, has_locks: bool, range: Range<u64>) -> Tally {
        let through = Through {
            address: self.proxy.address(),
            tenant: "@test#obcluster".into(),
        };
        let (cluster, rng) = (&self.cluster, &mut self.rng);
        let mut stir = |_: usize| move_leader(cluster, rng);
        let seeds = seeds(range);
        let since = cluster.log_next();
        let tally = hunt(&mut self.rig, &through, (sort, has_locks), seeds, &mut stir);
        let tally = tally.expect("a hunt");
        println!("{sort:?}: {tally}");
        assert!(tally.different.is_empty(), "{tally}");
        // Scripts that the kernel does not answer the same twice prove nothing.
        assert!(tally.unsteady.len() as u64 * 10 <= tally.scripts, "{tally}");
        let entries = cluster.log_since(since);
        let wrong: Vec<_> = entries
            .iter()
            .filter(|e| !e.violations.is_empty())
            .collect();
        assert!(wrong.is_empty(), "{wrong:?}");
        tally
    }
}

/// Now and then a leader moves.
fn move_leader(cluster: &Cluster, rng: &mut Rng) {
    if !rng.chance(1, 8) {
        return;
    }
    let change = Change::Lead {
        tenant: "test".into(),
        stream: FIRST_STREAM + rng.below(3),
        server: Some(1 + rng.below(3) as u32),
    };
    cluster.change(&change).expect("a move");
}

/// In one framing: sessions of both sorts, with the servers chosen as always and at random.
fn in_framing((protocol, compression): (&str, &str), has_locks: bool, first: u64) {
    let framing = |o: Options| {
        o.set("server_protocol", protocol)
            .set("compression_algorithm", compression)
    };
    let mut world = World::new(framing);
    world.hunt(Sort::Single, has_locks, first..first + SINGLES);
    world.hunt(Sort::Pair, has_locks, first..first + PAIRS);
    if !has_random_mode(&world.proxy) {
        println!("NOT RUN: server_routing_mode=random, which this obring does not have");
        return;
    }
    let mut world = World::new(|o| framing(o).set("server_routing_mode", "random"));
    world.hunt(Sort::Single, has_locks, first..first + SINGLES);
    world.hunt(Sort::Pair, has_locks, first..first + PAIRS);
}

/// True if statements can be sent to servers at random.
fn has_random_mode(proxy: &Obring) -> bool {
    let rows = admin(proxy).rows("show proxyconfig like 'server_routing_mode'");
    let rows = rows.expect("rows");
    let cells = rows.iter().flatten().flatten();
    cells.clone().any(|cell| cell.contains("random"))
}

#[test]
fn a_client_sees_the_same_in_plain_framing() {
    in_framing(("MySQL", ""), false, 0);
}

#[test]
fn a_client_sees_the_same_in_checksum_framing() {
    in_framing(("Compressed MySQL", ""), false, 1_000);
}

#[test]
fn a_client_sees_the_same_in_oceanbase_framing() {
    in_framing(("OceanBase 2.0", ""), true, 2_000);
}

#[test]
fn a_client_sees_the_same_in_compressed_oceanbase_framing() {
    in_framing(("OceanBase 2.0", "zlib:6"), true, 3_000);
}
