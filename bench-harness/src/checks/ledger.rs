//! A ledger under faults: transfers between rows on different servers, while servers die, hang and
//! lose connections and leaders move. What clients were told is compared with what is there.

use super::{Saw, Setup, ensure};
use crate::clock::{Deadline, pause, wait_for};
use crate::process::{Obring, Options};
use crate::raw::{Conn, Got, Login};
use crate::relay::spawn;
use obcluster::{Change, Cluster, Entry, Fault, FaultKind, Kind, Topology, ViolationKind};
use obring_wire::base::Rng;
use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::time::Duration;

const TENANT: &str = "test";
const SERVERS: u32 = 3;
/// Clients at work. Each has accounts of its own, so that none waits for another's locks.
const CLIENTS: u64 = 8;
/// Accounts of each.
const ACCOUNTS: u64 = 6;
/// What is on each account at first.
const BALANCE: i64 = 1_000;
/// One fault in so long.
const EVERY: Duration = Duration::from_millis(2_400);
/// How long a server stays dead or hangs; longer than a statement may be without an answer.
const TROUBLE: Duration = Duration::from_millis(1_200);
/// Wrong things that are shown.
const SHOWN_MAX: usize = 8;

/// What a client knows of one entry of the ledger.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fate {
    /// It was acknowledged.
    There,
    /// It has not come about.
    Absent,
    /// Nobody could say.
    Either,
}

/// What a statement that failed was said to have become.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Said {
    NotRun,
    RolledBack,
    Unknown,
    /// An error of the server: the statement has done nothing.
    Failed,
}

impl Said {
    /// `None`: an error of the proxy without an outcome.
    fn of(code: u16, text: &str) -> Option<Self> {
        let outcomes = [
            ("[not run]", Self::NotRun),
            ("[rolled back]", Self::RolledBack),
            ("[unknown]", Self::Unknown),
        ];
        let told = outcomes.iter().find(|(words, _)| text.ends_with(words));
        match (told, code) {
            (Some((_, said)), _) => Some(*said),
            // A server's time-out: it may come in the phase of the commit.
            (None, 4012) => Some(Self::Unknown),
            (None, 10_000..) => None,
            (None, _) => Some(Self::Failed),
        }
    }
}

/// What one client did and was told.
#[derive(Default)]
struct Book {
    fates: Vec<(u64, Fate)>,
    statements: u64,
    /// Errors by what they said.
    said: BTreeMap<&'static str, u64>,
    /// What no client may see.
    wrong: Vec<String>,
}

struct Client {
    proxy: std::net::SocketAddr,
    conn: Option<Conn>,
    number: u64,
    entries: u64,
    rng: Rng,
    book: Book,
}

impl Client {
    fn wrong(&mut self, text: String) {
        if self.book.wrong.len() < SHOWN_MAX {
            self.book.wrong.push(text);
        }
    }

    /// Runs one statement; `Err`: what became of it.
    fn run(&mut self, sql: &str) -> Result<(), Said> {
        let mut conn = match self.conn.take() {
            Some(conn) => conn,
            None => {
                let login = Login::user(&format!("root@{TENANT}#obcluster"), "").db("ledger");
                // While servers are in trouble a login may fail.
                match Conn::login(self.proxy, &login) {
                    Ok(conn) => conn,
                    Err(_) => {
                        pause(Duration::from_millis(20));
                        return Err(Said::NotRun);
                    }
                }
            }
        };
        self.book.statements += 1;
        if conn.query(sql).is_err() {
            // It was closed behind the reply before: a packet that waits says why.
            let said = match conn.receive().error() {
                Some((code, text)) => Said::of(code, &text),
                None => None,
            };
            self.wrong(format!(
                "{sql}: the connection was closed between statements"
            ));
            return Err(said.unwrap_or(Said::Unknown));
        }
        match conn.receive() {
            got if got.is_ok() => {
                self.conn = Some(conn);
                Ok(())
            }
            got => match got.error() {
                Some((code, text)) => {
                    let said = Said::of(code, &text);
                    if said.is_none() {
                        self.wrong(format!("{sql}: {code} {text}"));
                    }
                    let said = said.unwrap_or(Said::Unknown);
                    let name = match said {
                        Said::NotRun => "not run",
                        Said::RolledBack => "rolled back",
                        Said::Unknown => "unknown",
                        Said::Failed => "of the server",
                    };
                    *self.book.said.entry(name).or_default() += 1;
                    self.conn = Some(conn);
                    Err(said)
                }
                None => {
                    if got == Got::TimedOut {
                        self.wrong(format!("{sql}: no answer"));
                    } else {
                        self.wrong(format!("{sql}: {got:?} instead of an answer"));
                    }
                    Err(Said::Unknown)
                }
            },
        }
    }

