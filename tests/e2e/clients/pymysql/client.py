"""Exercises a server with PyMySQL and prints what came back. Arguments: host port user password."""

import datetime
import decimal
import os
import sys
import tempfile

import pymysql
from pymysql.constants import CLIENT, COMMAND
from transcript import ALL_BYTES, LATE_ERROR, TEXT, TYPES_TABLE, Plain, rows_digest, section, short
from transcript import show as show_any

HOST, PORT, USER, PASSWORD = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4]
NAME, AT, TENANT = USER.partition("@")
P = "c_pymysql"


def show(label, do):
    return show_any(label, do, pymysql.MySQLError)


def login(user=USER, password=PASSWORD, **more):
    settings = dict(database="test", autocommit=True, local_infile=True, max_allowed_packet=1 << 26)
    settings.update(more)
    return pymysql.connect(host=HOST, port=PORT, user=user, password=password, **settings)


def run(connection, sql, args=None, cursor=None):
    """One statement: every result it answers, with counts, ids, info text and (of OK packets) status bits."""
    out = []
    with connection.cursor(cursor) as c:
        try:
            more = c.execute(sql, args) is not None
            while more:
                r = connection._result
                info = r.message.decode() if r.message else ""
                if c.description:
                    # Lengths of table columns only: that of an expression is the cached plan's, which other literals
                    # may have made.
                    names = ",".join(f"{f.name}:{f.type_code}:{f.length if f.org_table else ''}:{f.scale}:{f.flags}:{f.charsetnr}"
                                     for f in r.fields)
                    out.append(f"[{names}] {short(c.fetchall())} warnings={r.warning_count}")
                else:
                    out.append(f"ok rows={c.rowcount} id={c.lastrowid} info={info!r} warnings={r.warning_count}"
                               f" status={r.server_status:#x}")
                more = c.nextset()
        except pymysql.MySQLError:
            if out:
                print("before the error:", *out)
            raise
    return Plain(" | ".join(out))


def logins():
    section("logins")
    show("no database", lambda: run(login(database=None), "select database(), current_user()"))
    show("database", lambda: run(login(), "select database()"))
    for label, change in {
        "wrong password": dict(password="not it"),
        "wrong user": dict(user="nobody" + AT + TENANT),
        "unknown database": dict(database="no_such_db"),
    }.items():
        try:
            login(**change)
            print(f"{label}: logged in")
        except pymysql.MySQLError as e:
            print(f"{label}: {e.args[0]} {e.args[1] if 'database' in label else ''}")
    for charset, text in {"latin1": "\u00e9", "gbk": "\u4e2d", "utf8mb4": "\U0001f980"}.items():
        show(f"charset {charset}", lambda: run(login(charset=charset), "select @@character_set_client,"
             f" @@character_set_results, @@collation_connection, '{text}', hex('{text}')"))
    show("init command", lambda: run(login(init_command="set @x=5"), "select @x"))
    c = login(autocommit=False)
    show("no autocommit", lambda: run(c, "select @@autocommit"))


def statements(c):
    section("counts, ids, info text, warnings")
    for sql in (
        f"create table {P}_a(id bigint auto_increment primary key, v varchar(10), n tinyint, unique key(v))",
        f"insert into {P}_a(v,n) values('a',1),('b',2),('c',3)",
        f"insert into {P}_a(v,n) values('d',4)",
        f"insert into {P}_a(v,n) values('a',9) on duplicate key update n=n+10",
        f"insert ignore into {P}_a(v,n) values('b',7),('e',7)",
        f"replace into {P}_a(v,n) values('c',8)",
        f"update {P}_a set n=n where n>0",
        f"update {P}_a set n=5 where id<3",
        f"delete from {P}_a where v='d'",
        f"insert into {P}_a(v) values('b')",
        f"insert into {P}_a(n) values(1000)",
        "select last_insert_id(), row_count(), found_rows()",
        "select 1/0, cast('12x' as signed)", "show warnings", "show count(*) warnings",
        f"drop table if exists {P}_none", "show warnings",
        "select", "select * from no_such_table", "selec 1", "select nope from dual", "show errors",
        "", ";", "-- only a comment", "/* x */ select /* y */ 'it''s' -- z",
        f"select * from {P}_a order by id",
        f"show create table {P}_a", f"show columns from {P}_a", f"truncate table {P}_a",
        "set sql_mode=''", f"insert into {P}_a(n) values(1000),(-1000)", "show warnings", "set sql_mode=default",
        f"select n from {P}_a order by n",
    ):
        show(sql, lambda: run(c, sql))
    show("found rows flag", lambda: run(login(client_flag=CLIENT.FOUND_ROWS), f"update {P}_a set n=n"))


