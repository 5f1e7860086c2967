//! Sizes, LOAD DATA LOCAL, and KILL.

use crate::support::{Table, root, user};
use bench_harness::norm::Norm;
use bench_harness::raw::{Got, framed};
use bench_harness::session::{Reach, Session};

pub(crate) fn add(t: &mut Table) {
    sizes(t);
    load_data(t);
    kills(t);
}

/// `select length('xxx...')` whose payload has `n` bytes, command byte included.
fn statement_of(n: usize) -> Vec<u8> {
    let mut p = b"\x03select length('".to_vec();
    p.resize(n - 2, b'x');
    p.extend_from_slice(b"')");
    p
}

fn sizes(t: &mut Table) {
    for n in [
        4_095, 4_096, 4_097, 16_384, 65_536, 65_537, 1_000_000, 5_000_000, 16_777_214, 16_777_215,
        16_777_216, 16_777_217,
    ] {
        t.add(format!("statement-of-{n}"), move |r| {
            let mut s = r.login("a", &root());
            s.send("the statement", &statement_of(n), Reach::Results);
            s.q("select 1");
            s.send("again", &statement_of(n), Reach::Results);
            s.bye();
        });
    }
    t.session("statement-of-33-mb", |s| {
        s.send("the statement", &statement_of(33_000_000), Reach::Results);
    });
    t.session("echo-of-1-mb", |s| {
        let text = "e".repeat(1_000_000);
        s.q(&format!("select '{text}', '{text}'"));
        s.prepare(&format!("select '{text}', ?"));
        s.execute(0, b"\0\x01\xfd\0\x01x");
    });
    t.session("result-of-20-mb", |s| {
        s.q("select a.n, repeat('r', 20000) from sq a, sq b, sq c order by 1");
    });
    t.session("one-field-of-17-mb", |s| {
        s.q("delete from blobs");
        s.prepare("insert into blobs(id, b) values(1, ?)");
        for _ in 0..2 {
            let piece = [&0u16.to_le_bytes()[..], &vec![b'A'; 8_500_000]].concat();
            s.by_id(0x18, s.statement, &piece, Reach::Nothing);
        }
        s.execute(0, b"\0\x01\xfc\0");
        s.q("select length(b) from blobs");
        s.q("select b from blobs");
        s.q("select 1, b, 2, b from blobs");
        // A row of exactly 0xFFFFFF bytes is followed by an empty packet.
        for n in [16_777_210, 16_777_211, 16_777_212] {
            s.q(&format!("select left(b, {n}) from blobs"));
        }
        s.prepare("select id, b from blobs");
        s.execute(0, b"");
        s.q("delete from blobs");
    });
}

fn infile(s: &mut Session, sql: &str, parts: &[&[u8]]) {
    let got = s.q(sql);
    let Some(Got::Packet(p)) = got.first() else {
        return;
    };
    if p.payload.first() != Some(&0xFB) {
        return;
    }
    let mut seq = p.seq.wrapping_add(1);
    let mut bytes = vec![];
    for part in parts {
        bytes.extend(framed(part, seq));
        seq = seq.wrapping_add(1);
    }
    bytes.extend(framed(b"", seq));
    s.raw(&bytes);
    s.read("load result", Reach::Results);
}

