//! Text statements that change the session: variables, databases, transactions, character sets.

use crate::support::{TRACK, Table, root, user};
use bench_harness::norm::Norm;

pub(crate) fn add(t: &mut Table) {
    state(t);
    transactions(t);
    charsets(t);
    needs_ob20(t);
}

/// What a server refuses a proxy without OceanBase 2.0 framing.
fn needs_ob20(t: &mut Table) {
    t.add("user-locks", |r| {
        let mut a = r.login("a", &root());
        let mut b = r.login("b", &user());
        a.qs(&[
            "select get_lock('obring_a', 1)",
            "select get_lock('obring_b', 1), get_lock('obring_a', 1)",
            "select is_free_lock('obring_a'), is_used_lock('obring_a') = connection_id()",
        ]);
        b.qs(&[
            "select get_lock('obring_a', 0)",
            "select is_free_lock('obring_a'), is_used_lock('obring_a') = connection_id()",
            "select release_lock('obring_a')",
            "select release_lock('obring_never')",
        ]);
        a.qs(&[
            "select release_lock('obring_a')",
            "select release_lock('obring_a')",
            "select release_all_locks()",
        ]);
        // Released by hand: after a close the kernel does it some time later.
        b.qs(&[
            "select get_lock('obring_a', -1)",
            "select release_all_locks()",
        ]);
        b.bye();
        a.bye();
    });
    t.needs_ob20();
    t.texts(
        "application-info",
        &[
            "call dbms_application_info.set_module('shop', 'pay')",
            "call dbms_application_info.set_action('refund')",
            "call dbms_application_info.set_client_info('desk 4')",
            "call dbms_session.set_identifier('somebody')",
            "call dbms_session.set_context('c', 'a', 'v')",
            "call dbms_session.clear_identifier()",
            "call dbms_application_info.set_module(null, null)",
            "select 1",
        ],
    );
    t.needs_ob20();
}