    fn account(&mut self) -> u64 {
        self.number * ACCOUNTS + self.rng.below(ACCOUNTS)
    }

    /// One entry: alone, or with a transfer in one transaction.
    fn enter(&mut self) {
        let uid = self.number * 1_000_000_000 + self.entries;
        self.entries += 1;
        let (from, to) = (self.account(), self.account());
        let amount = self.rng.below(100);
        let entry = |amount| format!("insert into entries values({uid}, {from}, {to}, {amount})");
        let fate = if self.rng.chance(1, 3) {
            self.last_of(&entry(0))
        } else {
            let take = format!("update accounts set n = n - {amount} where id = {from}");
            let give = format!("update accounts set n = n + {amount} where id = {to}");
            self.transfer(&["begin", &take, &give, &entry(amount)])
        };
        self.book.fates.push((uid, fate));
    }

    /// The statement that decides about an entry.
    fn last_of(&mut self, sql: &str) -> Fate {
        match self.run(sql) {
            Ok(()) => Fate::There,
            Err(Said::Unknown) => Fate::Either,
            Err(_) => Fate::Absent,
        }
    }

    fn transfer(&mut self, statements: &[&str]) -> Fate {
        for sql in statements {
            let Err(said) = self.run(sql) else { continue };
            // Within a transaction it is known: what is not committed does not come about.
            if said == Said::Unknown && *sql != "begin" && self.conn.is_some() {
                self.wrong(format!("{sql}: unknown, within a transaction"));
            }
            if self.run("rollback").is_err() {
                self.conn = None;
            }
            return Fate::Absent;
        }
        let fate = self.last_of("commit");
        if fate == Fate::Absent && self.run("rollback").is_err() {
            self.conn = None;
        }
        fate
    }
}

/// The faults of a run, and how many were fired while a write was in flight on their server.
#[derive(Default)]
struct Faults {
    fired: u64,
    in_flight: u64,
    by_kind: BTreeMap<&'static str, u64>,
}

fn is_write(entry: &Entry) -> bool {
    let first = entry.sql.split(' ').next().unwrap_or_default();
    entry.kind == Kind::Request && matches!(first, "insert" | "update" | "commit")
}

/// A server that runs a write just now.
fn busy(cluster: &Cluster) -> Option<u32> {
    let next = cluster.log_next();
    let log = cluster.log_between(next.saturating_sub(4 * CLIENTS), next);
    let running = log.iter().rev().find(|e| is_write(e) && e.t_done_us == 0);
    running.map(|e| e.server_id)
}

