//! A sys tenant in trouble: clients of known tenants go on, and it is shown what is wrong.

use super::{AGE_MS, CAUSE, HEALTH, Ruled, client, cluster, options, resource, start, until};
use bench_harness::process::Obring;
use bench_harness::raw::{Conn, Login};
use obcluster::fault::{Fault, FaultKind};
use obcluster::views::RowFault;
use obcluster::{Change, Topology};

/// Switches a fault on, waits until it shows, looks at a known tenant, switches it off.
fn with(rig: &Rig, fault: Fault, cause: &str) {
    let mut admin = super::admin(&rig.proxy);
    let mut old = client(&rig.proxy);
    assert!(rig.cluster.fault(fault));
    until(cause, || {
        let is_shown = resource(&mut admin, HEALTH) == "DEGRADED"
            && resource(&mut admin, CAUSE).contains(cause);
        is_shown.then_some(())
    });
    assert_eq!(old.cell("select 'old'"), Ok("old".into()));
    assert_eq!(client(&rig.proxy).cell("select 'new'"), Ok("new".into()));
    rig.cluster.clear_faults();
    until("health", || {
        (resource(&mut admin, HEALTH) == "READY").then_some(())
    });
    assert_eq!(resource(&mut admin, CAUSE), "");
}

struct Rig {
    cluster: Ruled,
    proxy: Obring,
}

fn rig() -> Rig {
    let cluster = cluster(Topology::default());
    let options = options(&cluster).set("server_login_timeout", "300ms");
    let proxy = start(&options);
    // The tenant is known from here on.
    client(&proxy).cell("select 1").expect("a row");
    Rig { cluster, proxy }
}

#[test]
fn answers_that_are_late() {
    with(
        &rig(),
        Fault::new(FaultKind::MetaDelayMs(2_000)),
        "did not answer in time",
    );
}

#[test]
fn answers_that_are_errors() {
    with(&rig(), Fault::new(FaultKind::MetaError(4012)), "error 4012");
}

#[test]
fn answers_without_rows() {
    with(
        &rig(),
        Fault::new(FaultKind::MetaRows(RowFault::Empty)),
        "no server",
    );
}

#[test]
fn rows_with_a_status_that_nobody_knows() {
    let fault = Fault::new(FaultKind::MetaRows(RowFault::UnknownStatus));
    with(&rig(), fault, "has status");
}

#[test]
fn rows_that_make_no_sense() {
    let fault = Fault::new(FaultKind::MetaRows(RowFault::OneBad));
    with(&rig(), fault, "row ");
}

/// Older and newer releases have other columns: those that are not there are done without, and what
/// they would have told is not known.
#[test]
fn columns_that_are_missing() {
    let rig = rig();
    let mut admin = super::admin(&rig.proxy);
    let without =
        |column: &str| Fault::new(FaultKind::MetaRows(RowFault::WithoutColumn(column.into())));
    let zone_of_first = |admin: &mut Conn| {
        let rows = admin.rows("show proxycluster").expect("rows");
        rows[0][6].clone().unwrap_or_default()
    };
    assert_eq!(zone_of_first(&mut admin), "z1");
    assert!(rig.cluster.fault(without("ZONE")));
    until("servers without zones", || {
        zone_of_first(&mut admin).is_empty().then_some(())
    });
    assert_eq!(client(&rig.proxy).cell("select 'new'"), Ok("new".into()));
    rig.cluster.clear_faults();
    // One that cannot be done without is named.
    with(
        &rig,
        without("SQL_PORT"),
        "oceanbase.DBA_OB_SERVERS has no column sql_port",
    );
}

#[test]
fn views_that_are_missing() {
    let rig = rig();
    let missing = |view: &str| Fault::new(FaultKind::ViewMissing(view.into()));
    with(&rig, missing("DBA_OB_SERVERS"), "no such view");
    with(&rig, missing("DBA_OB_ZONES"), "DBA_OB_ZONES");
    with(&rig, missing("DBA_OB_TENANTS"), "DBA_OB_TENANTS");
}

#[test]
fn the_age_of_what_is_known_is_shown_and_grows() {
    let rig = rig();
    let mut admin = super::admin(&rig.proxy);
    assert!(rig.cluster.fault(Fault::new(FaultKind::MetaError(1142))));
    let age = |admin: &mut Conn| resource(admin, AGE_MS).parse::<u64>().expect("a number");
    until("an age of more than two rounds", || {
        (age(&mut admin) > 1_000).then_some(())
    });
    // A tenant that was never asked for cannot be found now, and its client is told why.
    let change = Change::AddTenant {
        tenant: "late".into(),
        servers: vec![1],
    };
    rig.cluster.change(&change).expect("a new tenant");
    let user = Login::user("root@late#obcluster", "");
    let text = Conn::login(rig.proxy.address(), &user).expect_err("nobody can tell");
    assert!(
        text.contains("tenant 'late'") && text.contains("1142"),
        "{text}"
    );
    rig.cluster.clear_faults();
    until("the tenant", || {
        Conn::login(rig.proxy.address(), &user).ok()
    });
    until("a young age", || (age(&mut admin) < 1_000).then_some(()));
}
