//! Timers of a core: a hierarchical wheel without one system call.
//!
//! An owner keeps its real deadline in a [`Due`], which has at most one entry in the wheel. It
//! comes back once its deadline is reached, at most one granule late and never early. A deadline
//! that moves later leaves its entry where it is: "move the deadline with every statement" is one
//! store. One that is taken back takes its entry along, so that what is over wakes nobody.

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

/// The deadline of one owner, and the entry that stands in the wheel for it. Whoever forgets an
/// owner must [`Due::clear`] first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Due {
    /// The real deadline; the entry's is not later.
    at: Tick,
    /// The entry, or `NONE` (then `at` is never).
    entry: u32,
}

impl Due {
    /// Nothing due.
    pub(crate) const NEVER: Self = Self {
        at: NEVER,
        entry: NONE,
    };

    /// Moves the deadline; [`NEVER`] takes it back.
    pub(crate) fn set(&mut self, at: Tick, wheel: &mut Wheel, timer: Timer) {
        if at == NEVER {
            return self.clear(wheel);
        }
        self.at = at;
        if self.entry == NONE {
            self.entry = wheel.arm(at, timer);
        } else {
            wheel.hasten(self.entry, at);
        }
    }

    /// Takes the deadline back.
    pub(crate) fn clear(&mut self, wheel: &mut Wheel) {
        if self.entry != NONE {
            wheel.cancel(self.entry);
        }
        *self = Self::NEVER;
    }

    /// The entry came back. True: the deadline is reached. Otherwise it has moved and is armed
    /// again.
    pub(crate) fn fired(&mut self, now: Tick, wheel: &mut Wheel, timer: Timer) -> bool {
        self.entry = NONE;
        if self.at <= now {
            self.at = NEVER;
            return true;
        }
        self.entry = wheel.arm(self.at, timer);
        false
    }
}

#[derive(Debug)]
struct Entry {
    timer: Timer,
    deadline: Tick,
    /// The neighbours in the list of its slot, or `NONE`; `next` also links free entries.
    next: u32,
    before: u32,
    /// Where it stands: level and slot.
    level: u8,
    slot: u8,
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

    /// Entries in the wheel.
    #[cfg(test)]
    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    /// `timer` comes back when `deadline` is reached. Returns its entry, which is valid until then.
    pub(crate) fn arm(&mut self, deadline: Tick, timer: Timer) -> u32 {
        let entry = Entry {
            timer,
            deadline,
            next: NONE,
            before: NONE,
            level: 0,
            slot: 0,
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
        index
    }

    /// The entry comes back at `deadline`, if that is earlier than so far.
    fn hasten(&mut self, index: u32, deadline: Tick) {
        if deadline < self.entries[index as usize].deadline {
            self.unlink(index);
            self.entries[index as usize].deadline = deadline;
            self.place(index);
        }
    }

    /// The entry does not come back.
    fn cancel(&mut self, index: u32) {
        self.unlink(index);
        self.release(index);
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
        let list = &mut self.levels[level];
        let next = std::mem::replace(&mut list.heads[slot], index);
        list.occupied |= 1 << slot;
        if next != NONE {
            self.entries[next as usize].before = index;
        }
        let entry = &mut self.entries[index as usize];
        (entry.before, entry.next) = (NONE, next);
        (entry.level, entry.slot) = (level as u8, slot as u8);
    }

    /// Takes an entry out of the list of its slot.
    fn unlink(&mut self, index: u32) {
        let entry = &self.entries[index as usize];
        let (before, next) = (entry.before, entry.next);
        let (level, slot) = (usize::from(entry.level), usize::from(entry.slot));
        if next != NONE {
            self.entries[next as usize].before = before;
        }
        if before != NONE {
            self.entries[before as usize].next = next;
            return;
        }
        let list = &mut self.levels[level];
        list.heads[slot] = next;
        if next == NONE {
            list.occupied &= !(1 << slot);
            if self.spreading == Some((level, slot)) {
                self.spreading = None;
            }
        }
    }

    /// The place of an entry that stands nowhere is free.
    fn release(&mut self, index: u32) {
        self.entries[index as usize].next = self.free;
        self.free = index;
        self.len -= 1;
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

    /// Moves to `now` and takes out one entry that is due. `budget` is the number of entries that
    /// may still be touched; at 0 the rest comes next time (then `next` says "at once").
    pub(crate) fn pop(&mut self, now: Tick, budget: &mut usize) -> Option<Timer> {
        let target = (now.0 >> GRANULE_BITS).max(self.at);
        while let Some((level, slot, begins)) = self.first()
            && begins <= target
        {
            self.at = begins.max(self.at);
            if *budget == 0 {
                return None;
            }
            *budget -= 1;
            // Until it is empty this slot comes first, whatever is armed meanwhile.
            self.spreading = (level > 0).then_some((level, slot));
            let index = self.levels[level].heads[slot];
            self.unlink(index);
            if Self::granule(self.entries[index as usize].deadline) > self.at && level > 0 {
                self.place(index);
                continue;
            }
            self.release(index);
            return Some(self.entries[index as usize].timer);
        }
        self.at = target;
        None
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
                loop {
                    let mut budget = 1 + rng.below(50) as usize;
                    while let Some(timer) = wheel.pop(now, &mut budget) {
                        let Timer::Seat(n, _) = timer else { panic!() };
                        let real = owners[n as usize].at;
                        if owners[n as usize].fired(now, &mut wheel, timer) {
                            assert!(real <= now && real == plain[n as usize], "seed {seed}");
                            plain[n as usize] = NEVER;
                        }
                        // Who is told may take back or move the deadlines of others.
                        let other = rng.below(owners.len() as u64) as usize;
                        let at = Tick(now.0 + rng.below(1 << 20));
                        let at = if rng.chance(1, 2) { NEVER } else { at };
                        plain[other] = at;
                        owners[other].set(at, &mut wheel, Timer::Seat(other as u32, 0));
                    }
                    if wheel.next().is_none_or(|t| t > now) {
                        break;
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
            let armed = plain.iter().filter(|at| **at != NEVER).count();
            assert_eq!(
                wheel.len(),
                armed,
                "seed {seed}: one entry for each deadline"
            );
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
            let (before, mut budget) = (got.len(), 64);
            while let Some(timer) = wheel.pop(Tick(7_001_000), &mut budget) {
                got.push(timer);
            }
            assert!(got.len() - before <= 64);
            assert!(wheel.len() == 0 || wheel.next().unwrap() <= Tick(7_001_000));
            calls += 1;
            assert!(calls < 2_000);
        }
        assert_eq!(got.len(), 10_000);
        let mut ids: Vec<_> = got
            .iter()
            .map(|t| match t {
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
        let far = Tick((HORIZON + 1) << GRANULE_BITS);
        assert_eq!(wheel.pop(far, &mut 9), Some(timer));
        assert!(!due.fired(Tick(HORIZON << GRANULE_BITS), &mut wheel, timer));
        assert_eq!(wheel.len(), 1);
        due.clear(&mut wheel);
        assert_eq!((wheel.len(), wheel.next()), (0, None));
    }
}
