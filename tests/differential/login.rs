//! Logins of every form.

use crate::support::{DB, READER, TRACK, Table, USER, root, user};
use bench_harness::norm::Norm;
use bench_harness::raw::{Login, framed};
use bench_harness::session::Reach;

fn sized(n: usize) -> Vec<u8> {
    (0..n).map(|i| b'a' + (i % 26) as u8).collect()
}

/// One login, then `select` of what it set up.
fn login(t: &mut Table, name: &str, login: Login) {
    t.add(format!("login-{name}"), move |r| {
        let mut s = r.login("a", &login);
        s.qs(&[
            "select current_user(), database()",
            "select @@character_set_client, @@character_set_results, @@collation_connection",
        ]);
        s.bye();
    });
}

pub(crate) fn add(t: &mut Table) {
    login(t, "root", Login::default());
    login(t, "root-without-tenant", Login::user("root", ""));
    login(t, "database", root());
    login(t, "password", user());
    login(t, "reader", Login::user(READER.0, READER.1));
    login(t, "without-tenant-password", Login::user("diffu", USER.1));
    login(t, "unknown-database", Login::default().db("no_such_db"));
    login(t, "empty-database", Login::default().db(""));
    login(t, "unknown-database-password", user().db("no_such_db"));
    login(t, "wrong-password", Login::user(USER.0, "wrong"));
    login(t, "no-password", Login::user(USER.0, ""));
    login(t, "password-for-none", Login::user("root@sys", "x"));
    login(t, "wrong-user", Login::user("nobody@sys", "x"));
    login(t, "wrong-user-no-password", Login::user("nobody@sys", ""));
    login(t, "unknown-tenant", Login::user("root@nosuch", ""));
    login(t, "upper-case-tenant", Login::user("root@SYS", ""));
    login(t, "upper-case-user", Login::user("ROOT@sys", ""));
    for plugin in [
        "caching_sha2_password",
        "sha256_password",
        "mysql_clear_password",
        "mysql_old_password",
        "no_such_plugin",
    ] {
        let named = user().plugin(Some(plugin));
        let clear = [USER.1.as_bytes(), b"\0"].concat();
        let wrong = Login {
            password: b"wrong".to_vec(),
            ..named.clone()
        };
        for (what, login_of) in [
            ("32", named.clone().answer(&sized(32))),
            ("none", named.clone().answer(b"")),
            ("clear", named.answer(&clear)),
            ("wrong", wrong),
        ] {
            login(t, &format!("{plugin}-{what}"), login_of);
            // They know one method only, and are never asked for it.
            t.not_for_drivers();
        }
        t.add(format!("login-{plugin}-root"), move |r| {
            let mut s = r.connect("a");
            s.norm(Norm::AuthSwitch)
                .log_in(&root().plugin(Some(plugin)));
            s.norm(Norm::Exact).q("select current_user(), database()");
            s.bye();
        });
        t.not_for_drivers();
    }
    login(t, "empty-plugin", user().plugin(Some("")));
    login(t, "without-plugin", user().plugin(None));
    login(
        t,
        "without-plugin-wrong",
        Login::user(USER.0, "no").plugin(None),
    );
    login(t, "short-answer", user().answer(&sized(7)));
    login(t, "long-answer", user().answer(&sized(40)));
    login(
        t,
        "attributes",
        user()
            .attribute("_os", "linux")
            .attribute("_pid", "4711")
            .attribute("program_name", &"x".repeat(300)),
    );
    login(t, "attribute-empty", user().attribute("", ""));
    login(t, "lenenc-answer", user().with(1 << 21));
    login(
        t,
        "lenenc-attributes",
        user().with(1 << 21).attribute("k", "v"),
    );
    login(t, "nul-answer", root().without(1 << 15));
    login(t, "no-eof-bit", root().with(1 << 24));
    login(t, "found-rows", root().with(2));
    login(t, "ignore-space", root().with(1 << 8));
    login(t, "interactive", root().with(1 << 10));
    login(t, "no-multi-results", root().without(3 << 17));
    login(t, "multi-statements", root().with(1 << 16));
    login(t, "track", user().with(TRACK));
    login(t, "track-no-database", Login::default().with(TRACK));
    for id in [8, 28, 33, 45, 46, 63, 255, 0, 200] {
        login(t, &format!("charset-{id}"), root().charset(id));
    }
    pieces(t);
    health(t);
    changes(t);
}

