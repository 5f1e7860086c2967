//! Areas session state, transaction, character sets, and what texts alone can show.

use super::inside::locks_go;
use super::leaders::led;
use super::same::{Want, expect, same, session, texts};
use super::{Case, DB, Field, check, part};
use crate::checks::{Saw, ensure};
use crate::norm::Norm;
use crate::process::{Obring, Options};
use crate::raw::{Conn, Got, Login, framed};
use crate::relay::Relay;
use crate::session::{Reach, Session};
use Want::{Any, Error, Ok as Okay, Row, Rows};

/// What one server cannot show.
const ELSEWHERE: &str = "on three servers: `needs_c1`, a line of scripts/accept session";

pub(super) const CASES: &[Case] = &[
    check("F022", "time limits set again and again", time_limits),
    part(
        "F023",
        "a SET that failed",
        |f| {
            texts(
                f,
                &[
                    ("set session no_such_var=1", Error(1193)),
                    ("set names nosuch", Error(1115)),
                    ("set sql_mode='BOGUS'", Error(1231)),
                    ("select @@collation_connection", Any),
                    ("select id from kv where id=2", Row("2")),
                ],
            )
        },
        ELSEWHERE,
    ),
    part(
        "F024",
        "user variables",
        |f| {
            texts(
                f,
                &[
                    (
                        "set @a='it''s \\\\ \"q\"', @b=null, @c=0x4142, @d=1.50, \
                     @e=-9223372036854775808",
                        Okay,
                    ),
                    ("select id into @q from kv where id=2", Okay),
                    ("select @z:=@q+1", Row("3")),
                    (
                        "select @a,@b,@c,@d,@e,@q,@z from plain_a",
                        Row("it's \\ \"q\" NULL AB 1.50 -9223372036854775808 2 3"),
                    ),
                ],
            )
        },
        ELSEWHERE,
    ),
    check(
        "F025",
        "nothing is inherited from a former client",
        no_inheritance,
    ),
    part(
        "F026",
        "a query time limit",
        |f| {
            texts(
                f,
                &[
                    ("set ob_query_timeout=100000", Okay),
                    ("select sleep(2) from plain_b limit 1", Error(4012)),
                    ("set ob_query_timeout=default", Okay),
                ],
            )
        },
        ELSEWHERE,
    ),
    part(
        "F027",
        "SHOW WARNINGS",
        |f| {
            texts(
                f,
                &[
                    ("select cast('abc' as signed)", Row("0")),
                    ("show warnings", Rows(1)),
                    ("select 1", Row("1")),
                    ("show warnings", Rows(0)),
                ],
            )
        },
        ELSEWHERE,
    ),
    part(
        "F028",
        "LAST_INSERT_ID()",
        |f| {
            texts(
                f,
                &[
                    ("truncate table auto_b", Okay),
                    ("insert into auto_b(v) values('x')", Okay),
                    ("select last_insert_id() as ID", Row("1")),
                    ("select LAST_INSERT_ID() from plain_a where id=1", Row("1")),
                    (
                        "insert into plain_a(id,v) values(last_insert_id()+100,1)",
                        Okay,
                    ),
                    ("select id from plain_a where id=101", Row("101")),
                    ("delete from plain_a where id=101", Okay),
                ],
            )
        },
        ELSEWHERE,
    ),
    part(
        "F029",
        "temporary tables keep their server",
        |f| {
            texts(
                f,
                &[
                    ("create temporary table tt(a int)", Error(1235)),
                    ("select * from tt", Error(1146)),
                    ("select v from plain_b", Row("1")),
                ],
            )
        },
        ELSEWHERE,
    ),
    part("F031", "locks and implicit transactions", locks, ELSEWHERE),
    part("F032", "COM_RESET_CONNECTION", reset, ELSEWHERE),
    check("F034", "RELEASE SAVEPOINT", |f| {
        texts(
            f,
            &[
                ("delete from kv where id=3401", Any),
                ("begin", Okay),
                ("savepoint s1", Okay),
                ("insert into kv(id) values(3401)", Okay),
                ("rollback to s1", Okay),
                ("release savepoint s1", Okay),
                ("release savepoint s1", Error(1305)),
                ("commit", Okay),
                ("savepoint s9", Okay),
                ("release savepoint s9", Error(1305)),
            ],
        )
    }),
    check("F035", "transaction bits after errors", |f| {
        texts(
            f,
            &[
                ("set autocommit=0", Okay),
                ("select 1", Any),
                ("select id from kv where id=1", Any),
                ("selec", Error(1064)),
                ("rollback", Okay),
                ("set autocommit=1", Okay),
                ("begin", Okay),
                ("selec", Error(1064)),
                ("select 1", Any),
                ("insert into sq values(1)", Error(1062)),
                ("select 1", Any),
                ("commit", Okay),
                ("select 1", Any),
            ],
        )
    }),
    check("F036", "an error keeps the transaction", |f| {
        texts(
            f,
            &[
                ("delete from kv where id=2001", Any),
                ("begin", Okay),
                ("insert into kv(id) values(2001)", Okay),
                ("insert into kv(id) values(2001)", Error(1062)),
                ("select count(*) from kv where id=2001", Row("1")),
                ("commit", Okay),
                ("select count(*) from kv where id=2001", Row("1")),
                ("delete from kv where id=2001", Okay),
            ],
        )
    }),
    check("F043", "escaped quotes", escaped),
    check("F044", "semicolons in literals and comments", |f| {
        texts(
            f,
            &[
                ("select ';', 1", Row("; 1")),
                ("select 1 /* ; */, 2", Row("1 2")),
                ("select `a;b` from (select 1 as `a;b`) x", Row("1")),
                ("select 1;", Row("1")),
                ("select 1;;", Any),
                (";", Error(1065)),
                ("/* only */", Okay),
                ("-- c", Okay),
            ],
        )
    }),
    part(
        "F104",
        "SET NAMES everywhere",
        |f| {
            let names = "select @@character_set_client, @@character_set_results, \
                     @@collation_connection, hex(v) from kv where id=1";
            texts(
                f,
                &[
                    ("set names gbk", Okay),
                    (names, Row("gbk gbk gbk_chinese_ci 7631")),
                    ("set names utf8mb4", Okay),
                    (names, Any),
                ],
            )
        },
        ELSEWHERE,
    ),
    check("F105", "spellings of SET NAMES", |f| {
        let now = "select @@collation_connection";
        texts(
            f,
            &[
                ("set names 'utf8mb4'", Okay),
                (now, Any),
                ("set names utf8mb4 collate 'utf8mb4_bin'", Okay),
                (now, Row("utf8mb4_bin")),
                ("set names utf8mb4;", Okay),
                (now, Any),
                ("SET CHARACTER SET utf8mb4", Okay),
                (now, Any),
                ("set names utf8mb4 collate 'utf8mb4_bin'", Okay),
                ("set names nosuch", Error(1115)),
                ("set names utf8mb4 collate gbk_chinese_ci", Error(1253)),
                (now, Row("utf8mb4_bin")),
            ],
        )
    }),
    part("F106", "GBK and the backslash byte", gbk, ELSEWHERE),
    part(
        "F107",
        "the collation of the login packet",
        login_collation,
        ELSEWHERE,
    ),
    part(
        "F030",
        "a cut server link is never a blank session",
        no_blank_session,
        "all state as before the cut: `needs_c1`, a line of scripts/accept session",
    ),
];

