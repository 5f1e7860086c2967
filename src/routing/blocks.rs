//! Servers that should not get new work, although the lists say that they are in service.

use std::net::SocketAddr;

/// How much a server is avoided.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Block {
    /// On the gray list: it answers, but badly. It is used before those that do not answer.
    Gray,
    /// On the black list: it does not answer. It is used when nobody else is left.
    Black,
}

/// The blocked servers of a cluster, as one core knows them. Few: they are looked through in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Blocks {
    list: Vec<(SocketAddr, Block)>,
}

impl Blocks {
    /// How a server is blocked; `None`: it is not.
    #[must_use]
    pub fn of(&self, server: SocketAddr) -> Option<Block> {
        let entry = self.list.iter().find(|(s, _)| *s == server);
        entry.map(|(_, block)| *block)
    }

    /// Blocks a server, in another way than before, or not any more.
    pub fn set(&mut self, server: SocketAddr, block: Option<Block>) {
        self.list.retain(|(s, _)| *s != server);
        self.list.extend(block.map(|block| (server, block)));
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::at;
    use super::*;

    #[test]
    fn servers_are_blocked_until_they_are_not() {
        let mut blocks = Blocks::default();
        blocks.set(at(1), Some(Block::Gray));
        blocks.set(at(2), Some(Block::Black));
        blocks.set(at(1), Some(Block::Black));
        let all = [1, 2, 3].map(|n| blocks.of(at(n)));
        assert_eq!(all, [Some(Block::Black), Some(Block::Black), None]);
        blocks.set(at(1), None);
        assert_eq!(blocks.of(at(1)), None);
    }
}