fn pieces(t: &mut Table) {
    t.add("login-byte-by-byte", |r| {
        let mut s = r.connect("a");
        let payload = user().payload(s.scramble());
        for byte in framed(&payload, 1) {
            s.raw(&[byte]);
        }
        s.login_reply(b"diffu", USER.1.as_bytes());
        for byte in framed(b"\x03select 'in pieces'", 0) {
            s.raw(&[byte]);
        }
        s.read("query in pieces", Reach::Results);
        s.bye();
    });
    t.add("login-glued-to-a-query", |r| {
        let mut s = r.connect("a");
        let mut bytes = framed(&user().payload(s.scramble()), 1);
        bytes.extend(framed(b"\x03select 'glued', database()", 0));
        s.raw(&bytes);
        s.login_reply(b"diffu", USER.1.as_bytes());
        s.read("glued query", Reach::Results);
        s.bye();
    });
    t.add("login-glued-to-three", |r| {
        let mut s = r.connect("a");
        let mut bytes = framed(&root().payload(s.scramble()), 1);
        bytes.extend(framed(b"\x03set @a = 5", 0));
        bytes.extend(framed(b"\x0e", 0));
        bytes.extend(framed(b"\x03select @a", 0));
        s.raw(&bytes);
        s.login_reply(b"root", b"");
        s.read("set", Reach::Results);
        s.read("ping", Reach::One);
        s.read("select", Reach::Results);
        s.bye();
    });
}

fn health(t: &mut Table) {
    for seq in [0, 1] {
        t.add(format!("probe-quit-{seq}"), move |r| {
            let mut s = r.connect("a");
            s.raw(&framed(b"\x01", seq));
            s.read("quit before login", Reach::ToEnd);
        });
    }
    t.add("connection-id-is-the-greeting's", |r| {
        let mut s = r.login("a", &user());
        s.norm(Norm::Ids).qs(&[
            "select connection_id()",
            "select connection_id() as c",
            "select distinct id = connection_id() from information_schema.processlist \
             where id = connection_id()",
        ]);
        s.prepare("select connection_id()");
        s.execute(0, b"");
        s.norm(Norm::Exact).bye();
    });
}

/// COM_CHANGE_USER.
fn change(name: &str, password: &[u8], scramble: &[u8], db: &str, tail: &[u8]) -> Vec<u8> {
    let answer = bench_harness::raw::native_answer(password, scramble);
    let mut p = vec![0x11];
    p.extend_from_slice(name.as_bytes());
    p.push(0);
    p.push(answer.len() as u8);
    p.extend_from_slice(&answer);
    p.extend_from_slice(db.as_bytes());
    p.push(0);
    p.extend_from_slice(tail);
    p
}

const NATIVE: &[u8] = b"\x2d\0mysql_native_password\0";
const SHA2: &[u8] = b"\x2d\0caching_sha2_password\0";

fn changes(t: &mut Table) {
    /// Name, account, database, what follows the database.
    type Case = (
        &'static str,
        (&'static str, &'static str),
        &'static str,
        &'static [u8],
    );
    const CASES: &[Case] = &[
        ("same", USER, DB, NATIVE),
        ("other-user", READER, "", NATIVE),
        ("other-database", USER, "oceanbase", NATIVE),
        ("unknown-database", USER, "no_such_db", NATIVE),
        ("wrong-password", (USER.0, "wrong"), DB, NATIVE),
        ("unknown-user", ("nobody@sys", "x"), DB, NATIVE),
        ("no-password", ("root@sys", ""), DB, NATIVE),
        ("without-tenant", ("diffr", READER.1), DB, NATIVE),
        ("sha2", USER, DB, SHA2),
        ("sha2-wrong", (USER.0, "wrong"), DB, SHA2),
        ("without-plugin", USER, DB, b"\x2d\0"),
        ("without-charset", USER, DB, b""),
        ("gbk", USER, DB, b"\x1c\0mysql_native_password\0"),
    ];
    for &(name, account, db, tail) in CASES {
        for (form, bits, plugin) in [
            ("", 0, true),
            ("-without-plugin-bit", 0, false),
            ("-track", TRACK, true),
        ] {
            t.add(format!("change-user-{name}{form}"), move |r| {
                let mut login = user().with(bits);
                if !plugin {
                    login = login.plugin(None);
                }
                let mut s = r.login("a", &login);
                s.qs(&[
                    "set @u = 1, sql_mode = ''",
                    "begin",
                    "insert into w(id) values(70)",
                ]);
                s.prepare("select ?");
                let id = s.statement;
                let p = change(account.0, account.1.as_bytes(), s.scramble(), db, tail);
                s.raw(&framed(&p, 0));
                s.login_reply(account.0.as_bytes(), account.1.as_bytes());
                s.execute_id(id, 0, b"\0\x01\xfd\0\x01x");
                s.qs(&[
                    "select @u, @@sql_mode, database(), current_user()",
                    "select @@character_set_client, @@collation_connection",
                    "select count(*) from obring_diff.w where id = 70",
                ]);
                s.norm(Norm::Ids).q("select connection_id()");
                s.norm(Norm::Exact).bye();
            });
        }
    }
}