/// F022: the same connection id to the end.
fn time_limits(field: &Field) -> Saw {
    let times = field.count(20, 200);
    session(field, |s| {
        for _ in 0..times {
            for (sql, want) in [
                ("set session ob_query_timeout=200000000", Okay),
                ("select @@ob_query_timeout", Row("200000000")),
                ("set global ob_query_timeout=10000000", Okay),
            ] {
                expect(sql, &s.q(sql), want)?;
            }
        }
        s.norm(Norm::Ids).q("select connection_id()");
        s.norm(Norm::Exact);
        Ok(())
    })
}

/// F025: a second client sees defaults only, however the first one left.
fn no_inheritance(field: &Field) -> Saw {
    let times = field.count(10, 100);
    same(field, |run| {
        for says_quit in [true, false] {
            let mut a = run.login("a", &Login::default());
            let set = "set wait_timeout=77, sql_select_limit=3, time_zone='+09:00', sql_mode='', \
                       @x=1";
            expect(set, &a.q(set), Okay)?;
            a.q(&format!("use {DB}"));
            if says_quit {
                a.send("quit", &[1], Reach::Nothing);
            }
            drop(a);
            for _ in 0..times {
                let mut b = run.login("b", &Login::default());
                let sql = "select @@wait_timeout <> 77, @@sql_select_limit > 3, \
                           @@time_zone <> '+09:00', @@sql_mode <> '', @x, database()";
                expect(sql, &b.q(sql), Row("1 1 1 1 NULL NULL"))?;
                b.send("quit", &[1], Reach::Nothing);
            }
        }
        Ok(())
    })
}

