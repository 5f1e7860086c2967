use super::data::On;
use super::*;
use obring_wire::protocol::capability;
use obring_wire::protocol::mysql::{
    Command, ErrPacket, Greeting, Login, NATIVE_PASSWORD, OkPacket, client, put_attribute,
    put_packet,
};
use obring_wire::protocol::ob20::{
    Envelope, Extra, ExtraInfo, FrameReader, FrameStep, FrameWriter, Framing, entry, flag,
};

const FRAMINGS: [u64; 4] = [
    capability::PLAIN,
    capability::COMPRESSED,
    capability::OB20,
    capability::OB20 | capability::OB_PROTOCOL_V2_COMPRESS,
];

/// A proxy, or a direct client, of one session.
struct Client {
    session: Session,
    writer: FrameWriter,
    reader: FrameReader,
    extra: ExtraInfo,
    /// Entries of session state that go with the next request.
    sends: Vec<u8>,
    flags: u32,
    /// Flags of the last reply.
    told: u32,
    seq: u8,
    now_us: u64,
    flow: Flow,
}

impl Client {
    fn login(data: &mut Data, id: u32, asked: Option<u64>, user: &str) -> Self {
        let mut out = vec![];
        let mut session = Session::new(id, None, 7, &mut out);
        let greeting = Greeting::parse(&out[4..]).unwrap();
        assert_eq!(greeting.connection_id, id);
        let mut attributes = vec![];
        if let Some(asked) = asked {
            put_attribute(&mut attributes, b"__mysql_client_type", b"__ob_proxy");
            put_attribute(
                &mut attributes,
                b"__proxy_capability_flag",
                asked.to_string().as_bytes(),
            );
            put_attribute(
                &mut attributes,
                b"__client_session_id",
                id.to_string().as_bytes(),
            );
        }
        let login = Login {
            capabilities: client::PROTOCOL_41
                | client::SECURE_CONNECTION
                | client::CONNECT_WITH_DB
                | client::PLUGIN_AUTH
                | client::CONNECT_ATTRS,
            max_packet: 1 << 24,
            charset: 45,
            user: user.as_bytes(),
            auth: b"",
            database: Some(b"test"),
            plugin: Some(NATIVE_PASSWORD),
            attributes: &attributes,
        };
        let mut bytes = vec![];
        put_packet(&mut bytes, 1, |b| login.put(b));
        out.clear();
        let flow = session.receive(data, 0, &bytes, &mut out);
        assert_eq!(out[3], 2);
        let asked = asked.unwrap_or(0);
        let framing = Framing::agreed(asked, asked);
        let is_new = asked & capability::NEW_EXTRA_INFO != 0;
        Self {
            session,
            writer: FrameWriter::new(framing, id, is_new),
            reader: FrameReader::new(framing, id),
            extra: ExtraInfo::default(),
            sends: vec![],
            flags: 0,
            told: 0,
            seq: 0,
            now_us: 1,
            flow,
        }
    }

    fn send(&mut self, data: &mut Data, payload: &[u8]) -> Vec<u8> {
        let mut packet = vec![];
        put_packet(&mut packet, self.seq, |b| b.extend_from_slice(payload));
        if self.seq == 0 {
            self.writer.begin_request();
        } else {
            self.writer.begin_turn(self.reader.position());
        }
        let mut extra = vec![];
        if !self.sends.is_empty() {
            let sends = std::mem::take(&mut self.sends);
            obring_wire::protocol::ob20::put_tlv(&mut extra, entry::SESSION, &sends);
        }
        let envelope = Envelope {
            extra: &extra,
            flags: self.flags,
            is_last: true,
        };
        let mut raw = vec![];
        self.writer.put(&mut raw, envelope, &packet);
        let mut out = vec![];
        // In two pieces: where a stream is cut must not matter.
        let (head, tail) = raw.split_at(raw.len() / 2);
        assert_eq!(
            self.session.receive(data, self.now_us, head, &mut out),
            Flow::Read
        );
        self.flow = self.session.receive(data, self.now_us, tail, &mut out);
        let seen = self.writer.position();
        self.reader.expect_reply(seen, true);
        out
    }

