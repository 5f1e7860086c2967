use super::super::fixture::{self, at, row, table};
use super::*;
use crate::base::Tick;
use crate::routing::{Block, Row, ServerState, Standing, zone_policy};
use std::sync::Arc;

/// A cluster of three servers: 1 and 2 in one region, 3 in another, and a proxy beside 1.
struct World {
    cluster: Cluster,
    tenant: Option<Tenant>,
    blocks: Blocks,
    loads: Loads,
    preferences: Preferences,
    is_weak: bool,
    is_plain_read: bool,
    has_written_dup: bool,
    current: Option<SocketAddr>,
    tried: Vec<SocketAddr>,
    targets: Vec<SocketAddr>,
    seed: u64,
}

impl World {
    fn new() -> Self {
        let zones = [
            ("z1", "i1", "near"),
            ("z2", "i2", "near"),
            ("z3", "i3", "far"),
        ];
        Self {
            cluster: fixture::cluster(&zones),
            tenant: None,
            blocks: Blocks::default(),
            loads: Loads::default(),
            preferences: Preferences {
                idc: "i1".into(),
                ..Preferences::default()
            },
            is_weak: false,
            is_plain_read: true,
            has_written_dup: false,
            current: None,
            tried: vec![],
            targets: vec![],
            seed: 1,
        }
    }

    fn weak(policy: &str) -> Self {
        let mut world = Self::new();
        world.is_weak = true;
        world.preferences.set_weak_policy(policy);
        world
    }

    fn state(&mut self, server: u8, state: ServerState) {
        let mut servers = self.cluster.servers.to_vec();
        let server = servers.iter_mut().find(|s| s.address == at(server));
        server.unwrap().state = state;
        self.cluster.servers = servers.into();
    }