/// F031: what no list of SET statements shows. Another client waits for a lock until it is
/// released; that a client's death releases it is shown on engine `builtin`.
fn locks(field: &Field) -> Saw {
    const GET: &str = "select get_lock('obring_f031', 15) as g";
    const RELEASE: &str = "select release_lock('obring_f031') as r";
    let answered = same(field, |run| {
        let mut a = run.login("a", &Login::default().db(DB));
        let mut b = run.login("b", &Login::default().db(DB));
        for (sql, want) in [
            ("/*!40101 BEGIN */", Okay),
            ("update kv set n=1 where id=1", Okay),
            ("rollback", Okay),
            ("select n from kv where id=1", Row("0")),
            ("lock tables kv write", Okay),
            ("select v from plain_b", Row("1")),
            ("unlock tables", Okay),
            (GET, Row("1")),
        ] {
            expect(sql, &a.q(sql), want)?;
        }
        b.raw(&framed(&[b"\x03", GET.as_bytes()].concat(), 0));
        for (sql, want) in [
            ("select v from plain_a", Row("1")),
            ("select id from kv where id=2", Row("2")),
            ("update kv set n=0 where id=3", Okay),
            ("select v from plain_b", Row("1")),
            // It is held until now, so the other one waits.
            (RELEASE, Row("1")),
        ] {
            expect(sql, &a.q(sql), want)?;
        }
        expect(GET, &b.read(GET, Reach::Results), Row("1"))?;
        expect(RELEASE, &b.q(RELEASE), Row("1"))?;
        a.bye();
        b.bye();
        Ok(())
    })?;
    Ok(format!("{answered}; {}", locks_go(field)?))
}

/// F032: everything but the database is as after the login, and another client gets the lock.
fn reset(field: &Field) -> Saw {
    const GET: &str = "select get_lock('obring_f032', 15) as g";
    same(field, |run| {
        let mut s = run.login("a", &Login::default().db(DB));
        let mut other = run.login("b", &Login::default().db(DB));
        for sql in ["delete from kv where id=3201", "set @u=1, wait_timeout=55"] {
            s.q(sql);
        }
        s.prepare("select ?");
        let id = s.statement;
        for (sql, want) in [
            ("prepare s from 'select 5'", Okay),
            ("begin", Okay),
            ("insert into kv(id) values(3201)", Okay),
            (GET, Row("1")),
        ] {
            expect(sql, &s.q(sql), want)?;
        }
        let sql = "select get_lock('obring_f032', 0) as g";
        expect(sql, &other.q(sql), Row("0"))?;
        let got = s.norm(Norm::NoState).one("reset", b"\x1f");
        expect("reset", &got, Okay)?;
        s.norm(Norm::Exact);
        expect(GET, &other.q(GET), Row("1"))?;
        let got = s.execute_id(id, 0, b"\0\x01\xfd\0\x01x");
        expect("execute", &got, Error(1243))?;
        for (sql, want) in [
            ("execute s", Error(1243)),
            (
                "select @u, @@wait_timeout <> 55, database()",
                Row("NULL 1 obring_field"),
            ),
            ("select count(*) from kv where id=3201", Row("0")),
            ("select release_lock('obring_f032') as r", Row("0")),
        ] {
            expect(sql, &s.q(sql), want)?;
        }
        let sql = "select release_lock('obring_f032') as r";
        expect(sql, &other.q(sql), Row("1"))?;
        s.bye();
        other.bye();
        Ok(())
    })
}

/// F106: bytes of a character whose second byte looks like a backslash come back as they are.
fn gbk(field: &Field) -> Saw {
    session(field, |s| {
        s.q("set names gbk");
        let got = s.qb(b"select hex('\xbf\x5c')");
        expect("hex", &got, Row("BF5C"))?;
        let got = s.qb(b"select count(*) from kv where v='\xbf\x5c' and id=5");
        expect("where", &got, Row("0"))?;
        s.q("delete from kv where id=10601");
        let got = s.qb(b"insert into kv(id, v) values(10601, '\xbf\x5c')");
        expect("insert", &got, Okay)?;
        let got = s.qb(b"select id from kv where v='\xbf\x5c' and id=10601");
        expect("read back", &got, Row("10601"))?;
        s.q("select v from kv where id=10601");
        s.q("delete from kv where id=10601");
        Ok(())
    })
}

