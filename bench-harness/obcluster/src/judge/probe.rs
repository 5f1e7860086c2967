//! Whether the first leaf alone stands for nothing. Where no row can match, EXPLAIN prints the
//! first leaf, and does not always say why. So the condition is asked about once more, with a
//! second one behind OR that is true in other leaves only: the first leaf is printed again if it
//! was meant.

use super::case::{Bound, Case};
use super::catalog::Known;
use super::names;
use super::text::Text;
use std::ops::Range;

/// Values that are tried for the keys of a table, all keys the same, until one is in another leaf
/// than the first.
const VALUES: &[&str] = &[
    "1",
    "2",
    "3",
    "5",
    "8",
    "13",
    "'a'",
    "'b'",
    "'c'",
    "'d'",
    "'2001-02-03'",
    "'2010-11-12'",
    "'2024-05-06'",
    "2001",
    "2010",
    "2024",
];
/// Words that end a condition.
const BEHIND: &[&str] = &[
    "group",
    "having",
    "order",
    "limit",
    "for",
    "lock",
    "window",
    "into",
    "procedure",
];
/// Words of statements with more than one condition.
const SEVERAL: &[&str] = &["union", "except", "intersect", "minus", "with"];

/// The pieces of the one condition of a statement.
fn condition(text: &Text<'_>) -> Option<Range<usize>> {
    let (mut at, mut start, mut end) = (0, None, None);
    while at < text.tokens.len() {
        if text.is_sign(at, b'(') {
            at = text.behind(at)?;
            continue;
        }
        if text.is_any(at, SEVERAL) {
            return None;
        }
        if start.is_none() && text.is_word(at, "where") {
            start = Some(at + 1);
        } else if start.is_some() && end.is_none() && text.is_any(at, BEHIND) {
            end = Some(at);
        }
        at += 1;
    }
    let range = start?..end.unwrap_or(text.tokens.len());
    (!range.is_empty()).then_some(range)
}

/// The statement with another condition behind OR.
fn widened(text: &Text<'_>, probe: &str) -> Option<Vec<u8>> {
    let condition = condition(text)?;
    let front = text.tokens.get(condition.start)?.range.start;
    let head = text.bytes.get(..front)?;
    let tail = text.span(condition.end..text.tokens.len());
    let own = text.span(condition);
    let parts = [head, b" (", own, b") OR (", probe.as_bytes(), b") ", tail];
    Some(parts.concat())
}

/// A condition on keys by the values of a bound: `5`, `10,'g'` or `(1,'a'),(2,'b')`.
fn by_bound(keys: &[String], bound: &str) -> Option<String> {
    let text = Text::read(bound.as_bytes())?;
    let list = match text.is_sign(0, b'(') {
        true => 1..text.behind(0)?.checked_sub(1)?,
        false => 0..text.tokens.len(),
    };
    let values = text.split(list);
    if keys.is_empty() || values.len() < keys.len() {
        return None;
    }
    let each = keys.iter().zip(values).map(|(key, value)| {
        let value = String::from_utf8_lossy(text.span(value)).into_owned();
        equality(key, &value)
    });
    Some(each.collect::<Vec<_>>().join(" AND "))
}

fn equality(key: &str, value: &str) -> String {
    format!("`{}` <=> {value}", key.replace('`', "``"))
}

impl Case<'_, '_> {
    /// True where the statement touches nothing, though the first leaf of a table is printed. False
    /// also where that cannot be found out.
    pub(super) async fn is_nothing(&mut self, known: &Known) -> bool {
        // Columns are named without their table.
        let is_alone = names::factors(self.text.bytes).is_some_and(|f| f.len() == 1);
        if !is_alone || condition(self.text).is_none() {
            return false;
        }
        let Some(probe) = self.probe(known).await else {
            return false;
        };
        let Some(sql) = widened(self.text, &probe) else {
            return false;
        };
        self.misses_first(known, &sql).await
    }

