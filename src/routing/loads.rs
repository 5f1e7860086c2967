//! How many requests of this core each server has not answered yet.

use std::net::SocketAddr;

/// Outstanding requests by server, of one core. Sorted by address; a server keeps its place, so
/// that counting needs no memory after the first request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Loads {
    list: Vec<(SocketAddr, u32)>,
}

impl Loads {
    /// Outstanding requests of a server.
    #[must_use]
    pub fn of(&self, server: SocketAddr) -> u32 {
        let place = self.place(server).ok();
        let entry = place.and_then(|at| self.list.get(at));
        entry.map_or(0, |(_, count)| *count)
    }

    /// A request was sent to it.
    pub fn begin(&mut self, server: SocketAddr) {
        match self.place(server) {
            Ok(at) => {
                if let Some((_, count)) = self.list.get_mut(at) {
                    *count = count.saturating_add(1);
                }
            }
            Err(at) => self.list.insert(at, (server, 1)),
        }
    }

    /// A request was answered, or its connection is gone.
    pub fn end(&mut self, server: SocketAddr) {
        if let Ok(at) = self.place(server)
            && let Some((_, count)) = self.list.get_mut(at)
        {
            *count = count.saturating_sub(1);
        }
    }

    /// Forgets servers that are not of use any more and have nothing outstanding.
    pub fn retain(&mut self, is_known: impl Fn(SocketAddr) -> bool) {
        self.list
            .retain(|(server, count)| *count > 0 || is_known(*server));
    }

    fn place(&self, server: SocketAddr) -> Result<usize, usize> {
        self.list.binary_search_by_key(&server, |(s, _)| *s)
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
            loads.begin(at(n));
        }
        assert_eq!([1, 2, 3].map(|n| loads.of(at(n))), [1, 2, 0]);
        loads.end(at(1));
        loads.end(at(1));
        loads.end(at(3));
        assert_eq!([1, 2, 3].map(|n| loads.of(at(n))), [0, 2, 0]);
        loads.retain(|_| false);
        assert_eq!([1, 2].map(|n| loads.of(at(n))), [0, 2]);
    }
}
