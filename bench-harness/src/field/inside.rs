//! What the kernel has no part in, on engine `builtin`: a server that refuses a statement of a
//! transaction that began elsewhere, and locks that go with their client at once.

use super::{Case, Field, check};
use crate::checks::{Saw, ensure};
use crate::clock::{Deadline, Watch, wait_for};
use crate::params::{P, params};
use crate::process::{Obring, Options};
use crate::raw::{Conn, Login};
use obcluster::builtin::{InternalRouting, Layout};
use obcluster::{Cluster, Engine, Entry, Topology};
use std::time::Duration;

/// Rows of `kv`.
const ROWS: i64 = 24;
/// The error of a server that cannot run a statement of a transaction that began elsewhere.
const NOT_HERE: u16 = 6279;
/// Lengths of texts.
const SMALL: &[usize] = &[1_000, 4_000, 4_097, 8_000, 100_000];
const FULL: &[usize] = &[
    1_000, 4_000, 4_097, 8_000, 65_400, 65_536, 100_000, 1_000_000,
];
/// Bytes of a BIGINT parameter, with its type.
const PARAMETER: usize = 10;
/// A statement has no more.
const PARAMETERS_MAX: usize = 65_000;

pub(super) const CASES: &[Case] = &[check(
    "F038",
    "a large statement goes back to the coordinator",
    back_to_the_coordinator,
)];

/// Three servers and obring.
struct Stage {
    cluster: Cluster,
    proxy: Obring,
}

impl Stage {
    fn new(field: &Field, internal_routing: InternalRouting) -> Result<Self, String> {
        let layout = Layout {
            kv_rows: (0..ROWS).map(|id| (id, "old".into())).collect(),
            internal_routing,
            ..Layout::default()
        };
        let cluster = Cluster::start(Topology::default(), Engine::Builtin(layout));
        let cluster = cluster.map_err(|e| format!("model: {e}"))?;
        let options =
            Options::new(&field.setup.binary, &cluster.addresses()).set("obproxy_sys_password", "");
        let mut proxy = Obring::start(&options)?;
        proxy.wait_log("event=metadata_ready")?;
        Ok(Self { cluster, proxy })
    }

    fn client(&self) -> Result<Conn, String> {
        let login = Login::user("root@test#obcluster", "").db("test");
        Conn::login(self.proxy.address(), &login)
    }

    /// The server that a row is led by.
    fn leader(&self, id: i64) -> Result<u32, String> {
        let sql = format!("update kv set v = 'led' where id = {id}");
        self.client()?.run(&sql)?;
        let log = self.cluster.log_since(0);
        let run = log.iter().rev().find(|e| e.sql == sql);
        run.map(|e| e.server_id).ok_or_else(|| sql.clone())
    }
}

/// F038: it is refused once at most, runs on the coordinator, and is committed.
fn back_to_the_coordinator(field: &Field) -> Saw {
    let stage = Stage::new(field, InternalRouting::Refuse)?;
    let first = stage.leader(0)?;
    let mut ids = vec![];
    for id in 1..ROWS {
        if stage.leader(id)? != first {
            ids.push(id);
        }
    }
    let id = *ids.first().ok_or("one server leads everything")?;
    let sizes = if field.count(0, 1) == 0 { SMALL } else { FULL };
    let (mut refused, mut told) = (0, vec![]);
    for is_prepared in [false, true] {
        for &size in sizes {
            let what = format!("{size} bytes, prepared: {is_prepared}");
            let n = stage
                .refusals(id, size, is_prepared)
                .map_err(|e| format!("{what}: {e}"))?;
            refused += n;
            told.push(format!("{what}: {n}"));
        }
    }
    let told = told.join("; ");
    // A server that never was asked has refused nothing.
    ensure(refused > 0, || format!("never refused: {told}"))?;
    Ok(format!("refused and committed: {told}"))
}

