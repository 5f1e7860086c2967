//! Choosing the server of a statement whose leaves are known, as far as they are.

use super::class::{Class, Hold, Near, Site, class};
use super::draw::{Candidate, Draw, Fitness};
use super::policy::{PolicyFacts, policy};
use super::table::Share;
use super::{
    Blocks, Choice, Cluster, Loads, Order, Ordered, Policy, Preferences, Reason, TableEntry,
    Tenant, ZoneKind, ZoneList,
};
use crate::partition::LeafSet;
use smallvec::SmallVec;
use std::net::SocketAddr;

/// Leaves of a table that a statement touches.
#[derive(Clone, Debug)]
pub enum Touched {
    /// This one.
    Only(u32),
    /// These.
    Set(LeafSet),
    /// All.
    All,
    /// It is not known which.
    Unknown,
}

/// A located table and its leaves.
#[derive(Clone, Debug)]
pub struct Target<'a> {
    /// The table.
    pub entry: &'a TableEntry,
    /// Its leaves.
    pub touched: Touched,
}

/// What is known of the cluster, and how busy its servers are.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// The cluster.
    pub cluster: &'a Cluster,
    /// The session's tenant; `None`: it is on all servers of the cluster.
    pub tenant: Option<&'a Tenant>,
    /// Servers to avoid.
    pub blocks: &'a Blocks,
    /// Outstanding requests.
    pub loads: &'a Loads,
    /// Settings and variables.
    pub preferences: &'a Preferences,
}

/// What the choice depends on besides the leaves.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// A weak read.
    pub is_weak: bool,
    /// A SELECT that locks nothing.
    pub is_plain_read: bool,
    /// It can do without a read-write zone ([`PolicyFacts::fits_readonly_zone`]).
    pub fits_readonly_zone: bool,
    /// The transaction has written to a replicated table.
    pub has_written_dup: bool,
    /// Why there are no tables, when there are none.
    pub without_table: Reason,
    /// The servers of `target_db_server`, of a comment or of the settings.
    pub targets: &'a [SocketAddr],
    /// The server of the session's last statement.
    pub current: Option<SocketAddr>,
    /// Servers that were tried for this statement in vain.
    pub tried: &'a [SocketAddr],
    /// Another number for each statement: all randomness comes from it.
    pub seed: u64,
}

/// What a server has of all leaves of a statement.
#[derive(Clone, Copy)]
struct Tally {
    server: SocketAddr,
    share: Share,
}

/// Servers of a statement's tables; more need memory of their own.
type Tallies = SmallVec<[Tally; 8]>;
/// Servers of one table; more need memory of their own.
type Shares = SmallVec<[(SocketAddr, Share); 4]>;

/// Chooses the server of a statement. `Err`: none, for this reason.
///
/// # Errors
/// [`Reason::Nobody`] if every server that the policy allows was tried, or it allows none;
/// [`Reason::TargetUnusable`] if it is a list of servers.
pub fn choose(
    view: &View<'_>,
    asked: &Asked<'_>,
    targets: &[Target<'_>],
) -> Result<Choice, Reason> {
    let prefers = view.preferences;
    if let [only] = targets
        && let Touched::Only(leaf) = only.touched
        && !asked.is_weak
        && !only.entry.is_dup
        && asked.targets.is_empty()
        && prefers.proxy_primary_zone.is_empty()
        && let Some(server) = only.entry.locations.leader(leaf)
        && view.blocks.of(&server).is_none()
        && !asked.tried.contains(&server)
    {
        return Ok(Choice::of(server, Reason::Leader));
    }
    Chooser::new(view, asked, targets).choose()
}

struct Chooser<'a> {
    view: &'a View<'a>,
    asked: &'a Asked<'a>,
    site: Option<Site<'a>>,
    tallies: Tallies,
    /// Leaves in all.
    leaves: u32,
    /// Some leaf's table is replicated, all of them are.
    is_dup: bool,
    /// Which leaves is not known for any of the tables.
    is_unknown: bool,
    policy: Policy,
    /// Why there are no leaves, when there are none.
    without: Reason,
}

