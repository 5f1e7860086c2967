//! CPU time of a process and everything it started, from `/proc`.

use std::fs;

/// Nanoseconds on a CPU of all threads of `root` and of its descendants. Exact while they sleep;
/// what has ended is missing.
///
/// # Errors
/// The file that cannot be read.
pub fn cpu_ns(root: u32) -> Result<u64, String> {
    let mut sum = 0;
    for pid in tree(root) {
        let folder = format!("/proc/{pid}/task");
        let tasks = match fs::read_dir(&folder) {
            Ok(tasks) => tasks,
            Err(e) if pid == root => return Err(format!("{folder}: {e}")),
            // A descendant that has ended since the tree was read.
            Err(_) => continue,
        };
        for task in tasks.flatten() {
            let path = task.path().join("schedstat");
            // A thread may end between the listing and this.
            let Ok(text) = fs::read_to_string(&path) else {
                continue;
            };
            let place = || format!("{}: {text:?} has no CPU time", path.display());
            sum += on_cpu_ns(&text).ok_or_else(place)?;
        }
    }
    if sum == 0 {
        return Err(format!("process {root} has used no CPU: does it run?"));
    }
    Ok(sum)
}

/// The process and its descendants.
#[must_use]
pub fn tree(root: u32) -> Vec<u32> {
    let mut pairs = vec![];
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|n| n.parse().ok()) else {
            continue;
        };
        let stat = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        if let Some(parent) = parent(&stat) {
            pairs.push((pid, parent));
        }
    }
    descendants(root, &pairs)
}

/// The first number of `schedstat`: nanoseconds on a CPU.
fn on_cpu_ns(schedstat: &str) -> Option<u64> {
    schedstat.split_whitespace().next()?.parse().ok()
}

/// The parent in a line of `stat`. The name in brackets may hold anything, brackets too.
fn parent(stat: &str) -> Option<u32> {
    let (_, rest) = stat.rsplit_once(") ")?;
    rest.split_whitespace().nth(1)?.parse().ok()
}

/// `root` and all below it, of pairs of process and parent.
fn descendants(root: u32, pairs: &[(u32, u32)]) -> Vec<u32> {
    let mut found = vec![root];
    let mut at = 0;
    while let Some(&parent) = found.get(at) {
        found.extend(pairs.iter().filter(|p| p.1 == parent).map(|p| p.0));
        at += 1;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proc_is_read() {
        assert_eq!(on_cpu_ns("741131 73298 2\n"), Some(741_131));
        assert_eq!(on_cpu_ns(""), None);
        assert_eq!(parent("17 (a) b) S 4 17 17 0 -1"), Some(4));
        assert_eq!(parent("17 (a"), None);
        assert!(cpu_ns(std::process::id()).unwrap() > 0);
    }

    #[test]
    fn grandchildren_belong_to_the_tree() {
        let pairs = [(1, 0), (7, 1), (8, 7), (9, 8), (10, 1), (11, 7)];
        assert_eq!(descendants(7, &pairs), [7, 8, 11, 9]);
        assert_eq!(descendants(10, &pairs), [10]);
    }
}
