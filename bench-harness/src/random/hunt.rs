//! Many seeds, one after another, and what is told of those that show a difference.

use super::act::Script;
use super::pair::pair;
use super::rig::{Rig, Through, Verdict};
use super::shrink::shrink;
use super::single::single;
use crate::transcript::Difference;
use std::fmt;
use std::ops::Range;

/// Seeds that differ after which a hunt ends.
const FOUND_MAX: usize = 5;
/// A shorter script is played so often before it counts as one that shows nothing: which server a
/// statement goes to is not the same each time.
const PLAYS: usize = 2;

/// What kind of sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sort {
    /// One that does everything.
    Single,
    /// Two that meet on the same rows.
    Pair,
}

impl Sort {
    /// The script of a seed.
    #[must_use]
    pub fn script(self, seed: u64, db: &str, has_locks: bool) -> Script {
        match self {
            Self::Single => single(seed, db, has_locks),
            Self::Pair => pair(seed, db, has_locks),
        }
    }
}

/// What a hunt has seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Scripts.
    pub scripts: u64,
    /// Their steps.
    pub steps: usize,
    /// Seeds that say nothing: the kernel answers them in different ways.
    pub unsteady: Vec<u64>,
    /// Seeds that differ.
    pub different: Vec<u64>,
    /// What is told of the first of them.
    pub story: String,
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} scripts, {} steps, unsteady seeds {:?}, {} differ",
            self.scripts,
            self.steps,
            self.unsteady,
            self.different.len()
        )?;
        if !self.different.is_empty() {
            write!(f, ": seeds {:?}\n{}", self.different, self.story)?;
        }
        Ok(())
    }
}

/// The seeds to run: `OBRING_RANDOM_SEED=n` is one, `OBRING_RANDOM_SEEDS=a..b` are others.
#[must_use]
pub fn seeds(default: Range<u64>) -> Range<u64> {
    let number = |text: &str| text.trim().parse::<u64>().ok();
    let var = |name: &str| std::env::var(name).ok();
    if let Some(seed) = var("OBRING_RANDOM_SEED").and_then(|text| number(&text)) {
        return seed..seed + 1;
    }
    let range = var("OBRING_RANDOM_SEEDS").and_then(|text| {
        let (from, to) = text.split_once("..")?;
        Some(number(from)?..number(to)?)
    });
    range.unwrap_or(default)
}

/// Plays the scripts of these seeds directly and through obring; `before` is called before each
/// step through obring. The first script that differs is made short.
///
/// # Errors
/// The kernel does not do what the rig needs.
pub fn hunt(
    rig: &mut Rig,
    through: &Through,
    (sort, has_locks): (Sort, bool),
    seeds: Range<u64>,
    before: &mut dyn FnMut(usize),
) -> Result<Tally, String> {
    let mut tally = Tally::default();
    for seed in seeds {
        let script = sort.script(seed, rig.db(), has_locks);
        tally.scripts += 1;
        tally.steps += script.steps.len();
        match rig.check(&script, through, before)? {
            Verdict::Same => continue,
            Verdict::Unsteady => tally.unsteady.push(seed),
            Verdict::Different(differences) => {
                if tally.different.is_empty() {
                    let short = shrink(&script, |s| differs(rig, s, through, before).is_some());
                    let again = differs(rig, &short, through, before);
                    tally.story = story(seed, sort, &differences, &short, again.as_deref());
                }
                tally.different.push(seed);
            }
        }
        if tally.different.len() == FOUND_MAX {
            break;
        }
    }
    Ok(tally)
}

fn differs(
    rig: &mut Rig,
    script: &Script,
    through: &Through,
    before: &mut dyn FnMut(usize),
) -> Option<Vec<Difference>> {
    (0..PLAYS).find_map(|_| match rig.check(script, through, before) {
        Ok(Verdict::Different(differences)) => Some(differences),
        _ => None,
    })
}

fn story(
    seed: u64,
    sort: Sort,
    first: &[Difference],
    short: &Script,
    again: Option<&[Difference]>,
) -> String {
    let list = |differences: &[Difference]| {
        let texts: Vec<_> = differences.iter().map(ToString::to_string).collect();
        texts.join("\n")
    };
    let again = again.map_or_else(|| "  not shown again".into(), list);
    format!(
        "{sort:?} seed {seed} (OBRING_RANDOM_SEED={seed} replays it):\n{}\nin short, steps behind \
         the login:\n{short}{again}",
        list(first)
    )
}
