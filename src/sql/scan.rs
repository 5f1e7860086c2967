//! What a scan finds out about a statement.

use super::hint::Hints;
use super::tree::{Comparison, Expr, NodeId, Span, Tree};

/// What a statement does.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[expect(missing_docs, reason = "named as in SQL")]
pub enum Verb {
    /// Nothing but blanks and comments.
    #[default]
    Empty,
    /// Begins with something that is none of the below.
    Other,
    Select,
    Insert,
    Replace,
    Update,
    Delete,
    Merge,
    LoadData,
    Call,
    /// BEGIN, START TRANSACTION
    Begin,
    Commit,
    Rollback,
    /// SAVEPOINT, RELEASE SAVEPOINT, ROLLBACK TO
    Savepoint,
    Xa,
    Set,
    Use,
    Show,
    /// DESC, DESCRIBE or EXPLAIN of a table
    Describe,
    Help,
    Kill,
    /// CREATE, ALTER, DROP, TRUNCATE, RENAME, ANALYZE
    Ddl,
    Prepare,
    Execute,
    Deallocate,
    LockTables,
    UnlockTables,
    Do,
    Handler,
}

impl Verb {
    /// True for statements that read or write rows of tables.
    #[must_use]
    pub const fn is_dml(self) -> bool {
        matches!(
            self,
            Self::Select
                | Self::Insert
                | Self::Replace
                | Self::Update
                | Self::Delete
                | Self::Merge
                | Self::LoadData
        )
    }

    /// True for INSERT and REPLACE, whose rows decide.
    #[must_use]
    pub const fn is_insert(self) -> bool {
        matches!(self, Self::Insert | Self::Replace)
    }
}

/// What EXPLAIN stands in front of a statement.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Explain {
    /// None.
    #[default]
    No,
    /// The server's: the statement goes where it would go without.
    Plan,
    /// EXPLAIN ROUTE: the proxy's own.
    Route,
}

/// A set of tables of one statement, by their index in [`Scan::tables`].
pub type TableSet = u64;

/// Most tables of a statement; more, and nothing is known of its conditions.
pub const TABLES_MAX: usize = 64;

/// What a table is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Origin {
    /// One of the database: a table, a view, a synonym.
    Stored,
    /// A subquery in FROM, a name of a WITH clause, a table function.
    Derived,
}

/// A table in FROM, INTO, UPDATE, ....
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Table {
    /// The query block it stands in: an index of [`Scan::blocks`].
    pub block: u16,
    /// `d.t`, as written ([`super::NameParts`]); empty for a subquery.
    pub name: Span,
    /// Its alias as written; empty if it has none.
    pub alias: Span,
    /// What it is.
    pub origin: Origin,
    /// Names in PARTITION (..): a range of [`Scan::names`]; empty if there is no such clause.
    pub partitions: (u32, u32),
    /// `t@link`: a table of another database.
    pub is_remote: bool,
    /// The name is known to be one word without quotes; false says nothing.
    pub is_bare: bool,
}

/// One SELECT, or one UPDATE, DELETE, ....
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Block {
    /// The block that this one stands in.
    pub parent: Option<u16>,
    /// A join by USING or NATURAL: a bare column may then mean more than one table.
    pub has_merged_columns: bool,
}

/// A condition: of WHERE, or of ON.
///
/// All rows that matter satisfy it, for the tables of `plain` as it stands. For those of
/// `rejecting`, the inner side of an outer join, a missing row may satisfy it as well: only parts
/// that are false or unknown for NULL count.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Condition {
    /// Its block.
    pub block: u16,
    /// The condition.
    pub root: NodeId,
    /// Tables that it restricts.
    pub plain: TableSet,
    /// Tables that it restricts where it rejects NULL.
    pub rejecting: TableSet,
}

/// Where the rows of an INSERT come from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Rows {
    /// VALUES or SET: a list of [`Expr::Row`].
    Values(NodeId),
    /// One SELECT: its items, in order ([`Expr::Unknown`] for those not understood). None
    /// if `*` is among them or several are joined by UNION.
    Select(NodeId),
}

/// What an INSERT or REPLACE says. Its table is the first of the statement.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Insert {
    /// Columns: a range of [`Scan::names`]. `None`: all, in the order of the table.
    pub columns: Option<(u32, u32)>,
    /// The rows.
    pub rows: Rows,
}

/// Scope of a variable in SET.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[expect(missing_docs, reason = "named as in SQL")]
pub enum Scope {
    Session,
    Global,
    User,
    /// `SET @@x`, which holds for the next transaction when x is a characteristic of transactions.
    Bare,
}

/// One assignment of SET. `SET NAMES x` is `names = x`, `SET CHARACTER SET x` is `charset = x`,
/// `SET NAMES x COLLATE y` also `collate = y`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Assignment {
    /// Whose variable.
    pub scope: Scope,
    /// Its name, without scope and `@`.
    pub name: Span,
    /// Its value; a bare word is an [`Expr::Column`].
    pub value: NodeId,
}

/// `k = 5`, the whole condition of a statement about one table of the database.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Point {
    /// The column, as written.
    pub column: Span,
    /// The number: digits.
    pub digits: Span,
}

