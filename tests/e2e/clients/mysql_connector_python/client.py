"""Exercises a server with mysql-connector-python and prints what came back. Arguments: host port user password."""

import datetime
import decimal
import os
import sys
import tempfile

import mysql.connector
from mysql.connector.constants import ClientFlag
from transcript import ALL_BYTES, LATE_ERROR, TEXT, TYPES_TABLE, Plain, rows_digest, section, short
from transcript import show as show_any

HOST, PORT, USER, PASSWORD = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4]
NAME, AT, TENANT = USER.partition("@")
P = "c_mycon"
# Set before each round: the same steps run with the pure Python part and with the C extension.
PURE = True
ERRORS = (mysql.connector.Error,)
if mysql.connector.HAVE_CEXT:
    import _mysql_connector

    # The C extension lets its own kind through in places.
    ERRORS += (_mysql_connector.MySQLError,)


def show(label, do):
    return show_any(label, do, ERRORS)


def login(user=USER, password=PASSWORD, **more):
    settings = dict(database="test", autocommit=True, allow_local_infile=True, use_pure=PURE,
                    auth_plugin="mysql_native_password", charset="utf8mb4", collation="utf8mb4_general_ci")
    settings.update(more)
    return mysql.connector.connect(host=HOST, port=PORT, user=user, password=password, **settings)


def described(c):
    return ",".join(f"{d[0]}:{d[1]}:{d[6]}:{d[7]}" for d in c.description)


def run(connection, sql, args=None, **kind):
    """One statement: every result it answers, with counts, ids and warnings."""
    out = []
    c = connection.cursor(**kind)
    try:
        more = True
        c.execute(sql, args)
        while more:
            if c.description:
                names, rows = described(c), c.fetchall()
                out.append(f"[{names}] {short(rows)} count={c.rowcount} warnings={c.warning_count}")
            else:
                out.append(f"ok rows={c.rowcount} id={c.lastrowid} warnings={c.warning_count}")
            more = c.nextset()
    except ERRORS:
        if out:
            print("before the error:", *out)
        raise
    finally:
        try:
            c.close()
        except ERRORS:
            pass
    return Plain(" | ".join(out))


def logins():
    section("logins")
    show("no database", lambda: run(login(database=None), "select database(), current_user()"))
    for label, change in {
        "wrong password": dict(password="not it"),
        "wrong user": dict(user="nobody" + AT + TENANT),
        "unknown database": dict(database="no_such_db"),
    }.items():
        try:
            login(**change)
            print(f"{label}: logged in")
        except ERRORS as e:
            print(f"{label}: {e.errno} {e.sqlstate}")
    show("own attributes", lambda: run(login(conn_attrs={"a": "b" * 20}), "select 'alive'"))
    show("sql mode, time zone", lambda: run(login(sql_mode="ANSI_QUOTES", time_zone="+01:00"),
         "select @@sql_mode, @@time_zone"))
    show("charset", lambda: run(login(charset="latin1", collation="latin1_swedish_ci"),
         "select @@character_set_client, @@collation_connection, hex('\u00e9')"))
    show("found rows", lambda: run(login(client_flags=[ClientFlag.FOUND_ROWS]), "do 0"))


def statements(c):
    section("statements")
    for sql in (
        f"create table {P}_a(id bigint auto_increment primary key, v varchar(10), n tinyint, unique key(v))",
        f"insert into {P}_a(v,n) values('a',1),('b',2),('c',3)",
        f"insert into {P}_a(v,n) values('a',9) on duplicate key update n=n+10", f"update {P}_a set n=n",
        f"update {P}_a set n=5 where id<3", f"insert into {P}_a(v) values('b')", f"insert into {P}_a(n) values(1000)",
        "select cast('12x' as signed)", f"drop table if exists {P}_none", "selec 1", "select * from no_such_table",
        f"select * from {P}_a order by id", "begin", f"insert into {P}_a(v) values('t')", "savepoint s", "rollback to s",
        "rollback", f"select count(*) from {P}_a", "set @u=1, @v='x'", "select @u, @v, @none", "use oceanbase",
        "select database()", "use test",
    ):
        show(sql, lambda: run(c, sql))
    w = login(get_warnings=True)
    cursor = w.cursor(buffered=True)
    cursor.execute("select cast('12x' as signed)")
    print("fetched warnings:", cursor.warnings)
    for sql in ("select 1; select 2, 3; do 0; select 'x'", "select 1; selec 2; select 3"):
        show(sql, lambda: run(c, sql))
    show("alive", lambda: run(c, "select 'alive'"))
    run(c, f"create procedure {P}_two(in a int) begin select a; select a+1, 'x'; end")

    def call():
        cursor = c.cursor()
        back = cursor.callproc(f"{P}_two", (5,))
        return back, [r.fetchall() for r in cursor.stored_results()]
    show("callproc", call)
    show("call", lambda: run(c, f"call {P}_two(6)"))
    section("transactions of the driver")
    t = login(autocommit=False)
    t.start_transaction(isolation_level="READ COMMITTED")
    run(t, f"insert into {P}_a(v) values('z')")
    print("in transaction", t.in_transaction)
    t.rollback()
    print("in transaction", t.in_transaction)
    show("rows", lambda: run(t, f"select count(*) from {P}_a"))
    t.commit()
    t.close()


