//! The world: virtual time, pipes, faults, and the machines in the middle.

mod changes;
mod judge;

use super::client::Client;
use super::cluster::Cluster;
use super::conn::{Conn, Peer, Pipe};
use super::framing::Damage;
use super::server::{Act, PASSWORD, Server, Trouble};
use super::told::Glass;
use crate::auth::stage1;
use crate::base::{
    Accepted, Appetite, BufferPool, CloseReason, CoreId, Errno, Input, Key, Linger, LinkId,
    Machines, NoLaps, Out, Output, Rng, Side, Tick,
};
use crate::config::{Draft, Host, RoutingMode, ServerProtocol, Settings};
use crate::metadata::{self, ClusterConfig, Metadata};
use crate::routing::{Mail, Replica};
use crate::session::{self, Session, SessionIds, Sessions};
use changes::{CHANGE_US, CHANGES_END_US};
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::sync::Arc;

/// Serving cores of a world.
const CORES: u16 = 2;
/// After this time clients have come and gone; only rounds of the metadata core go on.
const QUIET_US: u64 = 60_000_000;
/// Lines that are kept for a failure.
const TRACE_LINES: usize = 400;
/// ECONNREFUSED, ETIMEDOUT, ECONNRESET.
const REFUSED: Errno = Errno(111);
const TIMED_OUT: Errno = Errno(110);
const RESET: Errno = Errno(104);

/// What may go wrong in a world.
#[derive(Clone, Copy, Debug, Default)]
pub struct Faults {
    /// Servers refuse, hang, answer errors, break; metadata fails.
    pub servers: bool,
    /// The process drains in mid life.
    pub drains: bool,
    /// Sessions are written to bytes and rebuilt between inputs.
    pub rebuilds: bool,
    /// Packets above 16 MB occur.
    pub big: bool,
    /// Servers are stopped, removed and added, a tenant and leaders move, the views have their
    /// troubles.
    pub changes: bool,
    /// Clients kill each other.
    pub kills: bool,
    /// Clients bind their sessions to a server: temporary tables, XA, transactions. Leaders move.
    pub binds: bool,
}

/// A defect put into the world itself, to see that the judge finds it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sabotage {
    /// None.
    No,
    /// One byte on its way to a client is changed.
    ChangedByte,
    /// One byte on its way to a client is lost.
    LostByte,
    /// One byte on its way to a client comes twice.
    DoubledByte,
}

#[derive(Clone, Debug)]
enum Event {
    Arrive,
    Connect(usize, Option<Errno>),
    ToProxy(usize),
    ToPeer(usize),
    Timer(usize, Key),
    Mail(usize, Mail),
    Reset(usize),
    Drain,
    /// The cluster changes.
    Change,
    /// A stopped server goes, and comes back.
    Remove(SocketAddr),
    Add(SocketAddr),
}

/// A seeded world.
pub struct World {
    now: u64,
    sequence: u64,
    queue: BTreeMap<(u64, u64), Event>,
    rng: Rng,
    cores: Vec<Sessions>,
    metadata: Metadata,
    conns: Vec<Conn>,
    links: BTreeMap<(usize, Key, LinkId), usize>,
    /// When the next timer of a machine comes.
    timers: BTreeMap<(usize, Key), u64>,
    pool: BufferPool,
    faults: Faults,
    sabotage: Sabotage,
    cluster: Cluster,
    is_draining: bool,
    arrivals: u64,
    /// When the last letter from a core to another arrives.
    mail_order: BTreeMap<(usize, usize), u64>,
    hash: u64,
    /// Clients that were told of a KILL.
    killed: u64,
    trace: VecDeque<String>,
}