impl<'a> Chooser<'a> {
    fn new(view: &'a View<'a>, asked: &'a Asked<'a>, targets: &[Target<'_>]) -> Self {
        // The joined tables decide, not the replicated ones: those are everywhere.
        let is_dup = targets.iter().all(|t| t.entry.is_dup) && !targets.is_empty();
        let counted = targets.iter().filter(|t| is_dup || !t.entry.is_dup);
        let (mut tallies, mut leaves) = (Tallies::new(), 0);
        let mut is_unknown = true;
        for target in counted {
            leaves += add_target(&mut tallies, target);
            is_unknown &= matches!(target.touched, Touched::Unknown);
        }
        let facts = policy_facts(view, asked, is_dup);
        Self {
            view,
            asked,
            site: Site::of(view.cluster, &view.preferences.idc),
            tallies,
            leaves,
            is_dup,
            is_unknown,
            policy: policy(&facts),
            without: match leaves {
                _ if targets.is_empty() => asked.without_table,
                0 => Reason::NoLeaf,
                _ => Reason::LeaderUnknown,
            },
        }
    }

    fn choose(&self) -> Result<Choice, Reason> {
        let chosen = match (self.tallies.is_empty(), self.policy) {
            (_, Policy::TargetServersOnly) => self.in_targets(),
            (true, _) => self.without_leaves(),
            (false, Policy::ProxyPrimaryZoneOnly) => self.in_pinned_zones(),
            (false, Policy::Classes(Ordered::DupReplicaFirst)) => {
                self.by_classes(Ordered::DupReplicaFirst, Reason::ReplicatedTable)
            }
            (false, Policy::Classes(ordered)) if self.asked.is_weak => {
                let choice = self.by_classes(ordered, Reason::WeakRead);
                choice.map(|choice| match choice.class {
                    Some(class) if class.hold == Hold::Nothing => Choice {
                        reason: Reason::WeakReadElsewhere,
                        ..choice
                    },
                    _ => choice,
                })
            }
            (false, _) => self.strong(),
        };
        let nobody = match self.policy {
            Policy::TargetServersOnly => Reason::TargetUnusable,
            _ => Reason::Nobody,
        };
        let mut choice = chosen.ok_or(nobody)?;
        choice.policy = Some(self.policy);
        Ok(choice)
    }

    /// A strong statement: the leader, or the server that leads most of the leaves.
    fn strong(&self) -> Option<Choice> {
        let leads = |t: &Tally| t.share.leads > 0;
        let usable = |t: &&Tally| leads(t) && self.is_usable(t.server);
        let most = self
            .tallies
            .iter()
            .filter(usable)
            .map(|t| t.share.leads)
            .max();
        let Some(most) = most else {
            return self.without_leader();
        };
        let best = self
            .tallies
            .iter()
            .filter(usable)
            .filter(|t| t.share.leads == most);
        let mut draw = Draw::new(self.asked.seed);
        for tally in best {
            let class = self.class_of(tally);
            let is_current = self.asked.current == Some(tally.server);
            let place = class.near as u32 * 2 + u32::from(!is_current);
            let (server, fitness) = (tally.server, Fitness::Good);
            draw.offer((fitness, place), Candidate { server, class });
        }
        let won = draw.win(self.view.loads)?;
        let reason = match (self.is_unknown && self.leaves > 1, most == self.leaves) {
            (true, false) => Reason::LeafUnknown,
            (_, true) if self.leaves == 1 => Reason::Leader,
            _ => Reason::MostLeaders,
        };
        Some(Choice::won(won, reason))
    }

    /// No leader can be used: the best other replica, or server of the tenant.
    fn without_leader(&self) -> Option<Choice> {
        let mut leaders = self.tallies.iter().filter(|t| t.share.leads > 0);
        let is_blocked = |t: &Tally| !self.asked.tried.contains(&t.server);
        let reason = match leaders.clone().count() {
            0 => Reason::LeaderUnknown,
            _ if leaders.any(is_blocked) => Reason::LeaderBlocked,
            _ => Reason::LeaderTried,
        };
        let zones = &self.view.preferences.primary_zone;
        match self.policy {
            Policy::Classes(ordered) => self.by_classes(ordered, reason),
            _ if zones.is_empty() => self.by_classes(Ordered::MergeIdcOrder, reason),
            _ => self.by_zones(zones, false, reason),
        }
    }

    /// Statements without a located table, or of which no row can match.
    fn without_leaves(&self) -> Option<Choice> {
        let prefers = self.view.preferences;
        if let Some(current) = self.asked.current
            && (prefers.keeps_server || self.without == Reason::NoLeaf)
            && self.fits_current(current)
        {
            let reason = match self.without {
                Reason::NoTable => Reason::CurrentServer,
                other => other,
            };
            return Some(self.choice(current, reason));
        }
        let reason = self.without;
        match self.policy {
            Policy::ProxyPrimaryZoneOnly => self.in_pinned_zones(),
            Policy::PrimaryZoneFirst if prefers.primary_zone.is_empty() => {
                self.by_classes(Ordered::MergeIdcOrder, reason)
            }
            Policy::PrimaryZoneFirst => {
                let choice = self.by_zones(&prefers.primary_zone, false, reason)?;
                let is_inside = reason == Reason::NoTable
                    && self.group(&prefers.primary_zone, choice.server).is_some();
                Some(match is_inside {
                    true => Choice {
                        reason: Reason::PrimaryZone,
                        ..choice
                    },
                    false => choice,
                })
            }
            Policy::Classes(ordered) => self.by_classes(ordered, reason),
            Policy::TargetServersOnly => None,
        }
    }

    /// True if a statement without tables may stay on the session's server: not far away, not
    /// merging, in service, and of a zone that the policy allows.
    fn fits_current(&self, current: SocketAddr) -> bool {
        if !self.is_usable(current) || self.fitness(current) != Fitness::Good {
            return false;
        }
        let class = self.class(current, Hold::Nothing, false);
        match self.policy {
            _ if class.near == Near::Other || class.is_merging => false,
            Policy::ProxyPrimaryZoneOnly => {
                let zones = &self.view.preferences.proxy_primary_zone;
                self.group(zones, current).is_some()
            }
            // Another kind of zone comes first in such an order, or is not in it.
            Policy::Classes(Ordered::ReadonlyZoneFirst) => class.is_readonly,
            Policy::Classes(ordered) => ordered.order().place(class).is_some(),
            Policy::PrimaryZoneFirst | Policy::TargetServersOnly => true,
        }
    }

    /// Only servers of `proxy_primary_zone_name`: the leader first, then others that hold the leaf,
    /// group by group.
    fn in_pinned_zones(&self) -> Option<Choice> {
        let zones = &self.view.preferences.proxy_primary_zone;
        let leaders = self.tallies.iter().filter(|t| t.share.leads > 0);
        let mut inside =
            leaders.filter(|t| self.is_usable(t.server) && self.group(zones, t.server).is_some());
        if !self.asked.is_weak
            && !self.is_dup
            && let Some(leader) = inside.by_ref().max_by_key(|t| t.share.leads)
        {
            let reason = match self.leaves {
                1 => Reason::Leader,
                _ => Reason::MostLeaders,
            };
            return Some(self.choice(leader.server, reason));
        }
        let reason = match self.tallies.is_empty() || self.asked.is_weak || self.is_dup {
            true => Reason::PrimaryZone,
            false => Reason::LeaderOutsideZones,
        };
        self.by_zones(zones, true, reason)
    }

    /// By groups of zones; inside a group holders of the leaf first, then near ones. Servers of
    /// other zones come last, or never.
    fn by_zones(&self, zones: &ZoneList, is_only: bool, reason: Reason) -> Option<Choice> {
        let mut draw = Draw::new(self.asked.seed);
        self.each_server(|server, tally| {
            let group = match self.group(zones, server) {
                Some(group) => u32::from(group),
                None if is_only => return,
                None => u32::from(u8::MAX),
            };
            let class = self.class_of(&tally);
            let stranger = u32::from(class.hold == Hold::Nothing);
            let place = group * 8 + stranger * 4 + class.near as u32;
            draw.offer((self.fitness(server), place), Candidate { server, class });
        });
        Some(Choice::won(draw.win(self.view.loads)?, reason))
    }

    /// By the order of classes of a policy.
    fn by_classes(&self, ordered: Ordered, reason: Reason) -> Option<Choice> {
        let is_near = |t: &Tally| {
            let class = self.class_of(t);
            self.is_holder(t)
                && class.near != Near::Other
                && self.fitness(t.server) == Fitness::Good
                && self.is_usable(t.server)
        };
        let is_optimized = !self.tallies.is_empty() && !self.tallies.iter().any(is_near);
        let order: &Order = match is_optimized {
            true => ordered.optimized(),
            false => ordered.order(),
        };
        let offer = |draw: &mut Draw, server: SocketAddr, class: Class| {
            let place = match (order.place(class), self.view.preferences.is_random) {
                (Some(_), true) => Some(0),
                (place, _) => place,
            };
            if let Some(place) = place {
                let rank = (self.fitness(server), u32::from(place));
                draw.offer(rank, Candidate { server, class });
            }
        };
        let mut draw = Draw::new(self.asked.seed);
        for tally in self.tallies.iter().filter(|t| self.is_holder(t)) {
            if !self.asked.tried.contains(&tally.server) {
                offer(&mut draw, tally.server, self.class_of(tally));
            }
        }
        // Servers without the leaf are looked at only when one of them could win.
        let first = (Fitness::Good, u32::from(order.first_without_leaf()));
        if draw.best().is_none_or(|best| best > first) {
            self.each_server(|server, tally| {
                if !self.is_holder(&tally) {
                    offer(&mut draw, server, self.class(server, Hold::Nothing, false));
                }
            });
        }
        Some(Choice::won(draw.win(self.view.loads)?, reason))
    }

    /// The first server of the list that can be used; in the order of the list.
    fn in_targets(&self) -> Option<Choice> {
        let mut draw = Draw::new(self.asked.seed);
        for (&server, place) in self.asked.targets.iter().zip(0..) {
            if !self.asked.tried.contains(&server) {
                let class = self.class(server, Hold::Nothing, false);
                draw.offer((self.fitness(server), place), Candidate { server, class });
            }
        }
        let won = draw.win(self.view.loads)?;
        Some(self.choice(won.server, Reason::TargetServer))
    }

    /// Calls with every server of the tenant that was not tried, and what it has of the leaves:
    /// first those that have something.
    fn each_server(&self, mut call: impl FnMut(SocketAddr, Tally)) {
        let tried = self.asked.tried;
        for tally in &self.tallies {
            if !tried.contains(&tally.server) {
                call(tally.server, *tally);
            }
        }
        let others = super::pick::servers(self.view.cluster, self.view.tenant);
        for server in others.filter(|s| !tried.contains(s)) {
            if !self.tallies.iter().any(|t| t.server == server) {
                let share = Share::default();
                call(server, Tally { server, share });
            }
        }
    }

    /// It holds as many of the leaves as any other does.
    fn is_holder(&self, tally: &Tally) -> bool {
        let most = self.tallies.iter().map(|t| t.share.holds).max();
        tally.share.holds > 0 && Some(tally.share.holds) == most
    }

    /// The class of a server. Of several leaves it counts as leader if it leads more of them than
    /// another holder does: where leaders are spread evenly, nobody does.
    fn class_of(&self, tally: &Tally) -> Class {
        let hold = if !self.is_holder(tally) {
            Hold::Nothing
        } else {
            let holders = self.tallies.iter().filter(|t| self.is_holder(t));
            let fewest = holders.map(|t| t.share.leads).min().unwrap_or(0);
            match tally.share.leads > fewest || fewest == self.leaves {
                true => Hold::Leader,
                false => Hold::Follower,
            }
        };
        self.class(tally.server, hold, tally.share.is_dup)
    }

    fn class(&self, server: SocketAddr, hold: Hold, is_dup: bool) -> Class {
        let known = self.view.cluster.server(server);
        let class = Class {
            hold,
            is_dup,
            ..class(self.view.cluster, self.site, known)
        };
        self.view.preferences.seen(class)
    }

    fn fitness(&self, server: SocketAddr) -> Fitness {
        let state = self.view.cluster.server(server).map(|s| s.state);
        Fitness::of(state, self.view.blocks.of(&server))
    }

    /// Neither tried nor blocked. What the list says of a leader is older than its location.
    fn is_usable(&self, server: SocketAddr) -> bool {
        !self.asked.tried.contains(&server) && self.view.blocks.of(&server).is_none()
    }

    fn group(&self, zones: &ZoneList, server: SocketAddr) -> Option<u8> {
        zones.group(&self.view.cluster.server(server)?.zone)
    }

    fn choice(&self, server: SocketAddr, reason: Reason) -> Choice {
        let tally = self.tallies.iter().find(|t| t.server == server);
        let class = match tally {
            Some(tally) => self.class_of(tally),
            None => self.class(server, Hold::Nothing, false),
        };
        Choice::won(Candidate { server, class }, reason)
    }
}

impl Choice {
    fn won(candidate: Candidate, reason: Reason) -> Self {
        Self {
            class: Some(candidate.class),
            ..Self::of(candidate.server, reason)
        }
    }
}

impl Target<'_> {
    /// How many leaves the statement touches, as far as it is known.
    pub(super) fn leaf_count(&self) -> u32 {
        match &self.touched {
            Touched::Only(_) => 1,
            Touched::Set(set) if !set.is_all() => set.len(),
            Touched::Set(_) | Touched::All | Touched::Unknown => {
                self.entry.locations.leaves().len() as u32
            }
        }
    }