    fn read(&mut self, raw: &[u8]) -> Vec<Vec<u8>> {
        let (mut at, mut inflated, mut bytes) = (0, vec![], vec![]);
        loop {
            match self.reader.step(raw, &mut at, &mut inflated).unwrap() {
                FrameStep::More => break,
                FrameStep::Body(range) => bytes.extend_from_slice(&raw[range]),
                FrameStep::Inflated(more) => bytes.extend_from_slice(more),
                FrameStep::Extra(extra) => {
                    let extra = Extra { ..extra };
                    self.extra.take(&extra).unwrap();
                }
                FrameStep::End { .. } => {
                    self.told = self.reader.header().map_or(0, |h| h.flags);
                }
            }
        }
        assert!(self.reader.is_between());
        self.reader.expect_request();
        let mut packets = vec![];
        let mut rest = &bytes[..];
        while let [a, b, c, seq, ..] = *rest {
            let end = 4 + u32::from_le_bytes([a, b, c, 0]) as usize;
            packets.push(rest[4..end].to_vec());
            self.seq = seq;
            rest = &rest[end..];
        }
        packets
    }

    fn ask(&mut self, data: &mut Data, payload: &[u8]) -> Vec<Vec<u8>> {
        self.seq = 0;
        let raw = self.send(data, payload);
        self.read(&raw)
    }

    fn query(&mut self, data: &mut Data, sql: &str) -> Vec<Vec<u8>> {
        self.ask(data, &[&[Command::QUERY.0], sql.as_bytes()].concat())
    }

    /// Affected rows, or the number of the error.
    fn run(&mut self, data: &mut Data, sql: &str) -> Result<u64, u16> {
        let packets = self.query(data, sql);
        let first = packets.first().expect("a reply");
        match ErrPacket::parse(first) {
            Ok(e) => Err(e.code),
            Err(_) => Ok(OkPacket::parse(first).unwrap().affected),
        }
    }

    /// The only cell of a result.
    fn cell(&mut self, data: &mut Data, sql: &str) -> Option<String> {
        let packets = self.query(data, sql);
        let row = packets.get(3).filter(|p| p.first() != Some(&0xFE))?;
        Some(String::from_utf8_lossy(&row[1..]).into_owned())
    }

    fn resume(&mut self, data: &mut Data) -> Vec<Vec<u8>> {
        let mut out = vec![];
        self.flow = self.session.resume(data, self.now_us, &mut out);
        self.read(&out)
    }

    /// Everything that is known of the session goes with its next request.
    fn carry(&mut self, from: &Self) {
        self.sends.clear();
        from.extra.session.put(&mut self.sends);
    }
}

fn data() -> Data {
    Data::new(Layout {
        kv_rows: (1..=9).map(|n| (n, format!("v{n}"))).collect(),
        ..Layout::default()
    })
}

fn pair(data: &mut Data) -> (Client, Client) {
    let a = Client::login(data, 1, Some(capability::OB20), "root@sys");
    let b = Client::login(data, 2, Some(capability::OB20), "root@sys");
    (a, b)
}

#[test]
fn every_framing_carries_the_same_replies() {
    let mut replies = vec![];
    for asked in FRAMINGS {
        let mut data = data();
        let mut c = Client::login(&mut data, 9, Some(asked), "root@sys");
        let mut all = vec![];
        for sql in [
            "select 1",
            "select v from kv where id=3",
            "selekt",
            "set @x=1",
            "select @x",
        ] {
            all.push(c.query(&mut data, sql));
        }
        all.push(c.ask(&mut data, b"\x16select v from kv where id=?"));
        all.push(c.ask(
            &mut data,
            b"\x17\x01\0\0\0\0\x01\0\0\0\0\x01\x08\0\x03\0\0\0\0\0\0\0",
        ));
        all.push(c.ask(&mut data, &[Command::PING.0]));
        replies.push(all);
    }
    for other in &replies[1..] {
        assert_eq!(other, &replies[0]);
    }
    let point = &replies[0][1];
    assert_eq!(point[3], b"\x02v3");
    assert_eq!(point.len(), 6);
    // Binary: header, null bits, text.
    assert_eq!(replies[0][6][3], b"\0\0\x02v3");
}