impl World {
    /// A world of `clients` clients.
    #[must_use]
    pub fn new(seed: u64, clients: u64, faults: Faults, sabotage: Sabotage) -> Self {
        let mut rng = Rng::new(seed);
        let process = rerouting();
        let cores = (0..CORES)
            .map(|core| {
                let ids = SessionIds::new(1, core, CORES);
                let protocols = ServerProtocol::NAMES;
                let (_, protocol) = protocols[rng.below(protocols.len() as u64) as usize];
                let level = rng.chance(1, 2).then_some(6);
                let mut settings = session::Settings {
                    capability: session::asked(protocol, level),
                    ..session::Settings::default()
                };
                if rng.chance(1, 2) {
                    settings.routing = RoutingMode::Random;
                }
                if faults.changes {
                    // The world is short.
                    settings.login_timeout_ms = 1_000;
                }
                settings.process = process.clone();
                Sessions::new(settings, ids, Replica::default()).unsealing(Arc::new(Glass))
            })
            .collect();
        let settings = metadata::Settings {
            interval_ms: if faults.changes { 20 } else { 20_000 },
            connect_timeout_ms: 1_000,
            answer_timeout_ms: 5_000,
            probe_ms: 1_000,
            probes_max: 3,
            tenant_valid_ms: 0,
            asks_for_merges: false,
            tables_bytes_max: 128 << 20,
            proxy_version: "4.3.4.0".into(),
            passwords: vec![stage1(PASSWORD)],
        };
        let has_views = faults.changes || faults.binds || rng.chance(1, 2);
        let proxyro_ok = !faults.servers || rng.chance(3, 4);
        let model = Cluster::new(proxyro_ok, has_views, faults.big);
        let cluster = ClusterConfig {
            name: "sim".into(),
            is_named: true,
            root_servers: model.servers.keys().copied().collect(),
            passwords: None,
        };
        let metadata = Metadata::new(settings, vec![cluster], CORES, rng.next_u64());
        let mut world = Self {
            now: 1_000,
            sequence: 0,
            queue: BTreeMap::new(),
            cores,
            metadata,
            conns: vec![],
            links: BTreeMap::new(),
            timers: BTreeMap::new(),
            pool: BufferPool::default(),
            faults,
            sabotage,
            cluster: model,
            is_draining: false,
            arrivals: clients,
            mail_order: BTreeMap::new(),
            hash: 0,
            killed: 0,
            trace: VecDeque::new(),
            rng,
        };
        let meta = usize::from(CORES);
        world.call(meta, Metadata::KEY, Input::Wake);
        world.at(0, Event::Arrive);
        if faults.changes || faults.binds {
            world.at(CHANGE_US, Event::Change);
        }
        if faults.drains {
            let when = world.rng.below(400_000);
            world.at(when, Event::Drain);
        }
        world
    }

    fn at(&mut self, delay: u64, event: Event) {
        self.sequence += 1;
        self.queue.insert((self.now + delay, self.sequence), event);
    }

    fn note(&mut self, line: impl FnOnce() -> String) {
        let line = line();
        for b in line.bytes() {
            self.hash = (self.hash ^ u64::from(b)).wrapping_mul(0x100_0000_01B3);
        }
        self.hash = (self.hash ^ self.now).wrapping_mul(0x100_0000_01B3);
        // Metadata rounds go on for ever and would push everything else out.
        if self.now > QUIET_US {
            return;
        }
        if self.trace.len() == TRACE_LINES {
            self.trace.pop_front();
        }
        self.trace.push_back(format!("{:>10} {line}", self.now));
    }

    /// The last lines of the trace.
    #[must_use]
    pub fn trace(&self) -> String {
        self.trace.iter().fold(String::new(), |mut all, line| {
            all.push_str(line);
            all.push('\n');
            all
        })
    }

    /// A hash over everything that happened.
    #[must_use]
    pub const fn hash(&self) -> u64 {
        self.hash
    }

    /// Statements of a transaction that ran elsewhere than it began, and statements of sessions
    /// that had something on one server.
    #[must_use]
    pub const fn bound(&self) -> (u64, u64) {
        self.cluster.bindings.seen()
    }

    /// How often a server has named a better one, and clients were told of a KILL.
    #[must_use]
    pub const fn seen(&self) -> (u64, u64) {
        (self.cluster.reroutes, self.killed)
    }

