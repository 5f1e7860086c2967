//! SHOW PROCESSLIST: each server shows its own sessions, although one kernel knows them all.

use crate::client::{Client, Credentials, Ids, MASKS};
use crate::cluster;
use obring_wire::protocol::capability;
use obring_wire::protocol::mysql::Command;

#[test]
fn a_server_lists_its_own_sessions() {
    let cluster = cluster();
    let link = |server, user: &'static str, mask: Option<u64>| {
        let mut who = Credentials::direct(user);
        who.proxy = mask;
        who.ids = Some(Ids::with_client_id());
        Client::new(cluster.address(server).unwrap(), &who)
    };
    let ids = |client: &mut Client, sql: &str| -> Vec<u32> {
        let set = client.ask(sql);
        set.column("Id")
            .iter()
            .map(|id| id.parse().unwrap())
            .collect()
    };
    for (framing, mask) in MASKS {
        let mask = Some(mask & !capability::CLIENT_SESSION_ID_V2);
        let mut here = [(); 2].map(|()| link(1, "root@test", mask));
        let other_tenant = link(1, "root@sys", None);
        let elsewhere = link(2, "root@test", mask);
        let own = here.each_ref().map(|c| c.greeting.connection_id);
        for sql in ["show processlist", "show full processlist"] {
            let mut listed = ids(&mut here[0], sql);
            listed.sort_unstable();
            let mut want = own;
            want.sort_unstable();
            assert_eq!(listed, want, "{framing:?} {sql}");
        }
        // By the command, and as one that sees all tenants.
        here[1].send(Command::PROCESS_INFO, b"").unwrap();
        assert_eq!(here[1].reply().unwrap().unwrap().rows.len(), 2);
        let mut sys = link(1, "root@sys", mask);
        let listed = ids(&mut sys, "show processlist");
        assert!(listed.contains(&own[0]) && listed.contains(&other_tenant.greeting.connection_id));
        assert!(!listed.contains(&elsewhere.greeting.connection_id));
        // The state that comes with the reply is there, and the session goes on.
        assert_eq!(here[0].ask("select 5 n").column("n"), ["5"]);
    }
    // With client session ids servers ask each other.
    let mut wide = link(1, "root@sys", Some(capability::OB20));
    let elsewhere = link(2, "root@test", None);
    let listed = ids(&mut wide, "show processlist");
    assert!(listed.contains(&elsewhere.greeting.connection_id));
    println!("figure: SHOW PROCESSLIST | own links only in 4 framings; all with client ids");
}
