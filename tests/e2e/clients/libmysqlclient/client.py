"""Exercises a server with libmysqlclient and prints what came back. Arguments: how drivers host port user password.

The library stands inside the C extension of mysql-connector-python, which exports its functions. It comes with
mysql_native_password as a file to be loaded: `how` is `native` if it may find that, and `told` if not. The users
`e2e_other`, password "of other", and `e2e_empty`, without one, are of the same tenant.
"""

import ctypes
import glob
import sys
import tempfile

HOW, DRIVERS, HOST, PORT, USER, PASSWORD = sys.argv[1:7]
AT_TENANT = USER[USER.index("@"):]
# enum mysql_option of mysql.h.
CONNECT_TIMEOUT, PLUGIN_DIR, DEFAULT_AUTH, SSL_MODE, GET_SERVER_PUBLIC_KEY = 0, 16, 17, 35, 36
SSL_MODE_DISABLED = 1
MULTI_STATEMENTS = 1 << 16


def library():
    lib = ctypes.CDLL(glob.glob(f"{DRIVERS}/_mysql_connector*.so")[0])
    pointer, text, number = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_ulong
    for name, result, *arguments in (
        ("mysql_init", pointer, pointer),
        ("mysql_options", ctypes.c_int, pointer, ctypes.c_int, pointer),
        ("mysql_real_connect", pointer, pointer, text, text, text, text, ctypes.c_uint, text, number),
        ("mysql_errno", ctypes.c_uint, pointer),
        ("mysql_error", text, pointer),
        ("mysql_get_client_info", text),
        ("mysql_real_query", ctypes.c_int, pointer, text, number),
        ("mysql_store_result", pointer, pointer),
        ("mysql_num_fields", ctypes.c_uint, pointer),
        ("mysql_fetch_row", ctypes.POINTER(text), pointer),
        ("mysql_free_result", None, pointer),
        ("mysql_next_result", ctypes.c_int, pointer),
        ("mysql_affected_rows", ctypes.c_ulonglong, pointer),
        ("mysql_change_user", ctypes.c_bool, pointer, text, text, text),
        ("mysql_reset_connection", ctypes.c_int, pointer),
        ("mysql_stmt_init", pointer, pointer),
        ("mysql_stmt_prepare", ctypes.c_int, pointer, text, number),
        ("mysql_stmt_execute", ctypes.c_int, pointer),
        ("mysql_stmt_store_result", ctypes.c_int, pointer),
        ("mysql_stmt_num_rows", ctypes.c_ulonglong, pointer),
        ("mysql_stmt_error", text, pointer),
        ("mysql_stmt_close", ctypes.c_bool, pointer),
        ("mysql_close", None, pointer),
    ):
        function = getattr(lib, name)
        function.restype, function.argtypes = result, arguments
    return lib


LIB = library()
EMPTY = tempfile.TemporaryDirectory()
WITH_NATIVE = f"{DRIVERS}/mysql/vendor/plugin"
PLUGINS = WITH_NATIVE if HOW == "native" else EMPTY.name