    /// Runs until nothing happens any more, or `minutes` of virtual time are over.
    ///
    /// # Errors
    /// What was not as it should be.
    pub fn run(&mut self, minutes: u64) -> Result<(), String> {
        // Rounds that follow each other closely would go on and on.
        let end = match self.faults.changes {
            true => CHANGES_END_US * 2,
            false => minutes * 60_000_000,
        };
        while let Some((&(at, n), _)) = self.queue.first_key_value()
            && at < end
        {
            let Some(event) = self.queue.remove(&(at, n)) else {
                break;
            };
            self.now = at;
            self.event(event);
            self.judge_ended()?;
        }
        self.judge_world()
    }

    fn event(&mut self, event: Event) {
        match event {
            Event::Arrive => self.arrive(),
            Event::Connect(n, error) => self.connected(n, error),
            Event::ToProxy(n) => self.deliver_to_proxy(n),
            Event::ToPeer(n) => self.deliver_to_peer(n),
            Event::Timer(core, key) => {
                // An earlier one has come since.
                if self.timers.get(&(core, key)) != Some(&self.now) {
                    return;
                }
                self.timers.remove(&(core, key));
                let due = self.machines(core).poll_timeout(key);
                if due.is_some_and(|d| d.0 <= self.now) {
                    self.note(|| format!("timer core {core} {key:?}"));
                    self.call(core, key, Input::Timer);
                    let again = self.machines(core).poll_timeout(key);
                    assert!(
                        again.is_none_or(|d| d.0 > self.now),
                        "a due timer stays due"
                    );
                }
                self.schedule(core, key);
            }
            Event::Mail(core, mail) => {
                let (mut wake, mut post) = (vec![], vec![]);
                let now = Tick(self.now);
                self.machines(core).mail(now, mail, &mut wake, &mut post);
                for (to, letter) in post {
                    self.post(core, to, letter);
                }
                for key in wake {
                    self.call(core, key, Input::Wake);
                }
            }
            Event::Reset(n) => self.reset(n),
            Event::Change => self.change(),
            Event::Remove(server) => self.remove(server),
            Event::Add(server) => self.cluster.add(server),
            Event::Drain => {
                self.is_draining = true;
                self.note(|| "drain".into());
                for core in 0..usize::from(CORES) {
                    let mut keys = vec![];
                    self.cores[core].ids(&mut keys);
                    for key in keys {
                        let deadline = Tick(self.now + 30_000_000);
                        self.call(core, key, Input::Drain { deadline });
                    }
                }
            }
        }
    }

    fn machines(&mut self, core: usize) -> &mut dyn Machines<Mail = Mail> {
        match self.cores.get_mut(core) {
            Some(sessions) => sessions,
            None => &mut self.metadata,
        }
    }

    fn arrive(&mut self) {
        if self.arrivals == 0 || self.is_draining {
            return;
        }
        self.arrivals -= 1;
        let gap = self.rng.below(60_000);
        self.at(gap, Event::Arrive);
        let core = self.rng.below(u64::from(CORES)) as usize;
        let mut entropy = [0; 32];
        entropy.fill_with(|| self.rng.next_u64() as u8);
        let accepted = Accepted {
            peer: SocketAddr::from(([127, 0, 0, 9], 40_000 + self.conns.len() as u16)),
            local: SocketAddr::from(([127, 0, 0, 1], 2883)),
            unix_us: self.now,
            entropy,
            is_over_limit: self.rng.chance(1, 40),
        };
        let now = Tick(self.now);
        let Some(key) = self.cores[core].accept(now, accepted) else {
            return;
        };
        let seed = self.rng.next_u64();
        let Faults {
            changes,
            kills,
            binds,
            ..
        } = self.faults;
        let is_quiet = (changes || kills || binds) && self.rng.chance(2, 3)
            || self.faults.servers && self.rng.chance(1, 3);
        let client = Client::new(Rng::new(seed), is_quiet, &self.faults);
        let manner = client.manner;
        let n = self.conns.len();
        self.note(|| format!("client {n} {manner:?} on core {core}"));
        let mut conn = Conn::new(core, key, Side::Client, Peer::Client(Box::new(client)));
        conn.is_connected = true;
        // Its tenant has to be looked up, which may fail; the others may lose what they left on a
        // server.
        let depends = match is_quiet {
            true => self.faults.servers || changes && binds,
            false => self.faults.changes,
        };
        conn.faulty = accepted.is_over_limit || depends;
        self.conns.push(conn);
        self.call(core, key, Input::Wake);
    }

