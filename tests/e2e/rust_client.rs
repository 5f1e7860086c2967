//! The crate `mysql` as a client: text, prepared, pool, LOAD DATA LOCAL, reset, change user.

use bench_harness::process::kernel;
use mysql::prelude::Queryable;
use mysql::{Conn, LocalInfileHandler, Opts, OptsBuilder, Pool, PoolConstraints, PoolOpts, Row};
use std::fmt::Write as _;
use std::io::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

fn options(to: SocketAddr) -> OptsBuilder {
    OptsBuilder::new()
        .ip_or_hostname(Some(to.ip().to_string()))
        .tcp_port(to.port())
        .user(Some("root@sys"))
        .db_name(Some("test"))
        .prefer_socket(false)
        .read_timeout(Some(Duration::from_secs(30)))
}

fn told<T: std::fmt::Debug>(log: &mut String, what: &str, result: &mysql::Result<T>) {
    let _ = match result {
        Ok(v) => writeln!(log, "{what}: {v:?}"),
        Err(e) => writeln!(log, "{what}: error {e}"),
    };
}

/// Everything, written down.
fn session(to: SocketAddr) -> String {
    let mut log = String::new();
    let infile = LocalInfileHandler::new(|name, writer| {
        let name = String::from_utf8_lossy(name).into_owned();
        for i in 0..1_000 {
            writeln!(writer, "{i},{name}")?;
        }
        Ok(())
    });
    let builder = options(to).local_infile_handler(Some(infile));
    let mut c = Conn::new(builder).expect("login");
    for sql in [
        "drop table if exists e2e_rust",
        "create table e2e_rust(id bigint auto_increment primary key, a int, b varchar(200))",
        "insert into e2e_rust(a, b) values(1, 'x'), (2, null)",
        "selec",
        "set @x = 5",
    ] {
        let result = c.query_drop(sql);
        told(&mut log, sql, &result);
        let _ = writeln!(
            log,
            "{} {} {:?}",
            c.affected_rows(),
            c.last_insert_id(),
            c.info_str()
        );
    }
    let rows: mysql::Result<Vec<Row>> = c.query("select * from e2e_rust order by id; select @x");
    told(&mut log, "rows", &rows);
    let rows: mysql::Result<Vec<(i64, Option<String>)>> =
        c.exec("select a, b from e2e_rust where a < ? order by id", (10,));
    told(&mut log, "prepared", &rows);
    for i in 0..30 {
        let result = c.exec_drop(
            "insert into e2e_rust(a, b) values(?, ?)",
            (i, format!("b{i}")),
        );
        told(&mut log, "insert", &result);
    }
    let sql = "load data local infile 'some.csv' into table e2e_rust \
               fields terminated by ',' (a, b)";
    told(&mut log, "load", &c.query_drop(sql));
    let _ = writeln!(log, "{} {:?}", c.affected_rows(), c.info_str());
    let sum: mysql::Result<Option<(i64, i64)>> =
        c.query_first("select count(*), cast(sum(a) as signed) from e2e_rust");
    told(&mut log, "sum", &sum);
    let mut trx = c
        .start_transaction(mysql::TxOpts::default())
        .expect("begin");
    told(&mut log, "delete", &trx.query_drop("delete from e2e_rust"));
    told(&mut log, "rollback", &trx.rollback());
    told(&mut log, "reset", &c.reset());
    let x: mysql::Result<Option<mysql::Value>> = c.query_first("select @x");
    told(&mut log, "variable after reset", &x);
    told(
        &mut log,
        "change user",
        &c.change_user(mysql::ChangeUserOpts::default()),
    );
    told(&mut log, "ping", &c.ping());
    told(&mut log, "drop", &c.query_drop("drop table e2e_rust"));
    pool(to, &mut log);
    log
}

/// A pool of four under eight threads.
fn pool(to: SocketAddr, log: &mut String) {
    let constraints = PoolConstraints::new(1, 4).expect("1 <= 4");
    let pool_options = PoolOpts::default().with_constraints(constraints);
    let pool = Pool::new(Opts::from(options(to).pool_opts(pool_options))).expect("pool");
    let sums: Vec<i64> = std::thread::scope(|s| {
        let tasks: Vec<_> = (0..8i64)
            .map(|n| {
                let pool = pool.clone();
                s.spawn(move || {
                    let ask = |i: i64| {
                        let mut c = pool.get_conn().expect("a connection");
                        let sum: Option<i64> = c.exec_first("select ? + ?", (n, i)).expect("sum");
                        sum.unwrap_or_default()
                    };
                    (0..50).map(ask).sum()
                })
            })
            .collect();
        tasks
            .into_iter()
            .map(|t| t.join().expect("a thread"))
            .collect()
    });
    let _ = writeln!(log, "pool {sums:?}");
}

#[test]
fn the_rust_client_sees_the_same_directly_and_through_obring() {
    let direct = session(kernel());
    let proxy = super::proxy();
    let through = session(proxy.address());
    assert!(direct.contains("pool [1225,"), "{direct}");
    assert_eq!(direct, through);
}
