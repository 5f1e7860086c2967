//! How soon every core knows of a change.

use super::{Saw, Setup, ensure};
use crate::clock::{Deadline, wait_for};
use crate::process::{Obring, Options};
use crate::raw::{Conn, Login};
use obcluster::{Change, Cluster, Topology};

/// Serving cores, more than this machine may have CPUs for.
const CORES: usize = 4;
/// Changes that are made.
const CHANGES: usize = 60;
/// In the median every core has a change after this time.
const MEDIAN_MAX_US: u64 = 5_000;

/// Changes a zone of a model cluster again and again; each time all cores must come to the same
/// version, and the last of them soon after it was made.
///
/// # Errors
/// What was not as it must be.
pub fn versions(setup: &Setup) -> Saw {
    let cluster =
        Cluster::start(Topology::default(), setup.kernel).map_err(|e| format!("model: {e}"))?;
    let options = Options::new(&setup.binary, &cluster.addresses())
        .set("obproxy_sys_password", "")
        .set("work_thread_num", CORES)
        .set("cpu_affinity", "False")
        .set("server_state_refresh_interval", "40ms");
    let mut proxy = Obring::start(&options)?;
    proxy.wait_log("event=metadata_ready")?;
    let mut admin = Conn::login(proxy.address(), &Login::user("root@proxysys", ""))?;
    let (mut before, _) = agreed(&mut admin, 0)?;
    let mut lags = vec![];
    for n in 0..CHANGES {
        let change = Change::Zone {
            zone: "z2".into(),
            status: None,
            kind: None,
            idc: Some(format!("idc{n}")),
            region: None,
        };
        cluster.change(&change).map_err(|e| format!("{e:?}"))?;
        let (version, lag) = agreed(&mut admin, before)?;
        before = version;
        lags.push(lag);
    }
    lags.sort_unstable();
    let (median, worst) = (lags[lags.len() / 2], lags[lags.len() - 1]);
    let saw = format!(
        "{CHANGES} changes, last of {CORES} cores: median {median} us, worst {worst} us after it \
         was made"
    );
    ensure(median <= MEDIAN_MAX_US, || saw.clone())?;
    Ok(saw)
}

/// Waits until all cores have the same version, a newer one than `before`; that version, and how
/// long it took the slowest core to get it.
fn agreed(admin: &mut Conn, before: u64) -> Result<(u64, u64), String> {
    wait_for(Deadline::secs(10), "all cores to agree", || {
        let rows = admin.rows("show proxyresource core").ok()?;
        let number = |cell: &Option<String>| cell.as_ref()?.parse::<u64>().ok();
        let of_cluster = rows.iter().filter(|row| row[1].is_none());
        let stamps: Option<Vec<_>> = of_cluster
            .map(|row| Some((number(&row[3])?, number(&row[4])?)))
            .collect();
        let stamps = stamps?;
        let (version, _) = *stamps.first()?;
        let is_same = stamps.len() == CORES && stamps.iter().all(|(v, _)| *v == version);
        let slowest = stamps.iter().map(|(_, lag)| *lag).max()?;
        (is_same && version > before).then_some((version, slowest))
    })
}
