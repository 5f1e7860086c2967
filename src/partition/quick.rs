//! The most frequent question by the shortest way: one table by HASH of an integer column, and
//! `column = digits`. The answer is the one that the general way gives; it costs a tenth.

use super::answer::{Answer, Certainty, Request};
use super::choose::hash_index;
use super::column::Kind;
use super::leaves::LeafSet;
use super::table::{Method, Table};
use crate::sql::{Comparison, Expr, NameParts, bare_name};

/// The answer; `None` if the question is another one.
pub(super) fn leaves(request: &Request<'_>, table: &Table) -> Option<Answer> {
    let ([_], [condition]) = (
        request.scan.tables.as_slice(),
        request.scan.conditions.as_slice(),
    ) else {
        return None;
    };
    let [only] = *table.first.columns.as_slice() else {
        return None;
    };
    if table.first.method != Method::Hash
        || table.first.formula.is_some()
        || table.second.is_some()
        || condition.plain != 1
    {
        return None;
    }
    let tree = &request.scan.tree;
    let Expr::Compare(Comparison::Equal, first) = tree.get(condition.root) else {
        return None;
    };
    let (Expr::Column(name), Expr::Int(digits)) = (tree.get(first), tree.get(tree.next(first)))
    else {
        return None;
    };
    let column = table.columns.get(only)?;
    let Kind::Int { max, .. } = column.kind else {
        return None;
    };
    let name = NameParts::of(name.of(request.text));
    let digits = digits.of(request.text);
    if name.qualifier().is_some()
        || digits.len() > 18
        || !bare_name(name.last()).eq_ignore_ascii_case(&column.name)
    {
        return None;
    }
    let n = digits
        .iter()
        .fold(0_u64, |n, b| n * 10 + u64::from(b.wrapping_sub(b'0')));
    let mut leaves = LeafSet::empty(table.leaf_count());
    // A number that the column cannot hold is in no row.
    if n <= max {
        leaves.add(hash_index(n.into(), table.first_parts.count.into()));
    }
    Some(Answer {
        leaves,
        certainty: Certainty::Exact,
    })
}