TYPE_ROWS = (
    (1, -128, 255, -32768, 8388607, -(1 << 63), (1 << 64) - 1, decimal.Decimal("12345678901234567890.0123456789"), 1.5,
     1e300, datetime.date(2024, 2, 29), datetime.timedelta(hours=10, microseconds=7),
     datetime.datetime(9999, 12, 31, 23, 59, 59, 999999), 2155, 1048575, ALL_BYTES, ALL_BYTES * 300, "pad", TEXT, "b", "x,z",
     '{"a": [1, null, "\u00e4"]}'),
    (2,) + (None,) * 21,
    (3, 0, 0, 0, 0, 0, 0, decimal.Decimal(0), 0.0, 0.0, datetime.date(1000, 1, 1), datetime.timedelta(0),
     datetime.datetime(1000, 1, 1), 1901, 0, b"", b"", "", "", "a", "", "[]"),
)


def types(c):
    section("types, text")
    run(c, TYPES_TABLE.format(P))
    insert = f"insert into {P}_types values(" + ",".join(["%s"] * 22) + ")"
    for row in TYPE_ROWS:
        show(f"insert {row[0]}", lambda: run(c, insert, row))
    show("read", lambda: run(c, f"select * from {P}_types order by id"))
    show("raw", lambda: run(c, f"select * from {P}_types where id<>1 order by id", raw=True))
    section("types, binary")
    run(c, f"delete from {P}_types")
    # Decimals go as a type that the server refuses.
    show("decimal", lambda: run(c, "select %s", (decimal.Decimal("1.5"),), prepared=True))
    cursor = c.cursor(prepared=True)
    for row in TYPE_ROWS:
        # The C extension sends random microseconds with times, and refuses integers from 1 << 63.
        row = tuple(str(v) if isinstance(v, (decimal.Decimal, datetime.timedelta)) or v == (1 << 64) - 1 else v for v in row)
        show(f"insert {row[0]}", lambda: (cursor.execute(insert, row), cursor.rowcount)[1])
    cursor.close()
    # Not the year: the pure Python part cannot read it in binary rows.
    show("read", lambda: run(c, f"select id, i8, u8, i16, i24, i64, u64, d, f, g, dt, tm, ts, b, vb, lb, c, t, e, s, j"
         f" from {P}_types where id>%s order by id", (0,), prepared=True))
    show("equal", lambda: run(c, f"select lb=%s, t=%s from {P}_types where id=1", (TYPE_ROWS[0][16], TEXT), prepared=True))


def prepared(c):
    section("prepared")
    cursor = c.cursor(prepared=True)
    for args in ((1,), (None,), ("text",), (2.5,), (b"\0\xff",), (1,)):
        show(f"echo {args[0]!r}", lambda: (cursor.execute("select %s as p", args), cursor.fetchall())[1])
    show("only nulls", lambda: (cursor.execute("select %s, %s, %s", (None,) * 3), cursor.fetchall())[1])
    show("without parameters", lambda: (cursor.execute("select 1, 'x'"), cursor.fetchall())[1])
    show("bad", lambda: cursor.execute("selec %s", (1,)))
    show("no table", lambda: cursor.execute("select * from no_such_table where a=%s", (1,)))
    show("too few", lambda: cursor.execute("select %s, %s", (1,)))
    show("duplicate", lambda: cursor.execute(f"insert into {P}_a(v) values(%s)", ("b",)))
    show("executemany", lambda: (cursor.executemany(f"insert into {P}_a(v) values(%s)", [(f"m{i}",) for i in range(20)]),
                                 cursor.rowcount, cursor.lastrowid)[1:])
    cursor.close()
    show("alive", lambda: run(c, "select 'alive'"))
    # The driver does not cope with the end of such a reply and is out of step afterwards: a connection of its own.
    show("prepared call", lambda: run(login(), f"call {P}_two(%s)", (7,), prepared=True))
    for i in range(60):  # more than the server keeps open for one session, each closed in time
        if run(c, f"select %s+{i}", (i,), prepared=True).find(f"({2 * i})") < 0:
            print("wrong sum", i)
    show("alive", lambda: run(c, "select 'alive'"))
    section("an error in the middle of the rows")
    run(c, f"create table {P}_sq(n int primary key)")
    run(c, f"insert into {P}_sq values" + ",".join(f"({n})" for n in range(1, 11)))
    for kind in ({}, {"buffered": True}, {"prepared": True}):
        count, cursor = 0, c.cursor(**kind)
        try:
            cursor.execute(LATE_ERROR.format(P))
            for _ in cursor:
                count += 1
        except ERRORS as e:
            print(f"{kind}: {count} rows, then {e.errno} {e.sqlstate} {e.msg}")
        show("alive", lambda: run(c, "select 'alive'"))


