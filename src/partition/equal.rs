//! Whose a column is, and what joins say about it: `a.k = b.k AND b.k = 5` binds `a.k` too.

use super::answer::Request;
use super::column::{Column, Kind};
use super::constant::Source;
use super::convert::Match;
use super::domain::Domain;
use super::table::Table;
use super::value::Value;
use crate::sql::{
    Comparison, Condition, Expr, NameParts, NodeId, Origin, TableSet, bare_name, same_name,
};

/// The table that a column name means when it stands in a block: its index. `None` if that is not
/// certain. A bare name is a key of the only table that is known to have such a key: if another
/// table had it too, the statement would fail.
pub(super) fn owner(request: &Request<'_>, block: u16, name: &NameParts<'_>) -> Option<usize> {
    let scan = request.scan;
    let mut block = Some(block);
    while let Some(number) = block {
        let own = || {
            let tables = scan.tables.iter().enumerate();
            tables.filter(move |(_, t)| t.block == number)
        };
        let described = scan.blocks.get(usize::from(number))?;
        let mut found = None;
        for (index, table) in own() {
            let fits = match name.qualifier() {
                Some(qualifier) => {
                    let written = NameParts::of(table.name.of(request.text));
                    let exposed = match table.alias.is_empty() {
                        true => written.last(),
                        false => table.alias.of(request.text),
                    };
                    let database = written.qualifier().unwrap_or(request.context.database);
                    let is_database = name
                        .database()
                        .is_none_or(|d| table.alias.is_empty() && same_name(d, database));
                    same_name(exposed, qualifier) && is_database
                }
                None => {
                    let description = request.tables.get(index).copied().flatten();
                    let is_stored = table.origin == Origin::Stored;
                    let has_it = description.is_some_and(|t| t.describes(bare_name(name.last())));
                    has_it && is_stored && (!described.has_merged_columns || own().count() == 1)
                }
            };
            if fits && found.replace(index).is_some() {
                return None;
            }
        }
        if found.is_some() {
            return found;
        }
        // A bare name may be a column of a table here that is not described: look no further out.
        if name.qualifier().is_none() && own().next().is_some() {
            return None;
        }
        block = described.parent;
    }
    None
}

/// The set of one table.
fn bit(index: usize) -> TableSet {
    1_u64.checked_shl(index as u32).unwrap_or(0)
}

/// Most pairs of columns that are kept, and most columns that are followed.
const PAIRS_MAX: usize = 64;

/// A column of a table of the statement.
type Place = (usize, usize);

/// Equalities between columns, and constants of columns, in conditions that hold together.
pub(super) struct Equals<'a> {
    request: &'a Request<'a>,
    table: &'a Table,
    index: usize,
    pairs: Vec<(Place, Place)>,
    constants: Vec<(Place, NodeId)>,
}

impl<'a> Equals<'a> {
    /// Collects what holds for all rows of the table that matter: its own conditions, and, of the
    /// blocks around it, what holds of every row there or of none that is missing.
    pub(super) fn new(request: &'a Request<'a>, table: &'a Table, index: usize) -> Self {
        let mut it = Self {
            request,
            table,
            index,
            pairs: Vec::new(),
            constants: Vec::new(),
        };
        let scan = request.scan;
        // Alone in the statement, a table has nobody to learn from.
        if scan.tables.len() < 2 {
            return it;
        }
        let bit = bit(index);
        let mut around = Vec::new();
        let mut block = scan.tables.get(index).map(|t| t.block);
        while let Some(number) = block {
            block = scan.blocks.get(usize::from(number)).and_then(|b| b.parent);
            around.extend(block);
        }
        for condition in &scan.conditions {
            let is_own = (condition.plain | condition.rejecting) & bit != 0;
            let is_outer = around.contains(&condition.block) && condition.rejecting == 0;
            if is_own {
                it.collect(condition.root, condition, None, 0);
            } else if is_outer {
                it.collect(condition.root, condition, it.limits(condition), 0);
            }
        }
        it
    }

