//! What the metadata core finds out about tables of every kind, on a model cluster with a real
//! kernel: the machine alone, without a session, over plain sockets.
//!
//! `OBRING_KERNEL=host:port cargo test --features e2e --test locations_live`.
#![cfg(feature = "e2e")]
#![allow(missing_docs, reason = "a test")]

use bench_harness::clock::{Deadline, Watch};
use bench_harness::process::kernel;
use bench_harness::raw::{Conn, Login};
use obcluster::{Change, Cluster, Topology};
use obring::base::{
    BufferPool, CoreId, Errno, Input, LinkId, Machines, NoLaps, Out, Output, Side, Tick,
};
use obring::config::{Row, stage1_of};
use obring::metadata::{ClusterConfig, Metadata, Settings};
use obring::partition::{Certainty, Context, Request, leaves};
use obring::routing::{Doubted, Mail, Standing, TableEntry, TableKey, TableKind};
use obring::sql::{Scan, Syntax};
use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

const DATABASE: &str = "obring_locations_live";
/// A serving core of this test.
const CORE: CoreId = CoreId(0);

/// The machine, its sockets, and what it has posted.
struct Rig {
    metadata: Metadata,
    watch: Watch,
    links: BTreeMap<LinkId, TcpStream>,
    mails: Vec<Mail>,
}

impl Rig {
    fn new(cluster: &Cluster) -> Self {
        let password = Row::find("observer_sys_password").map(|row| row.default);
        let settings = Settings {
            interval_ms: 400,
            connect_timeout_ms: 1_000,
            answer_timeout_ms: 5_000,
            probe_ms: 1_000,
            probes_max: 3,
            tenant_valid_ms: 0,
            asks_for_merges: true,
            tables_bytes_max: 128 << 20,
            proxy_version: "4.3.4.0".into(),
            passwords: password.and_then(stage1_of).into_iter().collect(),
        };
        let config = ClusterConfig {
            name: "obcluster".into(),
            is_named: true,
            root_servers: cluster.addresses(),
            passwords: None,
        };
        let mut rig = Self {
            metadata: Metadata::new(settings, vec![config], 1, 1),
            watch: Watch::start(),
            links: BTreeMap::new(),
            mails: vec![],
        };
        rig.call(Input::Wake);
        rig
    }

    fn tick(&self) -> Tick {
        let elapsed = self.watch.elapsed();
        Tick(1 + u64::try_from(elapsed.as_micros()).expect("a short test"))
    }

    fn call(&mut self, input: Input<'_>) {
        let (mut arena, mut list, mut pool) = (vec![], vec![], BufferPool::default());
        let mut out = Out {
            arena: &mut arena,
            list: &mut list,
            pool: &mut pool,
            laps: &mut NoLaps,
        };
        let tick = self.tick();
        self.metadata.handle(tick, Metadata::KEY, input, &mut out);
        for output in list {
            match output {
                Output::Connect(id, to, _) => match TcpStream::connect(to) {
                    Ok(stream) => {
                        let wait = Some(Duration::from_millis(1));
                        stream.set_read_timeout(wait).expect("a socket");
                        stream.set_nodelay(true).expect("a socket");
                        self.links.insert(id, stream);
                        self.call(Input::Connected(id));
                    }
                    Err(_) => self.call(Input::ConnectFailed(id, Errno(111))),
                },
                Output::Own(Side::Server(id), span) => {
                    let stream = self.links.get_mut(&id).expect("a link");
                    stream.write_all(&arena[span.range()]).expect("a server");
                }
                Output::Close(id, _) => {
                    self.links.remove(&id);
                }
                Output::Post(_, mail) => self.mails.push(mail),
                _ => {}
            }
        }
    }

