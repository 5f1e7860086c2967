//! What this kernel can do, found out by doing it; and clear words when it cannot.

use super::ops::RecvWay;
use super::pool::{BUFFER_BYTES, Pool};
use super::ring::{Completion, Ring, Wait};
use super::tag::{Op, Tag};
use std::fmt;
use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;

/// What differs between the kernels we run on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::runtime) struct Features {
    /// A multishot receive ends at its byte limit (6.17). Otherwise: one receive per buffer.
    pub(in crate::runtime) recv_limit: bool,
    /// Socket options by ring command (6.7). Otherwise: three more system calls per connect.
    pub(in crate::runtime) set_option: bool,
}

/// What the host says about itself, for the words of a refusal.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Facts {
    /// `kernel.io_uring_disabled`; `None` if the kernel has no such setting.
    pub disabled: Option<i32>,
    /// `kernel.io_uring_group`.
    pub group: Option<i64>,
    /// Groups of this process.
    pub groups: Vec<u32>,
    /// RLIMIT_MEMLOCK in KiB; `None` for no limit.
    pub memlock_kib: Option<u64>,
    /// The user.
    pub user: u32,
    /// Cores that need a ring, the metadata core included.
    pub cores: u32,
}

/// Why there is no ring.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// Switched off for everybody.
    SwitchedOff,
    /// Allowed for members of a group only.
    GroupOnly {
        /// `kernel.io_uring_group`.
        group: Option<i64>,
        /// Groups of this process.
        groups: Vec<u32>,
    },
    /// The kernel would allow it, a filter does not.
    Filtered,
    /// The kernel was built without it, or is older than it.
    Missing,
    /// A ring can be made, but not the kind that is needed.
    TooOld,
    /// The memlock limit is too small.
    Memlock {
        /// The limit in KiB.
        limit_kib: Option<u64>,
        /// The user.
        user: u32,
        /// What is needed, about.
        needed_kib: u64,
        /// For so many cores.
        cores: u32,
    },
    /// Something else.
    Other {
        /// What was tried.
        step: &'static str,
        /// Its error number.
        errno: i32,
    },
}

impl Refusal {
    /// KiB of locked memory per core: our ring and table 160, the three rings of the executor that
    /// hosts it and their memory 240.
    const LOCKED_KIB_PER_CORE: u64 = 400;

    /// What an error of `step` means on a host with these facts.
    #[must_use]
    pub fn explain(step: &'static str, errno: i32, facts: &Facts) -> Self {
        match errno {
            libc::EPERM | libc::EACCES => match facts.disabled {
                Some(2) => Self::SwitchedOff,
                Some(1) => Self::GroupOnly {
                    group: facts.group,
                    groups: facts.groups.clone(),
                },
                _ => Self::Filtered,
            },
            libc::ENOSYS => Self::Missing,
            libc::EINVAL => Self::TooOld,
            libc::ENOMEM => Self::Memlock {
                limit_kib: facts.memlock_kib,
                user: facts.user,
                needed_kib: Self::LOCKED_KIB_PER_CORE * u64::from(facts.cores),
                cores: facts.cores,
            },
            errno => Self::Other { step, errno },
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SwitchedOff => f.write_str(
                "io_uring is switched off on this host (kernel.io_uring_disabled=2); set it to 0, \
                 or to 1 with kernel.io_uring_group set to a group of this user",
            ),
            Self::GroupOnly { group, groups } => {
                f.write_str("io_uring is allowed on this host only for members of ")?;
                match group {
                    Some(g) if *g >= 0 => write!(f, "group {g}")?,
                    _ => f.write_str("a group that is not set")?,
                }
                let names: Vec<_> = groups.iter().map(u32::to_string).collect();
                write!(
                    f,
                    " (kernel.io_uring_disabled=1, kernel.io_uring_group); this process has \
                     groups {}",
                    names.join(",")
                )
            }
            Self::Filtered => f.write_str(
                "a seccomp filter refuses io_uring_setup (the default of common container \
                 runtimes); run with a profile that allows io_uring_setup, io_uring_enter, \
                 io_uring_register",
            ),
            Self::Missing => {
                f.write_str("this kernel has no io_uring; 6.1 or newer is needed, 6.17 is best")
            }
            Self::TooOld => f.write_str(
                "kernel too old: DEFER_TASKRUN is missing; 6.1 or newer is needed, 6.17 is best",
            ),
            Self::Memlock {
                limit_kib,
                user,
                needed_kib,
                cores,
            } => {
                match limit_kib {
                    Some(kib) => write!(f, "memlock limit is {kib} KiB for user {user}")?,
                    None => f.write_str("not enough memory for a ring")?,
                }
                write!(
                    f,
                    "; needed about {needed_kib} KiB for {cores} cores, and all processes of the \
                     user count together; set LimitMEMLOCK=infinity or give CAP_IPC_LOCK"
                )
            }
            Self::Other { step, errno } => {
                let error = io::Error::from_raw_os_error(*errno);
                write!(f, "io_uring does not work here: {step}: {error}")
            }
        }
    }
}