    /// The tables that a condition of a block around speaks of; `None`: it holds whenever the
    /// subquery is asked. ON of an outer join says nothing about the other side: of `a LEFT JOIN c
    /// ON a.k = 5 WHERE EXISTS (.. b.k = a.k)` rows of `a` with any key ask for rows of `b`.
    fn limits(&self, condition: &Condition) -> Option<TableSet> {
        let scan = self.request.scan;
        let tables = scan.tables.iter().enumerate();
        let own = tables.filter(|(_, t)| t.block == condition.block);
        let all = own.fold(0, |all, (index, _)| all | bit(index));
        let holds = all & !condition.plain == 0 && !scan.facts.hides_tables;
        (!holds).then_some(condition.plain)
    }

    /// True if what is said of a place holds.
    fn is_within(limits: Option<TableSet>, place: Place) -> bool {
        limits.is_none_or(|tables| tables & bit(place.0) != 0)
    }

    fn place(&self, node: NodeId, block: u16) -> Option<Place> {
        let Expr::Column(span) = self.request.scan.tree.get(node) else {
            return None;
        };
        let name = NameParts::of(span.of(self.request.text));
        let index = owner(self.request, block, &name)?;
        let table = self.request.tables.get(index).copied().flatten()?;
        Some((index, table.column(bare_name(name.last()))?))
    }

    /// Collects from a condition, or a part of it that holds with it. Of `limits` all places of an
    /// equality must be: one that is not may have any value where the tables of the others miss.
    fn collect(
        &mut self,
        node: NodeId,
        condition: &Condition,
        limits: Option<TableSet>,
        depth: u32,
    ) {
        let tree = &self.request.scan.tree;
        let block = condition.block;
        match tree.get(node) {
            Expr::And(first) if depth < 64 => {
                for node in tree.children(first) {
                    self.collect(node, condition, limits, depth + 1);
                }
            }
            Expr::Compare(Comparison::Equal, first) => {
                let Some([a, b]) = tree.exactly(first) else {
                    return;
                };
                match (self.place(a, block), self.place(b, block)) {
                    (Some(a), Some(b))
                        if self.pairs.len() < PAIRS_MAX
                            && Self::is_within(limits, a)
                            && Self::is_within(limits, b) =>
                    {
                        self.pairs.push((a, b));
                    }
                    (Some(place), None) => self.constant(place, b, limits),
                    (None, Some(place)) => self.constant(place, a, limits),
                    _ => {}
                }
            }
            Expr::In(first) => {
                if let Some(place) = self.place(first, block) {
                    self.constant(place, node, limits);
                }
            }
            _ => {}
        }
    }

    fn constant(&mut self, place: Place, node: NodeId, limits: Option<TableSet>) {
        if self.constants.len() < PAIRS_MAX && Self::is_within(limits, place) {
            self.constants.push((place, node));
        }
    }

    fn column(&self, place: Place) -> Option<&'a Column> {
        let table = self.request.tables.get(place.0).copied().flatten()?;
        table.columns.get(place.1)
    }

    /// Narrows the table's domains by what its columns are equal to.
    pub(super) fn narrow(&self, domains: &mut [Domain<'a>]) {
        if self.pairs.is_empty() || self.constants.is_empty() {
            return;
        }
        for (at, domain) in domains.iter_mut().enumerate() {
            let Some(own) = self.table.columns.get(at) else {
                continue;
            };
            // All columns equal to it, found by following pairs.
            let mut class = vec![(self.index, at)];
            let mut next = 0;
            while let Some(place) = class.get(next).copied() {
                next += 1;
                for (a, b) in &self.pairs {
                    for (from, to) in [(a, b), (b, a)] {
                        if *from == place && !class.contains(to) {
                            class.push(*to);
                        }
                    }
                }
            }
            // A chain of columns of another kind could change what equal means on the way.
            if !class
                .iter()
                .all(|p| self.column(*p).is_some_and(|c| are_alike(own, c)))
            {
                continue;
            }
            for (place, node) in &self.constants {
                if *place != (self.index, at)
                    && class.contains(place)
                    && let Some(found) = self.values(own, *node)
                {
                    domain.intersect(found, own);
                }
            }
        }
    }

    /// What `column = constant` or `column IN (constants)` selects.
    fn values(&self, column: &Column, node: NodeId) -> Option<Domain<'a>> {
        let tree = &self.request.scan.tree;
        let source = Source {
            tree,
            text: self.request.text,
            context: self.request.context,
            columns: None,
        };
        let matches = |node| {
            let value: Value<'a> = source.constant(node)?;
            Some(column.matches(&value, self.request.context))
        };
        let Expr::In(first) = tree.get(node) else {
            return match matches(node)? {
                Match::Is(key) => Some(Domain::Values(vec![key])),
                Match::Never => Some(Domain::NOTHING),
                Match::Any | Match::Hardly => None,
            };
        };
        let mut values = Vec::new();
        for item in tree.children(tree.next(first)) {
            match matches(item)? {
                Match::Is(key) => values.push(key),
                Match::Never => {}
                Match::Any | Match::Hardly => return None,
            }
        }
        Some(Domain::Values(values))
    }
}

