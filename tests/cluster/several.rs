//! Several clusters behind one obring.

use super::{ROUND, Ruled, binary, cluster, login, start, until};
use bench_harness::process::Options;
use bench_harness::raw::{Conn, Login};
use obcluster::fault::{Fault, FaultKind};
use obcluster::{Cluster, Topology};
use std::fmt::Write as _;
use std::net::Ipv4Addr;

/// The default password of `proxyro` on the kernel, as SHA1 in the settings.
const RIGHT: &str = "ee0e5138c912aed80b683c05303684be347ce81d";
const WRONG: &str = "0123456789012345678901234567890123456789";

fn named(name: &str, subnet: u8) -> Ruled {
    cluster(Topology {
        name: name.into(),
        base: (Ipv4Addr::new(127, 0, subnet, 1), 0).into(),
        ..Topology::default()
    })
}

fn table(cluster: &Cluster, name: &str, password: &str) -> String {
    let mut servers = String::new();
    for address in cluster.addresses() {
        let _ = write!(servers, "\"{address}\",");
    }
    format!(
        "[[cluster]]\nname = \"{name}\"\nrootservice_list = [{servers}]\n\
         observer_sys_password = \"{password}\"\n"
    )
}

#[test]
fn each_client_is_on_its_own_cluster() {
    let (one, two) = (named("one", 11), named("two", 12));
    let file = std::env::temp_dir().join(format!("obring-several-{}.toml", std::process::id()));
    // The general password is wrong: each cluster has its own.
    let text = format!(
        "[proxy]\nobserver_sys_password = \"{WRONG}\"\n{}{}",
        table(&one, "one", RIGHT),
        table(&two, "two", RIGHT)
    );
    std::fs::write(&file, text).expect("a file");
    let options = Options::of_file(binary(), &file)
        .set("obproxy_sys_password", "")
        .set("server_state_refresh_interval", ROUND);
    let mut proxy = start(&options);
    proxy.wait_log("cluster=one servers=3").expect("a round");
    proxy.wait_log("cluster=two servers=3").expect("a round");
    for (name, here, there) in [("one", &one, &two), ("two", &two, &one)] {
        for tenant in ["sys", "test"] {
            let sql = format!("select '{tenant} of {name}'");
            let mut c = login(&proxy, &format!("root@{tenant}#{name}"));
            c.cell(&sql).expect("a row");
            let has = |cluster: &Cluster| cluster.log_since(0).iter().any(|e| e.sql == sql);
            assert!(has(here) && !has(there), "{sql}");
        }
    }
    let refused = Conn::login(proxy.address(), &Login::user("root@sys#three", ""));
    assert!(refused.expect_err("no such cluster").contains("4669"));
    // Trouble of one is not trouble of the other.
    two.fault(Fault::new(FaultKind::MetaError(1142)));
    let mut admin = super::admin(&proxy);
    until("trouble", || {
        let rows = admin.rows("show proxyresource like 'two'").expect("rows");
        (rows[0][super::HEALTH].as_deref() == Some("DEGRADED")).then_some(())
    });
    let rows = admin.rows("show proxyresource like 'one'").expect("rows");
    assert_eq!(rows[0][super::HEALTH].as_deref(), Some("READY"));
    let _ = std::fs::remove_file(&file);
}

#[test]
fn a_wrong_password_of_one_cluster_is_told_and_holds_up_nobody() {
    let (one, two) = (named("one", 13), named("two", 14));
    let file = std::env::temp_dir().join(format!("obring-wrong-{}.toml", std::process::id()));
    let text = format!("{}{}", table(&one, "one", RIGHT), table(&two, "two", WRONG));
    std::fs::write(&file, text).expect("a file");
    let options = Options::of_file(binary(), &file).set("obproxy_sys_password", "");
    let mut proxy = start(&options);
    let line = proxy.wait_log("cluster=two cause=").expect("a line");
    assert!(line.contains("check observer_sys_password"), "{line}");
    login(&proxy, "root@test#one")
        .cell("select 1")
        .expect("a row");
    let _ = std::fs::remove_file(&file);
}
