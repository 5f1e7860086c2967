//! Listening sockets and descriptor limits.

use super::error::StartError;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use socket2::{Domain, Protocol, SockAddr, Socket, TcpKeepalive, Type};
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

/// Idle seconds before a connection is probed; a peer that vanished is found within 2 minutes.
pub(super) const KEEP_IDLE_S: i32 = 60;
/// Seconds between probes.
pub(super) const KEEP_INTERVAL_S: i32 = 10;
/// Unanswered probes until the connection counts as lost.
pub(super) const KEEP_COUNT: i32 = 6;

/// Direct slots of a core that links cannot take, so that an administrator still gets in.
pub(super) const RESERVED_SLOTS: u32 = 8;
/// Slots wanted per client: itself, its link, and room for sessions with several links.
/// Slots needed per client: itself and one link.
const SLOTS_PER_CLIENT_MIN: u32 = 2;
/// The kernel's own maximum for a table (IORING_MAX_FIXED_FILES).
const TABLE_MAX: u32 = 1 << 20;

/// A listening socket of one core.
#[derive(Debug)]
pub(super) struct Listener(Socket);

impl Listener {
    /// Binds with SO_REUSEPORT. What clients inherit is set here: nothing is left to do per client.
    fn bind(address: SocketAddr, backlog: i32) -> io::Result<Self> {
        let socket = Socket::new(
            Domain::for_address(address),
            Type::STREAM,
            Some(Protocol::TCP),
        )?;
        socket.set_reuse_address(true)?;
        socket.set_reuse_port(true)?;
        if address.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        socket.set_tcp_nodelay(true)?;
        let keep = TcpKeepalive::new()
            .with_time(Duration::from_secs(KEEP_IDLE_S as u64))
            .with_interval(Duration::from_secs(KEEP_INTERVAL_S as u64))
            .with_retries(KEEP_COUNT as u32);
        socket.set_tcp_keepalive(&keep)?;
        socket.bind(&SockAddr::from(address))?;
        socket.listen(backlog)?;
        Ok(Self(socket))
    }

    fn address(&self) -> io::Result<SocketAddr> {
        let address = self.0.local_addr()?.as_socket();
        address.ok_or_else(|| io::ErrorKind::AddrNotAvailable.into())
    }

    /// The descriptor to accept from.
    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }

    /// Refuses connections from now on, even while an accept is armed.
    pub(super) fn close(self) {
        let _ = self.0.shutdown(std::net::Shutdown::Read);
    }
}

/// Binds every address once per serving core. Port 0: the first bind decides, the others share.
/// Returns the addresses, and the listeners of each core.
pub(super) fn listeners(
    addresses: &[SocketAddr],
    cores: u16,
    backlog: i32,
) -> Result<(Vec<SocketAddr>, Vec<Vec<Listener>>), StartError> {
    let mut bound = Vec::new();
    let mut per_core: Vec<Vec<Listener>> = (0..cores).map(|_| Vec::new()).collect();
    for &asked in addresses {
        let failed = |error| StartError::Listen {
            address: asked,
            error,
        };
        let mut address = asked;
        if address.port() != 0 {
            check_free(address).map_err(failed)?;
        }
        for listeners in &mut per_core {
            let listener = Listener::bind(address, backlog).map_err(failed)?;
            address = listener.address().map_err(failed)?;
            listeners.push(listener);
        }
        bound.push(address);
    }
    Ok((bound, per_core))
}

/// SO_REUSEPORT would let us share the port of another process of this user without a word. A bind
/// without it finds out.
fn check_free(address: SocketAddr) -> io::Result<()> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.bind(&SockAddr::from(address))
}

/// Raises the soft limit of open files to the hard one, and says how large a core's table of
/// direct descriptors is: enough for so many clients, and as much more as may be asked for later.
pub(super) fn table_slots(clients_max: u32) -> Result<u32, StartError> {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    let allowed = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(_) => limit.current,
    };
    table_for(clients_max, allowed)
}

/// `allowed`: open files, `None` for no limit.
fn table_for(clients_max: u32, allowed: Option<u64>) -> Result<u32, StartError> {
    let allowed = allowed.map_or(TABLE_MAX, |n| n.min(u64::from(TABLE_MAX)) as u32);
    let slots = |per_client: u32| {
        clients_max
            .saturating_mul(per_client)
            .saturating_add(2 * RESERVED_SLOTS)
    };
    let needed = slots(SLOTS_PER_CLIENT_MIN);
    if needed > allowed {
        return Err(StartError::Files {
            clients_max,
            needed,
            allowed,
        });
    }
    Ok(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_fits_the_limit_or_the_start_is_refused() {
        assert_eq!(table_for(1_000, None).unwrap(), TABLE_MAX);
        assert_eq!(table_for(1_000, Some(3_000)).unwrap(), 3_000);
        let refused = table_for(1_000, Some(1_024)).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "the limit of open files (1024) is too low for 1000 clients: 2016 are needed; raise \
             LimitNOFILE (ulimit -Hn) or lower the number of clients"
        );
        assert!(table_for(u32::MAX, None).is_err());
    }

    #[test]
    fn a_busy_port_is_found_although_ports_are_shared() {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let (bound, cores) = listeners(&[any], 3, 16).unwrap();
        assert_eq!((cores.len(), cores[2].len()), (3, 1));
        assert!(cores.iter().all(|l| l[0].address().unwrap() == bound[0]));
        let error = listeners(&bound, 1, 16).unwrap_err();
        let want = format!("cannot listen on {}: Address already in use", bound[0]);
        assert_eq!(error.to_string(), want);
        drop(cores);
        assert!(listeners(&bound, 2, 16).is_ok());
    }
}
