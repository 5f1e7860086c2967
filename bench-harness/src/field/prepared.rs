//! Area prepared statements.

use super::same::{Want, expect, same, session};
use super::{Case, DB, Field, check, part};
use crate::checks::{Saw, ensure};
use crate::norm::Norm;
use crate::params::{P, params};
use crate::raw::{Got, Login};
use crate::session::Reach;

/// What one server cannot show.
const ELSEWHERE: &str = "on three servers: `needs_c1`, a line of scripts/accept session";

pub(super) const CASES: &[Case] = &[
    check("F013", "parameters that are all NULL", all_null),
    part("F014", "long data", long_data, ELSEWHERE),
    check("F015", "prepares that fail", failing),
    part(
        "F016",
        "open statements are not used up",
        open_statements,
        ELSEWHERE,
    ),
    check("F017", "ALTER TABLE behind a prepared statement", altered),
    part(
        "F019",
        "COM_CHANGE_USER forgets statements",
        change_user,
        ELSEWHERE,
    ),
    part("F021", "execute without types", without_types, ELSEWHERE),
];

fn all_null(field: &Field) -> Saw {
    session(field, |s| {
        for (sql, n) in [
            ("select id,v from kv where id in (?,?,?)", 3),
            ("select id,v from kv where id = ?", 1),
        ] {
            s.prepare(sql);
            let nulls: Vec<P> = (0..n).map(|_| P::Null).collect();
            let got = s.execute(0, &params(&nulls, true));
            expect(sql, &got, Want::Rows(0))?;
        }
        Ok(())
    })
}

/// Pieces of a parameter become one value; they have no reply.
fn long_data(field: &Field) -> Saw {
    session(field, |s| {
        s.q("truncate table blobs");
        s.prepare("insert into blobs(id,b) values(?,?)");
        let id = s.statement;
        for piece in [&b"abc"[..], b"", b"def"] {
            s.by_id(0x18, id, &[&[1, 0], piece].concat(), Reach::Nothing);
        }
        let got = s.execute(0, &params(&[P::Big(950), P::Sent], true));
        expect("execute", &got, Want::Ok)?;
        let sql = "select b from blobs where id=950";
        expect(sql, &s.q(sql), Want::Row("abcdef"))
    })
}

fn failing(field: &Field) -> Saw {
    session(field, |s| {
        for (sql, code) in [
            ("selec 1", 1064),
            ("select * from nope where a=?", 1146),
            ("select 1; select 2", 1235),
        ] {
            expect(sql, &s.prepare(sql), Want::Error(code))?;
            s.q("select 1");
        }
        // The kernel's own number; 1243 is for statements that were known once.
        let got = s.execute_id(9999, 0, b"");
        expect("execute 9999", &got, Want::Error(4201))?;
        for (sql, code) in [("prepare s from 'selec'", 1064), ("execute nost", 1243)] {
            expect(sql, &s.q(sql), Want::Error(code))?;
        }
        Ok(())
    })
}

/// Closed statements count no more; the 51st open one is refused, as directly.
fn open_statements(field: &Field) -> Saw {
    let times = field.count(120, 1_000);
    session(field, |s| {
        for n in 0..times {
            let sql = format!("select {n} from sq where n=?");
            let got = s.prepare(&sql);
            ensure(got[0].error().is_none(), || format!("{sql}: {got:?}"))?;
            s.execute(0, &params(&[P::Long(1)], true));
            s.by_id(0x19, s.statement, b"", Reach::Nothing);
        }
        for n in 1..=51 {
            let got = s.prepare(&format!("select {n} + ?"));
            let code = got.first().and_then(Got::error).map(|e| e.0);
            let want = (n == 51).then_some(5930);
            ensure(code == want, || format!("open statement {n}: {code:?}"))?;
        }
        Ok(())
    })
}

/// A table that changes under a statement: old and new clients see the new columns.
fn altered(field: &Field) -> Saw {
    same(field, |run| {
        let mut a = run.login("a", &Login::default().db(DB));
        let mut b = run.login("b", &Login::default().db(DB));
        for sql in [
            "drop table if exists alt1",
            "create table alt1(a int, b int)",
        ] {
            b.q(sql);
        }
        b.q("insert into alt1 values(1, 2)");
        let sql = "select * from alt1 where a=?";
        a.prepare(sql);
        a.execute(0, &params(&[P::Long(1)], true));
        let alter = "alter table alt1 add column c varchar(9) default 'n'";
        expect(alter, &b.q(alter), Want::Ok)?;
        let got = a.execute(0, &params(&[P::Long(1)], false));
        let columns = got.first().and_then(Got::packet).map(|p| p.payload.clone());
        ensure(columns == Some(vec![3]), || format!("{columns:?} columns"))?;
        let mut c = run.login("c", &Login::default().db(DB));
        let got = c.prepare(sql);
        let columns = got[0].packet().and_then(|p| p.payload.get(5..7));
        ensure(columns == Some(&[3, 0][..]), || {
            format!("prepare says {columns:?}")
        })?;
        b.q("drop table alt1");
        a.bye();
        b.bye();
        c.bye();
        Ok(())
    })
}

fn change_user(field: &Field) -> Saw {
    session(field, |s| {
        s.q("set @u=1, sql_select_limit=3");
        s.q("delete from kv where id=1901");
        s.prepare("select ?");
        let id = s.statement;
        s.q("begin");
        s.q("insert into kv(id) values(1901)");
        let packet = [
            b"\x11root@sys\0\0",
            DB.as_bytes(),
            b"\0\x2d\0mysql_native_password\0",
        ];
        s.raw(&crate::raw::framed(&packet.concat(), 0));
        s.norm(Norm::NoState).login_reply(b"root@sys", b"");
        s.norm(Norm::Exact);
        let got = s.execute_id(id, 0, b"\0\x01\xfd\0\x01x");
        expect("execute", &got, Want::Error(1243))?;
        for (sql, want) in [
            ("select @u, @@sql_select_limit > 3", "NULL 1"),
            ("select count(*) from kv where id=1901", "0"),
        ] {
            expect(sql, &s.q(sql), Want::Row(want))?;
        }
        Ok(())
    })
}

/// Types hold until the client sends others.
fn without_types(field: &Field) -> Saw {
    session(field, |s| {
        s.prepare("select ?+0, ? from kv where id=?");
        for (list, types) in [
            ([P::Long(9), P::Text("zz"), P::Big(1)], true),
            ([P::Long(9), P::Text("zz"), P::Big(2)], false),
            ([P::Null, P::Text(""), P::Big(3)], false),
            ([P::UBig(u64::MAX), P::Long(7), P::Big(3)], true),
            ([P::UBig(11), P::Long(8), P::Big(4)], false),
        ] {
            let got = s.execute(0, &params(&list, types));
            expect("execute", &got, Want::Rows(1))?;
        }
        Ok(())
    })
}
