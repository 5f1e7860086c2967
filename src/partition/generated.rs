//! Keys that are computed from other columns: conditions on those bind the key (routing.md 4.7).

use super::constant::Source;
use super::domain::Domain;
use super::session::Context;
use super::table::{Formula, Table};
use super::value::{Key, Value};
use crate::sql::{bare_name, same_name};

/// Most values of sources that keys are computed for.
const VALUES_MAX: usize = 1 << 12;

/// The expression of a generated column.
pub(super) fn formula<'a>(table: &'a Table, name: &[u8]) -> Option<&'a Formula> {
    let at = table.column(name)?;
    table.formulas.get(at)?.as_ref()
}

/// Domains in which generated columns have the values that their sources make. `None`: nothing
/// changes. `is_branch`: the domains are those of a branch of an OR.
pub(super) fn computed<'a>(
    table: &'a Table,
    context: &'a Context<'a>,
    domains: &[Domain<'a>],
    is_branch: bool,
) -> Option<Vec<Domain<'a>>> {
    if table.formulas.iter().all(Option::is_none) {
        return None;
    }
    let mut all: Option<Vec<Domain<'a>>> = None;
    for (at, formula) in table.formulas.iter().enumerate() {
        let Some(formula) = formula.as_ref() else {
            continue;
        };
        // In a branch of an OR the server does not compare the two.
        if is_branch && domains.get(at) != Some(&Domain::All) {
            continue;
        }
        let names = formula.names();
        let [name] = names.as_slice() else {
            continue;
        };
        let Some(found) = of_one(table, context, domains, formula, name, at) else {
            continue;
        };
        let column = table.columns.get(at)?;
        let all = all.get_or_insert_with(|| domains.to_vec());
        if let Some(domain) = all.get_mut(at) {
            domain.intersect(found, column);
        }
    }
    all
}

/// The values of a column that is computed from one other.
fn of_one<'a>(
    table: &Table,
    context: &Context<'_>,
    domains: &[Domain<'_>],
    formula: &Formula,
    name: &[u8],
    at: usize,
) -> Option<Domain<'a>> {
    let name = bare_name(name);
    let (place, origin) = table
        .described()
        .enumerate()
        .find(|(_, c)| same_name(&c.name, name))?;
    let values = match domains.get(place)? {
        Domain::Values(values) if values.len() <= VALUES_MAX => values,
        // No row of an empty range.
        _ => return None,
    };
    let column = table.columns.get(at)?;
    let compute = |key: &Key<'_>| {
        let value = origin.value(key, context.zone)?.into_owned();
        let find = |_: &[u8]| Some(value.clone());
        let source = Source {
            tree: &formula.scan.tree,
            text: &formula.text,
            context,
            columns: Some(&find),
        };
        let made: Value<'static> = source.constant(formula.root)?.into_owned();
        Some(column.store(&made, context)?.into_owned())
    };
    let keys: Option<Vec<_>> = values.iter().map(compute).collect();
    keys.map(Domain::Values)
}
