//! The metadata machine against a scripted server: what is asked, what the cores are sent, and
//! what is not asked twice.
#![allow(missing_docs, reason = "a test")]

#[path = "metadata/locations.rs"]
mod locations;
#[path = "metadata/probes.rs"]
mod probes;
#[path = "metadata/tables.rs"]
mod tables;
#[path = "machine/wire.rs"]
mod wire;

use obring::base::{
    BufferPool, CoreId, Errno, Input, LinkId, Machines, NoLaps, Out, Output, Side, Tick,
};
use obring::metadata::{ClusterConfig, Metadata, Settings};
use obring::routing::{Cluster, Health, Mail, ServerState, Standing, Tenant};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use wire::{greeting, packet};

const CORES: u16 = 4;

fn at(n: u8) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, n], 2881))
}

/// Some text result; NULL where a value is empty.
fn table(columns: &[&str], rows: &[Vec<String>]) -> Vec<u8> {
    let mut out = packet(1, |b| b.push(columns.len() as u8));
    for name in columns {
        out.extend(packet(2, |b| {
            b.extend_from_slice(b"\x03def\0\0\0");
            b.push(name.len() as u8);
            b.extend_from_slice(name.as_bytes());
            b.extend_from_slice(&[0; 14]);
        }));
    }
    out.extend(packet(3, |b| b.extend_from_slice(&[0xFE, 0, 0, 2, 0])));
    for row in rows {
        out.extend(packet(4, |b| {
            for value in row {
                if value.is_empty() {
                    b.push(0xFB);
                } else {
                    b.push(value.len() as u8);
                    b.extend_from_slice(value.as_bytes());
                }
            }
        }));
    }
    out.extend(packet(5, |b| b.extend_from_slice(&[0xFE, 0, 0, 2, 0])));
    out.extend(ok(6));
    out
}

fn ok(seq: u8) -> Vec<u8> {
    packet(seq, |b| b.extend_from_slice(&[0, 0, 0, 2, 0, 0, 0, 0]))
}

fn error(code: u16) -> Vec<u8> {
    let mut out = packet(1, |b| {
        b.push(0xFF);
        b.extend_from_slice(&code.to_le_bytes());
        b.extend_from_slice(b"#HY000no");
    });
    out.extend(ok(2));
    out
}