    /// Calls a machine and carries out what it says.
    fn call(&mut self, core: usize, key: Key, input: Input<'_>) {
        let (mut arena, mut list) = (vec![], vec![]);
        if self.faults.rebuilds && core < self.cores.len() && self.rng.chance(1, 4) {
            self.cores[core].rebuild(key, rebuilt);
        }
        let mut pool = std::mem::take(&mut self.pool);
        let now = Tick(self.now);
        let mut out = Out {
            arena: &mut arena,
            list: &mut list,
            pool: &mut pool,
            laps: &mut NoLaps,
        };
        self.machines(core).handle(now, key, input, &mut out);
        self.pool = pool;
        let slice = match input {
            Input::Bytes(_, slice) => slice,
            _ => &[],
        };
        let mut end = None;
        for output in list {
            assert!(
                end.is_none() || matches!(output, Output::Count(_)),
                "output after the end"
            );
            match output {
                Output::Forward(side, span) => self.send(core, key, side, &slice[span.range()]),
                Output::Own(side, span) => self.send(core, key, side, &arena[span.range()]),
                Output::Connect(id, to, deadline) => self.connect(core, key, id, to, deadline),
                Output::Appetite(side, appetite) => {
                    if let Some(n) = self.find(core, key, side) {
                        self.conns[n].to_proxy.is_held = appetite == Appetite::Hold;
                        self.push(n, true);
                    }
                }
                Output::Close(id, linger) => {
                    if let Some(n) = self.links.remove(&(core, key, id)) {
                        self.detach(n, linger);
                    }
                }
                Output::End(reason, linger) => end = Some((reason, linger)),
                Output::Post(to, mail) => self.post(core, to, mail),
                Output::Count(_) => {}
                Output::Log(_, event, text) => self.note(|| format!("log {event} {text}")),
            }
        }
        match end {
            Some((reason, linger)) => self.ended(core, key, reason, linger),
            None => self.count_links(core, key),
        }
        self.schedule(core, key);
    }

    /// A session has the links that are open, and no others.
    fn count_links(&self, core: usize, key: Key) {
        let session = self.cores.get(core).and_then(|c| c.session(key));
        if let Some(known) = session.map(Session::links) {
            let open = self.links.range(links_of(core, key)).count();
            assert_eq!(open, known, "links that are open, and that the session has");
        }
    }

    /// Letters of one core to another keep their order.
    fn post(&mut self, from: usize, to: CoreId, mail: Mail) {
        let to = if to == CoreId::METADATA {
            usize::from(CORES)
        } else {
            usize::from(to.0)
        };
        let delay = self.rng.below(3_000);
        let last = self.mail_order.entry((from, to)).or_default();
        *last = (*last).max(self.now + delay);
        let delay = *last - self.now;
        self.at(delay, Event::Mail(to, mail));
    }

    fn schedule(&mut self, core: usize, key: Key) {
        let Some(due) = self.machines(core).poll_timeout(key) else {
            return;
        };
        let when = due.0.max(self.now);
        let before = self.timers.get(&(core, key));
        if before.is_none_or(|&before| when < before) {
            self.timers.insert((core, key), when);
            self.at(when - self.now, Event::Timer(core, key));
        }
    }

