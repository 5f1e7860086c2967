//! Servers that should not get new work, although the lists say that they are in service.
//!
//! A core counts what goes wrong with each server. Too much of it within a window blocks the
//! server; after a while it gets work again, and one more failure blocks it anew. Source: OBProxy's
//! alive list (metadata facts, section 9.2). Each core here counts for itself; a server that it
//! blocks because it does not answer is asked by the metadata core, which tells the other cores.

use crate::base::Tick;
use std::net::SocketAddr;

/// Servers with failures that one core remembers; the oldest make room.
const TROUBLES_MAX: usize = 256;

/// How much a server is avoided.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Block {
    /// On the gray list: it answers, but badly. It is used before those that do not answer.
    Gray,
    /// On the black list: it does not answer. It is used when nobody else is left.
    Black,
}

impl Block {
    /// OBProxy's name of the list.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gray => "GRAY",
            Self::Black => "BLACK",
        }
    }
}

/// What one core says of a server that it has had trouble with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BlockRow {
    /// The server.
    pub server: SocketAddr,
    /// How it is blocked.
    pub block: Option<Block>,
    /// The end of that.
    pub until: Tick,
    /// Failures that count.
    pub failures: u32,
}

/// When a server is blocked, and for how long.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BlockRules {
    /// Failures that block it; 0: none does. `congestion_failure_threshold`, and 0 without
    /// `enable_congestion`.
    pub threshold: u32,
    /// They count for so long: `congestion_fail_window`.
    pub window_ms: u64,
    /// It gets no work for so long: `congestion_retry_interval`.
    pub retry_ms: u64,
}

impl Default for BlockRules {
    fn default() -> Self {
        Self {
            threshold: 5,
            window_ms: 120_000,
            retry_ms: 20_000,
        }
    }
}

/// What went wrong with a server lately.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Trouble {
    server: SocketAddr,
    block: Option<Block>,
    /// The end of the block.
    until: Tick,
    /// The first of the failures that count.
    since: Tick,
    failures: u32,
    /// It was blocked, and nothing has shown since that it is well.
    is_suspect: bool,
}

/// The servers that one core has trouble with. Few: they are looked through in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Blocks {
    list: Vec<Trouble>,
    blocked: usize,
}

impl Blocks {
    /// How a server is blocked; `None`: it is not.
    #[inline(always)]
    #[must_use]
    pub fn of(&self, server: &SocketAddr) -> Option<Block> {
        match self.blocked {
            0 => None,
            _ => self.find(server),
        }
    }

    /// The same; apart, because nearly always none is.
    #[inline(never)]
    fn find(&self, server: &SocketAddr) -> Option<Block> {
        self.list.iter().find(|t| t.server == *server)?.block
    }

    /// A server could not be reached, or did not answer as it should. True: it is blocked now, and
    /// was not before.
    pub fn failed(&mut self, now: Tick, server: SocketAddr, how: Block, rules: BlockRules) -> bool {
        if rules.threshold == 0 {
            return false;
        }
        let known = self.list.iter().position(|t| t.server == server);
        if known.is_none() && self.list.len() >= TROUBLES_MAX {
            let oldest = self.list.remove(0);
            self.blocked -= usize::from(oldest.block.is_some());
        }
        let at = known.unwrap_or_else(|| self.list.len().min(TROUBLES_MAX - 1));
        if known.is_none() {
            self.list.push(Trouble {
                server,
                block: None,
                until: now,
                since: now,
                failures: 0,
                is_suspect: false,
            });
        }
        let Some(trouble) = self.list.get_mut(at) else {
            return false;
        };
        if trouble.since.after_ms(rules.window_ms) < now {
            (trouble.since, trouble.failures) = (now, 0);
        }
        trouble.failures = trouble.failures.saturating_add(1);
        let is_new = trouble.block.is_none();
        if is_new && trouble.failures < rules.threshold && !trouble.is_suspect {
            return false;
        }
        trouble.block = trouble.block.max(Some(how));
        trouble.until = now.after_ms(rules.retry_ms);
        self.blocked += usize::from(is_new);
        is_new
    }

