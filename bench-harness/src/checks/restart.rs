//! A start behind a run that has used tables: they are looked up at a tenant's first login, and not
//! when the first statement comes.

use super::{Saw, Setup, ensure};
use crate::clock::{Deadline, wait_for};
use crate::process::{Obring, Options};
use crate::raw::{Conn, Login};
use obcluster::builtin::Layout;
use obcluster::{Cluster, Engine, Entry, Kind, Role, Topology, VerdictKind};
use std::path::{Path, PathBuf};

/// Tables that are used.
const TABLES: u32 = 3;
/// Leaves of each.
const LEAVES: u32 = 12;
/// The last question of a look-up of tables with partitions.
const LAST: &str = "tablet_id) IN (";

/// A directory that is removed with its value.
struct Root(PathBuf);

impl Drop for Root {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// obring is stopped and started again: the used tables are looked up before anybody asks for
/// them, and the first statement on each leaf goes to its leader. Without the snapshot the same
/// statements cause look-ups, which shows that something is judged.
///
/// # Errors
/// What was not as it must be.
pub fn restart(setup: &Setup) -> Saw {
    let layout = Layout {
        sbtest: TABLES,
        sbtest_partitions: LEAVES,
        sbtest_rows: LEAVES * 2,
        ..Layout::default()
    };
    let cluster = Cluster::start(Topology::default(), Engine::Builtin(layout));
    let cluster = cluster.map_err(|e| format!("model: {e}"))?;
    let root = format!("obring-restart-{}", std::process::id());
    let root = Root(std::env::temp_dir().join(root));
    let first = run(setup, &cluster, &root.0, true, false)?;
    ensure(first > 0, || {
        "the tables were known at the first start".into()
    })?;
    let again = run(setup, &cluster, &root.0, true, true)?;
    ensure(again == 0, || {
        format!("{again} look-ups behind the statements, with the snapshot of the last run")
    })?;
    let without = run(setup, &cluster, &root.0, false, false)?;
    ensure(without > 0, || {
        "nothing is looked up without a snapshot".into()
    })?;
    Ok(format!(
        "{} statements on {TABLES} tables, all on their leaders; look-ups behind them: {first} at \
         first, {again} after a restart, {without} without a snapshot",
        TABLES * LEAVES
    ))
}

/// Starts obring, uses all tables, and stops it. How many questions about the tables came behind
/// the first statement; with `waits` statements begin when the tables have been looked up.
fn run(
    setup: &Setup,
    cluster: &Cluster,
    root: &Path,
    has_prefetch: bool,
    waits: bool,
) -> Result<usize, String> {
    let since = cluster.log_next();
    let mut options = Options::new(&setup.binary, &cluster.addresses())
        .set("obproxy_sys_password", "")
        .set("work_thread_num", 2)
        .set("cpu_affinity", "False")
        .set(
            "location_prefetch",
            if has_prefetch { "True" } else { "False" },
        );
    options.root = Some(root.into());
    let mut proxy = Obring::start(&options)?;
    proxy.wait_log("event=metadata_ready")?;
    let mut client = Conn::login(
        proxy.address(),
        &Login::user("root@test#obcluster", "").db("test"),
    )?;
    let names: Vec<_> = (1..=TABLES).map(|n| format!("sbtest{n}")).collect();
    let is_about = |e: &Entry| !e.meta.is_empty() && names.iter().any(|n| e.sql.contains(n));
    if waits {
        wait_for(Deadline::secs(20), "the tables of the last run", || {
            let log = cluster.log_since(since);
            let is_last = |name: &String| {
                let about = |e: &Entry| e.sql.contains(LAST) && e.sql.contains(name.as_str());
                log.iter().any(|e| about(e) && e.t_done_us > 0)
            };
            let is_over = log.iter().filter(|e| is_about(e)).all(|e| e.t_done_us > 0);
            (is_over && names.iter().all(is_last)).then_some(())
        })?;
    }
    let mark = cluster.log_next();
    for id in 1..=LEAVES {
        for name in &names {
            client.cell(&format!("select c from {name} where id={id}"))?;
        }
    }
    let log = cluster.log_since(mark);
    let asked = log.iter().filter(|e| is_about(e)).count();
    let statements = log.iter().filter(|e| {
        e.kind == Kind::Request && e.meta.is_empty() && e.sql.starts_with("select c from sbtest")
    });
    let is_right = |e: &&Entry| e.verdict.kind == VerdictKind::Exact && e.role_here == Role::Leader;
    let (all, right) = (
        statements.clone().count(),
        statements.filter(is_right).count(),
    );
    ensure(all == (TABLES * LEAVES) as usize && right == all, || {
        format!("{right} of {all} statements on their leaders")
    })?;
    drop(client);
    proxy.term();
    let status = proxy.wait_exit(30)?;
    ensure(status.success(), || format!("it ended with {status}"))?;
    Ok(asked)
}
