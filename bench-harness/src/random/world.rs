//! A kernel, a model cluster on it whose leaders move, and an obring in front of the cluster.

use super::hunt::{Sort, Tally, hunt};
use super::rig::{Rig, Through};
use super::thief::{Loss, Thief};
use crate::checks::Setup;
use crate::process::Obring;
use crate::raw::{Conn, Login};
use obcluster::{Change, Cluster, Topology};
use obring_wire::base::Rng;
use std::net::SocketAddr;
use std::ops::Range;

/// The first log stream of a tenant's data; there are as many as servers.
const FIRST_STREAM: u64 = 1001;
/// Servers of the cluster.
const SERVERS: u64 = 3;

/// The setting that sends each statement to a server at random.
pub const RANDOM: (&str, &str) = ("server_routing_mode", "random");

/// A framing of server connections.
#[derive(Clone, Copy, Debug)]
pub struct ServerFraming {
    /// Its name.
    pub name: &'static str,
    /// Settings that ask for it.
    pub settings: &'static [(&'static str, &'static str)],
    /// A server gives user locks to a proxy that speaks it.
    pub has_locks: bool,
}

/// All framings.
pub const FRAMINGS: &[ServerFraming] = &[
    ServerFraming {
        name: "plain",
        settings: &[("server_protocol", "MySQL")],
        has_locks: false,
    },
    ServerFraming {
        name: "checksum",
        settings: &[("server_protocol", "Compressed MySQL")],
        has_locks: false,
    },
    ServerFraming {
        name: "OceanBase 2.0",
        settings: &[("server_protocol", "OceanBase 2.0")],
        has_locks: true,
    },
    ServerFraming {
        name: "OceanBase 2.0 compressed",
        settings: &[
            ("server_protocol", "OceanBase 2.0"),
            ("compression_algorithm", "zlib:6"),
        ],
        has_locks: true,
    },
];

/// Lines of obring's log that are told with a difference.
const LOG_LINES: usize = 20;

/// All of it; it ends with its value.
#[derive(Debug)]
pub struct World {
    /// The cluster.
    pub cluster: Cluster,
    /// obring.
    pub proxy: Obring,
    rig: Rig,
    rng: Rng,
    /// What stands between the cluster and the kernel.
    thief: Option<Thief>,
}

impl World {
    /// obring with these settings, in front of three servers.
    ///
    /// # Errors
    /// What does not start, in words.
    pub fn start(setup: &Setup, settings: &[(&str, &str)]) -> Result<Self, String> {
        Self::start_behind(setup, settings, setup.kernel)
    }

    /// The same with a thief between the cluster and the kernel: what obring sends to keep a
    /// session's state is lost on the way, and neither obring nor the model knows.
    ///
    /// # Errors
    /// What does not start, in words.
    pub fn start_robbed(
        setup: &Setup,
        settings: &[(&str, &str)],
        loss: Loss,
    ) -> Result<Self, String> {
        let thief = Thief::start(setup.kernel, loss).map_err(|e| format!("thief: {e}"))?;
        let mut world = Self::start_behind(setup, settings, thief.address())?;
        world.thief = Some(thief);
        Ok(world)
    }

    fn start_behind(
        setup: &Setup,
        settings: &[(&str, &str)],
        kernel: SocketAddr,
    ) -> Result<Self, String> {
        let cluster = Cluster::start(Topology::default(), kernel).map_err(|e| e.to_string())?;
        let proxy = setup.start_at(&cluster, 2, settings)?;
        Ok(Self {
            cluster,
            proxy,
            rig: Rig::new(setup.kernel)?,
            rng: Rng::new(1),
            thief: None,
        })
    }

    /// True if this obring can send statements to servers at random.
    ///
    /// # Errors
    /// The administrator is not answered.
    pub fn has_random_mode(&self) -> Result<bool, String> {
        let login = Login::user("root@proxysys", "");
        let mut admin = Conn::login(self.proxy.address(), &login)?;
        // A setting without effect takes any text.
        let nonsense = format!("alter proxyconfig set {} = 'no such mode'", RANDOM.0);
        Ok(admin.run(&nonsense).is_err())
    }

    /// How clients reach the kernel through obring.
    #[must_use]
    pub fn through(&self) -> Through {
        Through {
            address: self.proxy.address(),
            tenant: "@test#obcluster".into(),
        }
    }

    /// The database that stands for all of this world.
    #[must_use]
    pub fn db(&self) -> &str {
        self.rig.db()
    }

    /// What the thief took so far; 0 without one.
    #[must_use]
    pub fn stolen(&self) -> u64 {
        self.thief.as_ref().map_or(0, Thief::stolen)
    }

    /// [`hunt`] with leaders that move now and then.
    ///
    /// # Errors
    /// The kernel does not do what the rig needs.
    pub fn hunt(
        &mut self,
        sort: Sort,
        has_locks: bool,
        seeds: Range<u64>,
    ) -> Result<Tally, String> {
        let through = self.through();
        let (cluster, rng) = (&self.cluster, &mut self.rng);
        let mut stir = |_: usize| move_leader(cluster, rng);
        let mut tally = hunt(&mut self.rig, &through, (sort, has_locks), seeds, &mut stir)?;
        if !tally.different.is_empty() {
            let log = self.proxy.log();
            let last = log.iter().rev().take(LOG_LINES).rev();
            tally
                .story
                .extend(last.flat_map(|line| ["\n  log: ", line]));
        }
        Ok(tally)
    }

    /// [`World::hunt`] for one session, script by script until one differs.
    ///
    /// # Errors
    /// Those of a hunt.
    pub fn hunt_first(&mut self, seeds: Range<u64>) -> Result<Tally, String> {
        let mut all = Tally::default();
        for seed in seeds {
            let one = self.hunt(Sort::Single, false, seed..seed + 1)?;
            all.scripts += one.scripts;
            all.steps += one.steps;
            all.unsteady.extend(one.unsteady);
            if !one.different.is_empty() {
                (all.different, all.story) = (one.different, one.story);
                break;
            }
        }
        Ok(all)
    }
}

/// Now and then a leader moves.
fn move_leader(cluster: &Cluster, rng: &mut Rng) {
    if !rng.chance(1, 8) {
        return;
    }
    let change = Change::Lead {
        tenant: "test".into(),
        stream: FIRST_STREAM + rng.below(SERVERS),
        server: Some(1 + rng.below(SERVERS) as u32),
    };
    // The stream and the server are there from the start on.
    let _ = cluster.change(&change);
}
