//! Expressions of a statement as a flat tree.

/// A piece of the statement.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Span {
    /// Offset of the first byte.
    pub start: u32,
    /// Offset behind the last byte.
    pub end: u32,
}

impl Span {
    /// From offsets; a scan reads no text of 4 GiB or more.
    pub(crate) fn new(start: usize, end: usize) -> Self {
        let offset = |at| u32::try_from(at).unwrap_or(u32::MAX);
        Self {
            start: offset(start),
            end: offset(end),
        }
    }

    /// From offsets in a text of less than 4 GiB.
    #[inline]
    pub(super) const fn within(start: usize, end: usize) -> Self {
        Self {
            start: start as u32,
            end: end as u32,
        }
    }

    /// The bytes; empty if the text is another one.
    #[must_use]
    pub fn of(self, text: &[u8]) -> &[u8] {
        text.get(self.start as usize..self.end as usize)
            .unwrap_or_default()
    }

    /// Number of bytes.
    #[must_use]
    pub const fn len(self) -> u32 {
        self.end.saturating_sub(self.start)
    }

    /// True: nothing stands there.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.start >= self.end
    }
}

/// A node of a [`Tree`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NodeId(u32);

impl NodeId {
    /// No node.
    pub const NONE: Self = Self(u32::MAX);

    /// True for [`Self::NONE`].
    #[must_use]
    pub const fn is_none(self) -> bool {
        self.0 == u32::MAX
    }
}

/// Comparisons.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Comparison {
    /// `=`
    Equal,
    /// `<=>`
    NullSafe,
    /// `<>`, `!=`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterEqual,
}

/// Arithmetic of two operands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[expect(missing_docs, reason = "named as in SQL")]
pub enum Arithmetic {
    Add,
    Subtract,
    Multiply,
    Divide,
    IntegerDivide,
    Modulo,
    BitAnd,
    BitOr,
    BitXor,
    ShiftLeft,
    ShiftRight,
    /// `||` under PIPES_AS_CONCAT.
    Concat,
}

/// What a literal of a temporal type is marked with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[expect(missing_docs, reason = "named as in SQL")]
pub enum Temporal {
    Date,
    Time,
    Timestamp,
}

/// One node. Children are a list: the node names the first, each child the next
/// ([`Tree::children`]).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Expr {
    /// Not understood: it may be anything.
    Unknown,
    /// `NULL`
    Null,
    /// `TRUE`
    True,
    /// `FALSE`
    False,
    /// `DEFAULT` in a list of values.
    Default,
    /// Digits.
    Int(Span),
    /// Digits with a point.
    Decimal(Span),
    /// Digits with an exponent.
    Float(Span),
    /// Strings side by side, with quotes and introducers as written ([`super::text_parts`]).
    Text(Span),
    /// `x'1F'`, `0x1f`
    Hex(Span),
    /// `b'01'`, `0b01`
    Bit(Span),
    /// `DATE '2024-01-01'`; the span is the string's.
    Temporal(Temporal, Span),
    /// The n-th `?`, from 0.
    Param(u32),
    /// `@v`, as written.
    UserVariable(Span),
    /// `@@v`, as written.
    SystemVariable(Span),
    /// `k`, `t.k`, `d.t.k`, as written ([`super::NameParts`]).
    Column(Span),
    /// A function: its name, its arguments.
    Call(Span, NodeId),
    /// A type or unit as an argument: CAST(.. AS `type`), INTERVAL .. `unit`, EXTRACT(`unit` ..).
    Type(Span),
    /// `INTERVAL value unit`: value, [`Expr::Type`].
    Interval(NodeId),
    /// Condition and value of each branch, in turn, then the value of ELSE if there is one.
    Case(NodeId),
    /// `(a, b)`
    Row(NodeId),
    /// `-a`
    Negate(NodeId),
    /// `~a`
    BitNot(NodeId),
    /// Two operands.
    Arithmetic(Arithmetic, NodeId),
    /// Two operands.
    Compare(Comparison, NodeId),
    /// The value, then the list.
    In(NodeId),
    /// Value, lower bound, upper bound.
    Between(NodeId),
    /// `a IS NULL`
    IsNull(NodeId),
    /// Two or more.
    And(NodeId),
    /// Two or more.
    Or(NodeId),
    /// `NOT a`
    Not(NodeId),
}

#[derive(Clone, Copy, Debug)]
struct Node {
    expr: Expr,
    next: NodeId,
}

/// Most nodes of one statement: 1.3 MiB of memory, and more than a statement of 64 KiB, the
/// largest that is gathered, can have. Beyond it nothing is known of the conditions.
pub const NODES_MAX: usize = 1 << 16;

/// All expressions of one statement. Its memory is used again for the next.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    nodes: Vec<Node>,
    is_full: bool,
}

impl Tree {
    pub(super) fn clear(&mut self) {
        self.nodes.clear();
        self.is_full = false;
    }

    /// Adds a node. A full tree gives [`NodeId::NONE`], which reads as [`Expr::Unknown`].
    pub(super) fn push(&mut self, expr: Expr) -> NodeId {
        if self.nodes.len() >= NODES_MAX {
            self.is_full = true;
            return NodeId::NONE;
        }
        self.nodes.push(Node {
            expr,
            next: NodeId::NONE,
        });
        NodeId(self.nodes.len() as u32 - 1)
    }

    /// True: there were more nodes than fit.
    #[must_use]
    pub const fn is_full(&self) -> bool {
        self.is_full
    }

    /// Makes `next` the sibling behind `id`.
    pub(super) fn link(&mut self, id: NodeId, next: NodeId) {
        if let Some(node) = self.nodes.get_mut(id.0 as usize) {
            node.next = next;
        }
    }

    /// All nodes, in no order.
    pub fn all(&self) -> impl Iterator<Item = Expr> + '_ {
        self.nodes.iter().map(|node| node.expr)
    }

    /// The node; [`Expr::Unknown`] for [`NodeId::NONE`].
    #[must_use]
    pub fn get(&self, id: NodeId) -> Expr {
        self.nodes
            .get(id.0 as usize)
            .map_or(Expr::Unknown, |n| n.expr)
    }

    /// The node, and the sibling behind it.
    #[must_use]
    pub fn get_and_next(&self, id: NodeId) -> (Expr, NodeId) {
        match self.nodes.get(id.0 as usize) {
            Some(node) => (node.expr, node.next),
            None => (Expr::Unknown, NodeId::NONE),
        }
    }

    /// The sibling behind a node.
    #[must_use]
    pub fn next(&self, id: NodeId) -> NodeId {
        self.nodes
            .get(id.0 as usize)
            .map_or(NodeId::NONE, |n| n.next)
    }

    /// A node and its siblings.
    pub fn children(&self, first: NodeId) -> impl Iterator<Item = NodeId> + '_ {
        let some = |id: NodeId| Some(id).filter(|id| !id.is_none());
        std::iter::successors(some(first), move |id| some(self.next(*id)))
    }

    /// Exactly `N` children, or `None`.
    #[must_use]
    pub fn exactly<const N: usize>(&self, first: NodeId) -> Option<[NodeId; N]> {
        let mut all = [NodeId::NONE; N];
        let mut children = self.children(first);
        for place in &mut all {
            *place = children.next()?;
        }
        children.next().is_none().then_some(all)
    }
}