def types(c):
    section("types")
    run(c, TYPES_TABLE.format(P))
    insert = f"insert into {P}_types values(" + ",".join(["%s"] * 22) + ")"
    D = decimal.Decimal
    rows = (
        (1, -128, 255, -32768, 8388607, -(1 << 63), (1 << 64) - 1, D("12345678901234567890.0123456789"), 1.5, 1e300,
         datetime.date(2024, 2, 29), datetime.timedelta(hours=838, minutes=59), datetime.datetime(9999, 12, 31, 23, 59, 59, 999999),
         2155, b"\x0f\xff\xff", ALL_BYTES, ALL_BYTES * 300, "pad", TEXT, "b", "x,z", '{"a": [1, null, "\u00e4"]}'),
        (2,) + (None,) * 21,
        (3, 0, 0, 0, 0, 0, 0, D(0), 0.0, -0.0, datetime.date(1, 1, 1), datetime.timedelta(0), datetime.datetime(1000, 1, 1),
         1901, b"\0", b"", b"", "", "", "a", "", "[]"),
    )
    for row in rows:
        show(f"insert {row[0]}", lambda: run(c, insert, row))
    show("read", lambda: run(c, f"select * from {P}_types order by id"))
    for row in rows:
        show("blob bytes equal", lambda: run(c, f"select lb=%s as b, t=%s as t from {P}_types where id=%s", (row[16], row[18], row[0])))
    show("literals", lambda: run(c, "select 1, -1, 18446744073709551615, 1.50, 1e0, 'x', x'00ff', null, true, now()>0,"
         " cast('12:00' as time), date'2020-01-01', timestamp'2020-01-01 00:00:00.5', '' as `na me`, _binary'\xff'"))


def many(c):
    section("several results")
    m = login(client_flag=CLIENT.MULTI_STATEMENTS)
    for sql in ("select 1; select 2, 3; do 0; select 'x' where 0", "select 1; selec 2; select 3",
                f"insert into {P}_a(v) values('m1'),('m2'); update {P}_a set n=1 where v='m1'; select count(*) from {P}_a",
                "select 1; -- end", "set @m=7; select @m"):
        show(sql, lambda: run(m, sql))
    show("alive", lambda: run(m, "select 'alive'"))
    run(c, f"create procedure {P}_two(in a int) begin select a; select a+1, 'x'; update {P}_a set n=2 where v='m2'; end")
    show("call", lambda: run(c, f"call {P}_two(5)"))
    show("call unknown", lambda: run(c, f"call {P}_none(5)"))
    show("alive", lambda: run(c, "select 'alive'"))
    section("an error in the middle of the rows")
    run(c, f"create table {P}_sq(n int primary key)")
    run(c, f"insert into {P}_sq values" + ",".join(f"({n})" for n in range(1, 11)))
    for kind in (pymysql.cursors.Cursor, pymysql.cursors.SSCursor):
        count = 0
        try:
            cursor = c.cursor(kind)
            cursor.execute(LATE_ERROR.format(P))
            for _ in cursor:
                count += 1
        except pymysql.MySQLError as e:
            print(f"{kind.__name__}: {count} rows, then {e.args}")
        show("alive", lambda: run(c, "select 'alive'"))