    fn choose(&self, targets: &[Target<'_>]) -> Result<Choice, Reason> {
        let view = View {
            cluster: &self.cluster,
            tenant: self.tenant.as_ref(),
            blocks: &self.blocks,
            loads: &self.loads,
            preferences: &self.preferences,
        };
        let asked = Asked {
            is_weak: self.is_weak,
            is_plain_read: self.is_plain_read,
            fits_readonly_zone: targets.is_empty(),
            has_written_dup: self.has_written_dup,
            without_table: Reason::NoTable,
            targets: &self.targets,
            current: self.current,
            tried: &self.tried,
            seed: self.seed,
        };
        choose(&view, &asked, targets)
    }

    /// The choice for leaf 0 of a table.
    fn leaf(&self, entry: &TableEntry) -> (SocketAddr, Reason) {
        let touched = Touched::Only(0);
        let choice = self.choose(&[Target { entry, touched }]).unwrap();
        (choice.server, choice.reason)
    }

    /// Server and reason for any leaves of tables.
    fn all(&self, targets: &[(&TableEntry, Touched)]) -> (SocketAddr, Reason) {
        let targets: Vec<_> = targets
            .iter()
            .map(|(entry, touched)| Target {
                entry,
                touched: touched.clone(),
            })
            .collect();
        let choice = self.choose(&targets).unwrap();
        (choice.server, choice.reason)
    }

    /// How often servers 1, 2 and 3 are chosen in 300 statements.
    fn shares(&mut self, targets: &[Target<'_>]) -> [u32; 3] {
        let mut shares = [0; 3];
        for seed in 0..300 {
            self.seed = seed;
            let server = self.choose(targets).unwrap().server;
            let number = (1..=3).position(|n| at(n) == server).unwrap();
            shares[number] += 1;
        }
        shares
    }
}

/// One leaf, led by server 1, followed by 2 and 3.
fn led_by_1() -> Arc<TableEntry> {
    table(
        "t",
        1,
        1,
        &[row(0, 1, true), row(0, 2, false), row(0, 3, false)],
    )
}

fn some(limit: u32, leaves: &[u32]) -> Touched {
    let mut set = LeafSet::empty(limit);
    leaves.iter().for_each(|leaf| set.add(*leaf));
    Touched::Set(set)
}

#[test]
fn strong_statements_go_to_the_leader_until_it_cannot_be_used() {
    let mut world = World::new();
    let led_by_3 = table(
        "t",
        1,
        1,
        &[row(0, 3, true), row(0, 1, false), row(0, 2, false)],
    );
    assert_eq!(world.leaf(&led_by_3), (at(3), Reason::Leader));
    // The list is older than the location.
    world.state(3, ServerState::Starting);
    assert_eq!(world.leaf(&led_by_3), (at(3), Reason::Leader));
    world.blocks.set(at(3), Some(Block::Gray));
    assert_eq!(world.leaf(&led_by_3), (at(1), Reason::LeaderBlocked));
    world.blocks.set(at(3), None);
    world.tried = vec![at(3)];
    assert_eq!(world.leaf(&led_by_3), (at(1), Reason::LeaderTried));
    world.tried = vec![at(3), at(1), at(2)];
    let touched = Touched::Only(0);
    let entry = &*led_by_3;
    assert_eq!(
        world.choose(&[Target { entry, touched }]),
        Err(Reason::Nobody)
    );
    world.tried.clear();
    let nobody_leads = table("t", 1, 1, &[row(0, 2, false), row(0, 3, false)]);
    assert_eq!(world.leaf(&nobody_leads), (at(2), Reason::LeaderUnknown));
}

#[test]
fn blocked_servers_are_tried_when_nobody_else_is_left() {
    let mut world = World::new();
    for n in 1..=3 {
        world.blocks.set(at(n), Some(Block::Black));
    }
    assert_eq!(world.leaf(&led_by_1()).1, Reason::LeaderBlocked);
    world.blocks.set(at(2), Some(Block::Gray));
    assert_eq!(
        world.leaf(&led_by_1()).0,
        at(2),
        "a gray one before black ones"
    );
}

#[test]
fn several_leaves_go_to_the_server_that_leads_most_of_them() {
    let mut world = World::new();
    let rows: Vec<_> = [1, 3, 3, 2].into_iter().zip(0..).collect();
    let rows: Vec<Row> = rows.iter().map(|(s, leaf)| row(*leaf, *s, true)).collect();
    let spread = table("t", 1, 4, &rows);
    let most = world.all(&[(&spread, some(4, &[0, 1, 2]))]);
    assert_eq!(most, (at(3), Reason::MostLeaders));
    // Of equals the near one, and the session's server before another one as near.
    let tied = world.all(&[(&spread, some(4, &[0, 1, 3]))]);
    assert_eq!(tied, (at(1), Reason::MostLeaders));
    world.current = Some(at(2));
    let tied = world.all(&[(&spread, some(4, &[1, 3]))]);
    assert_eq!(tied, (at(2), Reason::MostLeaders));
    // All, or nothing is known: not the session's server, which leads less.
    let all = world.all(&[(&spread, Touched::All)]);
    assert_eq!(all, (at(3), Reason::MostLeaders));
    let unknown = world.all(&[(&spread, Touched::Unknown)]);
    assert_eq!(unknown, (at(3), Reason::LeafUnknown));
    // One server leads all of it, whatever is meant.
    let together = table("t", 1, 2, &[row(0, 2, true), row(1, 2, true)]);
    world.current = Some(at(1));
    let all = world.all(&[(&together, Touched::Unknown)]);
    assert_eq!(all, (at(2), Reason::MostLeaders));
    // Two tables count together.
    let two = [
        (&*spread, Touched::Only(1)),
        (&*spread, Touched::Only(2)),
        (&*together, some(2, &[0])),
    ];
    assert_eq!(world.all(&two), (at(3), Reason::MostLeaders));
}

#[test]
fn a_statement_without_rows_stays_where_the_session_is() {
    let mut world = World::new();
    let entry = led_by_1();
    world.current = Some(at(2));
    let none = world.all(&[(&entry, some(1, &[]))]);
    assert_eq!(none, (at(2), Reason::NoLeaf));
}

#[test]
fn weak_reads_go_near_and_come_back() {
    let mut world = World::weak("");
    let entry = led_by_1();
    let touched = Touched::Only(0);
    let targets = [Target {
        entry: &entry,
        touched,
    }];
    for (change, shares) in [
        (None, [300, 0, 0]),
        (Some((1, ServerState::Inactive)), [0, 300, 0]),
        (Some((2, ServerState::Stopped)), [0, 0, 300]),
        (Some((2, ServerState::Active)), [0, 300, 0]),
        (Some((1, ServerState::Active)), [300, 0, 0]),
    ] {
        if let Some((server, state)) = change {
            world.state(server, state);
        }
        assert_eq!(world.shares(&targets), shares, "{change:?}");
    }
    world.blocks.set(at(1), Some(Block::Black));
    assert_eq!(world.shares(&targets), [0, 300, 0]);
}

#[test]
fn weak_reads_are_spread_evenly_without_a_site_and_by_load() {
    let mut world = World::weak("");
    world.preferences.idc = "".into();
    let entry = led_by_1();
    let touched = Touched::Only(0);
    let targets = [Target {
        entry: &entry,
        touched,
    }];
    let even = world.shares(&targets);
    assert!(even.iter().all(|n| (80..120).contains(n)), "{even:?}");
    (0..5).for_each(|_| world.loads.begin(Tick(0), at(2)));
    assert_eq!(world.shares(&targets)[1], 0);
    // Followers share what the leader is spared.
    world.loads = Loads::default();
    world.preferences.set_weak_policy("FOLLOWER_FIRST");
    let followers = world.shares(&targets);
    assert!(
        followers[0] == 0 && followers[1].abs_diff(150) < 30,
        "{followers:?}"
    );
}

#[test]
fn followers_first_and_followers_only() {
    let mut world = World::weak("follower_first");
    world.preferences.idc = "".into();
    let entry = table("t", 1, 1, &[row(0, 1, true), row(0, 2, false)]);
    assert_eq!(world.leaf(&entry), (at(2), Reason::WeakRead));
    world.blocks.set(at(2), Some(Block::Black));
    assert_eq!(world.leaf(&entry), (at(1), Reason::WeakRead));
    world.preferences.set_weak_policy("follower_only");
    assert_eq!(world.leaf(&entry), (at(3), Reason::WeakReadElsewhere));
    world.tried = vec![at(2), at(3)];
    let (entry, touched) = (&*entry, Touched::Only(0));
    let nobody = world.choose(&[Target { entry, touched }]);
    assert_eq!(nobody, Err(Reason::Nobody), "never the leader");
    // A merging follower comes behind the leader for one policy, before it for the other.
    world.tried.clear();
    world.blocks = Blocks::default();
    fixture::zone(&mut world.cluster, "z2", |z| z.is_merging = true);
    for (policy, server) in [("UNMERGE_FOLLOWER_FIRST", 1), ("FOLLOWER_FIRST", 2)] {
        world.preferences.set_weak_policy(policy);
        assert_eq!(world.leaf(entry).0, at(server), "{policy}");
    }
    world.preferences.set_weak_policy("UNMERGE_FOLLOWER_FIRST");
    world.preferences.ignores_merging = true;
    assert_eq!(world.leaf(entry).0, at(2));
}

#[test]
fn a_far_replica_comes_before_a_near_stranger_only_when_no_near_one_can_be_used() {
    let mut world = World::weak("");
    let entry = table("t", 1, 1, &[row(0, 2, true), row(0, 3, false)]);
    assert_eq!(world.leaf(&entry), (at(2), Reason::WeakRead));
    world.blocks.set(at(2), Some(Block::Black));
    assert_eq!(world.leaf(&entry), (at(3), Reason::WeakRead));
    let choice = world.choose(&[Target {
        entry: &entry,
        touched: Touched::Only(0),
    }]);
    let choice = choice.unwrap();
    assert_eq!(choice.class.unwrap().letters(), "CNWPF");
    assert_eq!(choice.policy.unwrap().name(), "MERGE_IDC_ORDER");
}

#[test]
fn weak_reads_of_several_leaves_go_where_most_of_them_are() {
    let mut world = World::weak("FOLLOWER_ONLY");
    world.preferences.idc = "".into();
    let rows = [
        row(0, 1, true),
        row(0, 2, false),
        row(1, 1, true),
        row(1, 2, false),
        row(1, 3, false),
    ];
    let entry = table("t", 1, 2, &rows);
    let both = world.all(&[(&entry, Touched::Unknown)]);
    assert_eq!(both, (at(2), Reason::WeakRead));
    // Leaders that are spread evenly are no reason to refuse.
    let rows = [
        row(0, 1, true),
        row(0, 2, false),
        row(1, 1, false),
        row(1, 2, true),
    ];
    let even = table("t", 1, 2, &rows);
    assert_eq!(world.all(&[(&even, Touched::Unknown)]).1, Reason::WeakRead);
}

#[test]
fn readonly_zones_take_weak_reads_and_nothing_else() {
    let mut world = World::weak("");
    world.preferences.idc = "".into();
    fixture::zone(&mut world.cluster, "z3", |z| z.kind = ZoneKind::ReadOnly);
    let entry = led_by_1();
    assert_eq!(world.leaf(&entry).0, at(3));
    world.blocks.set(at(3), Some(Block::Black));
    assert_ne!(world.leaf(&entry).0, at(3));
    world.preferences.zone_policy = zone_policy(2);
    assert_eq!(world.leaf(&entry).0, at(3), "no other is allowed");
    world.blocks = Blocks::default();
    world.is_weak = false;
    assert_eq!(world.leaf(&entry), (at(1), Reason::Leader));
    // Without a table and with nothing said any zone will do; a write keeps to the others.
    world.tried = vec![at(1)];
    assert_eq!(world.leaf(&entry), (at(2), Reason::LeaderTried));
}

#[test]
fn replicated_tables_are_read_anywhere_until_they_are_written_to() {
    let mut world = World::new();
    let dup = |n: u8, is_leader: bool| Row {
        is_dup: true,
        ..row(0, n, is_leader)
    };
    let replicated = table("r", 1, 1, &[dup(3, true), dup(1, false), dup(2, false)]);
    assert_eq!(world.leaf(&replicated), (at(1), Reason::ReplicatedTable));
    world.has_written_dup = true;
    assert_eq!(world.leaf(&replicated), (at(3), Reason::Leader));
    world.has_written_dup = false;
    world.is_plain_read = false;
    assert_eq!(world.leaf(&replicated), (at(3), Reason::Leader));
    world.is_plain_read = true;
    // In a join the other table decides.
    let led_by_2 = table("t", 1, 1, &[row(0, 2, true), row(0, 1, false)]);
    let join = [
        (&*replicated, Touched::Only(0)),
        (&*led_by_2, Touched::Only(0)),
    ];
    assert_eq!(world.all(&join), (at(2), Reason::Leader));
}

#[test]
fn a_zone_pin_holds_for_every_statement() {
    let mut world = World::new();
    world.preferences.proxy_primary_zone = ZoneList::of("z2;z3");
    let entry = led_by_1();
    assert_eq!(world.leaf(&entry), (at(2), Reason::LeaderOutsideZones));
    let led_by_3 = table("t", 1, 1, &[row(0, 3, true), row(0, 2, false)]);
    assert_eq!(world.leaf(&led_by_3), (at(3), Reason::Leader));
    assert_eq!(world.choose(&[]).unwrap().server, at(2));
    world.current = Some(at(1));
    let choice = world.choose(&[]).unwrap();
    assert_eq!((choice.server, choice.reason), (at(2), Reason::PrimaryZone));
    world.is_weak = true;
    world.preferences.set_weak_policy("FOLLOWER_FIRST");
    assert_eq!(world.leaf(&led_by_3).0, at(2));
    world.blocks.set(at(2), Some(Block::Black));
    assert_eq!(world.leaf(&led_by_3).0, at(3));
    world.tried = vec![at(2), at(3)];
    let (entry, touched) = (&*entry, Touched::Only(0));
    assert_eq!(
        world.choose(&[Target { entry, touched }]),
        Err(Reason::Nobody)
    );
}

#[test]
fn forced_servers_exclude_all_others() {
    let mut world = World::new();
    world.targets = vec![at(3), at(2)];
    let entry = led_by_1();
    assert_eq!(world.leaf(&entry), (at(3), Reason::TargetServer));
    world.blocks.set(at(3), Some(Block::Black));
    assert_eq!(world.leaf(&entry).0, at(2));
    world.tried = vec![at(2), at(3)];
    assert_eq!(world.choose(&[]), Err(Reason::TargetUnusable));
}

#[test]
fn statements_without_tables_stay_or_go_to_the_primary_zone() {
    let mut world = World::new();
    world.current = Some(at(2));
    let reason = |world: &World| world.choose(&[]).map(|c| (c.server, c.reason)).unwrap();
    assert_eq!(reason(&world), (at(2), Reason::CurrentServer));
    // Far away, merging, out of service, blocked: it is left.
    world.current = Some(at(3));
    assert_eq!(reason(&world), (at(1), Reason::NoTable));
    world.current = Some(at(2));
    fixture::zone(&mut world.cluster, "z2", |z| z.is_merging = true);
    assert_eq!(reason(&world), (at(1), Reason::NoTable));
    fixture::zone(&mut world.cluster, "z2", |z| z.is_merging = false);
    world.state(2, ServerState::Stopped);
    assert_eq!(reason(&world), (at(1), Reason::NoTable));
    world.state(2, ServerState::Active);
    world.preferences.keeps_server = false;
    world.preferences.primary_zone = ZoneList::of("z3;z1,z2");
    assert_eq!(reason(&world), (at(3), Reason::PrimaryZone));
    world.blocks.set(at(3), Some(Block::Gray));
    assert_eq!(
        reason(&world),
        (at(1), Reason::PrimaryZone),
        "near of equals"
    );
    world.preferences.uses_primary_zone = false;
    world.blocks = Blocks::default();
    assert_eq!(reason(&world), (at(1), Reason::NoTable));
}

#[test]
fn a_tenants_servers_are_all_there_are() {
    let mut world = World::new();
    world.tenant = Some(Tenant {
        cluster: "ob1".into(),
        name: b"t".as_slice().into(),
        version: 1,
        servers: vec![at(2), at(3)].into(),
        primary_zone: crate::routing::ZoneList::default(),
        standing: Standing::Known,
        published: Tick(0),
    });
    let choice = world.choose(&[]).unwrap();
    assert_eq!(choice.server, at(2));
}

#[test]
fn the_fast_way_and_the_long_way_agree() {
    let mut world = World::new();
    for leader in 1..=3 {
        let entry = table(
            "t",
            1,
            1,
            &[row(0, leader, true), row(0, leader % 3 + 1, false)],
        );
        let fast = world.leaf(&entry);
        world.seed += 1;
        assert_eq!(world.all(&[(&entry, some(1, &[0]))]), fast);
        assert_eq!(fast, (at(leader), Reason::Leader));
    }
}