impl Faults {
    /// Fires one, and takes it back.
    fn fire(&mut self, cluster: &Cluster, rng: &mut Rng) -> Result<(), String> {
        let server = wait_for(Deadline::secs(20), "a write in flight", || busy(cluster))?;
        let from = cluster.log_next().saturating_sub(16 * CLIENTS);
        let change = |change: Change| cluster.change(&change).map_err(|e| e.to_string());
        let (name, fired_us) = match rng.below(5) {
            0 => {
                let done = change(Change::Kill(server))?;
                pause(TROUBLE);
                change(Change::Start(server))?;
                ("killed", done.t_us)
            }
            1 => {
                let done = change(Change::Hang(server))?;
                pause(TROUBLE + EVERY);
                change(Change::Resume(server))?;
                ("hung", done.t_us)
            }
            2 => {
                let state = cluster.state();
                let tenant = state.tenant(TENANT).ok_or("there is no tenant")?;
                let streams = tenant
                    .user_streams()
                    .iter()
                    .map(|s| s.id)
                    .collect::<Vec<_>>();
                let stream = streams[rng.below(streams.len() as u64) as usize];
                let to = server % SERVERS + 1;
                let done = change(Change::Lead {
                    tenant: TENANT.into(),
                    stream,
                    server: Some(to),
                })?;
                ("moved", done.t_us)
            }
            3 => {
                let next = cluster.log_next();
                cluster.cut_links(|link| link.server == server && link.tenant == TENANT);
                let log = cluster.log_between(next, cluster.log_next());
                let control = log.iter().find(|e| e.kind == Kind::Control);
                ("cut", control.map_or(0, |e| e.t_recv_us))
            }
            _ => {
                let fault = Fault::new(FaultKind::ResetAfterBytes(rng.below(12)));
                let words = ["insert", "update", "commit"];
                let word = words[rng.below(3) as usize];
                cluster.fault(fault.on(server).sql(word).times(1));
                // It hits a write, whichever comes next.
                self.in_flight += 1;
                ("reset", u64::MAX)
            }
        };
        self.fired += 1;
        *self.by_kind.entry(name).or_default() += 1;
        let log = cluster.log_between(from, cluster.log_next());
        let was_running = |e: &&Entry| {
            let is_over = e.t_done_us != 0 && e.t_done_us < fired_us;
            is_write(e) && e.server_id == server && e.t_recv_us <= fired_us && !is_over
        };
        self.in_flight += u64::from(fired_us != u64::MAX && log.iter().any(|e| was_running(&e)));
        Ok(())
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} faults, {} hit a write in flight:",
            self.fired, self.in_flight
        )?;
        self.by_kind
            .iter()
            .try_for_each(|(name, n)| write!(f, " {n} {name}"))
    }
}

fn prepare(kernel: std::net::SocketAddr) -> Result<Conn, String> {
    let mut c = Conn::login(kernel, &Login::default())?;
    for sql in [
        "create database if not exists ledger",
        "drop table if exists ledger.accounts",
        "drop table if exists ledger.entries",
        "create table ledger.accounts(id bigint primary key, n bigint) \
         partition by hash(id) partitions 12",
        // Without a unique key, so that an entry can be there twice.
        "create table ledger.entries(uid bigint, a bigint, b bigint, n bigint) \
         partition by hash(uid) partitions 12",
    ] {
        c.run(sql)?;
    }
    for id in 0..CLIENTS * ACCOUNTS {
        c.run(&format!(
            "insert into ledger.accounts values({id}, {BALANCE})"
        ))?;
    }
    Ok(c)
}

/// The entries that are there: how often each, and what it moved.
type Entries = BTreeMap<u64, (u64, [i64; 3])>;

fn numbers(row: &[Option<String>]) -> Result<Vec<i64>, String> {
    let number = |cell: &Option<String>| cell.as_ref().and_then(|text| text.parse().ok());
    let all: Option<Vec<i64>> = row.iter().map(number).collect();
    all.ok_or_else(|| format!("{row:?} are no numbers"))
}

/// Entries against what clients were told, and accounts against entries.
fn compare(kernel: &mut Conn, books: &[Book]) -> Result<String, String> {
    let mut entries = Entries::new();
    for row in kernel.rows("select uid, a, b, n from ledger.entries")? {
        let row = numbers(&row)?;
        let [uid, from, to, n] = row[..] else {
            return Err(format!("{row:?} is no entry"));
        };
        let entry = entries.entry(uid as u64).or_insert((0, [from, to, n]));
        entry.0 += 1;
    }
    let mut wrong = vec![];
    let (mut there, mut either) = (0_u64, 0_u64);
    for (uid, fate) in books.iter().flat_map(|book| &book.fates) {
        let count = entries.get(uid).map_or(0, |e| e.0);
        let is_right = match fate {
            Fate::There => count == 1,
            Fate::Absent => count == 0,
            Fate::Either => count <= 1,
        };
        there += u64::from(*fate == Fate::There);
        either += u64::from(*fate == Fate::Either);
        if !is_right {
            wrong.push(format!("entry {uid}, {fate:?}, is there {count} times"));
        }
    }
    let mut balances: BTreeMap<i64, i64> = BTreeMap::new();
    for (count, [from, to, n]) in entries.values() {
        *balances.entry(*from).or_default() -= n * *count as i64;
        *balances.entry(*to).or_default() += n * *count as i64;
    }
    for row in kernel.rows("select id, n from ledger.accounts")? {
        let row = numbers(&row)?;
        let want = BALANCE + balances.get(&row[0]).copied().unwrap_or_default();
        if row[1] != want {
            wrong.push(format!(
                "account {} has {}, its entries say {want}",
                row[0], row[1]
            ));
        }
    }
    let count = wrong.len();
    wrong.truncate(SHOWN_MAX);
    ensure(wrong.is_empty(), || {
        format!("{count} wrong: {}", wrong.join("; "))
    })?;
    Ok(format!(
        "{there} entries acknowledged, {either} of unknown fate, all as told"
    ))
}

