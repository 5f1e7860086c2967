//! Text statements: every reply shape.

use crate::support::Table;
use bench_harness::norm::Norm;

pub(crate) fn add(t: &mut Table) {
    results(t);
}

fn results(t: &mut Table) {
    t.texts(
        "result-shapes",
        &[
            "select 1",
            "select null",
            "select ''",
            "select '', null, '', 1",
            "select id, v, n from kv where id = 3",
            "select id, v, n from kv where id = -3",
            "select * from kv order by id",
            "select repeat('x', 250), repeat('y', 251), repeat('z', 65535)",
            "select 1 as `a b`, 2 as `ü`, 3 from dual",
            "do 1",
            "select @@version_comment limit 1",
            "values row(1,2)",
            "explain select 1",
            "show tables",
            "show create table kv",
            "desc kv",
            "show columns from ty",
            "show databases like 'obring%'",
            "show variables like 'autocommit'",
            "show variables like 'ob_query_timeout'",
            "show index from kv",
            "show errors",
            "show count(*) warnings",
            "show grants",
            "help 'select'",
        ],
    );
    t.both(
        "errors",
        &[
            "selec 1",
            "select * from nope",
            "select nope from kv",
            "select nope()",
            "use nope",
            "insert into w values(1)",
            "insert into sq values(1)",
            "select 1 from",
            "create table sq(a int)",
            "drop table nope",
            "select 9223372036854775807 + 1",
            "select (select 1 union select 2)",
            "kill 4294967294",
            "kill query 4294967294",
            "kill nonsense",
            "set session no_such_var = 1",
            "set names nosuch",
            "set sql_mode = 'BOGUS'",
            "create temporary table tt(a int)",
            "xa start 'x'",
            "call nope(1)",
            "signal sqlstate '45000' set message_text = 'mine'",
        ],
    );
    t.both(
        "multi",
        &[
            "select 1; select 2",
            "select 1; -- x",
            "select 1;",
            "select 1;;",
            ";",
            "update w set n=0 where id=1; select nope; select 3",
            "select nope; select 3",
            "select 1; selec 2",
            "set @a=1; select @a; set @a=2; select @a",
            "insert into w(id) values(801); delete from w where id=801; select 1",
            "begin; insert into w(id) values(802); rollback; select 1",
            "select 1; select repeat('y', 100000); do 1; select 2",
        ],
    );
    t.both(
        "call",
        &[
            "call two_sets(5)",
            "call no_sets(5)",
            "call bad_sets(5)",
            "call out_p(5, @o)",
            "select @o",
            "call two_sets(1); call two_sets(2)",
            "call two_sets()",
            "select 1",
        ],
    );
    t.texts(
        "error-in-rows",
        &[
            "select a.n+b.n*10+d.n*100, repeat('z',2000), \
             9223372036854775797+if(a.n+b.n*10+d.n*100=1110,11,0) from sq a, sq b, sq d order by 1 \
             limit 1000",
            "select 1",
            "select 5; select a.n+b.n*10+d.n*100, repeat('z',200), \
             9223372036854775797+if(a.n+b.n*10+d.n*100=1110,11,0) from sq a, sq b, sq d order by 1 \
             limit 1000; select 6",
            "select 1",
        ],
    );
    t.texts(
        "semicolons-and-comments",
        &[
            "select ';', 1",
            "select 1 /* ; */, 2",
            "select `a;b` from (select 1 as `a;b`) x",
            "/* only */",
            "-- c",
            "# c",
            "/*! select 1 */",
            "/*!40101 select 2 */",
            "select /*+ query_timeout(1000000) */ 3",
            "select 1 -- tail\n",
            "(select 1)",
        ],
    );
    t.both(
        "info-texts",
        &[
            "delete from w where id between 1000 and 1009",
            "insert into w(id) values(1001),(1002),(1003)",
            "update w set n=n where id=1001",
            "update w set n=5 where id between 1001 and 1003",
            "insert into w(id, n) values(1001, 1) on duplicate key update n=7",
            "insert ignore into w(id) values(1001),(1004)",
            "replace into w(id) values(1001),(1005)",
            "insert into w(id, n) select id+1000000, n from w where id between 1001 and 1003",
            "delete from w where id >= 1000000",
            "delete from w where id between 1000 and 1009",
            "alter table plain_a add column x int",
            "alter table plain_a drop column x",
            "create table if not exists sq(n int)",
        ],
    );
    t.both(
        "warnings",
        &[
            "select cast('abc' as signed)",
            "show warnings",
            "show count(*) warnings",
            "select 1",
            "show warnings",
            "select cast('a' as signed), cast('b' as signed), 1/0",
            "show warnings limit 1",
            "drop table if exists nope1, nope2",
            "show warnings",
            "set sql_mode=''",
            "insert into w(id, v) values(1100, repeat('x', 300))",
            "show warnings",
            "delete from w where id=1100",
            "select * from nope",
            "show errors",
            "show warnings",
        ],
    );
    t.both(
        "last-insert-id",
        &[
            "drop table if exists auto_x",
            "create table auto_x(id bigint auto_increment primary key, v int)",
            "insert into auto_x(v) values(1)",
            "select last_insert_id()",
            "insert into auto_x(v) values(2),(3),(4)",
            "select last_insert_id() as ID",
            "insert into auto_x(id, v) values(100, 5)",
            "select last_insert_id()",
            "insert into auto_x(v) values(last_insert_id())",
            "select last_insert_id(777)",
            "select last_insert_id()",
            "select @@last_insert_id, @@identity",
            "update auto_x set id=last_insert_id(id+1000) where id=100",
            "select last_insert_id()",
            "drop table auto_x",
        ],
    );
    t.texts(
        "information-functions",
        &[
            "select current_user(), user() like 'root@%', session_user() like 'root@%'",
            "select database(), schema()",
            "select version()",
            "select @@version",
            "select found_rows()",
            "select sql_calc_found_rows id from kv order by id limit 2",
            "select found_rows()",
            "update w set n=0 where id=-1",
            "select row_count()",
            "select charset('x'), collation('x'), coercibility('x')",
            "select @@port > 0, @@hostname is not null, @@socket is null",
            "select @@wait_timeout, @@interactive_timeout, @@net_write_timeout, \
             @@max_allowed_packet",
            "select @@autocommit, @@tx_isolation, @@tx_read_only, @@sql_mode, @@time_zone",
            "select @@ob_query_timeout, @@ob_trx_timeout, @@ob_read_consistency",
            "select @@ob_proxy_partition_hit, @@ob_capability_flag is not null",
            "select benchmark(1, 1), sleep(0)",
        ],
    );
    t.session("process-list-columns", |s| {
        s.norm(Norm::ServerState);
        s.qs(&["show processlist", "show full processlist"]);
        s.norm(Norm::Exact);
        s.q("select count(*) > 0 from information_schema.processlist");
    });
}