    fn ended(&mut self, core: usize, key: Key, reason: CloseReason, linger: Linger) {
        self.note(|| format!("end core {core} {key:?} {}", reason.name()));
        if let Some(n) = self.find(core, key, Side::Client) {
            self.conns[n].reason = Some(reason);
            self.detach(n, linger);
        }
        let links: Vec<_> = self
            .links
            .range(links_of(core, key))
            .map(|(k, &n)| (*k, n))
            .collect();
        for (k, n) in links {
            self.links.remove(&k);
            self.detach(n, Linger::Flush);
        }
        self.machines(core).ended(key);
    }

    fn find(&self, core: usize, key: Key, side: Side) -> Option<usize> {
        match side {
            Side::Server(id) => self.links.get(&(core, key, id)).copied(),
            Side::Client => self.conns.iter().position(|c| {
                c.is_attached && c.core == core && c.key == key && c.side == Side::Client
            }),
        }
    }

    fn send(&mut self, core: usize, key: Key, side: Side, bytes: &[u8]) {
        let Some(n) = self.find(core, key, side) else {
            return;
        };
        assert!(
            self.conns[n].is_connected,
            "output before the connection stands"
        );
        self.note(|| format!("conn {n} <- proxy {} bytes", bytes.len()));
        let mut bytes = bytes.to_vec();
        // Behind the greeting, of which a client does not look at every byte.
        let is_late = self.conns[n].sent > 100;
        self.conns[n].sent += bytes.len();
        if side == Side::Client && is_late && self.sabotage != Sabotage::No {
            let at = bytes.len() / 2;
            match std::mem::replace(&mut self.sabotage, Sabotage::No) {
                Sabotage::ChangedByte => bytes[at] ^= 0x20,
                Sabotage::LostByte => drop(bytes.remove(at)),
                Sabotage::DoubledByte => bytes.insert(at, bytes[at]),
                Sabotage::No => {}
            }
        }
        self.conns[n].to_peer.bytes.extend(bytes);
        self.push(n, false);
    }

    /// Makes sure that what is in a pipe arrives some time.
    fn push(&mut self, n: usize, to_proxy: bool) {
        let conn = &mut self.conns[n];
        let pipe = if to_proxy {
            &mut conn.to_proxy
        } else {
            &mut conn.to_peer
        };
        if pipe.is_scheduled || pipe.is_held || (pipe.bytes.is_empty() && !pipe.eof) {
            return;
        }
        pipe.is_scheduled = true;
        let delay = self.rng.below(2_000);
        let event = if to_proxy {
            Event::ToProxy(n)
        } else {
            Event::ToPeer(n)
        };
        self.at(delay, event);
    }

    /// A piece of what is in a pipe: a byte, some, or all.
    fn piece(rng: &mut Rng, pipe: &mut Pipe) -> Vec<u8> {
        let all = pipe.bytes.len() as u64;
        let n = match rng.below(6) {
            0 => 1,
            1 => 1 + rng.below(all.min(16)),
            2 => 1 + rng.below(all),
            _ => all,
        };
        pipe.bytes
            .drain(..n.min(all).min(65_536) as usize)
            .collect()
    }

    fn deliver_to_proxy(&mut self, n: usize) {
        let conn = &mut self.conns[n];
        conn.to_proxy.is_scheduled = false;
        if !conn.is_attached || conn.to_proxy.is_held {
            return;
        }
        let (core, key, side) = (conn.core, conn.key, conn.side);
        if conn.to_proxy.bytes.is_empty() {
            if std::mem::take(&mut conn.to_proxy.eof) {
                self.note(|| format!("conn {n} -> proxy eof"));
                self.call(core, key, Input::Eof(side));
            }
            return;
        }
        let bytes = Self::piece(&mut self.rng, &mut conn.to_proxy);
        self.note(|| format!("conn {n} -> proxy {} bytes", bytes.len()));
        self.call(core, key, Input::Bytes(side, &bytes));
        self.push(n, true);
    }

