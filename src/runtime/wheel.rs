//! Timers of a core: a hierarchical wheel without one system call.
//!
//! A timer is a word that comes back once its deadline is reached, at most one granule late and
//! never early. Entries are not cancelled or moved: the owner keeps its real deadline ([`Due`]) and
//! looks at it when the entry comes back. That makes "move the deadline with every statement" one
//! store.

use crate::base::Tick;

/// log2 of a granule in microseconds: timers are 1.024 ms coarse.
const GRANULE_BITS: u32 = 10;
const LEVEL_BITS: u32 = 6;
const SLOTS: usize = 1 << LEVEL_BITS;
/// 64^6 granules: two years. A later deadline comes back early and is armed again by its owner.
const LEVELS: usize = 6;
const HORIZON: u64 = (1 << (LEVEL_BITS * LEVELS as u32)) - 1;
const NONE: u32 = u32::MAX;

/// No deadline.
pub(crate) const NEVER: Tick = Tick(u64::MAX);

/// Whose timer it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Timer {
    /// A machine wants `Timer`: seat index, generation.
    Seat(u32, u32),
    /// A connect, linger or close deadline: slot index, generation.
    Slot(u32, u32),
    /// A listener that failed to accept is tried again.
    Accept(u32),
}

/// The deadline of one owner, and the entry that stands in the wheel for it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Due {
    /// The real deadline.
    pub(crate) at: Tick,
    /// The deadline of the entry in the wheel; entries with another one are leftovers.
    pub(crate) armed: Tick,
}

impl Due {
    /// Nothing due, nothing armed.
    pub(crate) const NEVER: Self = Self {
        at: NEVER,
        armed: NEVER,
    };

    /// Moves the deadline; an entry is added only if none fires early enough.
    pub(crate) fn set(&mut self, at: Tick, wheel: &mut Wheel, timer: Timer) {
        self.at = at;
        if at < self.armed {
            self.armed = at;
            wheel.arm(at, timer);
        }
    }

    /// The entry for `entry` came back. True: the deadline is reached. Otherwise a leftover, or the
    /// deadline has moved and is armed again.
    pub(crate) fn fired(
        &mut self,
        entry: Tick,
        now: Tick,
        wheel: &mut Wheel,
        timer: Timer,
    ) -> bool {
        if entry != self.armed {
            return false;
        }
        self.armed = NEVER;
        if self.at <= now {
            self.at = NEVER;
            return true;
        }
        if self.at != NEVER {
            self.armed = self.at;
            wheel.arm(self.at, timer);
        }
        false
    }
}

#[derive(Debug)]
struct Entry {
    timer: Timer,
    deadline: Tick,
    next: u32,
}

#[derive(Debug)]
struct Level {
    occupied: u64,
    heads: [u32; SLOTS],
}

/// The wheel of one core.
#[derive(Debug)]
pub(crate) struct Wheel {
    /// The granule the wheel stands at: everything before it has come back.
    at: u64,
    levels: [Level; LEVELS],
    entries: Vec<Entry>,
    free: u32,
    len: usize,
    /// A slot of an upper level that was only partly spread over the lower ones.
    spreading: Option<(usize, usize)>,
}

impl Wheel {
    /// An empty wheel that stands at `now`.
    pub(crate) fn new(now: Tick) -> Self {
        Self {
            at: now.0 >> GRANULE_BITS,
            levels: std::array::from_fn(|_| Level {
                occupied: 0,
                heads: [NONE; SLOTS],
            }),
            entries: Vec::new(),
            free: NONE,
            len: 0,
            spreading: None,
        }
    }

    /// Entries in the wheel, leftovers included.
    #[cfg(test)]
    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    /// `timer` comes back when `deadline` is reached.
    pub(crate) fn arm(&mut self, deadline: Tick, timer: Timer) {
        let entry = Entry {
            timer,
            deadline,
            next: NONE,
        };
        let index = if self.free == NONE {
            self.entries.push(entry);
            self.entries.len() as u32 - 1
        } else {
            let index = self.free;
            self.free = self.entries[index as usize].next;
            self.entries[index as usize] = entry;
            index
        };
        self.len += 1;
        self.place(index);
    }

    /// The granule in which a deadline is surely reached.
    const fn granule(deadline: Tick) -> u64 {
        (deadline.0 >> GRANULE_BITS)
            + if deadline.0.is_multiple_of(1 << GRANULE_BITS) {
                0
            } else {
                1
            }
    }

    fn place(&mut self, index: u32) {
        let due = Self::granule(self.entries[index as usize].deadline);
        let due = due.clamp(self.at, self.at | HORIZON);
        // The level is that of the highest digit in which `due` differs from `at`. So every entry
        // of a level lies ahead in the current rotation, and lower levels come first.
        let differs = (self.at ^ due) | (SLOTS as u64 - 1);
        let level = ((63 - differs.leading_zeros()) / LEVEL_BITS) as usize;
        let slot = (due >> (LEVEL_BITS * level as u32)) as usize % SLOTS;
        let level = &mut self.levels[level];
        self.entries[index as usize].next = level.heads[slot];
        level.heads[slot] = index;
        level.occupied |= 1 << slot;
    }

    /// The first occupied slot: level, slot, granule at which it begins.
    fn first(&self) -> Option<(usize, usize, u64)> {
        if let Some((level, slot)) = self.spreading {
            return Some((level, slot, self.at));
        }
        let (n, level) = (self.levels.iter().enumerate()).find(|(_, l)| l.occupied != 0)?;
        let slot = level.occupied.trailing_zeros() as usize;
        let shift = LEVEL_BITS * n as u32;
        let above = self.at >> (shift + LEVEL_BITS) << (shift + LEVEL_BITS);
        Some((n, slot, above | (slot as u64) << shift))
    }

