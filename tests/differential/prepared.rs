//! Prepared statements in the binary protocol.

use crate::support::{P, TRACK, Table, params, root, user};
use bench_harness::session::{Reach, Session};

fn long_data(s: &mut Session, param: u16, data: &[u8]) {
    let body = [&param.to_le_bytes(), data].concat();
    s.by_id(0x18, s.statement, &body, Reach::Nothing);
}

fn fetch(s: &mut Session, rows: u32) {
    s.by_id(0x1c, s.statement, &rows.to_le_bytes(), Reach::ToEof);
}

pub(crate) fn add(t: &mut Table) {
    basics(t);
    values(t);
    cursors(t);
    limits(t);
    prepare_executes(t);
}

/// Sends a piece of a parameter: 1 the first, 2 one between, 3 the last.
fn piece(s: &mut Session, param: u16, which: u8, data: &[u8]) {
    let length = (data.len() as u64).to_le_bytes();
    let body = [&param.to_le_bytes()[..], &[which, 0], &length, data].concat();
    s.by_id(0xa2, s.statement, &body, Reach::One);
}

fn prepare_executes(t: &mut Table) {
    const INSERT: &str = "insert into w(id, v) values(?, ?)";
    t.session("prepare-execute-shapes", |s| {
        s.q("delete from w where id between 1760 and 1769");
        for (sql, list) in [
            ("select 1 as pe_one", &[][..]),
            ("select ? as pe_p", &[P::Long(7)]),
            ("select id, v as pe_v from kv where id = ?", &[P::Big(3)]),
            (INSERT, &[P::Big(1760), P::Text("x")]),
            ("update w set n = ? where id = ?", &[P::Null, P::Big(1760)]),
            ("delete from w where id = ?", &[P::Big(1760)]),
            (INSERT, &[P::Big(1761), P::Text("x")]),
            ("set @pe = ?", &[P::Long(7)]),
            ("begin", &[]),
            ("rollback", &[]),
            ("selec 1", &[]),
            ("select * from nope", &[]),
            ("select 1; select 2", &[]),
            ("", &[]),
            // Servers count what fails when it runs, and not what cannot be prepared.
            (INSERT, &[P::Big(1761), P::Text("x")]),
        ] {
            // Rows of a reply; how often the others run.
            let rows = if sql.starts_with("select") { 10 } else { 1 };
            s.prepare_execute(0, sql, rows, list);
            s.one("ping", b"\x0e");
        }
        s.q("select @pe as pe");
        s.q("delete from w where id between 1760 and 1769");
    });
    t.session("prepare-execute-again", |s| {
        const SQL: &str = "select id, v as pe_again from kv where id > ? order by id";
        s.prepare_execute(0, SQL, 100, &[P::Big(7)]);
        let id = s.statement;
        s.prepare_execute(id, SQL, 100, &[P::Big(8)]);
        s.execute_id(id, 0, &params(&[P::Big(9)], true));
        s.execute_id(id, 0, &params(&[P::Big(8)], false));
        s.prepare(SQL);
        s.prepare_execute(s.statement, SQL, 100, &[P::Big(8)]);
        s.by_id(0x19, id, b"", Reach::Nothing);
        s.prepare_execute(id, SQL, 100, &[P::Big(8)]);
        s.prepare_execute(9999, SQL, 100, &[P::Big(8)]);
    });
    t.session("prepare-execute-rows-behind", |s| {
        const SQL: &str = "select id as pe_rows from kv where id > ? order by id";
        for rows in [0, 1, 2, 3, 100] {
            s.prepare_execute(0, SQL, rows, &[P::Big(7)]);
            fetch(s, 1);
            fetch(s, 5);
            s.by_id(0x1a, s.statement, b"", Reach::One);
            s.q("select 'between' as between_rows");
        }
        s.prepare_execute(0, SQL, 1, &[P::Big(7)]);
        s.by_id(0x19, s.statement, b"", Reach::Nothing);
    });
    t.session("prepare-execute-wrong-checksum", |s| {
        let mut payload = bench_harness::params::prepare_execute(0, "select 1", 10, 0, b"");
        let at = payload.len() - 5;
        payload[at] ^= 1;
        s.send("a wrong checksum", &payload, Reach::PrepareExecute);
        s.read("end", Reach::ToEnd);
    });
    t.session("pieces-of-a-parameter", |s| {
        s.q("delete from blobs where id = 1770");
        s.prepare("insert into blobs values(1770, ?)");
        piece(s, 0, 1, b"abc");
        piece(s, 0, 2, &[7; 70_000]);
        piece(s, 0, 3, b"def");
        s.execute(0, &params(&[P::Sent], true));
        s.q("select id, length(b), md5(b) from blobs where id = 1770");
        s.q("delete from blobs where id = 1770");
        s.by_id(0xa3, s.statement, b"\0\0\x01\x64\0\0\0\0\0\0\0", Reach::One);
    });
}