fn load_data(t: &mut Table) {
    const LOAD: &str = "load data local infile '/tmp/probe.csv' into table ld \
                        fields terminated by ','";
    for (name, bit) in [("with", 1u32 << 7), ("without", 0)] {
        t.add(format!("load-data-{name}-capability"), move |r| {
            let mut s = r.login("a", &user().with(bit));
            s.q("delete from ld");
            infile(&mut s, LOAD, &[b"1,one\n2,two\n", b"3,thr", b"ee\n"]);
            s.q("select * from ld order by a");
            infile(&mut s, LOAD, &[]);
            infile(&mut s, LOAD, &[b"x,not a number\n"]);
            s.q("show warnings");
            infile(
                &mut s,
                "load data local infile '/tmp/probe.csv' into table nope",
                &[b"1,one\n"],
            );
            s.q("select count(*) from ld");
            s.q("delete from ld");
            s.bye();
        });
    }
    t.add("load-data-of-4-mb", |r| {
        let mut s = r.login("a", &root().with(1 << 7));
        s.q("delete from ld");
        let mut lines = vec![];
        for i in 0..40_000 {
            lines.extend_from_slice(format!("{i},{:0>19}\n", i * 7).as_bytes());
        }
        let parts: Vec<&[u8]> = lines.chunks(100_000).collect();
        infile(&mut s, LOAD, &parts);
        s.q("select count(*), sum(a), min(b), max(b) from ld");
        s.q("delete from ld");
        s.bye();
    });
    t.add("load-data-twice-in-one-query", |r| {
        let mut s = r.login("a", &root().with(1 << 7));
        let got = s.q(&format!("{LOAD}; select 5"));
        if let Some(Got::Packet(p)) = got.first()
            && p.payload.first() == Some(&0xFB)
        {
            let seq = p.seq;
            s.raw(&framed(b"7,seven\n", seq.wrapping_add(1)));
            s.raw(&framed(b"", seq.wrapping_add(2)));
            s.read("both results", Reach::Results);
        }
        s.q("delete from ld");
        s.bye();
    });
}

fn wait_until_running(c: &mut Session, id: u32) {
    // Not recorded step by step: the number of questions depends on the moment.
    let sql = format!(
        "select count(*) from information_schema.processlist where id={id} and \
                       info like '%sleep(20)%'"
    );
    c.wait_for_cell(&sql, "1");
}

fn kills(t: &mut Table) {
    for (name, login) in [("root", root()), ("user", user())] {
        t.add(format!("kill-query-{name}"), move |r| {
            let mut victim = r.login("victim", &login);
            let mut other = r.login("other", &login);
            victim.raw(&framed(b"\x03select sleep(20), 1", 0));
            wait_until_running(&mut other, victim.id);
            other.norm(Norm::Ids).q_of("kill query ", victim.id);
            victim.read("its result", Reach::Results);
            victim.q("select 'usable' as usable");
            victim.bye();
            other.norm(Norm::Exact).bye();
        });
    }
    t.add("kill-running", |r| {
        let mut victim = r.login("victim", &user());
        let mut other = r.login("other", &user());
        victim.raw(&framed(b"\x03select sleep(20), 1", 0));
        wait_until_running(&mut other, victim.id);
        other.q("set @first = 1");
        other.norm(Norm::Ids).q_of("kill ", victim.id);
        victim.norm(Norm::KillEnd).read("its end", Reach::ToEnd);
        other.norm(Norm::Exact).bye();
    });
    t.add("kill-idle", |r| {
        let mut victim = r.login("victim", &user());
        let mut other = r.login("other", &root());
        other.q("set @first = 1");
        other.norm(Norm::Ids).q_of("kill connection ", victim.id);
        victim.norm(Norm::KillEnd).read("its end", Reach::ToEnd);
        other.norm(Norm::Ids).q_of("kill ", victim.id);
        other.norm(Norm::Exact).bye();
    });
    t.add("kill-by-command", |r| {
        let mut victim = r.login("victim", &user());
        let mut other = r.login("other", &user());
        let kill = [&[0x0c], &victim.id.to_le_bytes()[..]].concat();
        other.one("process kill", &kill);
        victim.norm(Norm::KillEnd).read("its end", Reach::ToEnd);
        other.bye();
    });
    t.add("kill-itself", |r| {
        let mut s = r.login("a", &user());
        let id = s.id;
        s.q("set @first = 1");
        s.norm(Norm::Ids).q_of("kill query ", id);
        s.norm(Norm::Exact).q("select 1");
        s.norm(Norm::KillEnd).q_of("kill ", id);
        let mut s = r.login("b", &user());
        let kill = [&[0x0c], &s.id.to_le_bytes()[..]].concat();
        s.norm(Norm::KillEnd)
            .send("process kill", &kill, Reach::ToEnd);
    });
}
