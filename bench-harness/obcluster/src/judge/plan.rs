//! Reads what EXPLAIN BASIC prints. It is read as bytes: a long line is cut at any byte, also
//! inside a character, and goes on behind six blanks.
//!
//! ```text
//! |ID|OPERATOR |NAME|
//! |0 |TABLE GET|h   |
//! Outputs & filters:
//!   0 - output([h.id]), filter(nil), rowset=16
//!       access([h.id]), partitions(p3)
//!       is_index_back=false, is_global_index=false,
//! ```
//!
//! Observed on seekdb 1.3.0.post5.

/// Leaves of one line: more are not read.
const SPOTS_MAX: usize = 65_536;
/// Operators of one plan.
const LINES_MAX: usize = 4_096;
/// A line that goes on.
const GOES_ON: &[u8] = b"\n      ";

/// A leaf as EXPLAIN names it: place of the partition, and of the sub partition in it.
pub(super) type Spot = (u32, Option<u32>);

/// A line of a plan that names partitions.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Line {
    /// The alias of the table, without the index; empty for the target of an INSERT.
    pub(super) name: Vec<u8>,
    /// Its leaves; `None` where `nil` is printed.
    pub(super) spots: Option<Vec<Spot>>,
    /// The leaves are those of a global index.
    pub(super) is_global_index: bool,
    /// It is the table that is inserted into.
    pub(super) is_target: bool,
    /// The kernel says itself that no row can come.
    pub(super) is_never: bool,
}

/// Reads a plan: its lines that name partitions. `None`: it is not understood.
pub(super) fn read(plan: &[u8]) -> Option<Vec<Line>> {
    let names = names(plan)?;
    let head = b"Outputs & filters:\n";
    let from = find(plan, head, 0)? + head.len();
    let mut lines = vec![];
    for (id, entry) in entries(plan.get(from..)?) {
        let name = names.iter().find(|(n, _)| *n == id).map(|(_, name)| *name);
        lines.extend(line(name?, &entry)?);
    }
    Some(lines)
}

/// Numbers and NAME cells of the operators.
fn names(plan: &[u8]) -> Option<Vec<(usize, &[u8])>> {
    let mut found = vec![];
    for row in plan.split(|b| *b == b'\n').skip(3) {
        let Some(row) = row.strip_prefix(b"|") else {
            break;
        };
        let mut cells = row.splitn(3, |b| *b == b'|');
        let id = std::str::from_utf8(cells.next()?).ok()?.trim();
        let name = cells.nth(1)?.strip_suffix(b"|")?.trim_ascii_end();
        if found.len() >= LINES_MAX {
            return None;
        }
        found.push((id.parse().ok()?, name));
    }
    (!found.is_empty()).then_some(found)
}

/// The entries below, each as one line.
fn entries(text: &[u8]) -> Vec<(usize, Vec<u8>)> {
    let mut all: Vec<(usize, Vec<u8>)> = vec![];
    for line in text.split(|b| *b == b'\n') {
        if let Some((id, rest)) = entry_head(line) {
            all.push((id, rest.to_vec()));
        } else if let Some((_, entry)) = all.last_mut() {
            match line.strip_prefix(&GOES_ON[1..]) {
                Some(rest) => entry.extend_from_slice(rest),
                // A text with a line of its own inside, or what stands behind the entries.
                None => entry.extend_from_slice(line),
            }
        }
    }
    all
}

/// `  3 - output(`: the number, and what stands behind the dash.
fn entry_head(line: &[u8]) -> Option<(usize, &[u8])> {
    let trimmed = line.trim_ascii_start();
    let blanks = line.len() - trimmed.len();
    let digits = trimmed.iter().take_while(|b| b.is_ascii_digit()).count();
    let (number, rest) = trimmed.split_at_checked(digits)?;
    let rest = rest.strip_prefix(b" - ")?;
    if blanks > 3 || !rest.starts_with(b"output(") {
        return None;
    }
    Some((std::str::from_utf8(number).ok()?.parse().ok()?, rest))
}