/// The machine, and the servers it talks to.
struct Rig {
    now: u64,
    settings: Settings,
    metadata: Metadata,
    /// Servers that take connections.
    alive: Vec<SocketAddr>,
    /// Connections, and whether they are logged in.
    links: BTreeMap<LinkId, (SocketAddr, bool)>,
    /// Answers by a piece of the question; none: the question hangs.
    answers: Vec<(&'static str, Vec<u8>)>,
    /// All questions.
    asked: Vec<String>,
    /// What every core was sent.
    sent: Vec<Vec<Mail>>,
}

fn servers(list: &[(u8, &str)]) -> Vec<u8> {
    let row = |(n, status): &(u8, &str)| {
        vec![
            at(*n).ip().to_string(),
            "2881".into(),
            "z1".into(),
            (*status).into(),
            "2024-01-01".into(),
            String::new(),
            "NO".into(),
        ]
    };
    let columns = [
        "svr_ip",
        "sql_port",
        "zone",
        "status",
        "start_service_time",
        "stop_time",
        "with_rootserver",
    ];
    table(&columns, &list.iter().map(row).collect::<Vec<_>>())
}

fn tenant_servers(list: &[u8]) -> Vec<u8> {
    let row = |n: &u8| vec![at(*n).ip().to_string(), "2881".into()];
    table(
        &["svr_ip", "sql_port"],
        &list.iter().map(row).collect::<Vec<_>>(),
    )
}

fn listed_tenants(locality: &str) -> Vec<u8> {
    let columns = [
        "tenant_name",
        "locality",
        "previous_locality",
        "primary_zone",
        "status",
    ];
    let row = |name: &str, locality: &str| {
        [name, locality, "", "z1", "NORMAL"]
            .map(str::to_owned)
            .to_vec()
    };
    table(&columns, &[row("sys", "F"), row("t1", locality)])
}

fn zones() -> Vec<u8> {
    let row = ["z1", "ACTIVE", "idc1", "r1", "ReadWrite"].map(str::to_owned);
    table(
        &["zone", "status", "idc", "region", "type"],
        &[row.to_vec()],
    )
}

impl Rig {
    fn new(root_servers: &[u8], alive: &[u8]) -> Self {
        let settings = Settings {
            interval_ms: 20_000,
            connect_timeout_ms: 1_000,
            answer_timeout_ms: 5_000,
            probe_ms: 1_000,
            probes_max: 3,
            tenant_valid_ms: 0,
            asks_for_merges: false,
            tables_bytes_max: 128 << 20,
            proxy_version: "4.3.4.0".into(),
            passwords: vec![[7; 20]],
        };
        let config = ClusterConfig {
            name: "ob1".into(),
            is_named: true,
            root_servers: root_servers.iter().map(|n| at(*n)).collect(),
            passwords: None,
        };
        let mut rig = Self {
            now: 1_000,
            metadata: Metadata::new(settings.clone(), vec![config], CORES, 1),
            settings,
            alive: alive.iter().map(|n| at(*n)).collect(),
            links: BTreeMap::new(),
            answers: vec![],
            asked: vec![],
            sent: vec![vec![]; usize::from(CORES)],
        };
        rig.answer("SET ", ok(1));
        rig.answer("DBA_OB_SERVERS", servers(&[(1, "ACTIVE"), (2, "ACTIVE")]));
        rig.answer("DBA_OB_ZONES", zones());
        rig.answer("DBA_OB_TENANTS", listed_tenants("F"));
        rig.answer("'t1'", tenant_servers(&[1]));
        rig.answer("'nobody'", tenant_servers(&[]));
        rig
    }

    /// Changes the settings.
    fn settings(&mut self, change: impl Fn(&mut Settings)) {
        change(&mut self.settings);
        self.metadata.set_settings(self.settings.clone());
    }

    /// Replaces the answer to questions with that piece.
    fn answer(&mut self, piece: &'static str, bytes: Vec<u8>) {
        self.hang(piece);
        self.answers.push((piece, bytes));
    }

    /// The same, before answers to other pieces of the same questions.
    fn answer_first(&mut self, piece: &'static str, bytes: Vec<u8>) {
        self.hang(piece);
        self.answers.insert(0, (piece, bytes));
    }

    /// Takes an answer out.
    fn take_answer(&mut self, piece: &'static str) -> Vec<u8> {
        let place = self.answers.iter().position(|(p, _)| *p == piece);
        self.answers.remove(place.expect("an answer")).1
    }

    fn hang(&mut self, piece: &'static str) {
        self.answers.retain(|(p, _)| *p != piece);
    }

    fn call(&mut self, input: Input<'_>) {
        let (mut arena, mut list, mut pool) = (vec![], vec![], BufferPool::default());
        let mut out = Out {
            arena: &mut arena,
            list: &mut list,
            pool: &mut pool,
            laps: &mut NoLaps,
        };
        self.metadata
            .handle(Tick(self.now), Metadata::KEY, input, &mut out);
        for output in list {
            match output {
                Output::Connect(id, to, _) => {
                    if !self.alive.contains(&to) {
                        self.call(Input::ConnectFailed(id, Errno(111)));
                        continue;
                    }
                    self.links.insert(id, (to, false));
                    self.call(Input::Connected(id));
                    self.call(Input::Bytes(Side::Server(id), &greeting()));
                }
                Output::Own(Side::Server(id), span) => {
                    let bytes = arena[span.range()].to_vec();
                    self.question(id, &bytes);
                }
                Output::Close(id, _) => {
                    self.links.remove(&id);
                }
                Output::Post(core, mail) => self.sent[usize::from(core.0)].push(mail),
                _ => {}
            }
        }
    }