#[test]
fn a_direct_client_gets_no_terminal_ok() {
    let mut data = data();
    let mut c = Client::login(&mut data, 9, None, "root@sys");
    assert_eq!(c.query(&mut data, "select 1").len(), 5);
    assert_eq!(c.query(&mut data, "selekt").len(), 1);
    assert_eq!(c.run(&mut data, "selekt"), Err(1235));
    // Nobody of that name.
    let mut out = vec![];
    let _ = Session::new(3, None, 1, &mut out);
    assert_eq!(c.session.user(), Some("root"));
}

#[test]
fn a_row_is_locked_until_its_transaction_ends() {
    let mut data = data();
    let (mut a, mut b) = pair(&mut data);
    a.run(&mut data, "begin").unwrap();
    assert_eq!(a.run(&mut data, "update kv set v='x' where id=1"), Ok(1));
    // Others read what was committed.
    assert_eq!(
        b.cell(&mut data, "select v from kv where id=1"),
        Some("v1".into())
    );
    let raw = b.send(&mut data, b"\x03update kv set v='y' where id=1");
    assert_eq!((raw.len(), b.flow), (0, Flow::Wait(10_000_001)));
    assert!(data.take_woken().is_empty());
    a.run(&mut data, "commit").unwrap();
    assert_eq!(data.take_woken(), [2]);
    let packets = b.resume(&mut data);
    assert_eq!(OkPacket::parse(&packets[0]).unwrap().affected, 1);
    assert_eq!(
        a.cell(&mut data, "select v from kv where id=1"),
        Some("y".into())
    );
}

#[test]
fn who_waits_too_long_is_told_and_keeps_its_transaction() {
    let mut data = data();
    let (mut a, mut b) = pair(&mut data);
    a.run(&mut data, "begin").unwrap();
    a.run(&mut data, "delete from kv where id=1").unwrap();
    b.run(&mut data, "begin").unwrap();
    b.run(&mut data, "insert into kv values (50,'b')").unwrap();
    b.send(&mut data, b"\x03insert into kv values (51,'c'),(1,'d')");
    assert!(matches!(b.flow, Flow::Wait(_)));
    b.now_us = 20_000_000;
    let packets = b.resume(&mut data);
    assert_eq!(ErrPacket::parse(&packets[0]).unwrap().code, 1205);
    // The statement is undone, the transaction goes on.
    assert_eq!(b.cell(&mut data, "select v from kv where id=51"), None);
    assert_eq!(
        b.cell(&mut data, "select v from kv where id=50"),
        Some("b".into())
    );
    // A session that goes gives everything back.
    a.session.close(&mut data);
    assert_eq!(b.run(&mut data, "insert into kv values (1,'d')"), Err(1062));
}

#[test]
fn savepoints_undo_a_part() {
    let mut data = data();
    let (mut a, mut b) = pair(&mut data);
    for sql in [
        "begin",
        "insert into kv values (60,'a')",
        "savepoint s",
        "insert into kv values (61,'b')",
        "update kv set v='c' where id=60",
        "rollback to savepoint s",
    ] {
        a.run(&mut data, sql).unwrap();
    }
    assert_eq!(
        a.cell(&mut data, "select v from kv where id=60"),
        Some("a".into())
    );
    assert_eq!(a.cell(&mut data, "select v from kv where id=61"), None);
    // What is undone is free again.
    assert_eq!(
        b.run(&mut data, "insert into kv values (61,'other')"),
        Ok(1)
    );
    assert_eq!(a.run(&mut data, "rollback to savepoint t"), Err(1305));
    a.run(&mut data, "rollback").unwrap();
    assert_eq!(b.cell(&mut data, "select v from kv where id=60"), None);
}