    /// Moves bytes and time until something was posted.
    fn until<T>(&mut self, what: &str, found: impl Fn(&Mail) -> Option<T>) -> T {
        let end = Deadline::secs(20);
        let mut buffer = vec![0; 64 << 10];
        loop {
            let posted = std::mem::take(&mut self.mails);
            if let Some(found) = posted.iter().find_map(&found) {
                return found;
            }
            assert!(end.left().is_some(), "{what} did not come");
            if self
                .metadata
                .poll_timeout(Metadata::KEY)
                .is_some_and(|at| at <= self.tick())
            {
                self.call(Input::Timer);
            }
            let ids: Vec<_> = self.links.keys().copied().collect();
            for id in ids {
                let Some(stream) = self.links.get_mut(&id) else {
                    continue;
                };
                match stream.read(&mut buffer) {
                    Ok(0) => {
                        self.links.remove(&id);
                        self.call(Input::Eof(Side::Server(id)));
                    }
                    Ok(len) => self.call(Input::Bytes(Side::Server(id), &buffer[..len])),
                    Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                    Err(e) => panic!("{e}"),
                }
            }
        }
    }

    fn ask(&mut self, name: &str, wrong: u64, doubted: Doubted) -> Arc<TableEntry> {
        self.look_up("test", DATABASE, name, (wrong, doubted))
    }

    fn ask_in(&mut self, tenant: &str, database: &str, name: &str) -> Arc<TableEntry> {
        self.look_up(tenant, database, name, (0, Doubted::Whole))
    }

    fn look_up(
        &mut self,
        tenant: &str,
        database: &str,
        name: &str,
        wrong: (u64, Doubted),
    ) -> Arc<TableEntry> {
        let key = self.send(tenant, database, name, wrong);
        self.until(name, |mail| match mail {
            Mail::Table(entry) if entry.key == key => Some(entry.clone()),
            _ => None,
        })
    }

    fn send(
        &mut self,
        tenant: &str,
        database: &str,
        name: &str,
        (wrong, doubted): (u64, Doubted),
    ) -> Arc<TableKey> {
        let key = Arc::new(TableKey {
            cluster: "obcluster".into(),
            tenant: tenant.as_bytes().into(),
            database: database.as_bytes().into(),
            name: name.as_bytes().into(),
        });
        let mail = Mail::FindTable {
            core: CORE,
            key: key.clone(),
            wrong,
            doubted,
        };
        let (mut wake, mut post) = (vec![], vec![]);
        self.metadata.mail(self.tick(), mail, &mut wake, &mut post);
        self.mails.extend(post.into_iter().map(|(_, mail)| mail));
        self.call(Input::Wake);
        key
    }
}

fn direct() -> Conn {
    Conn::login(kernel(), &Login::user("root@sys", "")).expect("the kernel")
}

/// A kind of table: its definition, and equalities that are to give one leaf, with the row that
/// each selects.
struct Kind {
    name: &'static str,
    definition: &'static str,
    equalities: &'static [(&'static str, &'static str)],
}

