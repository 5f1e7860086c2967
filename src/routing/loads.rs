//! How many requests of this core each server has not answered yet, and when it answered last.

use crate::base::Tick;
use std::net::SocketAddr;

/// One server.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Load {
    server: SocketAddr,
    outstanding: u32,
    /// When it answered last; when it was asked first.
    heard: Tick,
}

/// Outstanding requests by server, of one core. Sorted by address; a server keeps its place, so
/// that counting needs no memory after the first request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Loads {
    list: Vec<Load>,
}

impl Loads {
    /// Outstanding requests of a server.
    #[must_use]
    pub fn of(&self, server: SocketAddr) -> u32 {
        let place = self.place(server).ok();
        let entry = place.and_then(|at| self.list.get(at));
        entry.map_or(0, |load| load.outstanding)
    }

    /// When a server has answered a request last; `None` if none was ever sent.
    #[must_use]
    pub fn heard(&self, server: SocketAddr) -> Option<Tick> {
        let place = self.place(server).ok()?;
        self.list.get(place).map(|load| load.heard)
    }

    /// A request was sent to it.
    pub fn begin(&mut self, now: Tick, server: SocketAddr) {
        match self.place(server) {
            Ok(at) => {
                if let Some(load) = self.list.get_mut(at) {
                    load.outstanding = load.outstanding.saturating_add(1);
                }
            }
            Err(at) => {
                let load = Load {
                    server,
                    outstanding: 1,
                    heard: now,
                };
                self.list.insert(at, load);
            }
        }
    }

    /// A request was answered, or its connection is gone.
    pub fn end(&mut self, server: SocketAddr) {
        if let Ok(at) = self.place(server)
            && let Some(load) = self.list.get_mut(at)
        {
            load.outstanding = load.outstanding.saturating_sub(1);
        }
    }

    /// It has answered a request.
    pub fn answered(&mut self, now: Tick, server: SocketAddr) {
        if let Ok(at) = self.place(server)
            && let Some(load) = self.list.get_mut(at)
        {
            load.heard = now;
        }
    }

    /// Forgets servers that are not of use any more and have nothing outstanding.
    pub fn retain(&mut self, is_known: impl Fn(SocketAddr) -> bool) {
        self.list
            .retain(|load| load.outstanding > 0 || is_known(load.server));
    }

    fn place(&self, server: SocketAddr) -> Result<usize, usize> {
        self.list.binary_search_by_key(&server, |load| load.server)
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::at;
    use super::*;

    #[test]
    fn requests_are_counted_by_server() {
        let mut loads = Loads::default();
        for n in [2, 1, 2] {
            loads.begin(Tick(n.into()), at(n));
        }
        assert_eq!([1, 2, 3].map(|n| loads.of(at(n))), [1, 2, 0]);
        loads.end(at(1));
        loads.end(at(1));
        loads.end(at(3));
        loads.answered(Tick(8), at(1));
        loads.answered(Tick(9), at(3));
        let heard = [1, 2, 3].map(|n| loads.heard(at(n)));
        assert_eq!(heard, [Some(Tick(8)), Some(Tick(2)), None]);
        assert_eq!([1, 2, 3].map(|n| loads.of(at(n))), [0, 2, 0]);
        loads.retain(|_| false);
        assert_eq!([1, 2].map(|n| loads.of(at(n))), [0, 2]);
    }
}
