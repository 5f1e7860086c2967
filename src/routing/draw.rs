//! Drawing one server among the best: power of two choices.

use super::class::Class;
use super::{Block, Loads, ServerState};
use crate::base::Rng;
use std::net::SocketAddr;

/// What lists and health say of a server; the first is the best. It weighs more than any class:
/// a far server that answers is better than a near one that does not.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Fitness {
    /// In service, and nothing is said against it.
    Good,
    /// On the gray list.
    Gray,
    /// The cluster says that it is not in service. It may know more than the list.
    OutOfService,
    /// The cluster does not list it (any more, or yet).
    Unlisted,
    /// On the black list.
    Black,
}

impl Fitness {
    /// By the state in the cluster's list, `None` if it is not listed, and the blocks.
    pub(super) const fn of(state: Option<ServerState>, block: Option<Block>) -> Self {
        match (state, block) {
            (_, Some(Block::Black)) => Self::Black,
            (None, _) => Self::Unlisted,
            (Some(state), _) if !state.is_in_service() => Self::OutOfService,
            (_, Some(Block::Gray)) => Self::Gray,
            (_, None) => Self::Good,
        }
    }
}

/// Where a server stands; lower is better.
pub(super) type Rank = (Fitness, u32);

/// A server that is offered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidate {
    pub(super) server: SocketAddr,
    pub(super) class: Class,
}

/// Takes offers one by one, keeps the best rank, and of those that have it two at random.
pub(super) struct Draw {
    rng: Rng,
    best: Option<Rank>,
    /// So many had the best rank.
    seen: u64,
    first: Option<Candidate>,
    second: Option<Candidate>,
}

impl Draw {
    /// A draw whose randomness is all in the seed.
    pub(super) const fn new(seed: u64) -> Self {
        Self {
            rng: Rng::new(seed),
            best: None,
            seen: 0,
            first: None,
            second: None,
        }
    }

    /// The best rank so far.
    pub(super) const fn best(&self) -> Option<Rank> {
        self.best
    }

    /// Takes an offer.
    pub(super) fn offer(&mut self, rank: Rank, candidate: Candidate) {
        match self.best {
            Some(best) if rank > best => return,
            Some(best) if rank == best => {}
            _ => {
                self.best = Some(rank);
                self.seen = 0;
                self.second = None;
            }
        }
        self.seen += 1;
        match self.seen {
            1 => self.first = Some(candidate),
            2 => self.second = Some(candidate),
            // Each pair of all that were seen stays equally likely.
            seen => match self.rng.below(seen) {
                0 => self.first = Some(candidate),
                1 => self.second = Some(candidate),
                _ => {}
            },
        }
    }

    /// Of the two, the one with fewer outstanding requests; any if they have the same.
    pub(super) fn win(mut self, loads: &Loads) -> Option<Candidate> {
        let (first, Some(second)) = (self.first?, self.second) else {
            return self.first;
        };
        let (a, b) = (loads.of(first.server), loads.of(second.server));
        match a.cmp(&b) {
            std::cmp::Ordering::Less => Some(first),
            std::cmp::Ordering::Greater => Some(second),
            std::cmp::Ordering::Equal if self.rng.chance(1, 2) => Some(first),
            std::cmp::Ordering::Equal => Some(second),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::at;
    use super::*;

    fn offer(draw: &mut Draw, place: u32, server: u8) {
        let candidate = Candidate {
            server: at(server),
            class: Class::of_index(0),
        };
        draw.offer((Fitness::Good, place), candidate);
    }

    /// How often each of servers 1 to 4 wins: 1 is behind the others in rank.
    fn wins(loads: &Loads) -> [u32; 5] {
        let mut wins = [0; 5];
        for seed in 0..3_000 {
            let mut draw = Draw::new(seed);
            offer(&mut draw, 2, 1);
            for server in 2..=4 {
                offer(&mut draw, 1, server);
            }
            let winner = draw.win(loads).unwrap().server;
            let number = (1..=4).find(|n| at(*n) == winner).unwrap();
            wins[usize::from(number)] += 1;
        }
        wins
    }

    #[test]
    fn equals_share_and_the_busiest_gets_nothing() {
        let mut loads = Loads::default();
        let even = wins(&loads);
        assert_eq!(even[1], 0);
        assert!(
            even[2..].iter().all(|n| (900..1_100).contains(n)),
            "{even:?}"
        );
        loads.begin(crate::base::Tick(0), at(3));
        let busy = wins(&loads);
        assert_eq!(busy[3], 0, "of two, never the one with more to do");
        assert!(busy[2].min(busy[4]) > 1_300, "{busy:?}");
    }

    #[test]
    fn health_weighs_more_than_any_class() {
        use ServerState::{Active, Inactive, Stopped};
        let black = Some(Block::Black);
        let all = [
            Fitness::of(Some(Active), None),
            Fitness::of(Some(Active), Some(Block::Gray)),
            Fitness::of(Some(Stopped), Some(Block::Gray)),
            Fitness::of(None, None),
            Fitness::of(Some(Inactive), black),
        ];
        assert!(all.windows(2).all(|pair| pair[0] < pair[1]), "{all:?}");
        assert!((Fitness::Good, 99) < (Fitness::Gray, 0));
        assert!(Draw::new(1).win(&Loads::default()).is_none());
    }
}