const KINDS: &[Kind] = &[
    Kind {
        name: "plain",
        definition: "(id bigint primary key)",
        equalities: &[],
    },
    Kind {
        name: "by_hash",
        definition: "(id bigint primary key) partition by hash(id) partitions 7",
        equalities: &[("(12)", "id = 12"), ("(-5)", "id = -5")],
    },
    Kind {
        name: "by_key",
        definition: "(id varchar(20) primary key) partition by key(id) partitions 5",
        equalities: &[("('abc')", "id = 'abc'"), ("('')", "id = ''")],
    },
    Kind {
        name: "by_key_of_primary",
        definition: "(a int, b varchar(9), primary key(a, b)) partition by key() partitions 4",
        equalities: &[("(1, 'x')", "a = 1 and b = 'x'")],
    },
    Kind {
        name: "by_range",
        definition: "(id int primary key) partition by range(id) (partition low values less than \
                     (10), partition mid values less than (100), partition top values less than \
                     maxvalue)",
        equalities: &[
            ("(9)", "id = 9"),
            ("(10)", "id = 10"),
            ("(999)", "id = 999"),
        ],
    },
    Kind {
        name: "by_range_columns",
        definition: "(d date, s varchar(9), primary key(d, s)) partition by range columns(d, s) \
                     (partition p0 values less than ('2024-01-01', 'm'), partition p1 values less \
                     than (maxvalue, maxvalue))",
        equalities: &[
            ("('2024-01-01', 'a')", "d = '2024-01-01' and s = 'a'"),
            ("('2024-01-01', 'z')", "d = '2024-01-01' and s = 'z'"),
        ],
    },
    Kind {
        name: "by_list",
        definition: "(id int primary key) partition by list(id) (partition odd values in (1, 3), \
                     partition even values in (2, 4), partition rest values in (default))",
        equalities: &[("(3)", "id = 3"), ("(4)", "id = 4"), ("(7)", "id = 7")],
    },
    Kind {
        name: "by_list_columns",
        definition: "(s varchar(9) primary key) partition by list columns(s) (partition ab values \
                     in ('a', 'b'), partition c values in ('c'))",
        equalities: &[("('b')", "s = 'b'"), ("('c')", "s = 'c'")],
    },
    Kind {
        name: "template",
        definition: "(a int, b int, primary key(a, b)) partition by range(a) subpartition by \
                     hash(b) subpartition template (subpartition s0, subpartition s1, subpartition \
                     s2) (partition p0 values less than (10), partition p1 values less than (20))",
        equalities: &[
            ("(5, 4)", "a = 5 and b = 4"),
            ("(15, 2)", "a = 15 and b = 2"),
        ],
    },
    Kind {
        name: "no_template",
        definition: "(a int, b int, primary key(a, b)) partition by range(a) subpartition by \
                     range(b) (partition p0 values less than (10) (subpartition x values less than \
                     (5), subpartition y values less than (maxvalue)), partition p1 values less \
                     than (20) (subpartition z values less than (maxvalue)))",
        equalities: &[
            ("(5, 4)", "a = 5 and b = 4"),
            ("(5, 50)", "a = 5 and b = 50"),
            ("(15, 2)", "a = 15 and b = 2"),
        ],
    },
    Kind {
        name: "hash_of_key",
        definition: "(a int, b varchar(9), primary key(a, b)) partition by hash(a) subpartition by \
                     key(b) subpartitions 3 partitions 2",
        equalities: &[("(5, 'q')", "a = 5 and b = 'q'")],
    },
    Kind {
        name: "by_enum",
        definition: "(c enum('red', 'x y', 'a''b,', 'blue') primary key) partition by key(c) \
                     partitions 5",
        equalities: &[("('blue')", "c = 'blue'"), ("('a''b,')", "c = 'a''b,'")],
    },
    Kind {
        name: "by_generated",
        definition: "(src varchar(30) not null, g varchar(10) generated always as \
                     (substr(src, 2, 3)) virtual, v int) partition by key(g) partitions 6",
        equalities: &[("('xabcdef', default, 1)", "src = 'xabcdef'")],
    },
    Kind {
        name: "by_datetime",
        definition: "(d datetime primary key) partition by range columns(d) (partition p0 values \
                     less than ('2024-01-01 00:00:00'), partition p1 values less than (maxvalue))",
        equalities: &[
            ("('2023-12-31 23:59:59')", "d = '2023-12-31 23:59:59'"),
            ("('2024-01-01')", "d = '2024-01-01'"),
        ],
    },
    Kind {
        name: "Quoted `name` \u{6570}",
        definition: "(id bigint primary key) partition by hash(id) partitions 3",
        equalities: &[("(4)", "id = 4")],
    },
];