fn basics(t: &mut Table) {
    t.session("prepare-shapes", |s| {
        for sql in [
            "select 1",
            "select ?",
            "do 1",
            "do ?",
            "insert into w(id) values(?)",
            "select id, v, n from kv where id = ?",
            "set @a = ?",
            "begin",
            "commit",
            "use test",
            "show tables",
            "call two_sets(?)",
            "select ?, ?, ?, ?, ?, ?, ?, ?, ?, ?",
            "selec 1",
            "select * from nope where a=?",
            "select 1; select 2",
            "",
            "/* nothing */",
            "create temporary table tt(a int)",
        ] {
            s.prepare(sql);
            s.one("ping", b"\x0e");
        }
    });
    t.session("prepare-begin-commit", |s| {
        for sql in [
            "begin",
            "insert into w(id) values(1700)",
            "rollback",
            "select 1",
            "commit",
        ] {
            s.prepare(sql);
            s.execute(0, b"");
        }
        s.q("select count(*) from w where id=1700");
    });
    t.session("execute-all-null", |s| {
        s.prepare("select id,v from kv where id in (?,?,?)");
        s.execute(0, &params(&[P::Null, P::Null, P::Null], true));
        s.prepare("select id from kv where id = ?");
        s.execute(0, &params(&[P::Null], true));
        s.execute(0, &params(&[P::Null], false));
        s.execute(0, &params(&[P::Big(3)], true));
        s.execute(0, &params(&[P::Null], false));
        s.execute(0, &params(&[P::Big(4)], false));
    });
    t.session("execute-again-without-types", |s| {
        s.prepare("select ?+0, ? from kv where id=?");
        s.execute(0, &params(&[P::Long(9), P::Text("zz"), P::Big(1)], true));
        s.execute(0, &params(&[P::Long(10), P::Text("y"), P::Big(2)], false));
        s.execute(0, &params(&[P::Null, P::Text(""), P::Big(3)], false));
        s.execute(0, &params(&[P::Text("11"), P::Long(7), P::Big(3)], true));
        s.execute(0, &params(&[P::Text("12"), P::Long(8), P::Big(4)], false));
    });
    t.session("execute-first-without-types", |s| {
        s.prepare("select ?");
        s.execute(0, &params(&[P::Big(3)], false));
        s.execute(0, &params(&[P::Big(3)], true));
    });
    t.session("execute-dml", |s| {
        s.q("delete from w where id between 1710 and 1719");
        s.prepare("insert into w(id, v, n) values(?, ?, ?)");
        s.execute(0, &params(&[P::Big(1710), P::Text("a"), P::Long(1)], true));
        s.execute(0, &params(&[P::Big(1710), P::Text("a"), P::Long(1)], true));
        s.execute(0, &params(&[P::Big(1711), P::Null, P::Null], true));
        s.prepare("update w set n=? where id between 1710 and 1719");
        s.execute(0, &params(&[P::Long(1)], true));
        s.prepare("delete from w where id=?");
        s.execute(0, &params(&[P::Big(1710)], true));
        s.execute(0, &params(&[P::Big(1711)], true));
    });
    t.session("unknown-statements", |s| {
        s.execute_id(9999, 0, b"");
        s.execute_id(0, 0, b"");
        s.execute_id(0xFFFF_FFFF, 0, b"");
        s.by_id(0x1a, 9999, b"", Reach::One);
        s.by_id(0x1c, 9999, b"\x01\0\0\0", Reach::ToEof);
        s.by_id(0x19, 9999, b"", Reach::Nothing);
        s.by_id(0x18, 9999, b"\0\0abc", Reach::Nothing);
        s.q("select 'after' as after");
        s.prepare("select 1");
        s.by_id(0x1a, s.statement, b"", Reach::One);
        s.by_id(0x19, s.statement, b"", Reach::Nothing);
        s.execute(0, b"");
        s.by_id(0x1a, s.statement, b"", Reach::One);
    });
    t.session("statement-ids-after-close-and-failure", |s| {
        s.prepare("select 1");
        s.by_id(0x19, s.statement, b"", Reach::Nothing);
        s.prepare("selec");
        s.prepare("select 2");
        s.prepare("select * from nope");
        s.prepare("select 3");
        s.execute(0, b"");
    });
    t.session("execute-calls", |s| {
        s.prepare("call two_sets(?)");
        s.execute(0, &params(&[P::Long(5)], true));
        s.execute(0, &params(&[P::Long(6)], false));
        s.prepare("call bad_sets(?)");
        s.execute(0, &params(&[P::Long(5)], true));
        s.prepare("call out_p(?, ?)");
        s.execute(0, &params(&[P::Long(5), P::Null], true));
        s.prepare("call no_sets(?)");
        s.execute(0, &params(&[P::Long(5)], true));
    });
    t.add("execute-track", |r| {
        let mut s = r.login("a", &user().with(TRACK));
        for sql in [
            "set autocommit=0",
            "set @a=1",
            "set sql_mode=''",
            "use test",
            "rollback",
        ] {
            s.prepare(sql);
            s.execute(0, b"");
        }
        s.bye();
    });
    t.add("execute-after-alter", |r| {
        let mut a = r.login("a", &root());
        let mut b = r.login("b", &root());
        a.qs(&[
            "create table alt1(a int, b int)",
            "insert into alt1 values(1, 2)",
        ]);
        a.prepare("select * from alt1 where a=?");
        a.execute(0, &params(&[P::Long(1)], true));
        b.q("alter table alt1 add column c varchar(9) default 'n'");
        a.execute(0, &params(&[P::Long(1)], false));
        a.execute(0, &params(&[P::Long(1)], false));
        let mut c = r.login("c", &root());
        c.prepare("select * from alt1 where a=?");
        b.q("drop table alt1");
        for s in [&mut a, &mut b, &mut c] {
            s.bye();
        }
    });
}

