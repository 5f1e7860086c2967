//! Tables that random sessions work on, and one script played directly and through obring.

use super::act::{Accounts, Script, play};
use crate::raw::{Conn, Login};
use crate::session::Run;
use crate::transcript::{Difference, Transcript, compare};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// A script is played so often when the kernel itself does not answer the same twice.
const ATTEMPTS: usize = 3;

/// What came of a script.
#[derive(Clone, Debug)]
pub enum Verdict {
    /// The same both ways.
    Same,
    /// The kernel answered one script in different ways, again and again.
    Unsteady,
    /// Not the same, while the kernel answered the same twice.
    Different(Vec<Difference>),
}

/// Where scripts go besides the kernel.
#[derive(Clone, Debug)]
pub struct Through {
    /// Where obring listens.
    pub address: SocketAddr,
    /// `@tenant#cluster` of its clients.
    pub tenant: String,
}

/// The kernel with two databases of this rig's own, which go with it.
#[derive(Debug)]
pub struct Rig {
    kernel: SocketAddr,
    db: String,
    conn: Conn,
}

/// An account with all rights, beside root.
const OTHER: (&str, &str) = ("obring_random", "Pw 1");

impl Rig {
    /// Makes the databases and the account.
    ///
    /// # Errors
    /// The statement that failed, with the kernel's words.
    pub fn new(kernel: SocketAddr) -> Result<Self, String> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let db = format!(
            "obring_random_{}_{}",
            std::process::id(),
            NEXT.fetch_add(1, Relaxed)
        );
        let mut conn = Conn::login(kernel, &Login::default())?;
        let (user, password) = OTHER;
        for sql in [
            format!("create user if not exists {user} identified by '{password}'"),
            format!("grant all on *.* to {user}"),
            format!("drop database if exists {db}"),
            format!("create database {db}"),
            format!("create database if not exists {db}_b"),
            format!("create table {db}_b.plain(id int primary key, v varchar(20), n int)"),
            format!("insert into {db}_b.plain values(1, 'other', 100)"),
            format!("use {db}"),
            "create table kv(id bigint primary key, v varchar(200), n int) \
             partition by hash(id) partitions 16"
                .into(),
            "create table plain(id int primary key, v varchar(20), n int)".into(),
            "create table auto_t(id bigint auto_increment primary key, v varchar(40))".into(),
            "create table blobs(id bigint primary key, b longblob)".into(),
        ] {
            conn.run(&sql).map_err(|e| format!("{sql}: {e}"))?;
        }
        Ok(Self { kernel, db, conn })
    }

    /// The database that scripts are made for.
    #[must_use]
    pub fn db(&self) -> &str {
        &self.db
    }

    /// The rows of the beginning.
    fn refresh(&mut self, script: &Script) -> Result<(), String> {
        let text = script.to_string();
        for (word, list) in [
            (
                "kv",
                &[
                    "delete from kv",
                    "insert into kv values(1,'v1',0),(2,'v2',0),(3,'v3',0),(4,'v4',0),(5,'v5',0),\
                     (6,'v6',0),(7,'v7',0),(8,'v8',0),(9,'v9',0),(10,'v10',0),(11,'v11',0),\
                     (12,'v12',0)",
                ][..],
            ),
            (
                "plain",
                &[
                    "delete from plain",
                    "insert into plain values(1,'one',10),(2,'two',20),(3,'three',30),\
                     (4,'four',40),(5,'five',50)",
                ],
            ),
            ("blobs", &["delete from blobs"]),
            // Numbers begin anew.
            ("auto_t", &["truncate table auto_t"]),
        ] {
            if text.contains(word) {
                for sql in list {
                    self.conn.run(sql)?;
                }
            }
        }
        Ok(())
    }

    fn run(
        &mut self,
        script: &Script,
        (to, tenant): (SocketAddr, &str),
        before: &mut dyn FnMut(usize),
    ) -> Result<Transcript, String> {
        self.refresh(script)?;
        let accounts = Accounts {
            root: format!("root{tenant}"),
            other: format!("{}{tenant}", OTHER.0),
            password: OTHER.1.into(),
        };
        let run = Run::new(to);
        play(&run, &accounts, script, before)?;
        Ok(run.transcript())
    }

    /// Plays a script directly.
    ///
    /// # Errors
    /// The rows cannot be made.
    pub fn direct(&mut self, script: &Script) -> Result<Transcript, String> {
        let to = (self.kernel, "@sys");
        self.run(script, to, &mut |_| {})
    }

    /// Plays a script directly and through obring and compares what the client saw; `before` is
    /// called before each step through obring. What the kernel does not answer the same twice is
    /// played again: column types, for example, come from plans that others left in its cache.
    ///
    /// # Errors
    /// The rows cannot be made.
    pub fn check(
        &mut self,
        script: &Script,
        through: &Through,
        before: &mut dyn FnMut(usize),
    ) -> Result<Verdict, String> {
        let to = (through.address, through.tenant.as_str());
        for _ in 0..ATTEMPTS {
            let direct = self.direct(script)?;
            let differences = compare(&direct, &self.run(script, to, before)?);
            if differences.is_empty() {
                return Ok(Verdict::Same);
            }
            if compare(&direct, &self.direct(script)?).is_empty() {
                return Ok(Verdict::Different(differences));
            }
        }
        Ok(Verdict::Unsteady)
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        for name in [self.db.clone(), format!("{}_b", self.db)] {
            let _ = self.conn.run(&format!("drop database if exists {name}"));
        }
    }
}