    fn question(&mut self, id: LinkId, bytes: &[u8]) {
        let Some((_, is_logged_in)) = self.links.get_mut(&id) else {
            return;
        };
        if !std::mem::replace(is_logged_in, true) {
            let ok = packet(2, |b| b.extend_from_slice(&[0, 0, 0, 2, 0, 0, 0, 0]));
            return self.call(Input::Bytes(Side::Server(id), &ok));
        }
        let text = String::from_utf8(bytes[5..].to_vec()).unwrap();
        self.asked.push(text.clone());
        let fits = |(piece, _): &&(&str, Vec<u8>)| text.contains(piece);
        if let Some((_, answer)) = self.answers.iter().find(fits).cloned() {
            self.call(Input::Bytes(Side::Server(id), &answer));
        }
    }

    /// Lets timers run for so long.
    fn wait(&mut self, ms: u64) {
        let end = self.now + ms * 1_000;
        while let Some(due) = self.metadata.poll_timeout(Metadata::KEY)
            && due.0 <= end
        {
            self.now = self.now.max(due.0);
            self.call(Input::Timer);
        }
        self.now = end;
    }

    /// A core asks for a tenant.
    fn find(&mut self, core: u16, tenant: &str, wrong: u64) {
        let mail = Mail::FindTenant {
            core: CoreId(core),
            cluster: "ob1".into(),
            tenant: tenant.as_bytes().into(),
            wrong,
        };
        self.mail(mail);
    }

    /// Mail comes.
    fn mail(&mut self, mail: Mail) {
        let (mut wake, mut post) = (vec![], vec![]);
        self.metadata
            .mail(Tick(self.now), mail, &mut wake, &mut post);
        for (core, mail) in post {
            self.sent[usize::from(core.0)].push(mail);
        }
        if !wake.is_empty() {
            self.call(Input::Wake);
        }
    }

    fn look_ups(&self) -> usize {
        let is_one = |q: &&String| q.contains("__all_dummy");
        self.asked.iter().filter(is_one).count()
    }

    /// What the cores know of the cluster; all the same.
    fn cluster(&self) -> Arc<Cluster> {
        let last = |mails: &Vec<Mail>| {
            let is = |mail: &Mail| match mail {
                Mail::Cluster(c) => Some(c.clone()),
                _ => None,
            };
            mails.iter().rev().find_map(is)
        };
        let known: Vec<_> = self.sent.iter().map(last).collect();
        assert!(known.iter().all(|k| k == &known[0]), "{known:?}");
        known[0].clone().expect("something is known")
    }