fn values(t: &mut Table) {
    t.session("binary-every-column-type", |s| {
        for n in [1, 2, 3] {
            s.q(&format!("select * from ty where id={n}"));
        }
        s.prepare("select * from ty where id=?");
        for n in [1, 2, 3, 4] {
            s.execute(0, &params(&[P::Long(n)], true));
        }
        s.prepare("select * from ty order by id");
        s.execute(0, b"");
    });
    t.session("every-parameter-type", |s| {
        let list = || {
            vec![
                P::Tiny(-5),
                P::Short(-300),
                P::Long(-70_000),
                P::Big(i64::MIN),
                P::UBig(u64::MAX),
                P::Float(1.25),
                P::Double(-1e300),
                P::Text("t\u{e9}xt"),
                P::Blob(vec![0, 1, 0xFF]),
                P::Stamp(2024, [2, 29, 23, 59, 58], 123_456),
                P::Span(true, 3, [4, 5, 6]),
                P::Null,
            ]
        };
        s.prepare("select ?,?,?,?,?,?,?,?,hex(?),?,?,?");
        s.execute(0, &params(&list(), true));
        s.execute(0, &params(&list(), false));
        s.prepare("select concat(?), ? + 1, ? is null");
        s.execute(
            0,
            &params(&[P::UBig(u64::MAX), P::Text("41"), P::Null], true),
        );
    });
    t.session("long-data", |s| {
        s.q("delete from blobs");
        s.prepare("insert into blobs(id,b) values(?,?)");
        for piece in [&b"abc"[..], b"", b"def"] {
            long_data(s, 1, piece);
        }
        s.execute(0, &params(&[P::Big(950), P::Sent], true));
        s.q("select id, b, length(b) from blobs");
        // What was sent is used up.
        s.execute(0, &params(&[P::Big(951), P::Text("next")], true));
        long_data(s, 1, b"thrown away");
        s.by_id(0x1a, s.statement, b"", Reach::One);
        s.execute(0, &params(&[P::Big(952), P::Text("after reset")], true));
        long_data(s, 7, b"no such parameter");
        s.execute(0, &params(&[P::Big(953), P::Text("x")], true));
        s.q("select id, b from blobs order by id");
        s.q("delete from blobs");
    });
    t.session("long-data-of-3-mb", |s| {
        s.q("delete from blobs");
        s.prepare("insert into blobs(id,b) values(?,?)");
        for i in 0..3u8 {
            long_data(s, 1, &vec![b'0' + i; 1 << 20]);
        }
        s.execute(0, &params(&[P::Big(960), P::Sent], true));
        s.q("select id, length(b), md5(b) from blobs");
        s.prepare("select b from blobs where id=?");
        s.execute(0, &params(&[P::Big(960)], true));
        s.q("delete from blobs");
    });
}