/// The line of an entry; none where it names no partitions.
fn line(name: &[u8], entry: &[u8]) -> Option<Option<Line>> {
    const LIST: &[u8] = b"), partitions(";
    const BEHIND: &[&[u8]] = &[b"is_index_back=", b"limit("];
    let Some(scan) = find(entry, b"access(", 0) else {
        return target(entry);
    };
    let (mut found, mut has_other) = (None, false);
    let mut at = scan;
    while let Some(list) = find(entry, LIST, at) {
        at = list + LIST.len();
        let Some((spots, end)) = spots(entry.get(at..)?) else {
            continue;
        };
        // The same words in a literal have something else behind them.
        let behind = entry.get(at + end..)?;
        if !BEHIND.iter().any(|word| behind.starts_with(word)) {
            has_other = true;
            continue;
        }
        if found.is_some() {
            return None;
        }
        found = Some((spots, at + end));
    }
    let Some((spots, end)) = found else {
        return (!has_other).then_some(None);
    };
    let (before, behind) = entry.split_at_checked(end)?;
    let is_never = find(before, b"startup_filter([0])", 0).is_some()
        || find(behind, b")always false", 0).is_some();
    Some(Some(Line {
        name: without_index(name).to_vec(),
        spots,
        is_global_index: find(behind, b"is_global_index=true", 0).is_some(),
        is_target: false,
        is_never,
    }))
}

/// The line of an INSERT or REPLACE.
fn target(entry: &[u8]) -> Option<Option<Line>> {
    const LIST: &[u8] = b"})}]), partitions(";
    let Some(columns) = find(entry, b"columns([{", 0) else {
        return Some(None);
    };
    let Some(list) = find(entry, LIST, columns) else {
        return Some(None);
    };
    let (spots, _) = spots(entry.get(list + LIST.len()..)?)?;
    Some(Some(Line {
        name: vec![],
        spots,
        is_global_index: false,
        is_target: true,
        is_never: false,
    }))
}

/// `a(index)`, `a(index,Reverse)`: the alias in front.
fn without_index(name: &[u8]) -> &[u8] {
    let open = name.iter().rposition(|b| *b == b'(');
    match open {
        Some(at) if name.ends_with(b")") => name.get(..at).unwrap_or(name),
        _ => name,
    }
}

/// A list of leaves up to its bracket, and its length with the bracket.
fn spots(text: &[u8]) -> Option<(Option<Vec<Spot>>, usize)> {
    let end = text.iter().position(|b| *b == b')')?;
    let list = std::str::from_utf8(text.get(..end)?).ok()?;
    if list.trim() == "nil" {
        return Some((None, end + 1));
    }
    let mut all = vec![];
    for item in list.split(',') {
        let item = item.trim().strip_prefix('p')?;
        match item.split_once("sp") {
            None => {
                for part in range(item)? {
                    all.push((part, None));
                }
            }
            Some((part, subs)) => {
                let part = part.parse().ok()?;
                for sub in range(subs)? {
                    all.push((part, Some(sub)));
                }
            }
        }
        if all.len() > SPOTS_MAX {
            return None;
        }
    }
    Some((Some(all), end + 1))
}

/// `3` or `[0-3]`.
fn range(text: &str) -> Option<std::ops::RangeInclusive<u32>> {
    let (first, last) = match text.strip_prefix('[').and_then(|t| t.strip_suffix(']')) {
        Some(inner) => inner.split_once('-')?,
        None => (text, text),
    };
    let (first, last) = (first.parse().ok()?, last.parse().ok()?);
    let is_short = last >= first && ((last - first) as usize) < SPOTS_MAX;
    is_short.then_some(first..=last)
}

/// What EXPLAIN EXTENDED says of an alias: the name of its table, in the kernel's spelling.
pub(super) fn table_of(plan: &[u8], alias: &[u8]) -> Option<Vec<u8>> {
    let from = find(plan, b"\nOptimization Info:\n", 0)?;
    let mut rows = plan.get(from + 1..)?.split(|b| *b == b'\n');
    rows.find(|row| {
        let row = row.strip_prefix(b"  ").and_then(|r| r.strip_suffix(b":"));
        row.is_some_and(|r| r.eq_ignore_ascii_case(alias))
    })?;
    // Indexes first, the table last. A row with less indentation begins the next alias.
    let of_alias = rows.take_while(|row| row.starts_with(b"      "));
    let mut lists =
        of_alias.filter_map(|row| row.trim_ascii().strip_prefix(b"avaiable_index_name:["));
    let list = lists.next()?.strip_suffix(b"]")?;
    let last = list.rsplit(|b| *b == b',').next()?;
    Some(last.trim_ascii().to_vec())
}

fn find(text: &[u8], what: &[u8], from: usize) -> Option<usize> {
    let at = text
        .get(from..)?
        .windows(what.len())
        .position(|w| w == what);
    at.map(|n| n + from)
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