impl Stage {
    /// A transaction whose second statement is so long and about a row that another server leads:
    /// how often that was refused.
    fn refusals(&self, id: i64, size: usize, is_prepared: bool) -> Result<usize, String> {
        let value = format!("{size}, {is_prepared}");
        let mut c = self.client()?;
        let count = (size / PARAMETER).min(PARAMETERS_MAX);
        let payload = match is_prepared {
            // What makes it long are keys, all of them the same.
            true => {
                let sql = format!(
                    "update kv set v = '{value}' where id in (?{})",
                    ", ?".repeat(count - 1)
                );
                let statement = prepare(&mut c, &sql, count)?.to_le_bytes();
                let values = vec![P::Big(id); count];
                let head = [&[0x17], &statement[..], &[0, 1, 0, 0, 0]].concat();
                [head, params(&values, true)].concat()
            }
            false => {
                let long = "x".repeat(size);
                let sql = format!("\x03update kv set v = '{value}' where id = {id} /* {long} */");
                sql.into_bytes()
            }
        };
        let since = self.cluster.log_next();
        c.run("begin")?;
        c.run(&format!("update kv set v = 'first {value}' where id = 0"))?;
        c.send(&payload, 0).map_err(|e| e.to_string())?;
        let got = c.receive();
        ensure(got.is_ok(), || format!("the second: {got:?}"))?;
        c.run("commit")?;
        let mut other = self.client()?;
        let first = other.cell("select v from kv where id = 0")?;
        let second = other.cell(&format!("select v from kv where id = {id}"))?;
        ensure(first == format!("first {value}"), || first.clone())?;
        ensure(second == value, || second.clone())?;
        let log = self.cluster.log_since(since);
        let is_it = |e: &&Entry| e.cmd == "stmt_execute" || e.sql.starts_with("update kv");
        let updates: Vec<&Entry> = log
            .iter()
            .filter(|e| e.cmd != "stmt_prepare")
            .filter(is_it)
            .collect();
        let refused = updates.iter().filter(|e| e.errno == NOT_HERE).count();
        let good: Vec<_> = updates.iter().filter(|e| e.errno == 0).collect();
        let is_whole = good.len() == 2 && good[0].server_id == good[1].server_id;
        let is_right = is_whole && refused <= 1 && updates.len() == good.len() + refused;
        ensure(is_right, || {
            let seen = |e: &&Entry| (e.cmd.clone(), e.server_id, e.errno);
            format!("{:?}", updates.iter().map(seen).collect::<Vec<_>>())
        })?;
        Ok(refused)
    }
}

/// Prepares an UPDATE with so many parameters.
fn prepare(c: &mut Conn, sql: &str, parameters: usize) -> Result<u32, String> {
    c.send(&[b"\x16", sql.as_bytes()].concat(), 0)
        .map_err(|e| e.to_string())?;
    let got = c.receive();
    let head = got.packet().filter(|p| p.payload.first() == Some(&0));
    let id = head.and_then(|p| p.payload.get(1..5)?.try_into().ok());
    let id = id.ok_or_else(|| format!("prepare: {got:?}"))?;
    // The parameters and their end.
    (0..=parameters).for_each(|_| drop(c.receive()));
    Ok(u32::from_le_bytes(id))
}

/// How long a lock may stay when its client is gone.
const GONE: Duration = Duration::from_secs(1);

/// F031: a lock binds its session, others wait for it, and it goes with a client that is killed: no
/// link is kept. The kernel frees locks some time after their connection (1 to 10 s, observed on
/// seekdb 1.3.0.post5), so this is shown on the engine.
pub(super) fn locks_go(field: &Field) -> Saw {
    let stage = Stage::new(field, InternalRouting::On)?;
    let (mut a, mut b) = (stage.client()?, stage.client()?);
    let take = "select get_lock('l1', 15)";
    for is_killed in [false, true] {
        let since = stage.cluster.log_next();
        ensure(a.cell(take)? == "1", || "not got".into())?;
        for id in 0..ROWS {
            a.run(&format!("update kv set v = 'locked' where id = {id}"))?;
        }
        b.query(take).map_err(|e| e.to_string())?;
        let takes = || {
            let log = stage.cluster.log_since(since);
            log.iter().filter(|e| e.sql == take).count()
        };
        wait_for(Deadline::secs(10), "two to ask", || {
            (takes() == 2).then_some(())
        })?;
        let watch = Watch::start();
        if is_killed {
            drop(a);
            a = stage.client()?;
        } else {
            let freed = a.cell("select release_lock('l1')")?;
            ensure(freed == "1", || format!("release: {freed}"))?;
        }
        let got = b.read_rows()?;
        ensure(got == [[Some("1".to_owned())]], || format!("b: {got:?}"))?;
        let took = watch.elapsed();
        ensure(took < GONE, || format!("killed: {is_killed}: {took:?}"))?;
        let log = stage.cluster.log_since(since);
        let mine = log.iter().filter(|e| e.sql.contains("'locked'"));
        let mut servers: Vec<u32> = mine.map(|e| e.server_id).collect();
        servers.dedup();
        ensure(servers.len() == 1, || format!("servers {servers:?}"))?;
        ensure(b.cell("select release_lock('l1')")? == "1", || "b".into())?;
    }
    Ok("a lock is free at once when its client is gone".into())
}