fn cursors(t: &mut Table) {
    t.session("cursor", |s| {
        s.prepare("select n, repeat('r', n) from sq order by n");
        s.execute(1, b"");
        for rows in [3, 1, 6, 1, 1] {
            fetch(s, rows);
        }
        s.q("select 'between' as between");
        s.execute(1, b"");
        fetch(s, 2);
        s.by_id(0x1a, s.statement, b"", Reach::One);
        fetch(s, 2);
        s.execute(1, b"");
        fetch(s, 100);
        s.execute(0, b"");
        fetch(s, 1);
        s.by_id(0x19, s.statement, b"", Reach::Nothing);
        fetch(s, 1);
    });
    t.session("cursor-empty-and-dml", |s| {
        s.prepare("select n from sq where n > ?");
        s.execute(1, &params(&[P::Long(100)], true));
        fetch(s, 1);
        s.prepare("update w set n=1 where id=-1");
        s.execute(1, b"");
        s.one("ping", b"\x0e");
        s.prepare("selec");
    });
    t.session("cursor-two-at-once", |s| {
        s.prepare("select n from sq order by n");
        let first = s.statement;
        s.execute(1, b"");
        s.prepare("select n from sq order by n desc");
        let second = s.statement;
        s.execute(1, b"");
        for id in [first, second, first, second] {
            s.by_id(0x1c, id, b"\x02\0\0\0", Reach::ToEof);
        }
    });
    t.session("cursor-of-many-rows", |s| {
        s.prepare("select a.n, b.n, repeat('z', 500) from sq a, sq b, sq c order by 1, 2");
        s.execute(1, b"");
        for _ in 0..6 {
            fetch(s, 200);
        }
    });
    for (name, flags) in [("", 0), ("-with-cursor", 1)] {
        t.session(format!("execute-error-in-rows{name}"), move |s| {
            s.prepare(
                "select a.n+b.n*10+d.n*100, repeat('z',2000), \
                 9223372036854775797+if(a.n+b.n*10+d.n*100=1110,11,0) from sq a, sq b, sq d \
                 order by 1 limit 1000",
            );
            let got = s.execute(flags, b"");
            if flags == 1 && got.last().is_some_and(|g| g.error().is_none()) {
                fetch(s, 500);
                fetch(s, 1000);
            }
        });
    }
}

fn limits(t: &mut Table) {
    t.session("statement-51", |s| {
        for _ in 0..52 {
            s.prepare("select 1");
        }
        s.by_id(0x19, 7, b"", Reach::Nothing);
        s.prepare("select 2");
        s.execute(0, b"");
    });
    t.session("prepare-execute-close-200", |s| {
        for i in 0..200 {
            s.prepare(&format!("select {i} + ?"));
            s.execute(0, &params(&[P::Long(i)], true));
            s.by_id(0x19, s.statement, b"", Reach::Nothing);
        }
    });
    t.session("prepare-fails-100", |s| {
        for _ in 0..100 {
            s.prepare("select * from nope where a=?");
        }
    });
    t.add("prepare-execute-private", |r| {
        let mut s = r.login("a", &root());
        // 0xA1: id, flags, iterations, sql, parameters, mode, close count, checksum, extend flag.
        for (sql, sum) in [("select 1", None), ("select 1", Some(0u32))] {
            let mut p = vec![0xA1, 0, 0, 0, 0, 0, 1, 0, 0, 0];
            obring_wire::base::put_lenenc_bytes(&mut p, sql.as_bytes());
            p.extend([0; 4]);
            p.extend([0; 8]);
            p.extend(
                sum.unwrap_or_else(|| crc32c_raw(sql.as_bytes()))
                    .to_le_bytes(),
            );
            p.extend([0; 4]);
            // prepare-OK, columns, EOF, rows, EOF, OK: as many packets as the kernel sends, seen
            // by the query behind it.
            s.raw(&bench_harness::raw::framed(&p, 0));
            s.read("prepare-execute head", Reach::One);
            if sum.is_none() {
                s.read("columns", Reach::ToEof);
                s.read("rows", Reach::ToEof);
                s.read("ok", Reach::One);
                s.q("select 'behind' as behind");
            } else {
                s.read("the end", Reach::ToEnd);
            }
        }
    });
}

/// CRC-32C without inversion (protocol.md 5.3).
fn crc32c_raw(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0, |crc, &b| {
        (0..8).fold(crc ^ u32::from(b), |c, _| {
            (c >> 1) ^ (0x82F6_3B78 & 0u32.wrapping_sub(c & 1))
        })
    })
}