def commands(c):
    section("commands")
    show("ping", lambda: c.ping())
    c.database = "oceanbase"
    show("init db", lambda: run(c, "select database()"))

    def unknown():
        c.database = "no_such_db"
    show("init db unknown", unknown)
    c.database = "test"
    run(c, "set @u=9")
    show("reset connection", lambda: c.cmd_reset_connection())
    show("after reset", lambda: run(c, "select @u, database(), @@autocommit"))
    show("reset session", lambda: c.reset_session({"b": 1}, {"wait_timeout": 777}))
    show("after reset", lambda: run(c, "select @b, @@wait_timeout"))
    other = f"{P}_u"
    run(c, f"drop user if exists {other}")
    run(c, f"create user {other} identified by 'pw of other'")
    run(c, f"grant select on test.* to {other}")
    u = login()
    show("change user", lambda: u.cmd_change_user(other + AT + TENANT, "pw of other", "test") and "ok")
    show("who", lambda: run(u, "select current_user(), database()"))
    show("not allowed", lambda: run(u, f"delete from {P}_a"))
    show("change back", lambda: u.cmd_change_user(USER, PASSWORD, "oceanbase") and "ok")
    show("who", lambda: run(u, "select current_user(), database()"))
    show("change, wrong password", lambda: u.cmd_change_user(other + AT + TENANT, "wrong", "test") and "ok")
    run(c, f"drop user {other}")
    show("alive", lambda: run(c, "select 'alive'"))


def big(c):
    section("large")
    run(c, "set ob_query_timeout=100000000")
    show("set global", lambda: run(c, "set global max_allowed_packet=67108864"))
    try:
        w = login()
        run(w, "set ob_query_timeout=100000000")
        run(w, f"create table {P}_big(id int primary key, b longblob)")
        blob = ALL_BYTES * 70000
        show("insert, text", lambda: run(w, f"insert into {P}_big values(1, %s)", (blob,)))
        show("insert, binary", lambda: run(w, f"insert into {P}_big values(2, %s)", (blob,), prepared=True))
        show("read, text", lambda: run(w, f"select * from {P}_big order by id"))
        # The pure Python part makes two rows of one that spans packets.
        show("read, binary", lambda: run(w, f"select * from {P}_big where id=%s", (2,), prepared=True))
        show("34 MB", lambda: run(w, "select repeat('0123456789abcdef', 2097159) as r, 'after'"))
        show("alive", lambda: run(w, "select 'alive'"))
    finally:
        run(c, "set global max_allowed_packet=16777216")
    run(c, f"create table {P}_k(id int primary key, v varchar(300))")
    cursor = c.cursor()
    cursor.executemany(f"insert into {P}_k values(%s, %s)", [(i, f"row {i} " * (i % 30)) for i in range(1000)])
    print("executemany", cursor.rowcount)
    c = login(consume_results=True)  # the C extension forgets to note the end of a buffered result
    for kind in ({}, {"buffered": True}, {"prepared": True}):
        cursor = c.cursor(**kind)
        cursor.execute(f"select a.id, b.v from {P}_k a, {P}_k b where a.id<30 order by a.id, b.id")
        print(kind, rows_digest(cursor))
        cursor.close()
    section("load data local")
    run(c, f"create table {P}_ld(a int primary key, b varchar(40))")
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "rows.csv")
        with open(path, "w") as f:
            f.writelines(f"{i},value {i}\n" for i in range(20000))
        load = f"load data local infile '{path}' into table {P}_ld fields terminated by ','"
        show("load", lambda: run(c, load))
        show("load into nowhere", lambda: run(c, load.replace(f"{P}_ld", f"{P}_none")))
    show("loaded", lambda: run(c, f"select count(*), sum(a) from {P}_ld"))
    show("alive", lambda: run(c, "select 'alive'"))


def drop(c):
    for table in "a types sq big k ld".split():
        run(c, f"drop table if exists {P}_{table}")
    run(c, f"drop procedure if exists {P}_two")


for PURE in (True, False) if mysql.connector.HAVE_CEXT else (True,):
    print(f"# {'pure Python' if PURE else 'C extension'}")
    connection = login()
    print(type(connection).__name__)
    drop(connection)
    logins()
    statements(connection)
    types(connection)
    prepared(connection)
    commands(connection)
    big(connection)
    drop(connection)
    connection.close()