/// True if a constant that one column equals is the one that the other equals.
fn are_alike(a: &Column, b: &Column) -> bool {
    match (a.kind, b.kind) {
        (Kind::Int { .. }, Kind::Int { .. }) => true,
        (Kind::Char | Kind::Varchar, Kind::Char | Kind::Varchar) => {
            a.collation.is_some() && a.collation == b.collation
        }
        (a_kind, b_kind) => a_kind == b_kind && a.scale == b.scale,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::partition::{Context, leaves};
    use crate::sql::{Scan, Syntax};

    /// Leaves of the last table named of a statement over tables by HASH(k) of 16 partitions.
    fn last(text: &str) -> Vec<u32> {
        let table = Table::by_hash(b"k", (0..16).map(|n| (&b"p"[..], n)));
        let mut scan = Scan::default();
        scan.read(text.as_bytes(), Syntax::default(), true);
        let tables = vec![Some(&table); scan.tables.len()];
        let request = Request {
            text: text.as_bytes(),
            scan: &scan,
            tables: &tables,
            context: &Context::default(),
        };
        let answer = leaves(&request, scan.tables.len() - 1).expect(text);
        answer.leaves.iter().collect()
    }

    #[test]
    fn a_subquery_learns_from_around_what_holds_whenever_it_is_asked() {
        let all: Vec<u32> = (0..16).collect();
        for (from, wanted) in [
            ("a where a.k = 5 and", Some(5)),
            ("a join c on a.k = 5 where", Some(5)),
            ("a join c on a.k = c.k and c.k = 5 where", Some(5)),
            ("a left join c on a.k = 5 where", None),
            ("a left join c on a.k = c.k and c.k = 5 where", None),
            ("c right join a on a.k = c.k and c.k = 5 where", None),
            ("a left join c on c.k = 5 where a.k = c.k and", None),
            ("a left join (c join d on a.k = 5) on true where", None),
            (
                "a join d on a.k = 5 left join c on c.v = d.v where",
                Some(5),
            ),
            (
                "(a join d on a.k = 5) right join c on c.v = d.v where",
                Some(5),
            ),
            ("c left join a on a.k = 5 where", Some(5)),
        ] {
            let text = format!("select 1 from {from} exists (select 1 from b where b.k = a.k)");
            let wanted = wanted.map_or_else(|| all.clone(), |leaf| vec![leaf]);
            assert_eq!(last(&text), wanted, "{text}");
        }
        // A condition of an outer join about a table further out.
        for (on, wanted) in [("c.k = a.k and c.k = 5", None), ("a.k = 5", None)] {
            let text = format!(
                "select 1 from a where exists (select 1 from m left join c on {on} \
                 where exists (select 1 from b where b.k = a.k))"
            );
            let wanted = wanted.map_or_else(|| all.clone(), |leaf| vec![leaf]);
            assert_eq!(last(&text), wanted, "{text}");
        }
    }
}