/// Clients transfer for so long, under faults of all kinds.
///
/// # Errors
/// An entry that was acknowledged and is not there, or is there twice; one that was said not to
/// have come about and has; accounts that are not what the entries say; an error without an
/// outcome; a close without a word; too few faults in flight.
pub fn ledger(setup: &Setup, length: Duration) -> Saw {
    let mut kernel = prepare(setup.kernel)?;
    let cluster = Cluster::start(Topology::default(), setup.kernel);
    let cluster = cluster.map_err(|e| format!("model: {e}"))?;
    let options = Options::new(&setup.binary, &cluster.addresses())
        .set("obproxy_sys_password", "")
        .set("work_thread_num", 4)
        .set("cpu_affinity", "False")
        .set("observer_query_timeout_delta", "1s")
        .set("server_state_refresh_interval", "2s");
    let mut proxy = Obring::start(&options)?;
    proxy.wait_log("event=metadata_ready")?;
    let stop = Arc::new(AtomicBool::new(false));
    let (send, books) = channel();
    for number in 0..CLIENTS {
        let (stop, send, address) = (stop.clone(), send.clone(), proxy.address());
        let run = move || {
            let mut client = Client {
                proxy: address,
                conn: None,
                number,
                entries: 0,
                rng: Rng::new(number),
                book: Book::default(),
            };
            while !stop.load(Ordering::Relaxed) && client.book.wrong.len() < SHOWN_MAX {
                if client.conn.is_none() {
                    // A hung server is given up after two seconds.
                    let _ = client.run("set ob_query_timeout = 1000000");
                }
                client.enter();
            }
            // Who waits for this has gone if nobody takes it.
            let _ = send.send(client.book);
        };
        spawn("client", run).map_err(|e| format!("a client: {e}"))?;
    }
    drop(send);
    let (mut faults, mut rng) = (Faults::default(), Rng::new(7));
    let end = Deadline::after(length);
    let mut result = Ok(());
    while end.left().is_some() && result.is_ok() {
        result = faults.fire(&cluster, &mut rng);
        pause(EVERY / 2);
    }
    stop.store(true, Ordering::Relaxed);
    let books: Vec<Book> = books.iter().collect();
    result?;
    let mut text = String::new();
    let statements: u64 = books.iter().map(|book| book.statements).sum();
    let wrong: Vec<_> = books.iter().flat_map(|book| &book.wrong).collect();
    ensure(wrong.is_empty(), || format!("{wrong:#?}"))?;
    let mut said: BTreeMap<&str, u64> = BTreeMap::new();
    for (name, n) in books.iter().flat_map(|book| &book.said) {
        *said.entry(name).or_default() += n;
    }
    let saw = compare(&mut kernel, &books)?;
    let mut broken = cluster.violations();
    // A server that hangs does not see that a link was closed: to the model its transaction is open
    // until the server goes on, and what the session does elsewhere looks like an escape.
    broken.retain(|rule| rule.violation.kind != ViolationKind::TxEscape);
    ensure(broken.is_empty(), || format!("broken rules: {broken:#?}"))?;
    let _ = write!(
        text,
        "{statements} statements; {faults}; errors {said:?}; {saw}"
    );
    ensure(faults.in_flight * 10 >= faults.fired * 9, || text.clone())?;
    Ok(text)
}