/// What else a statement shows.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Facts {
    /// FOR UPDATE, FOR SHARE, LOCK IN SHARE MODE, anywhere.
    pub is_locking: bool,
    /// READ ONLY of START TRANSACTION.
    pub is_read_only: bool,
    /// Another statement stands behind a `;`.
    pub is_multi: bool,
    /// A string, comment or byte made the rest unreadable.
    pub is_broken: bool,
    /// Not all could be kept, or the text goes on: what is here is right but not all.
    pub is_cut: bool,
    /// There may be tables that are not in the list.
    pub hides_tables: bool,
    /// `found_rows()`, `row_count()`: about the statement before.
    pub asks_last_result: bool,
    /// `last_insert_id()`
    pub asks_last_insert_id: bool,
    /// `connection_id()`
    pub asks_connection_id: bool,
    /// `get_lock()` and its kind.
    pub uses_locks: bool,
    /// Reads or sets `@v`.
    pub has_user_variables: bool,
    /// Reads `@@v`.
    pub has_system_variables: bool,
    /// CREATE TEMPORARY.
    pub is_temporary: bool,
    /// DROP TEMPORARY.
    pub drops_temporary: bool,
    /// XA COMMIT, XA ROLLBACK.
    pub ends_xa: bool,
    /// INSERT IGNORE and its kind: what does not fit is made to fit.
    pub ignores_errors: bool,
}

/// What one pass over a statement finds. Its memory is used again for the next statement.
#[derive(Clone, Debug, Default)]
pub struct Scan {
    /// What it does; of a multi-statement, what the first one does.
    pub verb: Verb,
    /// EXPLAIN in front of it.
    pub explain: Explain,
    /// What else it shows.
    pub facts: Facts,
    /// Optimizer hints, and comments at its beginning.
    pub hints: Hints,
    /// Tables, in the order of the text.
    pub tables: Vec<Table>,
    /// Query blocks; the first is the statement itself.
    pub blocks: Vec<Block>,
    /// Conditions.
    pub conditions: Vec<Condition>,
    /// The only one of a point select, in short; `None` says nothing.
    pub point: Option<Point>,
    /// Rows of an INSERT.
    pub insert: Option<Insert>,
    /// Assignments of a SET.
    pub assignments: Vec<Assignment>,
    /// Names that others refer to.
    pub names: Vec<Span>,
    /// Of several statements, the first one; else empty.
    pub first: Span,
    /// The name that a statement without tables is about: database of USE and of DDL, prepared
    /// statement, savepoint, procedure of CALL. Of EXPLAIN ROUTE: the statement that it is about.
    pub subject: Span,
    /// Arguments of CALL, USING of EXECUTE, text of PREPARE: a list.
    pub arguments: NodeList,
    /// Number of `?`.
    pub params: u32,
    /// All expressions.
    pub tree: Tree,
    /// Names of WITH that can be seen at the place that is being read.
    pub(super) withs: Vec<Span>,
}

/// The first node of a list that may be empty.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NodeList(pub NodeId);

impl Default for NodeList {
    fn default() -> Self {
        Self(NodeId::NONE)
    }
}

impl Scan {
    /// Forgets everything and keeps the memory.
    pub(super) fn clear(&mut self) {
        let Self {
            tables,
            blocks,
            conditions,
            assignments,
            names,
            tree,
            withs,
            ..
        } = self;
        tables.clear();
        blocks.clear();
        conditions.clear();
        assignments.clear();
        names.clear();
        withs.clear();
        tree.clear();
        self.verb = Verb::Empty;
        self.explain = Explain::No;
        self.facts = Facts::default();
        self.hints.clear();
        self.point = None;
        self.insert = None;
        self.first = Span::default();
        self.subject = Span::default();
        self.arguments = NodeList::default();
        self.params = 0;
    }

    /// True: tables and conditions are all there.
    #[must_use]
    pub const fn is_whole(&self) -> bool {
        !self.facts.is_broken && !self.facts.is_cut && !self.tree.is_full()
    }

    /// `k = 5`, if that is the whole condition of a statement about one stored table: what
    /// [`Scan::point`] says of a point select, read from the tree.
    #[inline(never)]
    #[must_use]
    pub fn only_equality(&self) -> Option<Point> {
        let ([only], [condition]) = (self.tables.as_slice(), self.conditions.as_slice()) else {
            return None;
        };
        // A condition restricts no table that an INSERT fills, so that this is none.
        let is_plain = self.is_whole()
            && only.origin == Origin::Stored
            && !only.is_remote
            && only.partitions.1 == 0
            && condition.plain == 1;
        if !is_plain {
            return None;
        }
        let Expr::Compare(Comparison::Equal, first) = self.tree.get(condition.root) else {
            return None;
        };
        let (name, second) = self.tree.get_and_next(first);
        let (Expr::Column(column), Expr::Int(digits)) = (name, self.tree.get(second)) else {
            return None;
        };
        Some(Point { column, digits })
    }

    /// All names that matter to where the statement goes: of tables, columns and partitions.
    pub fn all_names(&self) -> impl Iterator<Item = Span> + '_ {
        let columns = self.tree.all().filter_map(|expr| match expr {
            Expr::Column(name) => Some(name),
            _ => None,
        });
        let tables = self.tables.iter().flat_map(|t| [t.name, t.alias]);
        tables.chain(self.names.iter().copied()).chain(columns)
    }

    /// Names of a range.
    #[must_use]
    pub fn names(&self, range: (u32, u32)) -> &[Span] {
        self.names
            .get(range.0 as usize..range.1 as usize)
            .unwrap_or_default()
    }
}