    /// True where a statement's leaves are known and the first is not one of them.
    async fn misses_first(&mut self, known: &Known, sql: &[u8]) -> bool {
        let Ok(lines) = self.lines(sql, None).await else {
            return false;
        };
        let [line] = lines.as_slice() else {
            return false;
        };
        let leaves = line.spots.as_deref().and_then(|spots| known.leaves(spots));
        let leaves = leaves.filter(|_| !line.is_global_index);
        leaves.is_some_and(|leaves| !leaves.is_empty() && !leaves.contains(&0))
    }

    /// A condition that is true in other leaves than the first only; it is remembered.
    async fn probe(&mut self, known: &Known) -> Option<String> {
        let catalog = &self.court.catalog;
        if let Some(probe) = catalog.probe(self.version, known.table_id) {
            return probe;
        }
        let detail = catalog.detail(self.version, known).await.ok()?;
        let bounds = catalog.bounds(known).await.ok()?;
        let first = bounds
            .iter()
            .filter_map(|b| by_bound(&detail.first_keys, b));
        let mut all: Vec<String> = first.collect();
        all.extend(VALUES.iter().map(|value| {
            let each = detail.keys.iter().map(|key| equality(key, value));
            each.collect::<Vec<_>>().join(" AND ")
        }));
        let mut found = None;
        let table = format!(
            "`{}`.`{}`",
            known.database.replace('`', "``"),
            known.table.replace('`', "``")
        );
        for probe in all {
            let sql = format!("SELECT 1 FROM {table} WHERE {probe}");
            let mut plain = Case {
                court: self.court,
                desk: &mut *self.desk,
                text: self.text,
                bound: Bound::None,
                state: self.state,
                reads_variables: self.reads_variables,
                version: self.version,
            };
            if plain.misses_first(known, sql.as_bytes()).await {
                found = Some(probe);
                break;
            }
        }
        catalog.put_probe(self.version, known.table_id, found.clone());
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(sql: &str) -> Option<String> {
        let sql = widened(&Text::read(sql.as_bytes()).unwrap(), "k = 1")?;
        Some(String::from_utf8(sql).unwrap())
    }

    #[test]
    fn a_second_condition_is_put_behind_the_first() {
        for (sql, want) in [
            (
                "select (select 1 from u where 2) from t where a=1 or b=2 /* x */ order by c",
                "select (select 1 from u where 2) from t where  (a=1 or b=2) OR (k = 1) order by c",
            ),
            (
                "delete from t where a in (1)",
                "delete from t where  (a in (1)) OR (k = 1) ",
            ),
            (
                "update t set v=1 where a=? -- end\nand b=? limit 1",
                "update t set v=1 where  (a=? -- end\nand b=?) OR (k = 1) limit 1",
            ),
        ] {
            assert_eq!(of(sql).as_deref(), Some(want), "{sql}");
        }
        for sql in [
            "select 1 from t",
            "select 1 from t where",
            "select 1 from t where a union select 2 from t where b",
            "(select 1 from t where a)",
            "select 1 from t where (a",
        ] {
            assert_eq!(of(sql), None, "{sql}");
        }
    }

    #[test]
    fn bounds_are_conditions() {
        let keys = ["a", "b"].map(String::from);
        let of = |n: usize, bound: &str| by_bound(&keys[..n], bound);
        assert_eq!(of(1, "5,6").as_deref(), Some("`a` <=> 5"));
        assert_eq!(
            of(2, "10,'g'").as_deref(),
            Some("`a` <=> 10 AND `b` <=> 'g'")
        );
        let want = "`a` <=> NULL AND `b` <=> 'x,y'";
        assert_eq!(of(2, "(NULL,'x,y'),(1,'b')").as_deref(), Some(want));
        assert_eq!(of(2, "5"), None);
        assert_eq!(of(1, ""), None);
        assert_eq!(of(1, "(1"), None);
    }
}