    /// What the last letter about a tenant said, on every core.
    fn tenant(&self) -> Arc<Tenant> {
        let last = |mails: &Vec<Mail>| {
            let is = |mail: &Mail| match mail {
                Mail::Tenant(t) => Some(t.clone()),
                _ => None,
            };
            mails.iter().rev().find_map(is)
        };
        let known: Vec<_> = self.sent.iter().map(last).collect();
        assert!(known.iter().all(|k| k == &known[0]), "{known:?}");
        known[0].clone().expect("something is known")
    }
}

fn ready() -> Rig {
    let mut rig = Rig::new(&[1], &[1, 2]);
    rig.call(Input::Wake);
    assert_eq!(rig.cluster().health, Health::Ready);
    rig
}

#[test]
fn a_start_up_list_with_a_dead_entry_will_do() {
    let mut rig = Rig::new(&[9, 1], &[1, 2]);
    rig.call(Input::Wake);
    let cluster = rig.cluster();
    assert_eq!((&cluster.health, cluster.has_views), (&Health::Ready, true));
    let addresses: Vec<_> = cluster.servers.iter().map(|s| s.address).collect();
    assert_eq!(addresses, [at(1), at(2)]);
    assert_eq!(&*cluster.zones[0].idc, "idc1");
    // Servers that were found are asked when those of the start-up list are gone.
    rig.alive = vec![at(2)];
    let link = *rig.links.keys().next().unwrap();
    rig.call(Input::Eof(Side::Server(link)));
    rig.answer("DBA_OB_SERVERS", servers(&[(2, "ACTIVE"), (3, "ACTIVE")]));
    rig.wait(20_000);
    let addresses: Vec<_> = rig.cluster().servers.iter().map(|s| s.address).collect();
    assert_eq!(addresses, [at(2), at(3)]);
}

#[test]
fn what_goes_wrong_in_a_round_is_told_and_nothing_is_forgotten() {
    let mut rig = ready();
    let before = rig.cluster();
    let failed = |rig: &Rig, piece: &str| {
        let now = rig.cluster();
        assert_eq!((&now.servers, &now.zones), (&before.servers, &before.zones));
        let Health::Degraded { cause } = &now.health else {
            panic!("{:?}", now.health);
        };
        assert!(cause.contains(piece), "{cause} without {piece}");
    };
    rig.answer("DBA_OB_SERVERS", servers(&[]));
    rig.wait(20_000);
    failed(&rig, "oceanbase.DBA_OB_SERVERS: no server");
    rig.answer("DBA_OB_SERVERS", error(1142));
    rig.wait(20_000);
    failed(&rig, "error 1142");
    rig.answer("DBA_OB_SERVERS", error(1146));
    rig.wait(20_000);
    failed(&rig, "there is no such view");
    rig.hang("DBA_OB_SERVERS");
    rig.wait(40_000);
    failed(&rig, "did not answer in time");
    assert!(rig.metadata.status()[0].rounds_failed >= 4);
    let confirmed = rig.metadata.status()[0].confirmed.unwrap();
    assert!(
        Tick(rig.now).since_us(confirmed) > 80_000_000,
        "the age is known"
    );
    // Zones are a matter of their own, and a strange status is no reason to do without a server.
    rig.answer("DBA_OB_ZONES", error(1142));
    rig.answer("DBA_OB_SERVERS", servers(&[(1, "ACTIVE"), (2, "DREAMING")]));
    rig.wait(40_000);
    let now = rig.cluster();
    assert_eq!(now.servers[1].state, ServerState::Unknown);
    let Health::Degraded { cause } = &now.health else {
        panic!("{:?}", now.health);
    };
    assert!(
        cause.contains("DREAMING") && cause.contains("DBA_OB_ZONES"),
        "{cause}"
    );
    rig.answer("DBA_OB_ZONES", zones());
    rig.answer("DBA_OB_SERVERS", servers(&[(1, "ACTIVE")]));
    rig.wait(20_000);
    assert_eq!(rig.cluster().health, Health::Ready);
    // Nothing new: no letter.
    let letters = rig.sent[0].len();
    rig.wait(60_000);
    assert_eq!(rig.sent[0].len(), letters);
}

/// A server that has fewer columns than the one behind it: what was left out for the first is asked
/// of the second again, and no value is taken for that of another column.
#[test]
fn columns_are_looked_for_again_on_another_connection() {
    let mut rig = Rig::new(&[1], &[1, 2]);
    let without_zone = ["svr_ip", "sql_port", "status"];
    let row = |n: u8| vec![at(n).ip().to_string(), "2881".into(), "ACTIVE".into()];
    let all = rig.take_answer("DBA_OB_SERVERS");
    rig.answer("svr_ip, sql_port, zone", error(1054));
    rig.answer("* FROM oceanbase.DBA_OB_SERVERS", table(&without_zone, &[]));
    rig.answer(
        "svr_ip, sql_port, status FROM",
        table(&without_zone, &[row(1), row(2)]),
    );
    rig.call(Input::Wake);
    let zone = |rig: &Rig| rig.cluster().servers[0].zone.to_string();
    assert_eq!(
        (rig.cluster().servers.len(), zone(&rig)),
        (2, String::new())
    );
    let link = *rig.links.keys().next().unwrap();
    rig.call(Input::Eof(Side::Server(link)));
    rig.answer("svr_ip, sql_port, zone", all);
    rig.wait(20_000);
    assert_eq!(zone(&rig), "z1");
    assert_eq!(rig.cluster().health, Health::Ready);
}

#[test]
fn one_look_up_for_everybody_who_asks() {
    let mut rig = ready();
    rig.hang("'t1'");
    for n in 0..200 {
        rig.find(n % CORES, "t1", 0);
    }
    assert_eq!(rig.look_ups(), 1);
    // Only the answer is missing.
    let link = *rig.links.keys().last().unwrap();
    let answer = tenant_servers(&[1]);
    rig.call(Input::Bytes(Side::Server(link), &answer));
    let known = rig.tenant();
    assert_eq!(
        (&*known.servers, &known.standing),
        (&[at(1)][..], &Standing::Known)
    );
    rig.answer("'t1'", tenant_servers(&[2]));
    // A core that asked before it had the answer gets it again; nobody else does.
    let letters: Vec<_> = rig.sent.iter().map(Vec::len).collect();
    rig.find(2, "t1", 0);
    let more: Vec<_> = rig
        .sent
        .iter()
        .zip(letters)
        .map(|(s, n)| s.len() - n)
        .collect();
    assert_eq!((more, rig.look_ups()), (vec![0, 0, 1, 0], 1));
    // The tenant has moved: one more look-up, and everybody is told.
    for n in 0..50 {
        rig.find(n % CORES, "t1", known.version);
    }
    assert_eq!(rig.look_ups(), 2);
    let moved = rig.tenant();
    assert_eq!(&*moved.servers, [at(2)]);
    assert!(moved.version > known.version);
}

#[test]
fn an_absent_tenant_is_remembered_for_a_short_time() {
    let mut rig = ready();
    for n in 0..20 {
        rig.find(n % CORES, "nobody", 0);
    }
    assert_eq!(rig.look_ups(), 1);
    assert_eq!(rig.tenant().standing, Standing::Absent);
    rig.wait(2_100);
    assert_eq!(rig.tenant().standing, Standing::Forgotten);
    rig.find(0, "nobody", 0);
    assert_eq!(rig.look_ups(), 2);
    // A name that nobody can have is not asked for.
    rig.find(0, "a\0b", 0);
    assert_eq!(
        (rig.look_ups(), rig.tenant().standing.clone()),
        (2, Standing::Absent)
    );
}

#[test]
fn a_look_up_that_fails_keeps_the_servers_that_were_known() {
    let mut rig = ready();
    rig.find(0, "t1", 0);
    let known = rig.tenant();
    rig.answer("'t1'", error(1142));
    rig.find(1, "t1", known.version);
    let doubted = rig.tenant();
    assert_eq!(doubted.servers, known.servers);
    let Standing::Unanswered { cause } = &doubted.standing else {
        panic!("{:?}", doubted.standing);
    };
    assert!(cause.contains("error 1142"), "{cause}");
    // It is tried again by itself.
    rig.answer("'t1'", tenant_servers(&[2]));
    rig.wait(60_000);
    assert_eq!(
        (&*rig.tenant().servers, &rig.tenant().standing),
        (&[at(2)][..], &Standing::Known)
    );
    // One that was never known is forgotten soon.
    rig.answer("'t2'", error(1142));
    rig.find(0, "t2", 0);
    assert!(matches!(rig.tenant().standing, Standing::Unanswered { .. }));
    rig.wait(1_100);
    assert_eq!(rig.tenant().standing, Standing::Forgotten);
}

#[test]
fn what_the_lists_say_is_looked_at_again() {
    let mut rig = ready();
    rig.find(0, "t1", 0);
    rig.wait(40_000);
    assert_eq!(rig.look_ups(), 1, "nothing has changed");
    rig.answer("DBA_OB_TENANTS", listed_tenants("F, F"));
    rig.wait(20_000);
    assert_eq!(rig.look_ups(), 2, "another locality");
    rig.answer(
        "DBA_OB_SERVERS",
        servers(&[(1, "ACTIVE"), (2, "ACTIVE"), (3, "ACTIVE")]),
    );
    rig.wait(20_000);
    assert_eq!(rig.look_ups(), 3, "another server");
    rig.answer(
        "DBA_OB_TENANTS",
        table(
            &["tenant_name", "a", "b", "c", "d"],
            &[vec![
                "sys".into(),
                String::new(),
                String::new(),
                String::new(),
                String::new(),
            ]],
        ),
    );
    rig.wait(20_000);
    assert_eq!(
        rig.tenant().standing,
        Standing::Forgotten,
        "the tenant is dropped"
    );
}

#[test]
fn many_absent_tenants_take_no_more_than_their_share() {
    let mut rig = ready();
    rig.answer("__all_dummy", tenant_servers(&[]));
    for n in 0..3_000 {
        rig.find(0, &format!("stray{n}"), 0);
    }
    assert!(rig.metadata.status()[0].tenants.len() <= 1_024);
}

#[test]
fn zones_merge_only_if_the_settings_ask_and_not_all_at_once() {
    let merges = |z1: &str, z2: &str| {
        let row = |zone: &str, status: &str| vec![zone.to_owned(), status.to_owned()];
        let rows = [row("z1", z1), row("z2", "IDLE"), row("Z2", z2)];
        table(&["zone", "status"], &rows)
    };
    let two = || {
        let row = |name: &str| [name, "ACTIVE", "idc1", "r1", "ReadWrite"].map(str::to_owned);
        let columns = ["zone", "status", "idc", "region", "type"];
        table(&columns, &[row("z1").to_vec(), row("z2").to_vec()])
    };
    let mut rig = Rig::new(&[1], &[1]);
    rig.answer("DBA_OB_ZONES", two());
    rig.answer("ZONE_MAJOR_COMPACTION", merges("IDLE", "COMPACTING"));
    rig.call(Input::Wake);
    let merging = |rig: &Rig| -> Vec<bool> {
        let cluster = rig.cluster();
        cluster.zones.iter().map(|z| z.is_merging).collect()
    };
    assert_eq!(merging(&rig), [false, false]);
    rig.settings(|s| s.asks_for_merges = true);
    rig.wait(21_000);
    assert_eq!(merging(&rig), [false, true]);
    rig.answer("ZONE_MAJOR_COMPACTION", merges("VERIFYING", "COMPACTING"));
    rig.wait(21_000);
    assert_eq!(merging(&rig), [false, false], "there is nothing to avoid");
    // A release without the view is none the worse for it.
    rig.answer("ZONE_MAJOR_COMPACTION", error(1146));
    rig.wait(21_000);
    assert_eq!(rig.cluster().health, Health::Ready);
}

#[test]
fn primary_zones_come_with_the_list_of_tenants() {
    let mut rig = ready();
    rig.find(0, "t1", 0);
    assert_eq!(rig.tenant().primary_zone.group("Z1"), Some(0));
    assert_eq!(rig.cluster().primary_zone.group("z1"), Some(0), "of sys");
    let before = rig.look_ups();
    let list = listed_tenants("F");
    let place = list.windows(2).rposition(|w| w == b"z1").expect("a zone");
    let mut list = list;
    list[place + 1] = b'7';
    rig.answer("DBA_OB_TENANTS", list);
    rig.wait(21_000);
    assert_eq!(rig.tenant().primary_zone.group("z7"), Some(0));
    // A changed row is a reason to look its servers up, too.
    assert!(rig.look_ups() <= before + 1);
}