class Connection:
    def __init__(self, user=USER, password=PASSWORD, database=None, takes_key=True, plugins=PLUGINS, default=None):
        self.mysql = LIB.mysql_init(None)
        for option, value in ((SSL_MODE, ctypes.c_uint(SSL_MODE_DISABLED)), (CONNECT_TIMEOUT, ctypes.c_uint(20)),
                              (GET_SERVER_PUBLIC_KEY, ctypes.c_bool(takes_key))):
            LIB.mysql_options(self.mysql, option, ctypes.byref(value))
        LIB.mysql_options(self.mysql, PLUGIN_DIR, ctypes.c_char_p(plugins.encode()))
        if default:
            LIB.mysql_options(self.mysql, DEFAULT_AUTH, ctypes.c_char_p(default.encode()))
        texts = [None if text is None else text.encode() for text in (HOST, user, password, database)]
        self.is_open = bool(LIB.mysql_real_connect(self.mysql, *texts, int(PORT), None, MULTI_STATEMENTS))

    def error(self):
        return f"error {LIB.mysql_errno(self.mysql)} {LIB.mysql_error(self.mysql).decode()}"

    def run(self, sql):
        """All results of a text, as one line."""
        if not self.is_open:
            return self.error()
        data, out = sql.encode(), []
        failed = LIB.mysql_real_query(self.mysql, data, len(data)) != 0
        while not failed:
            result = LIB.mysql_store_result(self.mysql)
            if result:
                count, rows = LIB.mysql_num_fields(result), []
                while row := LIB.mysql_fetch_row(result):
                    rows.append(",".join("NULL" if row[i] is None else row[i].decode() for i in range(count)))
                LIB.mysql_free_result(result)
                out.append(f"[{' '.join(rows)}]")
            elif LIB.mysql_errno(self.mysql):
                break
            else:
                out.append(f"ok {LIB.mysql_affected_rows(self.mysql)}")
            more = LIB.mysql_next_result(self.mysql)
            failed = more > 0
            if more < 0:
                return " ".join(out)
        return " ".join([*out, self.error()])

    def prepared(self, sql):
        """Rows of a statement in the binary protocol."""
        data, statement = sql.encode(), LIB.mysql_stmt_init(self.mysql)
        failed = (LIB.mysql_stmt_prepare(statement, data, len(data)) or LIB.mysql_stmt_execute(statement)
                  or LIB.mysql_stmt_store_result(statement))
        out = LIB.mysql_stmt_error(statement).decode() if failed else f"{LIB.mysql_stmt_num_rows(statement)} rows"
        LIB.mysql_stmt_close(statement)
        return out

    def change_user(self, user, password, database=None):
        texts = [None if text is None else text.encode() for text in (user, password, database)]
        return self.error() if LIB.mysql_change_user(self.mysql, *texts) else "ok"

    def close(self):
        LIB.mysql_close(self.mysql)


def login(label, **settings):
    connection = Connection(**settings)
    print(f"{label}: {connection.run('select current_user(), database()')}")
    connection.close()


print("library", LIB.mysql_get_client_info().decode().split(".")[0])
login("login")
login("database", database="test")
login("unknown database", database="no_such_db")
login("wrong password", password="not it")
login("no password", password="")
login("unknown user", user="nobody" + AT_TENANT)
login("long password", password="x" * 200)
login("too long for a block", password="x" * 214)
login("may not take the key", takes_key=False)

c = Connection(database="test")
print("often:", {c.run("select 1") for _ in range(30)})
for sql in (
    "drop table if exists c_lib", "create table c_lib(id int primary key, v varchar(20))",
    "insert into c_lib values(1,'a'),(2,null)", "select * from c_lib order by id", "selec", "select 1; selec; select 2",
    "begin", "insert into c_lib values(3,'c')", "rollback", "select count(*) from c_lib", "set @u=5", "select @u",
):
    print(f"{sql}: {c.run(sql)}")
for sql in ("select * from c_lib", "selec"):
    print(f"prepared {sql}: {c.prepared(sql)}")
print("begin:", c.run("begin; insert into c_lib values(4,'d')"))
print("change user:", c.change_user("e2e_other" + AT_TENANT, "of other", "test"))
for sql in ("select current_user(), database(), @u", "select count(*) from c_lib", "delete from c_lib"):
    print(f"{sql}: {c.run(sql)}")
print("change back:", c.change_user(USER, PASSWORD))
print("who:", c.run("select current_user(), database()"), c.prepared("select 1"))
print("change into nothing:", c.change_user("e2e_empty" + AT_TENANT, "", "test"), c.run("select current_user(), database()"))
print("change back:", c.change_user(USER, PASSWORD, "test"), c.run("select current_user(), database()"))
print("reset:", LIB.mysql_reset_connection(c.mysql), c.run("select current_user()"))
print("drop:", c.run("drop table c_lib"))
print("wrong:", c.change_user("e2e_other" + AT_TENANT, "not it", "test"))
c.close()
login("user without a password", user="e2e_empty" + AT_TENANT, password="")
login("user without a password, with one", user="e2e_empty" + AT_TENANT, password="some")
# Last: the library keeps what it has loaded.
login("finds mysql_native_password", plugins=WITH_NATIVE, takes_key=False)
login("finds it, is told not to use it", plugins=WITH_NATIVE, default="caching_sha2_password")