    /// A server is known not to answer: it is blocked, however often it failed before. True: it was
    /// not.
    pub fn block(&mut self, now: Tick, server: SocketAddr, how: Block, rules: BlockRules) -> bool {
        let threshold = rules.threshold.min(1);
        self.failed(now, server, how, BlockRules { threshold, ..rules })
    }

    /// A login to a server has worked: all is forgotten.
    pub fn worked(&mut self, server: SocketAddr) {
        if let Some(at) = self.list.iter().position(|t| t.server == server) {
            let trouble = self.list.remove(at);
            self.blocked -= usize::from(trouble.block.is_some());
        }
    }

    /// Servers that were blocked for long enough get work again.
    #[inline]
    pub fn settle(&mut self, now: Tick) {
        if self.blocked == 0 {
            return;
        }
        for trouble in &mut self.list {
            if trouble.block.is_some() && trouble.until <= now {
                (trouble.block, trouble.is_suspect) = (None, true);
                self.blocked -= 1;
            }
        }
    }

    /// All of them, the oldest first.
    #[must_use]
    pub fn rows(&self) -> Vec<BlockRow> {
        let row = |t: &Trouble| BlockRow {
            server: t.server,
            block: t.block,
            until: t.until,
            failures: t.failures,
        };
        self.list.iter().map(row).collect()
    }

    /// Blocks a server so, whatever was before.
    #[cfg(test)]
    pub(super) fn set(&mut self, server: SocketAddr, how: Option<Block>) {
        let rules = BlockRules {
            threshold: 1,
            ..BlockRules::default()
        };
        self.worked(server);
        if let Some(how) = how {
            self.failed(Tick(0), server, how, rules);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::at;
    use super::*;

    const RULES: BlockRules = BlockRules {
        threshold: 3,
        window_ms: 1_000,
        retry_ms: 200,
    };

    fn tick(ms: u64) -> Tick {
        Tick(0).after_ms(ms)
    }

    #[test]
    fn a_server_is_blocked_by_failures_within_a_window_and_tried_again() {
        let mut blocks = Blocks::default();
        let mut fail = |ms, how| {
            blocks.settle(tick(ms));
            let is_new = blocks.failed(tick(ms), at(1), how, RULES);
            (is_new, blocks.of(&at(1)))
        };
        assert_eq!(fail(0, Block::Black), (false, None));
        assert_eq!(fail(10, Block::Black), (false, None));
        // These two are too long ago.
        assert_eq!(fail(1_100, Block::Gray), (false, None));
        assert_eq!(fail(1_200, Block::Gray), (false, None));
        assert_eq!(fail(1_300, Block::Gray), (true, Some(Block::Gray)));
        // Worse, and for longer.
        assert_eq!(fail(1_400, Block::Black), (false, Some(Block::Black)));
        blocks.settle(tick(1_599));
        assert_eq!(blocks.of(&at(1)), Some(Block::Black));
        blocks.settle(tick(1_600));
        assert_eq!(blocks.of(&at(1)), None);
        // One more is enough now.
        assert!(blocks.failed(tick(9_000), at(1), Block::Black, RULES));
        blocks.worked(at(1));
        assert_eq!(blocks, Blocks::default());
    }

    #[test]
    fn nothing_is_blocked_without_a_threshold_and_memory_is_bounded() {
        let mut blocks = Blocks::default();
        let off = BlockRules {
            threshold: 0,
            ..RULES
        };
        assert!(!blocks.failed(tick(0), at(1), Block::Black, off));
        assert_eq!(blocks, Blocks::default());
        for port in 0..1_000 {
            let server = SocketAddr::from(([127, 0, 0, 1], port));
            blocks.set(server, Some(Block::Black));
        }
        assert_eq!(
            (blocks.list.len(), blocks.blocked),
            (TROUBLES_MAX, TROUBLES_MAX)
        );
        let newest = SocketAddr::from(([127, 0, 0, 1], 999));
        assert_eq!(blocks.of(&newest), Some(Block::Black));
    }
}