    fn deliver_to_peer(&mut self, n: usize) {
        let conn = &mut self.conns[n];
        conn.to_peer.is_scheduled = false;
        if !conn.peer_open {
            return;
        }
        if conn.to_peer.bytes.is_empty() {
            if conn.to_peer.eof {
                conn.peer_open = false;
                if let Peer::Client(client) = &conn.peer {
                    conn.verdict = Some(client.verdict());
                }
            }
            return;
        }
        let bytes = Self::piece(&mut self.rng, &mut conn.to_peer);
        match &mut conn.peer {
            Peer::Client(client) => {
                let answer = client.bytes(&bytes);
                let vanishes = client.vanishes();
                if vanishes || (client.wants_to_leave() && !conn.to_peer.eof) {
                    conn.to_proxy.bytes.extend(answer);
                    conn.to_proxy.eof = true;
                    if vanishes {
                        conn.peer_open = false;
                    }
                } else {
                    conn.to_proxy.bytes.extend(answer);
                }
            }
            Peer::Server(server) => {
                let acts = server.bytes(&bytes, &mut self.cluster);
                self.act(n, acts);
                self.interrupt();
            }
        }
        self.push(n, true);
        self.push(n, false);
    }

    /// Ends the statements that servers were asked to end.
    fn interrupt(&mut self) {
        for connection in std::mem::take(&mut self.cluster.interrupted) {
            for n in 0..self.conns.len() {
                if let Peer::Server(server) = &mut self.conns[n].peer
                    && let Some(act) = server.interrupt(connection)
                {
                    self.act(n, vec![act]);
                }
            }
        }
    }

    fn act(&mut self, n: usize, acts: Vec<Act>) {
        for act in acts {
            let conn = &mut self.conns[n];
            match act {
                Act::Send(mut bytes) => {
                    let Peer::Server(server) = &mut conn.peer else {
                        return;
                    };
                    let breaks = server.cut(&mut bytes);
                    conn.to_proxy.bytes.extend(bytes);
                    if breaks {
                        self.cluster.bindings.end(server.connection());
                        conn.peer_open = false;
                        let is_reset = self.rng.chance(1, 2);
                        if is_reset {
                            let delay = self.rng.below(5_000);
                            self.at(delay, Event::Reset(n));
                        } else {
                            self.conns[n].to_proxy.eof = true;
                        }
                        break;
                    }
                }
                Act::Close => {
                    conn.to_proxy.eof = true;
                    self.unbind(n);
                }
            }
        }
        self.push(n, true);
    }

    /// What a session had on a connection is gone with it.
    fn unbind(&mut self, n: usize) {
        if let Peer::Server(server) = &self.conns[n].peer {
            self.cluster.bindings.end(server.connection());
        }
    }

    fn reset(&mut self, n: usize) {
        self.unbind(n);
        let conn = &mut self.conns[n];
        if !conn.is_attached {
            return;
        }
        // What is on its way is lost, as with a real reset.
        conn.to_proxy.bytes.clear();
        conn.is_attached = false;
        let (core, key, side) = (conn.core, conn.key, conn.side);
        self.note(|| format!("conn {n} reset"));
        if let Side::Server(id) = side {
            self.links.remove(&(core, key, id));
        }
        self.call(core, key, Input::Failed(side, RESET));
    }

    fn connect(&mut self, core: usize, key: Key, id: LinkId, to: SocketAddr, deadline: Tick) {
        assert!(
            !self.links.contains_key(&(core, key, id)),
            "the link id is in use"
        );
        let trouble = self.trouble(core);
        let n = self.conns.len();
        let (rng, moves) = (&mut self.rng, self.faults.binds);
        let server = Server::new(n as u32, rng, trouble, to, (core, key), moves);
        let mut conn = Conn::new(core, key, Side::Server(id), Peer::Server(Box::new(server)));
        conn.faulty = trouble != Trouble::default();
        self.conns.push(conn);
        self.links.insert((core, key, id), n);
        self.note(|| format!("conn {n} connects to {to} {trouble:?}"));
        let (delay, error) = match self.rng.below(24) {
            0 if self.faults.servers => (self.rng.below(5_000), Some(REFUSED)),
            1 if self.faults.servers => (deadline.0 - self.now, Some(TIMED_OUT)),
            _ if !self.cluster.servers.contains_key(&to) => (self.rng.below(5_000), Some(REFUSED)),
            _ => (self.rng.below(5_000), None),
        };
        if error.is_some() || trouble != Trouble::default() {
            self.blame(core, key);
        }
        self.at(delay, Event::Connect(n, error));
    }

