//! Every command byte, sequence numbers, several requests in one write.

use crate::support::{TRACK, Table, root};
use bench_harness::norm::Norm;
use bench_harness::raw::framed;
use bench_harness::session::Reach;

pub(crate) fn add(t: &mut Table) {
    // 0x01 ends the connection, 0x08 may end the kernel, 0x11 has scripts of its own, 0x16 to 0x1c
    // as well.
    for command in (0x00..=0x20).chain([0x77, 0x7f, 0xa0, 0xa4, 0xf0, 0xfe, 0xff]) {
        // The kernel reads the arguments of 0x04 and 0x0c behind the end of a packet without any:
        // the answer depends on what stands there.
        if matches!(
            command,
            0x01 | 0x03 | 0x04 | 0x08 | 0x0c | 0x11 | 0x16..=0x1c
        ) {
            continue;
        }
        t.session(format!("command-{command:#04x}-bare"), move |s| {
            let reach = match command {
                0x0a => Reach::Results,
                _ => Reach::One,
            };
            match command {
                0x09 | 0x0a => s.norm(Norm::ServerState),
                _ => s.norm(Norm::Exact),
            };
            s.send("the command", &[command], reach);
            s.norm(Norm::Exact).one("ping", b"\x0e");
        });
        if command == 0x02 {
            // One that tracks its session's state is told of the database by the ping.
            t.not_for_drivers();
        }
    }
    with_arguments(t);
    malformed(t);
    sequences(t);
    pipelines(t);
}

fn with_arguments(t: &mut Table) {
    t.session("init-db", |s| {
        s.one("init test", b"\x02test");
        s.q("select database()");
        s.one("init unknown", b"\x02no_such_db");
        s.q("select database()");
        s.one("init with quote", b"\x02a`b'c");
        s.one("init back", b"\x02obring_diff");
        s.q("select database()");
    });
    t.session("field-list", |s| {
        s.send("kv", b"\x04kv\0", Reach::ToEof);
        s.send("kv n%", b"\x04kv\0n%", Reach::ToEof);
        s.send("unknown", b"\x04nope\0", Reach::ToEof);
    });
    t.session("create-drop-db", |s| {
        s.one("create", b"\x05obring_diff_x");
        s.one("drop", b"\x06obring_diff_x");
        s.one("refresh", b"\x07\x01");
    });
    t.session("process-kill-unknown", |s| {
        s.one("kill", b"\x0c\xfe\xff\xff\xff");
    });
    t.session("set-option", |s| {
        s.q("select 1; select 2");
        s.one("on", b"\x1b\0\0");
        s.q("select 1; select 2");
        s.one("off", b"\x1b\x01\0");
        s.q("select 1; select 2");
        s.q("select 1");
        s.one("on again", b"\x1b\0\0");
        s.q("select 1; select 2");
        s.one("unknown option", b"\x1b\x07\0");
        s.one("short", b"\x1b");
    });
    t.session("ping-status", |s| {
        s.one("idle", b"\x0e");
        s.q("begin");
        s.one("after begin", b"\x0e");
        s.q("insert into w(id) values(71)");
        s.one("in transaction", b"\x0e");
        s.q("rollback");
        s.one("after rollback", b"\x0e");
        s.q("set autocommit=0");
        s.one("autocommit off", b"\x0e");
        s.q("select id from kv where id=1");
        s.one("implicit transaction", b"\x0e");
        s.q("selec");
        s.one("after an error", b"\x0e");
        s.q("select 1; select 2");
        s.one("after several", b"\x0e");
        s.q("insert into w(id) values(71),(72),(73)");
        s.one("affected rows do not stay", b"\x0e");
        s.q("select cast('a' as signed)");
        s.one("warnings do not stay", b"\x0e");
        s.q("rollback");
        s.one("with rest", b"\x0exyz");
    });
    t.add("ping-track", |r| {
        let mut s = r.login("a", &root().with(TRACK));
        s.norm(Norm::NoState).one("ping", b"\x0e");
        s.norm(Norm::Exact).q("set autocommit=0");
        s.norm(Norm::NoState).one("ping", b"\x0e");
        s.norm(Norm::Exact).bye();
    });
    t.session("statistics", |s| {
        s.norm(Norm::ServerState).one("statistics", b"\x09");
        s.norm(Norm::Exact).one("debug", b"\x0d");
    });
}

fn malformed(t: &mut Table) {
    t.add("quit", |r| {
        let mut s = r.login("a", &root());
        s.q("select 1");
        s.send("quit", b"\x01", Reach::ToEnd);
        let mut s = r.login("b", &root());
        s.q("begin");
        s.send(
            "quit in a transaction, with a rest",
            b"\x01xyz",
            Reach::ToEnd,
        );
    });
    let cases: &[(&str, &[u8])] = &[
        ("empty-query", b"\x03"),
        ("empty-init-db", b"\x02"),
        ("empty-prepare", b"\x16"),
        ("short-execute", b"\x17\x01"),
        ("execute-4", b"\x17\x01\0\0\0"),
        ("short-reset", b"\x1a\x01"),
        ("short-fetch", b"\x1c\x01\0\0\0"),
    ];
    for &(name, payload) in cases {
        t.add(format!("malformed-{name}"), move |r| {
            let mut s = r.login("a", &root());
            s.one(name, payload);
            s.bye();
        });
    }
    t.session("malformed-silent", |s| {
        s.send("short close", b"\x19\x01", Reach::Nothing);
        s.q("select 'after' as after");
    });
    t.session("malformed-silent-long-data", |s| {
        s.send("short long data", b"\x18\x01\0", Reach::Nothing);
        s.q("select 'after' as after");
    });
    t.session("query-of-odd-bytes", |s| {
        s.qb(b"\0");
        s.qb(b"select 1\0");
        s.qb(b"select '\0'");
        s.qb(b"select '\xff\xfe'");
        s.qb(b"\xff");
        s.qb(b"   ");
        s.qb(b"select 1 -- \0 x");
    });
}