fn quoted(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

fn make(kinds: &[Kind]) -> Conn {
    let mut conn = direct();
    conn.run("set names utf8mb4").expect("a setting");
    conn.run(&format!("create database if not exists {DATABASE}"))
        .expect("a database");
    conn.run(&format!("use {DATABASE}")).expect("a database");
    for kind in kinds {
        let name = quoted(kind.name);
        conn.run(&format!("drop table if exists {name}"))
            .expect("a drop");
        let create = format!("create table {name} {}", kind.definition);
        conn.run(&create)
            .unwrap_or_else(|e| panic!("{create}: {e}"));
    }
    conn
}

/// The leaves that a statement touches, as the entry's description says.
fn touched(entry: &TableEntry, sql: &str) -> Vec<u32> {
    let mut scan = Scan::default();
    scan.read(sql.as_bytes(), Syntax::default(), true);
    let context = Context::default();
    let tables = [entry.partitions.as_deref()];
    let request = Request {
        text: sql.as_bytes(),
        scan: &scan,
        tables: &tables,
        context: &context,
    };
    let answer = leaves(&request, 0).expect("a description");
    assert_ne!(answer.certainty, Certainty::Unknown, "{sql}");
    answer.leaves.iter().collect()
}

/// One test for both, because they share the database.
#[test]
fn every_kind_of_table_is_described_located_and_right() {
    let cluster = Cluster::start(Topology::default(), kernel()).expect("the model");
    let mut conn = make(KINDS);
    let mut rig = Rig::new(&cluster);
    rig.until("a round", |mail| match mail {
        Mail::Cluster(c) if c.has_views => Some(()),
        _ => None,
    });
    for kind in KINDS {
        let entry = rig.ask(kind.name, 0, Doubted::Whole);
        let name = kind.name;
        assert_eq!(
            (&entry.standing, entry.kind),
            (&Standing::Known, TableKind::Stored),
            "{name}"
        );
        let count = entry.locations.leaves().len() as u32;
        let without = (0..count).find(|leaf| entry.locations.leader(*leaf).is_none());
        assert_eq!(without, None, "{name}: every leaf has a leader");
        let replicas = entry
            .locations
            .leaves()
            .iter()
            .map(|leaf| leaf.replicas.len());
        assert!(
            replicas.clone().all(|n| n == 3),
            "{name}: {:?}",
            replicas.collect::<Vec<_>>()
        );
        if kind.equalities.is_empty() {
            assert!(entry.partitions.is_none() && count == 1, "{name}");
            continue;
        }
        let table = entry
            .partitions
            .as_ref()
            .unwrap_or_else(|| panic!("{name} is not understood"));
        assert_eq!(table.leaf_count(), count, "{name}");
        if let Some(key) = table.key_column(b"id") {
            let is_known = key.is_nullable.is_some() && key.is_auto == Some(false);
            assert!(is_known, "{name}: {key:?}");
        }
        for (row, condition) in kind.equalities {
            let quoted = quoted(name);
            conn.run(&format!("insert into {quoted} values {row}"))
                .expect("a row");
            let sql = format!("select * from {quoted} where {condition}");
            let [leaf] = touched(&entry, &sql)[..] else {
                panic!("{name}: {condition} gives {:?}", touched(&entry, &sql));
            };
            let part = String::from_utf8_lossy(&table.leaves()[leaf as usize].name).into_owned();
            let count =
                format!("select count(*) from {quoted} partition (`{part}`) where {condition}");
            assert_eq!(
                conn.cell(&count).as_deref(),
                Ok("1"),
                "{name}: {condition} is in {part}"
            );
        }
    }
    names_of_other_sorts(&mut rig, &mut conn);
    moves_and_changes(&cluster, &mut rig, &mut conn);
}

/// A view, a table of sys, a virtual one, and the one that stands for the tenant's servers.
fn names_of_other_sorts(rig: &mut Rig, conn: &mut Conn) {
    conn.run("create or replace view swapped as select b as a, a as b from template")
        .expect("a view");
    let view = rig.ask("swapped", 0, Doubted::Whole);
    assert_eq!(
        (&view.standing, view.kind),
        (&Standing::Known, TableKind::Everywhere),
        "its columns are not those of the table"
    );
    conn.run("create or replace view single as select * from plain")
        .expect("a view");
    let view = rig.ask("single", 0, Doubted::Whole);
    assert!(view.is_located() && view.locations.leader(0).is_some());
    // In one answer with a view every row says that it is of one.
    let names = ["mix_a", "mix_b"];
    for name in names {
        conn.run(&format!("drop table if exists {name}"))
            .expect("a drop");
        conn.run(&format!(
            "create table {name} (id int primary key) partition by hash(id) partitions 3"
        ))
        .expect("a table");
    }
    conn.run("create or replace view mix_v as select * from mix_a")
        .expect("a view");
    for name in ["mix_a", "mix_v", "mix_b"] {
        rig.send("test", DATABASE, name, (0, Doubted::Whole));
    }
    let kind = |rig: &mut Rig, name| rig.ask(name, 0, Doubted::Whole).kind;
    assert_eq!(kind(rig, "mix_v"), TableKind::Everywhere);
    for name in names {
        let entry = rig.ask(name, 0, Doubted::Whole);
        assert!(entry.partitions.is_some(), "{name}");
    }
    let of_sys = rig.ask_in("sys", DATABASE, "by_key");
    let leaders: Vec<_> = (0..5).map(|leaf| of_sys.locations.leader(leaf)).collect();
    assert!(
        leaders[0].is_some() && leaders.iter().all(|l| *l == leaders[0]),
        "{leaders:?}"
    );
    for name in ["__all_dummy", "__all_virtual_processlist"] {
        let entry = rig.ask_in("test", "oceanbase", name);
        assert_eq!(
            (entry.kind, &entry.standing),
            (TableKind::Everywhere, &Standing::Known),
            "{name}"
        );
    }
}

/// A leader that moves, a table that is truncated, dropped, and not there.
fn moves_and_changes(cluster: &Cluster, rig: &mut Rig, conn: &mut Conn) {
    let first = rig.ask("by_hash", 0, Doubted::Whole);
    let before = cluster.log_next();
    let same = rig.ask("by_hash", first.version, Doubted::leaf(3));
    assert!(Arc::ptr_eq(
        &same.partitions.clone().unwrap(),
        &first.partitions.clone().unwrap()
    ));
    let asked = cluster.log_since(before);
    let asked = asked.iter().filter(|e| e.sql.contains("proxy_schema"));
    assert_eq!(asked.count(), 1, "one leaf costs one question");

    conn.run("truncate table by_hash").expect("a truncate");
    let cut = rig.ask("by_hash", same.version, Doubted::leaf(3));
    let tablets = |entry: &TableEntry| {
        let table = entry.partitions.clone().expect("a description");
        table
            .leaves()
            .iter()
            .map(|leaf| leaf.tablet)
            .collect::<Vec<_>>()
    };
    assert_eq!(cut.id, first.id);
    assert_ne!(
        tablets(&cut),
        tablets(&first),
        "new tablets are seen by their old ones"
    );

    conn.run("alter table by_hash partition by hash(id) partitions 3")
        .expect("an alter");
    let changed = rig.ask("by_hash", cut.version, Doubted::leaf(3));
    assert_eq!(changed.locations.leaves().len(), 3);

    conn.run("drop table by_hash").expect("a drop");
    let gone = rig.ask("by_hash", changed.version, Doubted::leaf(1));
    assert_eq!(gone.standing, Standing::Absent);

    let zone = |name: &str, is_merging| Change::Merge {
        zone: name.into(),
        is_merging,
    };
    cluster.change(&zone("z2", true)).expect("a merge");
    rig.until("a zone that merges", |mail| match mail {
        Mail::Cluster(c) => c.zone("z2").filter(|z| z.is_merging).map(|_| ()),
        _ => None,
    });
}
