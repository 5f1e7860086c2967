//! Who gets in where.

use crate::client::{Client, Credentials, PROXYRO};
use crate::{cluster, cluster_of, until};
use obcluster::{Kind, Outcome};
use obring_wire::protocol::capability;
use obring_wire::protocol::mysql::Command;

#[test]
fn proxies_and_direct_clients_get_in() {
    let cluster = cluster();
    let address = cluster.address(2).unwrap();
    for user in ["root@sys", "root@test", "root"] {
        for mut who in [
            Credentials::direct(user),
            Credentials::proxy(user, capability::PLAIN),
        ] {
            if who.proxy.is_some() {
                who.cluster = Some("obcluster");
            }
            let mut client = Client::new(address, &who);
            let id = client.greeting.connection_id.to_string();
            let set = client.ask("select connection_id()");
            assert_eq!(set.rows, [[Some(id)]], "the greeting is the kernel's");
        }
    }
    let logins: Vec<_> = cluster
        .log_since(0)
        .into_iter()
        .filter(|e| e.kind == Kind::Login)
        .collect();
    let direct: Vec<_> = logins.iter().map(|e| e.direct).collect();
    assert_eq!(direct, [true, false, true, false, true, false]);
    assert!(logins.iter().all(|e| e.outcome == Outcome::Ok));
    assert_eq!(logins[1].proxy_sid, "77");
    let tenants: Vec<_> = logins.iter().map(|e| e.tenant.as_str()).collect();
    assert_eq!(tenants, ["sys", "sys", "test", "test", "sys", "sys"]);
    until("all links end", || cluster.links().is_empty());
}

#[test]
fn the_user_of_proxies_gets_in_with_its_password_only() {
    let cluster = cluster();
    let address = cluster.address(1).unwrap();
    let mut who = Credentials::proxy("proxyro@sys", capability::PLAIN);
    who.stage1 = Some(PROXYRO);
    let mut client = Client::new(address, &who);
    let set = client.ask("select svr_ip from oceanbase.DBA_OB_SERVERS");
    assert_eq!(set.rows.len(), 3);
    who.stage1 = Some([7; 20]);
    let said = Client::login(address, &who).unwrap().unwrap_err();
    assert_eq!(said.code, 1045);
}

#[test]
fn two_hundred_log_in_at_once() {
    let cluster = cluster();
    let address = cluster.address(1).unwrap();
    let who = Credentials::proxy("root@test", capability::OB20);
    std::thread::scope(|scope| {
        for _ in 0..200 {
            scope.spawn(|| Client::new(address, &who).ask("select 1"));
        }
    });
    assert_eq!(cluster.counters().logins[&1], 200);
    until("all links end", || cluster.links().is_empty());
}

#[test]
fn a_cluster_needs_a_kernel() {
    let nobody: std::net::SocketAddr = "127.0.0.1:1".parse().unwrap();
    let e = obcluster::Cluster::start(obcluster::Topology::default(), nobody);
    assert!(
        e.unwrap_err()
            .to_string()
            .starts_with("kernel at 127.0.0.1:1: ")
    );
}

#[test]
fn a_refused_login_has_a_code_and_an_end() {
    let cluster = cluster_of(|t| t.tenants.push("t2:1,3".parse().unwrap()));
    let proxy = |user| Credentials::proxy(user, capability::PLAIN);
    let mut other = proxy("root@sys");
    other.cluster = Some("ob2");
    for (server, who, code) in [
        (1, proxy("root@nosuch"), 1045),
        (1, Credentials::direct("root@nosuch"), 1045),
        (1, Credentials::direct("root@sys#obcluster"), 1045),
        (2, proxy("root@t2"), 5150),
        (2, Credentials::direct("root@t2"), 5150),
        (1, other, 4666),
    ] {
        let address = cluster.address(server).unwrap();
        let said = Client::login(address, &who).unwrap().unwrap_err();
        assert_eq!(said.code, code, "{who:?}");
        let last = cluster.log_since(0).pop().unwrap();
        assert_eq!((last.errno, last.outcome), (code, Outcome::Err));
    }
    let address = cluster.address(3).unwrap();
    Client::new(address, &proxy("root@t2"));
}

#[test]
fn a_user_is_changed_within_the_tenants_of_the_server() {
    let cluster = cluster_of(|t| t.tenants.push("t2:1".parse().unwrap()));
    let address = cluster.address(2).unwrap();
    for who in Credentials::all("root@test") {
        let mut client = Client::new(address, &who);
        let body = |user: &str| format!("{user}\0\0test\0\x2d\0mysql_native_password\0");
        let change = |client: &mut Client, user: &str| {
            client
                .send(Command::CHANGE_USER, body(user).as_bytes())
                .unwrap();
            let mut first = client.packet().unwrap();
            if first[0] == 0xFE {
                // The kernel asks for an answer also where there is no password.
                client.send_turn(&[&[0, 0, 0, 2]]).unwrap();
                first = client.packet().unwrap();
            }
            first
        };
        assert_eq!(change(&mut client, "root@sys")[0], 0);
        let set = client.ask("select count(*) n from oceanbase.DBA_OB_ZONES");
        assert_eq!(set.column("n"), ["3"], "now of tenant sys");
        let refused = change(&mut client, "root@t2");
        assert_eq!(refused[..3], [0xFF, 0x1E, 0x14], "5150");
    }
}