#[test]
fn a_transaction_moves_with_its_session_state() {
    let mut data = data();
    let (mut a, mut b) = pair(&mut data);
    (a.flags, b.flags) = (flag::INTERNAL_ROUTING, flag::INTERNAL_ROUTING);
    a.run(&mut data, "begin").unwrap();
    assert_ne!(a.told & flag::INTERNAL_ROUTING, 0);
    a.run(&mut data, "update kv set v='x' where id=1").unwrap();
    b.carry(&a);
    assert_eq!(
        b.cell(&mut data, "select v from kv where id=1"),
        Some("x".into())
    );
    assert_ne!(b.told & flag::INTERNAL_ROUTING, 0);
    b.run(&mut data, "update kv set v='y' where id=2").unwrap();
    // Only statements on tables, and only while the request allows it.
    assert_eq!(b.run(&mut data, "commit"), Err(6279));
    b.flags = 0;
    assert_eq!(
        b.run(&mut data, "update kv set v='y' where id=3"),
        Err(6279)
    );
    // State of an earlier statement is stale.
    assert_eq!(
        a.run(&mut data, "update kv set v='z' where id=4"),
        Err(6002)
    );
    a.carry(&b);
    assert_eq!(a.run(&mut data, "update kv set v='z' where id=4"), Ok(1));
    a.run(&mut data, "commit").unwrap();
    let mut c = Client::login(&mut data, 3, Some(capability::OB20), "root@sys");
    assert_eq!(
        c.cell(&mut data, "select v from kv where id=2"),
        Some("y".into())
    );
    // The other link learns of the end.
    assert_eq!(b.run(&mut data, "select v from kv where id=2"), Err(6002));
    b.carry(&a);
    assert_eq!(b.run(&mut data, "update kv set v='w' where id=2"), Ok(1));
}

#[test]
fn internal_routing_is_refused_where_it_is_off() {
    let mut data = data();
    let (mut a, mut b) = pair(&mut data);
    (a.flags, b.flags) = (flag::INTERNAL_ROUTING, flag::INTERNAL_ROUTING);
    data.set_internal_routing(InternalRouting::Refuse);
    a.run(&mut data, "begin").unwrap();
    b.carry(&a);
    assert_eq!(b.run(&mut data, "select v from kv where id=1"), Err(6279));
    a.run(&mut data, "rollback").unwrap();
    data.set_internal_routing(InternalRouting::Off);
    a.run(&mut data, "begin").unwrap();
    assert_eq!(a.told & flag::INTERNAL_ROUTING, 0);
}

#[test]
fn variables_travel_with_session_state() {
    let mut data = data();
    let (mut a, mut b) = pair(&mut data);
    a.run(&mut data, "set autocommit=0, time_zone='+00:00'")
        .unwrap();
    a.run(&mut data, "insert into sbtest1(k) values (1)")
        .unwrap();
    a.run(&mut data, "commit").unwrap();
    b.carry(&a);
    assert_eq!(b.cell(&mut data, "select @@autocommit"), Some("0".into()));
    assert_eq!(
        b.cell(&mut data, "select last_insert_id()"),
        Some("1".into())
    );
    // A block that nobody has written ends the session.
    b.sends = b"\x04\0\x03\0\0\0abc".to_vec();
    b.seq = 0;
    b.send(&mut data, b"\x03select 1");
    assert_eq!(b.flow, Flow::Close);
}