fn state(t: &mut Table) {
    t.both(
        "set",
        &[
            "set autocommit=0",
            "set autocommit=1",
            "set autocommit=1",
            "set @x='abc'",
            "set @y=1.5, @z=null, sql_mode=''",
            "set names utf8mb4",
            "set time_zone='+09:00', sql_select_limit=3",
            "select @@time_zone, @@sql_select_limit, @x, @y, @z",
            "set sql_select_limit=default",
            "set session ob_query_timeout=200000000",
            "select @@ob_query_timeout",
            "set ob_read_consistency=weak",
            "select @@ob_read_consistency",
            "set ob_read_consistency=strong",
            "set ob_trx_timeout=100000001, ob_trx_idle_timeout=120000001",
            "set session wait_timeout=77",
            "select @@wait_timeout",
            "set tx_isolation='SERIALIZABLE'",
            "select @@tx_isolation",
            "set session transaction isolation level read committed",
            "set session transaction read only",
            "set session transaction read write",
            "set ob_enable_transmission_checksum=0",
            "select 1",
            "set ob_enable_transmission_checksum=1",
            "set ob_proxy_global_variables_version=1",
            "set ob_enable_show_trace=1",
            "select 1",
            "set ob_enable_show_trace=0",
            "set password_history=1",
            "set global no_such_global=1",
            "set @@session.div_precision_increment=5",
            "select 1/3",
        ],
    );
    t.both(
        "use",
        &[
            "use test",
            "select database()",
            "use no_such_db",
            "select database()",
            "use obring_diff",
            "create database obring_diff_y",
            "use obring_diff_y",
            "drop database obring_diff_y",
            "select database()",
            "select * from kv limit 1",
            "use obring_diff",
            "select count(*) from sq",
        ],
    );
    t.both(
        "dml-messages",
        &[
            "delete from w where id between 1200 and 1209",
            "insert into w(id) values(1201),(1202)",
            "update w set n=3 where id in (1201, 1202)",
            "update w set n=3 where id in (1201, 1202)",
            "begin",
            "delete from w where id=1201",
            "commit",
            "delete from w where id=1202",
            "create table obring_diff_t(a int)",
            "alter table obring_diff_t add b int",
            "truncate table obring_diff_t",
            "drop table obring_diff_t",
        ],
    );
    t.both(
        "user-variables",
        &[
            "set @a='it''s \\\\ \"q\"', @b=null, @c=0x4142, @d=1.50, @e=-9223372036854775808",
            "select id into @q from kv where id=2",
            "select @z:=@q+1",
            "select @a,@b,@c,@d,@e,@q,@z",
            "set @`odd name`='x', @'q'=2, @\"d\"=3",
            "select @`odd name`, @q, @d",
            "set @big=repeat('b', 70000)",
            "select length(@big)",
            "select @none",
            "set @f=1e10, @g=date'2024-01-01', @h=_binary'\\0x'",
            "select @f, @g, @h",
        ],
    );
    t.both(
        "text-prepare",
        &[
            "prepare s1 from 'select ? + 1, ?'",
            "set @p=41, @q='x'",
            "execute s1 using @p, @q",
            "execute s1 using @p",
            "execute s1",
            "execute nost",
            "prepare s from 'selec'",
            "prepare s1 from 'select 2'",
            "execute s1",
            "deallocate prepare s1",
            "execute s1",
            "drop prepare s1",
            "set @t='select 3'",
            "prepare s2 from @t",
            "execute s2",
            "prepare s3 from 'insert into w(id) values(?)'",
            "delete from w where id=1300",
            "set @i=1300",
            "execute s3 using @i",
            "execute s3 using @i",
            "delete from w where id=1300",
        ],
    );
    t.session("reset-connection", |s| {
        s.q("set @u=1, wait_timeout=55");
        s.q("use test");
        s.prepare("select ?");
        let id = s.statement;
        s.qs(&[
            "prepare s from 'select 5'",
            "begin",
            "insert into obring_diff.w(id) values(1400)",
        ]);
        s.norm(Norm::NoState).one("reset", b"\x1f");
        s.norm(Norm::Exact);
        s.execute_id(id, 0, b"\0\x01\xfd\0\x01x");
        s.qs(&[
            "execute s",
            "select @u, @@wait_timeout, database()",
            "select count(*) from obring_diff.w where id=1400",
        ]);
        s.norm(Norm::Ids).q("select connection_id()");
        s.norm(Norm::NoState).one("reset again", b"\x1f");
        s.norm(Norm::Exact);
    });
    t.add("reset-connection-track", |r| {
        let mut s = r.login("a", &user().with(TRACK));
        s.q("set @u=1, wait_timeout=55");
        s.norm(Norm::NoState).one("reset", b"\x1f");
        s.norm(Norm::Exact);
        s.qs(&["select @u, @@wait_timeout, database()", "set autocommit=0"]);
        s.bye();
    });
    t.add("no-state-of-a-former-client", |r| {
        let mut a = r.login("a", &root());
        a.q("set wait_timeout=78, sql_select_limit=3, time_zone='+09:00', sql_mode='', @x=1");
        a.q("use test");
        a.send("quit", &[1], bench_harness::session::Reach::ToEnd);
        for _ in 0..10 {
            let mut b = r.login("b", &bench_harness::raw::Login::default());
            let all = "@@wait_timeout, @@sql_select_limit, @@time_zone, @@sql_mode, @x, database()";
            b.q(&format!("select {all}"));
            b.bye();
        }
    });
}

