//! Keys that a comment gives: `/*ODP: table(t), part_key(k = 5)*/` (odp_newer.md 2.8).

use super::answer::{Answer, Certainty};
use super::choose::IsExact;
use super::constant::Source;
use super::convert::Match;
use super::domain::Domain;
use super::session::Context;
use super::solve::{Reach, Spread};
use super::table::Table;
use super::value::Key;
use crate::sql::{Comparison, Expr, NameParts, NodeId, Scan, bare_name, same_name};

/// The leaves of rows whose columns have the values of `conditions`, the text of
/// [`crate::sql::NoteKey::PartKey`]. A condition that is not understood is left out. Whoever wrote
/// the comment says that the statement is about these rows: it is not looked at.
#[must_use]
pub fn leaves_of_note<'a>(table: &'a Table, conditions: &[u8], context: &'a Context<'a>) -> Answer {
    let mut scan = Scan::default();
    let first = scan.read_conditions(conditions);
    let source = Source {
        tree: &scan.tree,
        text: conditions,
        context,
        columns: None,
    };
    let mut domains = vec![Domain::All; table.described().count()];
    let mut is_whole = !first.is_none();
    for condition in scan.tree.children(first) {
        let Some((at, key)) = key(table, &source, condition) else {
            is_whole = false;
            continue;
        };
        let (domain, column) = (domains.get_mut(at), table.described().nth(at));
        if let (Some(domain), Some(column)) = (domain, column) {
            domain.intersect(Domain::Values(key.into_iter().collect()), column);
        }
    }
    let (leaves, IsExact(is_exact)) =
        Spread::of_domains(table, context, &domains, false, Reach::Left).leaves(table);
    let certainty = match is_whole && is_exact {
        true => Certainty::Exact,
        false if leaves.is_all() => Certainty::Unknown,
        false => Certainty::Superset,
    };
    Answer { leaves, certainty }
}

/// The column of `column = value`, and the key that it must have; the inner `None`: none.
fn key(
    table: &Table,
    source: &Source<'_>,
    condition: NodeId,
) -> Option<(usize, Option<Key<'static>>)> {
    let Expr::Compare(Comparison::Equal, sides) = source.tree.get(condition) else {
        return None;
    };
    let [name, value] = source.tree.exactly(sides)?;
    let Expr::Column(name) = source.tree.get(name) else {
        return None;
    };
    let name = bare_name(NameParts::of(name.of(source.text)).last());
    let at = table.described().position(|c| same_name(&c.name, name))?;
    let value = source.constant(value)?;
    let column = table.described().nth(at)?;
    match column.matches(&value, source.context) {
        Match::Is(key) => Some((at, Some(key.into_owned()))),
        Match::Never => Some((at, None)),
        Match::Any | Match::Hardly => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_of_a_comment_choose_leaves() {
        let table = Table::by_hash(b"k", (0..8).map(|n| (&b"p"[..], n)));
        let context = Context::default();
        for (text, leaves, certainty) in [
            ("k = 5", vec![5], Certainty::Exact),
            ("`K`='13'", vec![5], Certainty::Exact),
            ("t.k = 3, z = 1", vec![3], Certainty::Superset),
            ("k = 3, k = 4", vec![], Certainty::Exact),
            ("z = 1", (0..8).collect(), Certainty::Unknown),
            ("k > 5", (0..8).collect(), Certainty::Unknown),
            ("k = 5 x", (0..8).collect(), Certainty::Unknown),
            ("", (0..8).collect(), Certainty::Unknown),
        ] {
            let answer = leaves_of_note(&table, text.as_bytes(), &context);
            let found: Vec<_> = answer.leaves.iter().collect();
            assert_eq!((found, answer.certainty), (leaves, certainty), "{text}");
        }
    }
}
