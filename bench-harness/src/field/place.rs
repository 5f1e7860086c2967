//! Three servers, obring in front of them, and a table.

use super::Field;
use crate::process::Obring;
use crate::raw::{Conn, Login};
use obcluster::{Change, Cluster, Topology};

/// The database.
const DB: &str = "field_places";
pub(super) const TENANT: &str = "test";
/// Rows of a table, each in a partition of its own.
pub(super) const ROWS: u32 = 16;
const ROUND: &str = "400ms";

/// Three servers, obring, and a table.
pub(super) struct Place {
    pub(super) cluster: Cluster,
    pub(super) proxy: Obring,
    pub(super) kernel: Conn,
    table: &'static str,
}

impl Place {
    pub(super) fn new(field: &Field, table: &'static str) -> Result<Self, String> {
        Self::with(field, table, &[])
    }

    /// With more settings.
    pub(super) fn with(
        field: &Field,
        table: &'static str,
        settings: &[(&str, &str)],
    ) -> Result<Self, String> {
        let mut kernel = Conn::login(field.setup.kernel, &Login::default())?;
        for sql in [
            "create database if not exists field_places".into(),
            format!("drop table if exists field_places.{table}"),
            format!(
                "create table field_places.{table}(id int primary key, n int) \
                 partition by hash(id) partitions {ROWS}"
            ),
        ] {
            kernel.run(&sql)?;
        }
        for id in 0..ROWS {
            kernel.run(&format!("insert into field_places.{table} values({id}, 0)"))?;
        }
        let cluster = Cluster::start(Topology::default(), field.setup.kernel);
        let cluster = cluster.map_err(|e| format!("model: {e}"))?;
        let own = [
            ("cpu_affinity", "False"),
            ("server_state_refresh_interval", ROUND),
        ];
        let settings = [&own, settings].concat();
        let proxy = field.setup.start_at(&cluster, 2, &settings)?;
        Ok(Self {
            cluster,
            proxy,
            kernel,
            table,
        })
    }

    pub(super) fn client(&self) -> Result<Conn, String> {
        self.user("root")
    }

    /// A client of this name.
    pub(super) fn user(&self, name: &str) -> Result<Conn, String> {
        let login = Login::user(&format!("{name}@{TENANT}#obcluster"), "").db(DB);
        Conn::login(self.proxy.address(), &login)
    }

    pub(super) fn change(&self, change: &Change) -> Result<(), String> {
        let done = self.cluster.change(change);
        done.map(drop).map_err(|e| e.to_string())
    }

    /// The server that ran a statement last.
    pub(super) fn ran(&self, sql: &str) -> Result<u32, String> {
        let log = self.cluster.log_since(0);
        let run = log.iter().rev().find(|e| e.sql == sql && e.errno == 0);
        run.map(|e| e.server_id)
            .ok_or_else(|| format!("{sql} has not run"))
    }

    pub(super) fn number(&mut self, id: u32) -> Result<i64, String> {
        let sql = format!("select n from field_places.{} where id = {id}", self.table);
        let text = self.kernel.cell(&sql)?;
        text.parse().map_err(|_| format!("{text} is no number"))
    }

    /// What ran since an entry of the log with this text: on which servers.
    pub(super) fn servers(&self, since: u64, sql: &str) -> Vec<u32> {
        let log = self.cluster.log_since(since);
        let runs = log.iter().filter(|e| e.sql == sql && e.errno == 0);
        runs.map(|e| e.server_id).collect()
    }

    /// The server that leads a row.
    pub(super) fn leader(&self, id: u32) -> Result<u32, String> {
        let sql = format!("update {} set n = n where id = {id}", self.table);
        self.client()?.run(&sql)?;
        self.ran(&sql)
    }

    /// Log streams that tables of the tenant are on.
    pub(super) fn streams(&self) -> Vec<u64> {
        let state = self.cluster.state();
        let streams = state.tenant(TENANT).map(|t| t.user_streams());
        streams.into_iter().flatten().map(|s| s.id).collect()
    }
}

/// The error of a statement that must fail.
pub(super) fn fails(c: &mut Conn, sql: &str) -> Result<String, String> {
    match c.run(sql) {
        Ok(()) => Err(format!("{sql}: an OK")),
        Err(text) => Ok(text),
    }
}