impl std::error::Error for Refusal {}

impl Facts {
    /// Asks the host.
    #[must_use]
    pub fn of_host(cores: u32) -> Self {
        fn sysctl<T: std::str::FromStr>(name: &str) -> Option<T> {
            let text = std::fs::read_to_string(format!("/proc/sys/kernel/{name}")).ok()?;
            text.trim().parse().ok()
        }
        let limit = rustix::process::getrlimit(rustix::process::Resource::Memlock);
        let mut groups: Vec<u32> = rustix::process::getgroups()
            .map(|groups| groups.iter().map(|g| g.as_raw()).collect())
            .unwrap_or_default();
        let own = rustix::process::getegid().as_raw();
        if !groups.contains(&own) {
            groups.push(own);
        }
        Self {
            disabled: sysctl("io_uring_disabled"),
            group: sysctl("io_uring_group"),
            groups,
            memlock_kib: limit.current.map(|bytes| bytes >> 10),
            user: rustix::process::getuid().as_raw(),
            cores,
        }
    }
}

/// Makes a throw-away ring of the kind a core uses, and tries what kernels differ in.
pub(in crate::runtime) fn probe(cores: u32) -> Result<Features, Refusal> {
    let facts = Facts::of_host(cores);
    let failed = |step: &'static str| {
        let facts = &facts;
        move |e: io::Error| Refusal::explain(step, e.raw_os_error().unwrap_or(libc::EIO), facts)
    };
    let mut ring = Ring::new(8).map_err(failed("setup"))?;
    let mut pool = Pool::new(&ring).map_err(failed("buffer ring"))?;
    let features = try_out(&mut ring, &mut pool).map_err(failed("probe"))?;
    pool.retire(&ring);
    Ok(features)
}

fn try_out(ring: &mut Ring, pool: &mut Pool) -> io::Result<Features> {
    let recv_limit = recv_ends_at_limit(ring, pool)?;
    let set_option = options_by_ring(ring)?;
    Ok(Features {
        recv_limit,
        set_option,
    })
}

/// Waits for the next completions, at most a second.
fn next(ring: &mut Ring, done: &mut Vec<Completion>) -> io::Result<()> {
    ring.enter(Wait::Micros(1_000_000), done)?;
    if done.is_empty() {
        Err(io::ErrorKind::TimedOut.into())
    } else {
        Ok(())
    }
}

/// Sends more than the limit and sees whether the receive ends by itself.
fn recv_ends_at_limit(ring: &mut Ring, pool: &mut Pool) -> io::Result<bool> {
    const SLOT: u32 = 1;
    let (near, mut far) = UnixStream::pair()?;
    ring.install(SLOT, near.as_fd())?;
    far.set_nonblocking(true)?;
    let mut sent = 0;
    while sent < 3 * BUFFER_BYTES {
        match far.write(&[7; 4096]) {
            Ok(n) => sent += n,
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => break,
            Err(e) => return Err(e),
        }
    }
    let way = RecvWay::Multi { limit: 4096 };
    ring.recv(Tag::new(Op::Recv, 0, SLOT), way);
    let mut done = Vec::new();
    let mut ends = None;
    let mut received = 0;
    while ends.is_none() && received < sent {
        next(ring, &mut done)?;
        for mut c in done.drain(..) {
            if c.tag.op() != Op::Recv {
                continue;
            }
            if let Some(loan) = c.take_loan(pool) {
                received += loan.len();
                pool.give_back(loan);
            }
            if !c.is_more() {
                // EINVAL: the field is not known here. Otherwise the limit ended it, if in time.
                ends = Some(c.res > 0 && received < sent);
            }
        }
        pool.publish();
    }
    drop(far);
    if ends.is_none() {
        ring.cancel_slot(Tag::new(Op::Cancel, 0, SLOT));
    }
    ring.close(Tag::new(Op::Close, 0, SLOT));
    settle(ring, pool)?;
    Ok(ends == Some(true))
}