    /// When the wheel next has something to do; not later than the next deadline.
    pub(crate) fn next(&self) -> Option<Tick> {
        let (_, _, granule) = self.first()?;
        Some(Tick(granule << GRANULE_BITS))
    }

    /// Moves to `now` and appends what is due, at most `budget` entries; the rest comes next time
    /// (then `next` says "at once").
    pub(crate) fn expire(&mut self, now: Tick, budget: usize, due: &mut Vec<(Timer, Tick)>) {
        let target = (now.0 >> GRANULE_BITS).max(self.at);
        let mut left = budget;
        while let Some((level, slot, begins)) = self.first()
            && begins <= target
        {
            self.at = begins.max(self.at);
            while self.levels[level].heads[slot] != NONE {
                if left == 0 {
                    self.spreading = (level > 0).then_some((level, slot));
                    return;
                }
                left -= 1;
                let index = self.levels[level].heads[slot];
                let entry = &mut self.entries[index as usize];
                self.levels[level].heads[slot] = entry.next;
                if level > 0 && Self::granule(entry.deadline) > self.at {
                    self.place(index);
                    continue;
                }
                due.push((entry.timer, entry.deadline));
                entry.next = self.free;
                self.free = index;
                self.len -= 1;
            }
            self.levels[level].occupied &= !(1 << slot);
            self.spreading = None;
        }
        self.at = target;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Rng;

    /// Drives wheel and a plain list side by side: same owners due, none early, none late by more
    /// than a granule, whatever the steps, with deadlines that move.
    #[test]
    fn agrees_with_a_plain_list_of_deadlines() {
        for seed in 0..40 {
            let mut rng = Rng::new(seed);
            let mut now = Tick(rng.below(1 << 40));
            let mut wheel = Wheel::new(now);
            let mut owners = vec![Due::NEVER; 200];
            let mut plain = vec![NEVER; owners.len()];
            let mut due = vec![];
            for _ in 0..3_000 {
                for _ in 0..rng.below(20) {
                    let n = rng.below(owners.len() as u64) as usize;
                    let ahead = 1 << rng.below(34);
                    let at = if rng.chance(1, 10) {
                        NEVER
                    } else {
                        Tick((now.0 + rng.below(ahead)).saturating_sub(rng.below(3) * 5_000))
                    };
                    plain[n] = at;
                    owners[n].set(at, &mut wheel, Timer::Seat(n as u32, 0));
                }
                let bits = if rng.chance(1, 50) { 36 } else { 17 };
                let step = 1 << rng.below(bits);
                now = Tick(now.0 + rng.below(step));
                due.clear();
                let budget = 1 + rng.below(50) as usize;
                while wheel.next().is_some_and(|t| t <= now) {
                    wheel.expire(now, budget, &mut due);
                    if due.len() > 5_000 {
                        break;
                    }
                }
                wheel.expire(now, 0, &mut due);
                for (timer, entry) in due.drain(..) {
                    let Timer::Seat(n, _) = timer else { panic!() };
                    let real = owners[n as usize].at;
                    if owners[n as usize].fired(entry, now, &mut wheel, timer) {
                        assert!(real <= now && real == plain[n as usize], "seed {seed}");
                        plain[n as usize] = NEVER;
                    }
                }
                for (n, at) in plain.iter().enumerate() {
                    let late = at.0.saturating_add(1 << GRANULE_BITS) <= now.0;
                    assert!(!late, "seed {seed}: {n} due {at:?}, now {now:?}");
                    assert_eq!(*at, owners[n].at);
                }
                let first = plain.iter().min().unwrap();
                if *first != NEVER {
                    let next = wheel.next().unwrap();
                    assert!(next.0 < first.0 + (1 << GRANULE_BITS), "seed {seed}");
                }
            }
            assert!(wheel.len() < 100 * owners.len(), "leftovers pile up");
        }
    }

    #[test]
    fn work_per_call_is_bounded_and_nothing_is_lost() {
        let mut wheel = Wheel::new(Tick(0));
        for n in 0..10_000 {
            wheel.arm(Tick(u64::from(n) * 700), Timer::Slot(n, 1));
        }
        let mut got = vec![];
        let mut calls = 0;
        while wheel.len() > 0 {
            let before = got.len();
            wheel.expire(Tick(7_001_000), 64, &mut got);
            assert!(got.len() - before <= 64);
            assert!(wheel.len() == 0 || wheel.next().unwrap() <= Tick(7_001_000));
            calls += 1;
            assert!(calls < 2_000);
        }
        assert_eq!(got.len(), 10_000);
        let mut ids: Vec<_> = got
            .iter()
            .map(|(t, _)| match t {
                Timer::Slot(n, 1) => *n,
                _ => panic!(),
            })
            .collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), 10_000);
    }

    #[test]
    fn a_deadline_beyond_the_horizon_comes_back_to_be_armed_again() {
        let mut wheel = Wheel::new(Tick(5));
        let mut due = Due::NEVER;
        let timer = Timer::Accept(0);
        due.set(Tick(u64::MAX - 1), &mut wheel, timer);
        let mut got = vec![];
        wheel.expire(Tick((HORIZON + 1) << GRANULE_BITS), 9, &mut got);
        assert_eq!(got.len(), 1);
        assert!(!due.fired(got[0].1, Tick(HORIZON << GRANULE_BITS), &mut wheel, timer));
        assert_eq!(wheel.len(), 1);
    }
}