    fn trouble(&mut self, core: usize) -> Trouble {
        let mut t = Trouble::default();
        if !self.faults.servers || self.rng.chance(2, 3) {
            return t;
        }
        match self.rng.below(if core < self.cores.len() { 12 } else { 6 }) {
            0 => t.greeting_error = Some([1040, 8001][self.rng.below(2) as usize]),
            1 => t.is_silent = true,
            2 => t.is_stranger = true,
            3 => t.login_error = Some([8001, 5150, 8002][self.rng.below(3) as usize]),
            4 => t.breaks_after = Some(self.rng.below(30_000) as usize),
            5 => t.garbles = Some(self.rng.below(6)),
            6 => t.damage = Some((self.rng.below(6), Damage::Tail)),
            7 => t.damage = Some((self.rng.below(6), Damage::Header)),
            8 => t.hangs = Some(self.rng.below(6)),
            _ => t.breaks_after = Some(self.rng.below(200_000) as usize),
        }
        t
    }

    /// The client of a machine has met a fault: it may be told of it.
    fn blame(&mut self, core: usize, key: Key) {
        if let Some(n) = self.find(core, key, Side::Client) {
            self.conns[n].faulty = true;
        }
    }

    fn connected(&mut self, n: usize, error: Option<Errno>) {
        let conn = &mut self.conns[n];
        let (core, key, side) = (conn.core, conn.key, conn.side);
        let Side::Server(id) = side else { return };
        if !conn.is_attached {
            return;
        }
        self.note(|| format!("conn {n} connected {error:?}"));
        if let Some(errno) = error {
            self.conns[n].is_attached = false;
            self.links.remove(&(core, key, id));
            self.call(core, key, Input::ConnectFailed(id, errno));
            return;
        }
        self.conns[n].is_connected = true;
        self.call(core, key, Input::Connected(id));
        if let Peer::Server(server) = &mut self.conns[n].peer {
            let acts = server.open();
            self.act(n, acts);
        }
    }

    /// The machine is done with a connection.
    fn detach(&mut self, n: usize, linger: Linger) {
        self.unbind(n);
        let conn = &mut self.conns[n];
        conn.is_attached = false;
        if linger == Linger::Abort {
            conn.to_peer.bytes.clear();
        }
        conn.to_peer.eof = true;
        self.push(n, false);
    }
}

/// The places of a session's links.
const fn links_of(core: usize, key: Key) -> RangeInclusive<(usize, Key, LinkId)> {
    (core, key, LinkId(0))..=(core, key, LinkId(u16::MAX))
}

/// The settings of a process that lets servers name better ones.
fn rerouting() -> Option<Arc<Settings>> {
    let mut draft = Draft::new();
    let options = "rootservice_list=127.0.0.1:2881,enable_reroute=true";
    draft.read_options(options).ok()?;
    let host = Host {
        cpus: usize::from(CORES),
        entropy: 1,
    };
    let (settings, _) = draft.finish(host).ok()?;
    Some(Arc::new(settings))
}

/// A session written to bytes and read back.
fn rebuilt(session: &Session) -> Session {
    let bytes = postcard::to_allocvec(session).unwrap_or_default();
    match postcard::from_bytes(&bytes) {
        Ok(again) => {
            assert!(*session == again, "a session is not what was written");
            again
        }
        Err(e) => panic!("a session cannot be read back: {e}"),
    }
}
