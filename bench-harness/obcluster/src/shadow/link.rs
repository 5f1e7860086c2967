//! What one link has.

use super::asked::Traits;
use super::parts::{Own, SYSTEM_VARIABLES};
use super::{OF_FIRST_REPLIES, OF_ONE_LINK, OF_THE_SERVER, Variables};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What one link has of its session's state, and what is going on there.
#[derive(Clone, Debug, Default)]
pub struct LinkState {
    /// What the kernel listed when the link logged in.
    pub(super) base: Arc<Variables>,
    /// What it reported since then, and what the link was given with blocks.
    pub(super) variables: Variables,
    pub(super) user_variables: Variables,
    pub(super) database: Vec<u8>,
    pub(super) user: Vec<u8>,
    pub(super) parts: BTreeMap<u16, Own>,
    pub(super) statements: BTreeMap<u32, Traits>,
    pub(super) named: BTreeSet<Vec<u8>>,
    pub(super) in_transaction: bool,
    /// The open transaction may go on elsewhere: the link's last reply has said so.
    pub(super) is_free: bool,
    pub(super) holds_locks: bool,
    /// System variables travel in blocks (capability bit 16).
    pub(super) has_variable_blocks: bool,
}

impl LinkState {
    /// The current database; empty without one.
    #[must_use]
    pub fn database(&self) -> &[u8] {
        &self.database
    }

    /// The newest block of a sub type that the link told or was given; [`SYSTEM_VARIABLES`] is the
    /// one that restores system variables.
    #[must_use]
    pub fn block(&self, kind: u16) -> Option<&[u8]> {
        self.parts.get(&kind).map(|own| &*own.bytes)
    }

    /// The newest block of system variables.
    #[must_use]
    pub fn variables_block(&self) -> Option<&[u8]> {
        self.block(SYSTEM_VARIABLES)
    }

    /// System variables that have another value than at the login, by name and value as the kernel
    /// reports them; without those that servers set themselves.
    pub fn variables(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let all = self.variables.iter();
        let changed = all.filter(|(name, value)| {
            let name: &[u8] = name;
            let is_own = [OF_THE_SERVER, OF_FIRST_REPLIES, OF_ONE_LINK]
                .iter()
                .any(|list| list.contains(&name));
            !is_own && self.base.get(name) != Some(*value)
        });
        changed.map(|(name, value)| (&**name, &**value))
    }

    /// User variables, by name and SQL literal.
    pub fn user_variables(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let all = self.user_variables.iter();
        all.map(|(name, literal)| (&**name, &**literal))
    }

    /// A transaction is open.
    #[must_use]
    pub const fn in_transaction(&self) -> bool {
        self.in_transaction
    }

    /// The value of a system variable, as far as it was ever told.
    pub(super) fn variable(&self, name: &[u8]) -> Option<&Vec<u8>> {
        self.variables.get(name).or_else(|| self.base.get(name))
    }

    /// The link is as after its login; its database stays.
    pub(super) fn reset(&mut self) {
        self.variables.clear();
        self.user_variables.clear();
        self.parts.clear();
        self.statements.clear();
        self.named.clear();
        self.in_transaction = false;
        self.is_free = false;
        self.holds_locks = false;
    }
}