fn options_by_ring(ring: &mut Ring) -> io::Result<bool> {
    const SLOT: u32 = 2;
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let tag = Tag::new(Op::Socket, 0, SLOT);
    ring.socket(&any, tag);
    let mut done = Vec::new();
    next(ring, &mut done)?;
    if let Some(c) = done.iter().find(|c| c.tag == tag && c.res < 0) {
        return Err(io::Error::from_raw_os_error(-c.res));
    }
    done.clear();
    ring.set_link_options(Tag::new(Op::SockOpt, 0, SLOT));
    ring.close(Tag::new(Op::Close, 0, SLOT));
    let mut is_refused = false;
    while ring.inflight() > 0 || !ring.is_quiet() {
        next(ring, &mut done)?;
        is_refused |= done.drain(..).any(|c| c.tag.op() == Op::SockOpt);
    }
    Ok(!is_refused)
}

fn settle(ring: &mut Ring, pool: &mut Pool) -> io::Result<()> {
    let mut done = Vec::new();
    while !ring.is_quiet() {
        next(ring, &mut done)?;
        for mut c in done.drain(..) {
            if let Some(loan) = c.take_loan(pool) {
                pool.give_back(loan);
            }
        }
    }
    Ok(())
}

/// One line about the features and what a missing one costs.
impl fmt::Display for Features {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ring: features=defer_taskrun,buffer_ring,multishot_accept")?;
        if self.recv_limit {
            f.write_str(",multishot_recv_limit")?;
        }
        if self.set_option {
            f.write_str(",setsockopt")?;
        }
        if !self.recv_limit {
            f.write_str(" missing=multishot_recv_limit (6.17; large replies cost 1.3-1.7x)")?;
        }
        if !self.set_option {
            f.write_str(" missing=setsockopt (6.7; more system calls per server connection)")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_refusal_says_what_to_change() {
        let facts = |disabled| Facts {
            disabled,
            group: Some(42),
            groups: vec![10, 20],
            memlock_kib: Some(64),
            user: 1000,
            cores: 5,
        };
        let cases = [
            (libc::EPERM, Some(2), "kernel.io_uring_disabled=2"),
            (libc::EPERM, Some(1), "only for members of group 42"),
            (libc::EPERM, Some(1), "groups 10,20"),
            (
                libc::EPERM,
                Some(0),
                "seccomp filter refuses io_uring_setup",
            ),
            (libc::EPERM, None, "seccomp filter refuses io_uring_setup"),
            (
                libc::ENOSYS,
                None,
                "this kernel has no io_uring; 6.1 or newer",
            ),
            (libc::EINVAL, None, "DEFER_TASKRUN is missing"),
            (
                libc::ENOMEM,
                None,
                "memlock limit is 64 KiB for user 1000; needed about 2000 KiB",
            ),
            (
                libc::EMFILE,
                None,
                "io_uring does not work here: setup: Too many open files",
            ),
        ];
        for (errno, disabled, want) in cases {
            let text = Refusal::explain("setup", errno, &facts(disabled)).to_string();
            assert!(text.contains(want), "{errno} {disabled:?}: {text}");
            assert!(!text.contains('\n'));
        }
    }

    #[test]
    fn the_probe_works_here_and_knows_the_host() {
        let features = probe(3).unwrap();
        assert!(features.to_string().starts_with("ring: features="));
        assert!(Facts::of_host(3).cores == 3);
    }

    /// Only where the kernel has it: the probe and the entry agree on the field's place.
    #[test]
    fn recv_limit_is_honoured() {
        if !probe(1).unwrap().recv_limit {
            eprintln!("SKIPPED: this kernel has no byte limit for multishot receives");
            return;
        }
        let entry =
            super::super::ops::recv(0, Tag::new(Op::Recv, 0, 0), RecvWay::Multi { limit: 77 });
        assert!(format!("{entry:?}").contains("Entry"));
    }
}