def sessions(c):
    section("transactions and session state")
    for sql in (
        f"create table {P}_t(id int primary key, v int)", "begin", f"insert into {P}_t values(1,1)", "savepoint s1",
        f"insert into {P}_t values(2,2)", "rollback to s1", f"select * from {P}_t", "release savepoint s1", "commit",
        "set autocommit=0", f"insert into {P}_t values(3,3)", "rollback", "set autocommit=1", f"select * from {P}_t",
        "start transaction read only", f"insert into {P}_t values(4,4)", "rollback", "rollback to nowhere",
        "begin", f"insert into {P}_t values(1,9)", f"insert into {P}_t values(5,5)", "commit", f"select * from {P}_t",
        "set @u=1, @v='text', @w=null, @d=1.5", "select @u, @v, @w, @d, @unset", "set @u=@u+1", "select @u",
        "set session sql_mode='ANSI_QUOTES'", "select @@sql_mode", "select \"x\"", "set session sql_mode=default",
        "set names latin1", "select @@character_set_client, @@character_set_results", "set names utf8mb4",
        "set session wait_timeout=1000", "select @@wait_timeout, @@global.wait_timeout", "set nope=1", "set session autocommit='x'",
        "set time_zone='+03:00'", "select @@time_zone, cast(from_unixtime(0) as char)", "set ob_query_timeout=60000000",
        "use oceanbase", "select database()", "use no_such_db", "use test", "select database()",
    ):
        show(sql, lambda: run(c, sql))
    section("commands")
    show("ping", lambda: c.ping(reconnect=False))
    show("init db", lambda: (c.select_db("oceanbase"), run(c, "select database()"))[1])
    show("init db unknown", lambda: c.select_db("no_such_db"))
    show("init db", lambda: (c.select_db("test"), run(c, "select database()"))[1])
    show("commit", lambda: (c.begin(), c.commit(), c.rollback(), c.autocommit(True)))
    show("escape", lambda: c.escape(TEXT))

    def command(number, body=b""):
        c._execute_command(number, body)
        return c._read_ok_packet() and "ok"
    run(c, "set @u=9")
    show("reset connection", lambda: command(0x1F))
    show("after reset", lambda: run(c, "select @u, @@autocommit, database()"))
    show("unknown command", lambda: command(0x77))
    show("debug", lambda: command(COMMAND.COM_DEBUG))
    show("alive", lambda: run(c, "select 'alive'"))


def big(c):
    section("large")
    run(c, "set ob_query_timeout=100000000")
    run(c, f"create table {P}_big(id int primary key, b longblob)")
    for size in (16777214, 16777215, 16777216, 16777217):  # bytes with the command's own; the limit is 16777216
        text = "x" * (size - 1 - len("select length('') n"))
        show(f"statement {size}", lambda: run(c, f"select length('{text}') n"))
    show("set global", lambda: run(c, "set global max_allowed_packet=67108864"))
    try:
        w = login()
        run(w, "set ob_query_timeout=100000000")
        blob = ALL_BYTES * 70000
        show("insert 17 MB", lambda: run(w, f"insert into {P}_big values(1, %s)", (blob,)))
        show("read 17 MB", lambda: run(w, f"select id, b from {P}_big"))
        show("alive", lambda: run(w, "select 'alive'"))
        show("one value of 34 MB", lambda: run(w, "select repeat('0123456789abcdef', 2097152 + 7), 'after'"))
    finally:
        run(c, "set global max_allowed_packet=16777216")
    run(c, f"create table {P}_k(id int primary key, v varchar(300))")
    with c.cursor() as cursor:
        n = cursor.executemany(f"insert into {P}_k values(%s, %s)", [(i, f"row {i} " * (i % 30)) for i in range(1000)])
        print("executemany", n)
    for kind in (pymysql.cursors.Cursor, pymysql.cursors.SSCursor):
        with c.cursor(kind) as cursor:
            cursor.execute(f"select * from {P}_k order by id")
            print(kind.__name__, rows_digest(cursor))
            cursor.execute(f"select a.id, b.v from {P}_k a, {P}_k b where a.id<30 order by a.id, b.id")
            print(kind.__name__, rows_digest(cursor))


def load_data(c):
    section("load data local")
    run(c, f"create table {P}_ld(a int primary key, b varchar(40))")
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "rows.csv")
        with open(path, "w") as f:
            f.writelines(f"{i},value {i}\n" for i in range(20000))
            f.write("20000\n1,again\n")
        load = f"load data local infile '{path}' into table {P}_ld fields terminated by ','"
        show("load", lambda: run(c, load))
        show("loaded", lambda: run(c, f"select count(*), sum(a), md5(group_concat(b order by a)) from {P}_ld where a<100"))
        show("loaded", lambda: run(c, f"select count(*), sum(a) from {P}_ld"))
        open(path, "w").close()
        show("load nothing", lambda: run(c, load))
        show("load into nowhere", lambda: run(c, load.replace(f"{P}_ld", f"{P}_none")))
    show("missing file", lambda: run(c, f"load data local infile '/nonexistent/x' into table {P}_ld"))
    show("alive", lambda: run(c, "select 'alive'"))


def drop(c):
    for table in "a types sq t big k ld".split():
        run(c, f"drop table if exists {P}_{table}")
    run(c, f"drop procedure if exists {P}_two")


connection = login()
drop(connection)
logins()
statements(connection)
types(connection)
many(connection)
sessions(connection)
big(connection)
load_data(connection)
drop(connection)
connection.close()