/// F107: the collation of the login packet holds without SET NAMES.
fn login_collation(field: &Field) -> Saw {
    same(field, |run| {
        for (id, want) in [
            (255, "utf8mb4 utf8mb4_0900_ai_ci"),
            (28, "gbk gbk_chinese_ci"),
            (45, "utf8mb4 utf8mb4_general_ci"),
            (33, ""),
        ] {
            let mut s = run.login("a", &Login::default().db(DB).charset(id));
            let sql = "select @@character_set_client, @@collation_connection";
            let want = if want.is_empty() { Any } else { Row(want) };
            expect(sql, &s.q(sql), want)?;
            s.prepare("select ? as d, v from kv where id=2");
            s.execute(0, b"\0\x01\xfd\0\x02\xc3\xa9");
            s.bye();
        }
        // COM_CHANGE_USER has two bytes for it: numbers that no login packet can tell.
        for (id, want) in [
            (309_u16, "utf8mb4 utf8mb4_0900_bin"),
            (255, "utf8mb4 utf8mb4_0900_ai_ci"),
            (305, "utf8mb4 utf8mb4_0900_as_ci"),
            (28, "gbk gbk_chinese_ci"),
        ] {
            let mut s = run.login("b", &Login::default().db(DB));
            change_user(&mut s, id);
            for _ in 0..LOOKS {
                let sql = "select @@character_set_client, @@collation_connection";
                expect(sql, &s.q(sql), Row(want))?;
            }
            s.prepare("select ? as d, v from kv where id=2");
            for _ in 0..LOOKS {
                s.execute(0, b"\0\x01\xfd\0\x02\xc3\xa9");
                // 'a ' is 'a' in some of them, 'A' in others.
                s.q("select 'a' = 'A' as i, 'a' = 'a ' as p, hex('\u{e9}') as h");
            }
            s.bye();
        }
        Ok(())
    })
}

/// Answers of servers chosen at random, all three of which are among so many but for one in 10,000
/// times.
const LOOKS: usize = 24;

/// COM_CHANGE_USER to root with a collation.
fn change_user(s: &mut Session, collation: u16) {
    let [low, high] = collation.to_le_bytes();
    let packet = [
        b"\x11root@sys\0\0",
        DB.as_bytes(),
        &[0, low, high],
        b"mysql_native_password\0",
    ];
    s.raw(&framed(&packet.concat(), 0));
    s.norm(Norm::NoState).login_reply(b"root@sys", b"");
    s.norm(Norm::Exact);
}

/// F030: the state went with the server connection, so the session ends with an error: no answer
/// from a blank one.
fn no_blank_session(field: &Field) -> Saw {
    let relay = Relay::start(field.setup.kernel).map_err(|e| format!("relay: {e}"))?;
    let options = Options::new(&field.setup.binary, &[relay.address()]);
    let proxy = Obring::start(&options)?;
    let mut c = Conn::login(proxy.address(), &Login::default())?;
    for sql in [
        "set @p=42",
        &format!("use {DB}"),
        "set sql_mode='ANSI_QUOTES'",
    ] {
        c.run(sql)?;
    }
    relay.cut();
    let told = c.cell("select concat(@p, database(), @@sql_mode)");
    let told = told.err().unwrap_or_else(|| "an answer".into());
    ensure(
        told.contains("error ") && told.contains("[not run]"),
        || told.clone(),
    )?;
    let got = c.receive();
    ensure(matches!(got, Got::Closed), || format!("then {got:?}"))?;
    Ok(told)
}

/// F043: right answers, and each statement runs where its row is led.
fn escaped(f: &Field) -> Saw {
    let script = [
        (
            "select count(*) from kv where v='a\\'b -- ' and id=5",
            Row("0"),
        ),
        ("select count(*) from kv where v='\\\\' and id=5", Row("0")),
        ("select count(*) from kv where v='it''s' and id=5", Row("0")),
        ("select count(*) from kv where v=\"x'y\" and id=5", Row("0")),
        ("update kv set v='where id=7' where id=5", Okay),
        ("select v from kv where id=5", Row("where id=7")),
        ("update kv set v='v5' where id=5", Okay),
    ];
    let answered = texts(f, &script)?;
    let sent = script.map(|(sql, _)| sql.to_owned());
    let placed = led(f, &sent, Some(5), false)?;
    Ok(format!("{answered}; {placed}"))
}