#[test]
fn what_the_kernel_might_do_in_another_way_is_refused() {
    let mut data = data();
    let mut c = Client::login(&mut data, 9, Some(capability::PLAIN), "root@sys");
    for sql in [
        "set time_zone='nowhere'",
        "set time_zone='+99:00'",
        "rollback work to savepoint a",
        "set ob_enable_transmission_checksum=0",
    ] {
        assert_eq!(c.run(&mut data, sql), Err(1235), "{sql}");
    }
    assert_eq!(c.run(&mut data, "set time_zone='-03:30'"), Ok(0));
    let wrong = "insert into sbtest1(k) values ('abc')";
    assert_eq!(c.run(&mut data, wrong), Err(1366));
    c.run(&mut data, "set sql_mode=''").unwrap();
    assert_eq!(c.run(&mut data, wrong), Err(1235));
}

#[test]
fn user_locks_tie_a_session_and_are_waited_for() {
    let mut data = data();
    let asked = capability::OB20 | capability::CLIENT_SESSION_ID_V2;
    let mut a = Client::login(&mut data, 1, Some(asked), "root@sys");
    let mut b = Client::login(&mut data, 2, Some(asked), "root@sys");
    assert_eq!(
        a.cell(&mut data, "select get_lock('l', 1)"),
        Some("1".into())
    );
    assert!(a.extra.holds_locks);
    assert_eq!(
        b.cell(&mut data, "select is_free_lock('l')"),
        Some("0".into())
    );
    b.seq = 0;
    b.send(&mut data, b"\x03select get_lock('l', 5)");
    assert_eq!(b.flow, Flow::Wait(5_000_001));
    assert_eq!(
        a.cell(&mut data, "select release_lock('l')"),
        Some("1".into())
    );
    assert!(!a.extra.holds_locks);
    assert_eq!(data.take_woken(), [2]);
    assert_eq!(b.resume(&mut data)[3], b"\x011");
    assert_eq!(
        a.cell(&mut data, "select get_lock('l', 0)"),
        Some("0".into())
    );
    b.session.close(&mut data);
    assert_eq!(
        a.cell(&mut data, "select get_lock('l', 0)"),
        Some("1".into())
    );
    // In plain packets there are none for a proxy.
    let mut c = Client::login(&mut data, 3, Some(capability::PLAIN), "root@sys");
    assert_eq!(c.run(&mut data, "select get_lock('l', 0)"), Err(1235));
    data.wait(7, On::Time);
}

#[test]
fn a_file_is_counted_in_every_framing() {
    for asked in FRAMINGS {
        let mut data = data();
        let mut c = Client::login(&mut data, 9, Some(asked), "root@sys");
        let asked = c.query(&mut data, "load data local infile 'f' into table kv");
        assert_eq!(asked, [b"\xFBf"]);
        c.seq = 2;
        assert!(c.send(&mut data, b"1\ta\n2\tb\n3").is_empty());
        c.seq = 3;
        let raw = c.send(&mut data, b"");
        let packets = c.read(&raw);
        let ok = OkPacket::parse(&packets[0]).unwrap();
        assert_eq!((ok.affected, c.seq), (3, 4));
        assert_eq!(
            ok.message,
            b" Records: 3  Deleted: 0  Skipped: 0  Warnings: 0"
        );
        assert_eq!(c.cell(&mut data, "select 1"), Some("1".into()));
    }
}

#[test]
fn a_canned_result_comes_in_pieces() {
    for asked in FRAMINGS {
        let mut data = data();
        let mut c = Client::login(&mut data, 9, Some(asked), "root@sys");
        let mut raw = c.send(&mut data, b"\x03select 900 rows of 1000 bytes");
        let mut turns = 1;
        while c.flow == Flow::Write {
            c.flow = c.session.resume(&mut data, 1, &mut raw);
            turns += 1;
        }
        assert_eq!(turns, 4);
        let packets = c.read(&raw);
        assert_eq!(packets.len(), 900 + 5);
        assert_eq!(packets[3 + 899][3..], row_text(899, 1000));
        assert_eq!(
            c.run(&mut data, "select 2 rows of 1000000000 bytes"),
            Err(1235)
        );
    }
}