    /// What servers have of the touched leaves.
    pub(super) fn shares(&self) -> Shares {
        let mut shares = Shares::new();
        self.add_to(&mut |server, share| {
            let known = shares.iter_mut().find(|(s, _)| *s == server);
            match known {
                Some((_, sum)) => sum.merge(share),
                None => shares.push((server, share)),
            }
        });
        shares
    }

    /// Calls with servers and what they have of the touched leaves, leaf by leaf or all at once.
    fn add_to(&self, add: &mut dyn FnMut(SocketAddr, Share)) {
        let places = &self.entry.locations;
        let mut leaf = |number: u32| {
            let replicas = places.leaves().get(number as usize).map(|l| &l.replicas);
            for held in replicas.into_iter().flatten() {
                let mut share = Share::default();
                share.add(*held);
                if let Some(server) = places.server(held.server) {
                    add(server, share);
                }
            }
        };
        match &self.touched {
            Touched::Only(number) => leaf(*number),
            Touched::Set(set) if !set.is_all() => set.iter().for_each(leaf),
            Touched::Set(_) | Touched::All | Touched::Unknown => {
                for (server, share) in places.servers().iter().zip(places.shares()) {
                    add(*server, *share);
                }
            }
        }
    }
}

/// Adds what servers have of a table's leaves; returns how many leaves.
fn add_target(tallies: &mut Tallies, target: &Target<'_>) -> u32 {
    target.add_to(&mut |server, share| {
        let known = tallies.iter_mut().find(|t| t.server == server);
        if let Some(tally) = known {
            tally.share.merge(share);
        } else if share.holds > 0 || share.leads > 0 {
            tallies.push(Tally { server, share });
        }
    });
    target.leaf_count()
}

fn policy_facts(view: &View<'_>, asked: &Asked<'_>, is_dup: bool) -> PolicyFacts {
    let prefers = view.preferences;
    let readonly = |zone: &super::Zone| zone.kind == ZoneKind::ReadOnly;
    let mut zones = view.cluster.zones.iter().filter(|z| readonly(z));
    let has_readonly_zones = zones.any(|zone| {
        let mut servers = super::pick::servers(view.cluster, view.tenant);
        servers.any(|s| view.cluster.server(s).is_some_and(|s| s.zone == zone.name))
    });
    PolicyFacts {
        is_weak: asked.is_weak,
        is_plain_read: asked.is_plain_read,
        fits_readonly_zone: asked.fits_readonly_zone,
        has_target_servers: !asked.targets.is_empty(),
        has_proxy_primary_zone: !prefers.proxy_primary_zone.is_empty(),
        has_dup_replicas: is_dup,
        has_written_dup: asked.has_written_dup,
        has_readonly_zones,
        said: prefers.said,
        zone_policy: prefers.zone_policy,
        weak_policy: prefers.weak_policy,
        uses_primary_zone: prefers.uses_primary_zone && !prefers.is_random,
    }
}

#[cfg(test)]
#[path = "choose_tests.rs"]
mod tests;
