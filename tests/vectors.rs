//! Bytes that a real kernel sent (`tests/wire/`): the followers find the same ends and the same
//! strips wherever the stream is split.

use obring::protocol::mysql::{
    BadReply, ClientTurn, Command, Greeting, Login, OkPacket, Reply, ReplySink, Request,
    RequestStep, Shape,
};

fn unhex(s: &str) -> Vec<u8> {
    (0..s.len() / 2)
        .map(|i| u8::from_str_radix(&s[2 * i..2 * i + 2], 16).unwrap())
        .collect()
}

/// One exchange: what the proxy sent, what the server answered.
struct Step {
    name: String,
    sent: Vec<u8>,
    got: Vec<u8>,
}

fn steps(text: &str) -> Vec<Step> {
    let mut out: Vec<Step> = vec![];
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("# step: ") {
            out.push(Step {
                name: name.into(),
                sent: vec![],
                got: vec![],
            });
        } else if let Some(hex) = line.strip_prefix("C ") {
            out.last_mut().unwrap().sent.extend(unhex(hex));
        } else if let Some(hex) = line.strip_prefix("S ") {
            out.last_mut().unwrap().got.extend(unhex(hex));
        }
    }
    out
}

#[derive(Default, PartialEq, Debug, Clone)]
struct Seen {
    passed: Vec<u8>,
    oks: Vec<(u8, Vec<u8>)>,
    terminals: Vec<Vec<u8>>,
    errors: Vec<u16>,
    turns: Vec<ClientTurn>,
}

struct Collect<'a>(&'a mut Seen, &'a [u8]);

impl ReplySink for Collect<'_> {
    fn pass(&mut self, start: usize, end: usize) {
        self.0.passed.extend_from_slice(&self.1[start..end]);
    }
    fn pass_held(&mut self, bytes: &[u8]) {
        self.0.passed.extend_from_slice(bytes);
    }
    fn ok(&mut self, seq: u8, payload: &[u8]) {
        self.0.oks.push((seq, payload.to_vec()));
    }
    fn terminal_ok(&mut self, payload: &[u8]) {
        self.0.terminals.push(payload.to_vec());
    }
    fn error(&mut self, code: u16) {
        self.0.errors.push(code);
    }
    fn client_turn(&mut self, turn: ClientTurn) {
        self.0.turns.push(turn);
    }
}

/// Feeds `bytes` in the given pieces; returns what was seen and whether the reply was over exactly
/// at the end.
fn follow(reply: &mut Reply, bytes: &[u8], cuts: &[usize]) -> Result<(Seen, bool), BadReply> {
    let mut seen = Seen::default();
    let mut from = 0;
    let mut used = 0;
    for &to in cuts.iter().chain([&bytes.len()]) {
        let part = &bytes[from..to];
        used += reply.feed(part, &mut Collect(&mut seen, part))?;
        from = to;
    }
    Ok((seen, used == bytes.len() && reply.is_done()))
}

fn shape(sent: &[u8]) -> Shape {
    let mut used = 0;
    match Request::default().step(sent, &mut used) {
        RequestStep::Head { command, flags, .. } => {
            let command = command.unwrap_or(Command::SLEEP);
            let cursor = command == Command::STMT_EXECUTE && flags & 1 != 0;
            Shape {
                command,
                cursor,
                proxy_mode: true,
                statistics_ok: true,
                is_named_driver: false,
            }
        }
        other => panic!("{other:?}"),
    }
}

fn every_split(step: &Step, start: &Reply) -> Seen {
    let (want, done) = follow(&mut start.clone(), &step.got, &[]).expect(&step.name);
    assert!(
        done || !want.turns.is_empty(),
        "{}: not at its end",
        step.name
    );
    let n = step.got.len();
    // Long replies: every split near both ends and a stride between.
    for cut in (0..=n).filter(|c| n < 2000 || *c < 300 || n - c < 300 || c % 97 == 0) {
        let (seen, again) = follow(&mut start.clone(), &step.got, &[cut]).unwrap();
        assert_eq!((&seen, again), (&want, done), "{} cut at {cut}", step.name);
    }
    let bytes: Vec<usize> = (0..n).collect();
    if n < 2000 {
        let (seen, again) = follow(&mut start.clone(), &step.got, &bytes).unwrap();
        assert_eq!((&seen, again), (&want, done), "{} byte by byte", step.name);
    }
    want
}

