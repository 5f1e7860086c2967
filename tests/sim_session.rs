//! Seeded worlds: the session, link and metadata machines between scripted clients and servers.
//!
//! `OBRING_SIM_SEED=n` replays one seed of every kind of world, `OBRING_SIM_SEEDS=a..b` runs
//! others.
#![cfg(feature = "sim")]
#![allow(missing_docs, reason = "a test")]

use obring::sim::{Faults, Sabotage, World};

/// Longest life of a world; virtual, so it costs nothing.
const MINUTES: u64 = 30;

fn seeds(default: u64) -> std::ops::Range<u64> {
    let number = |s: &str| s.trim().parse::<u64>().expect("a number");
    if let Ok(seed) = std::env::var("OBRING_SIM_SEED") {
        return number(&seed)..number(&seed) + 1;
    }
    match std::env::var("OBRING_SIM_SEEDS") {
        Ok(range) => {
            let (a, b) = range.split_once("..").expect("a..b");
            number(a)..number(b)
        }
        Err(_) => 0..default,
    }
}

fn life(seed: u64, clients: u64, faults: Faults) -> World {
    let mut world = World::new(seed, clients, faults, Sabotage::No);
    if let Err(what) = world.run(MINUTES) {
        panic!("seed {seed}: {what}\n{}", world.trace());
    }
    world
}

fn run(seed: u64, clients: u64, faults: Faults) -> u64 {
    life(seed, clients, faults).hash()
}

#[test]
fn without_faults_every_client_sees_what_a_direct_one_sees() {
    for seed in seeds(500) {
        run(
            seed,
            8,
            Faults {
                rebuilds: true,
                ..Faults::default()
            },
        );
    }
}

#[test]
fn a_cluster_that_changes_is_not_noticed_by_clients_that_left_nothing_on_a_server() {
    let mut reroutes = 0;
    for seed in seeds(400) {
        let faults = Faults {
            changes: true,
            rebuilds: seed % 2 == 0,
            ..Faults::default()
        };
        reroutes += life(seed, 12, faults).seen().0;
    }
    assert!(reroutes > 0, "no server has named a better one");
}

#[test]
fn a_kill_ends_what_it_names_and_nothing_else() {
    let mut kills = 0;
    for seed in seeds(300) {
        let faults = Faults {
            kills: true,
            servers: seed % 2 == 0,
            rebuilds: seed % 3 == 0,
            ..Faults::default()
        };
        kills += life(seed, 8, faults).seen().1;
    }
    assert!(kills > 0, "no client was told of a KILL");
}

#[test]
fn what_only_one_server_has_is_used_there_and_transactions_take_their_state_along() {
    let (mut moves, mut bound) = (0, 0);
    for seed in seeds(400) {
        let faults = Faults {
            binds: true,
            changes: seed % 4 == 1,
            servers: seed % 4 == 2,
            rebuilds: seed % 3 == 0,
            ..Faults::default()
        };
        let seen = life(seed, 10, faults).bound();
        (moves, bound) = (moves + seen.0, bound + seen.1);
    }
    println!("{moves} statements of moving transactions, {bound} of bound sessions");
    assert!(moves > 0, "no transaction has moved");
    assert!(bound > 0, "no session was bound");
}

#[test]
fn with_faults_every_client_is_told() {
    for seed in seeds(800) {
        run(
            seed,
            8,
            Faults {
                servers: true,
                rebuilds: seed % 2 == 0,
                ..Faults::default()
            },
        );
    }
}

#[test]
fn a_drain_tells_every_client() {
    for seed in seeds(300) {
        run(
            seed,
            8,
            Faults {
                servers: seed % 2 == 0,
                drains: true,
                ..Faults::default()
            },
        );
    }
}

#[test]
fn packets_above_sixteen_megabytes_pass() {
    for seed in seeds(30) {
        run(
            seed,
            2,
            Faults {
                big: true,
                ..Faults::default()
            },
        );
    }
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    let faults = Faults {
        servers: true,
        rebuilds: true,
        ..Faults::default()
    };
    for seed in 1_000..1_020 {
        assert_eq!(run(seed, 6, faults), run(seed, 6, faults), "seed {seed}");
    }
    assert_ne!(run(1_000, 6, faults), run(1_001, 6, faults));
}

#[test]
fn the_judge_finds_a_changed_a_lost_and_a_doubled_byte() {
    for sabotage in [
        Sabotage::ChangedByte,
        Sabotage::LostByte,
        Sabotage::DoubledByte,
    ] {
        let found = (0..40).filter(|&seed| {
            let mut world = World::new(seed, 8, Faults::default(), sabotage);
            world.run(MINUTES).is_err()
        });
        // In some worlds nobody gets that far.
        let found = found.count();
        assert!(found >= 30, "{sabotage:?}: found in {found} of 40");
    }
}