fn transactions(t: &mut Table) {
    t.both(
        "transaction-bits",
        &[
            "set autocommit=0",
            "select 1",
            "select id from kv where id=1",
            "selec",
            "rollback",
            "set autocommit=1",
            "begin",
            "selec",
            "select 1",
            "insert into sq values(1)",
            "select 1",
            "commit",
            "select 1",
            "start transaction",
            "select * from kv where id=1",
            "rollback",
            "start transaction read only",
            "select * from kv where id=1",
            "insert into w(id) values(1500)",
            "commit",
            "start transaction with consistent snapshot",
            "select * from kv where id=1",
            "commit",
            "begin; select 1",
            "commit; select 1",
            "/*!40101 BEGIN */",
            "update w set n=1 where id=1",
            "rollback",
            "begin",
            "create table obring_diff_t(a int)",
            "drop table obring_diff_t",
            "begin work",
            "begin",
            "commit work",
            "commit",
            "rollback",
            "select id from kv where id=1 for update",
            "begin",
            "set autocommit=1",
            "select 1",
        ],
    );
    t.both(
        "set-transaction",
        &[
            "set transaction isolation level serializable",
            "select @@tx_isolation",
            "begin",
            "select id from kv where id=1",
            "commit",
            "select 1",
            "set transaction read only",
            "select 1",
            "begin",
            "insert into w(id) values(1510)",
            "rollback",
            "select 1",
            "set transaction isolation level read committed",
            "set transaction isolation level nonsense",
            "begin",
            "set transaction read only",
            "rollback",
        ],
    );
    t.both(
        "savepoints",
        &[
            "delete from w where id between 1520 and 1529",
            "begin",
            "savepoint s1",
            "insert into w(id) values(1520)",
            "rollback to s1",
            "release savepoint s1",
            "release savepoint s1",
            "rollback to nosuch",
            "commit",
            "savepoint s9",
            "release savepoint s9",
        ],
    );
    t.texts(
        "statement-fails-transaction-stays",
        &[
            "begin",
            "insert into w(id) values(2001)",
            "insert into w(id) values(2001)",
            "select count(*) from w where id=2001",
            "commit",
            "select count(*) from w where id=2001",
            "delete from w where id=2001",
        ],
    );
    t.add("lock-wait", |r| {
        let mut a = r.login("a", &root());
        let mut b = r.login("b", &root());
        a.q("insert into w(id, n) values(1530, 0)");
        a.qs(&["begin", "update w set n=1 where id=1530"]);
        b.qs(&[
            "set ob_query_timeout=300000",
            "update w set n=2 where id=1530",
            "select n from w where id=1530",
            "set ob_query_timeout=default",
        ]);
        a.q("commit");
        b.q("select n from w where id=1530");
        a.q("delete from w where id=1530");
        a.bye();
        b.bye();
    });
    t.texts(
        "query-timeout",
        &[
            "set ob_query_timeout=100000",
            "select sleep(2) from sq limit 1",
            "set ob_query_timeout=default",
            "select 1",
            "lock tables kv write",
            "select count(*) from sq",
            "unlock tables",
        ],
    );
    t.texts(
        "weak-reads",
        &[
            "set ob_read_consistency=weak",
            "select id from kv where id=1",
            "begin",
            "select id from kv where id=1",
            "update w set n=3 where id=5",
            "select id from kv where id=1",
            "commit",
            "select /*+ read_consistency(strong) */ id from kv where id=1",
            "select /*+ read_consistency(weak) */ id from kv where id=1",
        ],
    );
}

fn charsets(t: &mut Table) {
    t.session("gbk", |s| {
        s.q("set names gbk");
        s.q("select @@character_set_client, @@character_set_results, @@collation_connection");
        s.qb(b"select hex('\xbf\x5c') as c");
        s.qb(b"select '\xbf\x5c' as c, 'a\xbf\x5c\\'b' as d");
        s.qb(b"insert into w(id, v) values(1600, '\xbf\x5c')");
        s.q("select v, hex(v) from w where id=1600");
        s.q("set names utf8mb4");
        s.q("select v, hex(v) from w where id=1600");
        s.q("delete from w where id=1600");
        s.prepare("select '\u{e9}' as c, ? as d");
        s.execute(0, b"\0\x01\xfd\0\x02\xc3\xa9");
    });
    t.texts(
        "set-names",
        &[
            "set names 'utf8mb4'",
            "select @@collation_connection",
            "set names utf8mb4 collate 'utf8mb4_bin'",
            "select @@collation_connection",
            "set names utf8mb4;",
            "select @@collation_connection",
            "SET CHARACTER SET utf8mb4",
            "select @@collation_connection",
            "set names nosuch",
            "select @@collation_connection",
            "set names utf8mb4 collate gbk_chinese_ci",
            "select @@collation_connection",
            "set names latin1",
            "select 'ü' as c, @@character_set_results",
            "set names binary",
            "select 'ü' as c",
            "set names default",
            "select @@collation_connection",
            "set character_set_results=null",
            "select 'ü' as c, v from kv where id=1",
        ],
    );
    for id in [255u8, 28, 45, 33] {
        t.add(format!("charset-{id}-texts"), move |r| {
            let mut s = r.login("a", &user().charset(id));
            // Names of columns come from the plan cache, whoever filled it: name them.
            s.qb(b"select '\xe9' as c, hex('\xc3\xa9') as h, @@collation_connection");
            s.prepare("select ?, v from kv where id=2");
            s.execute(0, b"\0\x01\xfd\0\x02\xc3\xa9");
            s.bye();
        });
    }
}