#[test]
fn plain_replies_end_where_the_server_ended_them() {
    let mut count = 0;
    for file in [
        include_str!("wire/02_plain_commands.hex"),
        include_str!("wire/07a_ps_plain.hex"),
    ] {
        for step in steps(file) {
            if step.got.is_empty() {
                assert!(!shape(&step.sent).command.has_reply(), "{}", step.name);
                continue;
            }
            let seen = every_split(&step, &Reply::new(shape(&step.sent)));
            // A terminal OK is the server's last packet: stripped bytes + passed + oks = all.
            let oks: usize = seen.oks.iter().map(|o| o.1.len() + 4).sum();
            let terminals: usize = seen.terminals.iter().map(|o| o.len() + 4).sum();
            assert_eq!(
                seen.passed.len() + oks + terminals,
                step.got.len(),
                "{}",
                step.name
            );
            assert!(seen.terminals.len() <= 1, "{}", step.name);
            count += 1;
        }
    }
    assert!(count >= 30, "only {count} steps");
}

#[test]
fn change_user_and_load_data_ask_the_client_in_the_middle() {
    let pair = |file: &str, first: &str| {
        let all = steps(file);
        let at = all.iter().position(|s| s.name.starts_with(first)).unwrap();
        let mut it = all.into_iter().skip(at);
        (it.next().unwrap(), it.next().unwrap())
    };
    for (file, name, turn) in [
        (
            include_str!("wire/08_change_user.hex"),
            "plain: COM_CHANGE",
            ClientTurn::AuthAnswer,
        ),
        (
            include_str!("wire/09_load_data_local.hex"),
            "plain: load",
            ClientTurn::Infile,
        ),
    ] {
        let (ask, rest) = pair(file, name);
        let mut reply = Reply::new(shape(&ask.sent));
        let seen = every_split(&ask, &reply);
        assert_eq!(seen.turns, [turn]);
        let (_, done) = follow(&mut reply, &ask.got, &[]).unwrap();
        assert!(!done);
        let seen = every_split(&rest, &reply);
        assert_eq!(
            (seen.oks.len(), seen.terminals.len(), seen.passed.len()),
            (1, 0, 0)
        );
    }
}

#[test]
fn greeting_login_and_login_ok_are_read_as_captured() {
    for (file, count) in [
        (include_str!("wire/01_login_plain.hex"), 800),
        (include_str!("wire/13_direct_login.hex"), 0),
    ] {
        let lines: Vec<_> = file
            .lines()
            .filter(|l| l.starts_with("C ") || l.starts_with("S "))
            .map(|l| (&l[..2], unhex(&l[2..])))
            .take(3)
            .collect();
        let greeting = Greeting::parse(&lines[0].1[4..]).unwrap();
        assert_eq!(
            (greeting.version.as_slice(), greeting.charset),
            (&b"5.7.25"[..], 46)
        );
        let mut again = vec![];
        greeting.put(&mut again);
        assert_eq!(again, lines[0].1);
        let login = Login::parse(&lines[1].1[4..]).unwrap();
        assert_eq!(login.user, b"u1@sys");
        let mut again = vec![];
        login.put(&mut again);
        assert_eq!(again, &lines[1].1[4..]);
        if count > 0 {
            let ok = OkPacket::parse(&lines[2].1[4..]).unwrap();
            let variables: usize = ok
                .blocks()
                .filter(|b| b.kind == 0)
                .map(|b| b.variables().count())
                .sum();
            assert!(variables >= count, "{variables}");
            assert!(login.attributes().any(|(k, _)| k == b"__proxy_scramble"));
        }
    }
}

#[test]
fn hostile_replies_are_refused_or_wait_and_never_panic() {
    let mut rng = obring::base::Rng::new(7);
    for round in 0..20_000u32 {
        let commands = [0x03, 0x16, 0x17, 0x1c, 0x04, 0x09, 0x0d, 0x11, 0xa1, 0x1b];
        let command = Command(commands[rng.below(commands.len() as u64) as usize]);
        let mut bytes = vec![];
        for _ in 0..rng.below(6) {
            let len = rng.below(24);
            bytes.extend_from_slice(&[len as u8, 0, 0, rng.next_u64() as u8]);
            for i in 0..len {
                let first = [0, 0xFB, 0xFE, 0xFF, 1][rng.below(5) as usize];
                bytes.push(if i == 0 {
                    first
                } else {
                    rng.next_u64() as u8 & 0x0F
                });
            }
        }
        let cursor = round % 2 == 0;
        let shape = Shape {
            command,
            cursor,
            proxy_mode: true,
            statistics_ok: true,
            is_named_driver: false,
        };
        let whole = follow(&mut Reply::new(shape), &bytes, &[]);
        let cut = rng.below(bytes.len() as u64 + 1) as usize;
        let parts = follow(&mut Reply::new(shape), &bytes, &[cut]);
        match (&whole, &parts) {
            (Ok(a), Ok(b)) => assert_eq!(a.0, b.0),
            (Err(a), Err(b)) => assert_eq!(a, b),
            _ => panic!("{whole:?} {parts:?}"),
        }
    }
}
