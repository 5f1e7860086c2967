//! A script that shows a difference, made short.

use super::act::Script;

/// Scripts tried at most.
const TRIES_MAX: usize = 250;

/// Drops steps, many at a time and then one by one, as long as the rest still `differs`.
pub fn shrink(script: &Script, mut differs: impl FnMut(&Script) -> bool) -> Script {
    let mut best = script.clone();
    let mut tries = 0;
    let mut size = best.steps.len().div_ceil(2);
    while size > 0 {
        let mut at = best.steps.len();
        let mut is_shorter = false;
        while at > 0 {
            if tries == TRIES_MAX {
                return best;
            }
            let from = at.saturating_sub(size);
            let mut candidate = best.clone();
            candidate.steps.drain(from..at);
            tries += 1;
            if differs(&candidate) {
                best = candidate;
                is_shorter = true;
            }
            at = from;
        }
        // The same size again as long as it helps, for what only goes together.
        if !is_shorter || size > 1 {
            size /= 2;
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::act::{Act, Step};

    fn script(texts: &[&str]) -> Script {
        let steps = texts.iter().map(|sql| Step {
            who: 0,
            act: Act::Query(sql.as_bytes().to_vec()),
        });
        Script {
            logins: vec![],
            steps: steps.collect(),
            has_locks: false,
        }
    }

    fn has(script: &Script, text: &str) -> bool {
        script.to_string().contains(text)
    }

    #[test]
    fn only_what_is_needed_stays() {
        let long: Vec<String> = (0..60).map(|n| format!("select {n}.")).collect();
        let long: Vec<&str> = long.iter().map(String::as_str).collect();
        let short = shrink(&script(&long), |s| has(s, " 7.") && has(s, " 41."));
        assert_eq!(short.steps.len(), 2, "{short}");
        assert!(has(&short, " 7.") && has(&short, " 41."));
        let none = shrink(&script(&long), |_| true);
        assert_eq!(none.steps.len(), 0);
        let all = shrink(&script(&long[..3]), |s| s.steps.len() == 3);
        assert_eq!(all.steps.len(), 3);
    }
}
