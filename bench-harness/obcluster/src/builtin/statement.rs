//! The statements that the engine knows, and nothing else. A text that is none of them is refused,
//! never guessed.

/// A value in a statement.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Expr {
    /// NULL.
    Null,
    /// A whole number.
    Int(i64),
    /// A number with a point, as typed.
    Decimal(Vec<u8>),
    /// A text.
    Text(Vec<u8>),
    /// A parameter of a prepared statement, counted from 0.
    Parameter(usize),
}

/// The name of a table, and its database if one is named.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct TableName {
    pub(super) database: Option<String>,
    pub(super) name: String,
    /// Another name for it in this statement.
    pub(super) alias: Option<String>,
}

/// Which rows of a table.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Filter {
    /// All of them.
    All,
    /// Those with one of these ids.
    Ids(Vec<Expr>),
    /// Those from one id to another, both included.
    Between(Expr, Expr),
}

/// What a select from a table shows.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Shown {
    /// `*`.
    All,
    /// Columns, each with the name it is shown by if that is another one.
    Columns(Vec<(String, Option<String>)>),
    /// `SUM(column)`; the name as typed.
    Sum(String, Vec<u8>),
    /// `COUNT(*)`; the name as typed.
    Count(Vec<u8>),
}

/// The order of rows.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Order {
    pub(super) column: String,
    pub(super) is_descending: bool,
}

/// A select from one table.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Select {
    pub(super) table: TableName,
    pub(super) shown: Shown,
    pub(super) is_distinct: bool,
    pub(super) filter: Filter,
    pub(super) order: Option<Order>,
    pub(super) limit: Option<u64>,
    pub(super) for_update: bool,
    /// A hint allows a weak read.
    pub(super) is_weak: bool,
}

/// A value without a table.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Function {
    /// A literal.
    Literal(Expr),
    /// `@name`.
    User(String),
    /// `@@name`, `@@session.name`.
    System(String),
    /// A column, where there is no table.
    Column(String),
    LastInsertId,
    ConnectionId,
    Database,
    /// `sleep(seconds)`: microseconds.
    Sleep(u64),
    /// `get_lock(name, seconds)`: microseconds, `None` for ever.
    GetLock(Vec<u8>, Option<u64>),
    ReleaseLock(Vec<u8>),
    ReleaseAllLocks,
    IsFreeLock(Vec<u8>),
    IsUsedLock(Vec<u8>),
}

/// A select without a table: values with their names.
pub(super) type Values = Vec<(Function, Vec<u8>)>;

/// What an update sets a column to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Set {
    /// A value.
    To(Expr),
    /// Itself and a number.
    Plus(i64),
}

/// An assignment of SET.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Assignment {
    /// `@name = value`.
    User(String, Expr),
    /// `@@name = value`, `name = value`; a word stands for itself.
    System(String, Expr),
    /// `NAMES character_set`.
    Names(String),
}

/// A statement of XA.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum XaVerb {
    Start,
    End,
    Prepare,
    Commit,
    CommitOnePhase,
    Rollback,
}

/// One statement.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Statement {
    Select(Select),
    Values(Values),
    /// `select <n> rows of <b> bytes`.
    Canned {
        rows: u64,
        bytes: usize,
    },
    Insert {
        table: TableName,
        /// Without a list: all.
        columns: Option<Vec<String>>,
        rows: Vec<Vec<Expr>>,
        is_replace: bool,
    },
    Update {
        table: TableName,
        sets: Vec<(String, Set)>,
        filter: Filter,
    },
    Delete {
        table: TableName,
        filter: Filter,
    },
    Begin {
        is_read_only: bool,
    },
    Commit,
    Rollback,
    Savepoint(String),
    RollbackTo(String),
    Release(String),
    Set(Vec<Assignment>),
    /// `SET SESSION TRANSACTION ISOLATION LEVEL`: the level as the variable has it.
    Isolation(&'static str),
    /// `SET TRANSACTION READ ONLY` and its like: for the next transaction.
    NextTransaction {
        is_read_only: bool,
    },
    Use(String),
    CreateTemporary(String),
    DropTemporary(String),
    LoadData {
        table: TableName,
        file: Vec<u8>,
    },
    Xa(XaVerb, Vec<u8>),
    Kill {
        id: u32,
        is_query: bool,
    },
    /// A question of the model about tables: the view, and column and value of each condition.
    Meta {
        view: String,
        column: Option<String>,
        conditions: Vec<(String, Vec<Expr>)>,
    },
}

impl Statement {
    /// The table of a statement that reads or writes one.
    pub(super) const fn table(&self) -> Option<&TableName> {
        match self {
            Self::Select(Select { table, .. })
            | Self::Insert { table, .. }
            | Self::Update { table, .. }
            | Self::Delete { table, .. }
            | Self::LoadData { table, .. } => Some(table),
            _ => None,
        }
    }

    /// True for what may run on any server of an open transaction.
    pub(super) const fn is_dml(&self) -> bool {
        self.table().is_some() && !matches!(self, Self::LoadData { .. })
    }
}
