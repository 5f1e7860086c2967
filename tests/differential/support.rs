//! What scripts are made of: the table entry, accounts, parameters of prepared statements.

pub(crate) use bench_harness::params::{P, params};
use bench_harness::raw::{Conn, Login};
use bench_harness::session::{Run, Session};
use std::net::SocketAddr;

/// Database of all scripts.
pub(crate) const DB: &str = "obring_diff";
/// An account with a password and all rights.
pub(crate) const USER: (&str, &str) = ("diffu@sys", "Pw-1 x");
/// An account with another password and the right to read.
pub(crate) const READER: (&str, &str) = ("diffr@sys", "reader");

/// One named script.
pub(crate) struct Script {
    /// Its name, unique.
    pub(crate) name: String,
    /// What it does; called once per address.
    pub(crate) run: Box<dyn Fn(&Run)>,
    /// A proxy can do it with OceanBase 2.0 framing only.
    pub(crate) needs_ob20: bool,
    /// A driver of OceanBase does such a thing.
    pub(crate) is_for_drivers: bool,
}

/// A table of scripts under construction.
#[derive(Default)]
pub(crate) struct Table(pub(crate) Vec<Script>);

impl Table {
    /// Adds a script.
    pub(crate) fn add(&mut self, name: impl Into<String>, run: impl Fn(&Run) + 'static) {
        self.0.push(Script {
            name: name.into(),
            run: Box::new(run),
            needs_ob20: false,
            is_for_drivers: true,
        });
    }

    /// Adds a script of one connection that logs in as root and says good-bye at its end.
    pub(crate) fn session(
        &mut self,
        name: impl Into<String>,
        run: impl Fn(&mut Session) + 'static,
    ) {
        self.add(name, move |r| {
            let mut s = r.login("a", &root());
            run(&mut s);
            s.bye();
        });
    }

    /// Adds a script of texts.
    pub(crate) fn texts(&mut self, name: impl Into<String>, texts: &'static [&'static str]) {
        self.session(name, move |s| s.qs(texts));
    }

    /// The script added last needs OceanBase 2.0 framing.
    pub(crate) fn needs_ob20(&mut self) {
        if let Some(script) = self.0.last_mut() {
            script.needs_ob20 = true;
        }
    }

    /// No driver of OceanBase does what the script added last does.
    pub(crate) fn not_for_drivers(&mut self) {
        if let Some(script) = self.0.last_mut() {
            script.is_for_drivers = false;
        }
    }

    /// The same texts without and with session tracking.
    pub(crate) fn both(&mut self, name: &str, texts: &'static [&'static str]) {
        self.texts(name, texts);
        self.add(format!("{name}-track"), move |r| {
            let mut s = r.login("a", &user().with(TRACK));
            s.qs(texts);
            s.bye();
        });
    }
}

/// Root with the scripts' database.
pub(crate) fn root() -> Login {
    Login::default().db(DB)
}

/// The account with a password.
pub(crate) fn user() -> Login {
    Login::user(USER.0, USER.1).db(DB)
}

/// Session tracking asked for.
pub(crate) const TRACK: u32 = 1 << 23;

/// Makes accounts and tables, directly at the kernel.
pub(crate) fn fixture(kernel: SocketAddr) -> Result<(), String> {
    let mut c = Conn::login(kernel, &Login::default())?;
    for sql in [
        "drop database if exists obring_diff",
        "create database obring_diff",
        "use obring_diff",
        "create table kv(id bigint primary key, v varchar(200), n int) partition by hash(id) \
         partitions 16",
        "create table sq(n int primary key)",
        "insert into sq values(1),(2),(3),(4),(5),(6),(7),(8),(9),(10)",
        "create table blobs(id bigint primary key, b longblob)",
        "create table ld(a int, b varchar(20))",
        "create table plain_a(id int primary key, v int)",
        "create table w(id bigint primary key, v varchar(200), n int)",
        "insert into kv select n, concat('v', n), 0 from sq",
        "create table ty(id int primary key, t tinyint, tu tinyint unsigned, s smallint, \
         m mediumint, i int, iu int unsigned, b bigint, bu bigint unsigned, f float, d double, \
         de decimal(20,5), da date, dt datetime(6), ts timestamp(3) null, ti time(2), y year, \
         c char(10), vc varchar(50), bi binary(4), vb varbinary(20), tt tinytext, te text, \
         mt mediumtext, lt longtext, tb tinyblob, bl blob, e enum('x','y'), se set('p','q'), \
         bt bit(10), j json)",
        "insert into ty values(1, -128, 255, -32768, -8388608, -2147483648, 4294967295, \
         -9223372036854775808, 18446744073709551615, 1.5, -2.25e100, -12345.67891, '2024-02-29', \
         '2024-02-29 23:59:59.123456', '2024-01-01 00:00:00.123', '-838:59:59', 2024, 'char', \
         'varchar', 0x00FF01, 0x00FEFB, 'tiny', 'text', 'medium', 'long', 0x01, 0x02FF, 'y', \
         'p,q', b'1010101010', '{\"a\": [1, null, \"x\"]}')",
        "insert into ty(id) values(2)",
        "insert into ty(id, da, dt, ti, vc, bl) values(3, '0000-00-00', '2024-01-01', '00:00:00', \
         '', '')",
        "create procedure two_sets(in a int) begin select a; select a+1, 'x'; end",
        "create procedure no_sets(in a int) begin declare x int; set x = a; end",
        "create procedure bad_sets(in a int) begin select a; select * from nope; select 3; end",
        "create procedure out_p(in a int, out b int) begin set b = a + 1; end",
    ] {
        let relaxed = sql.starts_with("insert into ty");
        if relaxed {
            c.run("set sql_mode=''")?;
        }
        c.run(sql)?;
        if relaxed {
            c.run("set sql_mode=default")?;
        }
    }
    for (name, password, rights) in [("diffu", USER.1, "all"), ("diffr", READER.1, "select")] {
        c.run(&format!("drop user if exists {name}"))?;
        c.run(&format!("create user {name} identified by '{password}'"))?;
        c.run(&format!("grant {rights} on *.* to {name}"))?;
    }
    Ok(())
}