#[test]
fn temporary_tables_and_xa_pin_a_session() {
    let mut data = data();
    let (mut a, mut b) = pair(&mut data);
    a.run(&mut data, "create temporary table t(a int)").unwrap();
    assert!(a.extra.has_temporary_tables);
    a.run(&mut data, "drop temporary table t").unwrap();
    assert!(!a.extra.has_temporary_tables);
    a.run(&mut data, "xa start 'x'").unwrap();
    assert_eq!(a.run(&mut data, "commit"), Err(1399));
    a.run(&mut data, "insert into kv values (70,'x')").unwrap();
    assert_eq!(a.run(&mut data, "xa prepare 'x'"), Err(1399));
    a.run(&mut data, "xa end 'x'").unwrap();
    a.run(&mut data, "xa prepare 'x'").unwrap();
    // Whoever comes may finish it; the row is locked until then.
    b.send(&mut data, b"\x03update kv set v='y' where id=70");
    assert!(matches!(b.flow, Flow::Wait(_)));
    assert_eq!(a.run(&mut data, "xa commit 'y'"), Err(1397));
    a.run(&mut data, "xa commit 'x'").unwrap();
    assert_eq!(
        OkPacket::parse(&b.resume(&mut data)[0]).unwrap().affected,
        1
    );
}

#[test]
fn a_killed_statement_is_told_and_a_killed_session_ends() {
    let mut data = data();
    let (mut a, mut b) = pair(&mut data);
    for (sql, is_query, code) in [("kill query 2", true, 1317), ("kill 2", false, 5066)] {
        b.seq = 0;
        b.send(&mut data, b"\x03select sleep(100)");
        assert!(matches!(b.flow, Flow::Wait(_)));
        a.run(&mut data, sql).unwrap();
        let kills = data.take_kills();
        assert_eq!(
            kills,
            [Kill {
                session: 2,
                is_query
            }]
        );
        b.session.interrupt(is_query);
        let packets = b.resume(&mut data);
        assert_eq!(ErrPacket::parse(&packets[0]).unwrap().code, code);
        assert_eq!(b.flow == Flow::Close, !is_query);
    }
    assert_eq!(a.run(&mut data, "kill 77"), Err(1094));
}

#[test]
fn bytes_that_are_no_frame_end_a_session_and_nothing_panics() {
    for asked in FRAMINGS {
        for n in 0..64u8 {
            let mut data = data();
            let mut c = Client::login(&mut data, 9, Some(asked), "root@sys");
            let mut raw = vec![];
            let mut packet = vec![];
            put_packet(&mut packet, 0, |b| b.extend_from_slice(b"\x03select 1"));
            c.writer.begin_request();
            let envelope = Envelope {
                is_last: true,
                ..Envelope::default()
            };
            c.writer.put(&mut raw, envelope, &packet);
            let at = usize::from(n) % raw.len();
            raw[at] ^= 0x10 | n;
            let mut out = vec![];
            c.session.receive(&mut data, 1, &raw, &mut out);
        }
    }
}

#[test]
fn texts_of_any_kind_are_answered() {
    let mut data = data();
    let mut c = Client::login(&mut data, 9, Some(capability::PLAIN), "root@sys");
    let words = [
        "select", "from", "kv", "where", "id", "=", "1", "(", ")", ",", "'a'", "@x", "@@y", "?",
        "insert", "into", "values", "set", "in", "between", "and", "-", "\\", "`", "'", ";", "--",
    ];
    let mut rng = obring_wire::base::Rng::new(5);
    for _ in 0..2_000 {
        let n = rng.below(9);
        let text: Vec<&str> = (0..n).map(|_| words[rng.below(27) as usize]).collect();
        let packets = c.query(&mut data, &text.join(" "));
        assert!(!packets.is_empty(), "{text:?}");
        c.now_us += 100;
    }
}