fn sequences(t: &mut Table) {
    for seq in [0u8, 1, 5, 254, 255] {
        t.add(format!("sequence-{seq}"), move |r| {
            let mut s = r.login("a", &root());
            for (what, p) in [
                ("query", &b"\x03select 1"[..]),
                ("error", b"\x03selec"),
                ("set", b"\x03set @a=1"),
            ] {
                s.raw(&framed(p, seq)).read(what, Reach::Results);
            }
            for (what, p) in [
                ("ping", &b"\x0e"[..]),
                ("unknown", b"\x77"),
                ("db", b"\x02test"),
            ] {
                s.raw(&framed(p, seq)).read(what, Reach::One);
            }
            s.raw(&framed(b"\x16select ?", seq))
                .read("prepare", Reach::Prepare);
            s.bye();
        });
    }
    t.session("sequence-wraps", |s| {
        // 300 rows: the sequence number passes 255.
        s.q("select a.n, b.n, c.n from sq a, sq b, sq c where c.n < 4 order by 1, 2, 3");
    });
}

fn pipelines(t: &mut Table) {
    t.session("pipeline-three", |s| {
        let bytes: Vec<u8> = [&b"\x03select 1"[..], b"\x03select 2", b"\x0e"]
            .iter()
            .flat_map(|p| framed(p, 0))
            .collect();
        s.raw(&bytes);
        s.read("select 1", Reach::Results);
        s.read("select 2", Reach::Results);
        s.read("ping", Reach::One);
    });
    t.add("pipeline-error-write-quit", |r| {
        let mut s = r.login("a", &root());
        let bytes: Vec<u8> = [
            &b"\x03selec"[..],
            b"\x03insert into w(id,v) values(960,'p')",
            b"\x01",
        ]
        .iter()
        .flat_map(|p| framed(p, 0))
        .collect();
        s.raw(&bytes);
        s.read("error", Reach::Results);
        s.read("insert", Reach::Results);
        s.read("quit", Reach::ToEnd);
        let mut s = r.login("b", &root());
        s.q("select * from w where id=960");
        s.q("delete from w where id=960");
        s.bye();
    });
    t.session("pipeline-ping-first-and-between", |s| {
        let bytes: Vec<u8> = [
            &b"\x0e"[..],
            b"\x03set autocommit=0",
            b"\x0e",
            b"\x03select id from kv where id=1",
            b"\x0e",
            b"\x03rollback",
            b"\x03set autocommit=1",
            b"\x0e",
        ]
        .iter()
        .flat_map(|p| framed(p, 0))
        .collect();
        s.raw(&bytes);
        for (what, reach) in [
            ("ping", Reach::One),
            ("set", Reach::Results),
            ("ping", Reach::One),
            ("select", Reach::Results),
            ("ping", Reach::One),
            ("rollback", Reach::Results),
            ("set", Reach::Results),
            ("ping", Reach::One),
        ] {
            s.read(what, reach);
        }
    });
    t.session("pipeline-two-hundred", |s| {
        let mut bytes = vec![];
        for i in 0..200 {
            bytes.extend(framed(format!("\x03select {i}").as_bytes(), 0));
        }
        s.raw(&bytes);
        for _ in 0..200 {
            s.read("select", Reach::Results);
        }
    });
    t.session("pipeline-prepare-execute-close", |s| {
        s.prepare("select ?");
        let id = s.statement.to_le_bytes();
        let execute = [&[0x17], &id[..], b"\0\x01\0\0\0\0\x01\xfd\0\x01x"].concat();
        let close = [&[0x19], &id[..]].concat();
        let bytes: Vec<u8> = [&execute[..], &close, &execute, b"\x03select 9"]
            .iter()
            .flat_map(|p| framed(p, 0))
            .collect();
        s.raw(&bytes);
        s.read("execute", Reach::Results);
        s.read("execute closed", Reach::Results);
        s.read("select", Reach::Results);
    });
    t.session("one-write-per-byte", |s| {
        for byte in framed(b"\x03select 'slow'", 0) {
            s.raw(&[byte]);
        }
        s.read("query", Reach::Results);
        for byte in framed(b"\x16select ?, ?", 0) {
            s.raw(&[byte]);
        }
        s.read("prepare", Reach::Prepare);
        let id = s.statement.to_le_bytes();
        for byte in framed(
            &[
                &[0x17],
                &id[..],
                b"\0\x01\0\0\0\0\x01\xfd\0\xfd\0\x01x\x02yz",
            ]
            .concat(),
            0,
        ) {
            s.raw(&[byte]);
        }
        s.read("execute", Reach::Results);
    });
}
