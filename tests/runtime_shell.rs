//! The real shell with a small machine on it: sockets, timers, mail, and how things end.
#![allow(missing_docs, reason = "a test")]

use obring::base::{
    Accepted, CloseReason, CoreId, Errno, Input, Key, Linger, LinkId, Machines, Out, Output, Side,
    Slab, Tick,
};
use obring::runtime::{Plan, Running, StartError, start};
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread::Builder as Thread;
use std::time::Duration;

const LINK: LinkId = LinkId(0);

/// Talks back. The first byte of a connection says what it does:
/// `e` echoes; `f` writes a megabyte and ends; `t` says "due" after 20 ms; `m` sends letters to the
/// metadata core and says "back" when all have come home; `c` and a port relays to it; `w` says
/// "wait" and, in a drain, "drained" before it ends.
#[derive(Default)]
struct Talker {
    does: Option<u8>,
    is_over_limit: bool,
    due: Option<Tick>,
    letters: u32,
}

struct Talkers {
    clients_max: u32,
    core: CoreId,
    table: Slab<Talker>,
}

/// A letter that comes home.
struct Letter {
    home: CoreId,
    key: Key,
}

/// The machine of the metadata core: sends every letter home.
#[derive(Default)]
struct Mirror {
    letters: Vec<Letter>,
    is_over: bool,
}

const MIRROR: Key = Key {
    index: 0,
    generation: 1,
};

/// More than an inbox holds.
const LETTERS: u32 = 10_000;
/// Deadline of a connect.
const CONNECT_MS: u64 = 200;

impl Machines for Talkers {
    type Mail = Letter;

    fn accept(&mut self, _: Tick, accepted: Accepted) -> Option<Key> {
        let talker = Talker {
            is_over_limit: accepted.is_over_limit,
            ..Talker::default()
        };
        self.table.insert(talker).ok()
    }

    fn clients_max(&self) -> u32 {
        self.clients_max
    }

    fn handle(&mut self, now: Tick, id: Key, input: Input<'_>, out: &mut Out<'_, Letter>) {
        let talker = self.table.get_mut(id).expect("a live machine");
        let say = |out: &mut Out<'_, Letter>, text: &str| {
            out.own(Side::Client, |b| b.extend_from_slice(text.as_bytes()));
        };
        let end = |out: &mut Out<'_, Letter>| {
            out.list
                .push(Output::End(CloseReason::ClientQuit, Linger::Flush));
        };
        match input {
            Input::Wake if talker.is_over_limit => {
                say(out, "full");
                end(out);
            }
            Input::Wake if talker.letters > 0 => {}
            Input::Wake if talker.does == Some(b'm') => {
                talker.does = Some(b'e');
                say(out, "back");
            }
            Input::Bytes(Side::Client, bytes) => {
                let mut from = 0;
                if talker.does.is_none() {
                    from = 1;
                    talker.does = bytes.first().copied();
                    match talker.does {
                        Some(b'f') => {
                            out.own(Side::Client, |b| b.resize(b.len() + (1 << 20), b'f'));
                            return end(out);
                        }
                        Some(b't') => talker.due = Some(now.after_ms(20)),
                        Some(b'w') => say(out, "wait"),
                        Some(b'm') => {
                            talker.letters = LETTERS;
                            for _ in 0..LETTERS {
                                let letter = Letter {
                                    home: self.core,
                                    key: id,
                                };
                                out.list.push(Output::Post(CoreId::METADATA, letter));
                            }
                        }
                        Some(b'c') => {
                            let port = u16::from_le_bytes([bytes[1], bytes[2]]);
                            let to = SocketAddr::from(([127, 0, 0, 1], port));
                            let deadline = now.after_ms(CONNECT_MS);
                            out.list.push(Output::Connect(LINK, to, deadline));
                            return;
                        }
                        _ => {}
                    }
                }
                let to = match talker.does {
                    Some(b'c') => Side::Server(LINK),
                    _ => Side::Client,
                };
                out.forward(to, from, bytes.len());
            }
            Input::Bytes(Side::Server(_), bytes) => out.forward(Side::Client, 0, bytes.len()),
            Input::Connected(_) => say(out, "up"),
            Input::ConnectFailed(_, Errno(errno)) => {
                say(out, &format!("down {errno}"));
                end(out);
            }
            Input::Timer => {
                talker.due = None;
                say(out, "due");
            }
            Input::Drain { .. } => {
                if talker.does == Some(b'w') {
                    say(out, "drained");
                    end(out);
                }
            }
            Input::Eof(_) => end(out),
            Input::Failed(..) => out
                .list
                .push(Output::End(CloseReason::ClientReset, Linger::Abort)),
            Input::Wake => {}
        }
    }

    fn poll_timeout(&self, id: Key) -> Option<Tick> {
        self.table.get(id).and_then(|t| t.due)
    }

    fn mail(
        &mut self,
        _: Tick,
        letter: Letter,
        wake: &mut Vec<Key>,
        _: &mut Vec<(CoreId, Letter)>,
    ) {
        assert_eq!(letter.home, self.core);
        if let Some(talker) = self.table.get_mut(letter.key) {
            talker.letters -= 1;
            if talker.letters == 0 {
                wake.push(letter.key);
            }
        }
    }

    fn ended(&mut self, id: Key) {
        self.table.remove(id);
    }

    fn describe(&self, _: Key) -> String {
        String::new()
    }

    fn ids(&self, into: &mut Vec<Key>) {
        into.extend(self.table.iter().map(|(key, _)| key));
    }
}

impl Machines for Mirror {
    type Mail = Letter;

    fn accept(&mut self, _: Tick, _: Accepted) -> Option<Key> {
        None
    }

    fn clients_max(&self) -> u32 {
        0
    }

    fn handle(&mut self, _: Tick, _: Key, input: Input<'_>, out: &mut Out<'_, Letter>) {
        if let Input::Drain { .. } = input {
            let end = Output::End(CloseReason::Shutdown, Linger::Abort);
            return out.list.push(end);
        }
        for letter in self.letters.drain(..) {
            out.list.push(Output::Post(letter.home, letter));
        }
    }

    fn poll_timeout(&self, _: Key) -> Option<Tick> {
        None
    }

    fn mail(
        &mut self,
        _: Tick,
        letter: Letter,
        wake: &mut Vec<Key>,
        _: &mut Vec<(CoreId, Letter)>,
    ) {
        self.letters.push(letter);
        wake.push(MIRROR);
    }

    fn ended(&mut self, _: Key) {
        self.is_over = true;
    }

    fn describe(&self, _: Key) -> String {
        String::new()
    }

    fn ids(&self, into: &mut Vec<Key>) {
        if !self.is_over {
            into.push(MIRROR);
        }
    }
}

fn plan(cores: u16) -> Plan {
    Plan {
        listen: vec![SocketAddr::from(([127, 0, 0, 1], 0))],
        serving_cores: cores,
        is_pinned: false,
        clients_max: 100,
        spill_bytes_max: 64 << 20,
        linger_ms: 2_000,
    }
}

/// Cores that run until the end of the test.
struct Cores(Option<Running>);

impl Cores {
    fn of(plan: &Plan) -> Self {
        let clients_max = plan.clients_max;
        let talkers = move |core| Talkers {
            clients_max,
            core,
            table: Slab::with_limit(200),
        };
        Self(Some(
            start(plan, talkers, Mirror::default).expect("a start"),
        ))
    }

    fn running(&self) -> &Running {
        self.0.as_ref().expect("it runs")
    }

    /// A connection on which nothing takes longer than half a minute.
    fn client(&self) -> TcpStream {
        let client = TcpStream::connect(self.running().addresses()[0]).expect("a connection");
        let limit = Some(Duration::from_secs(30));
        client.set_read_timeout(limit).expect("a time limit");
        client.set_write_timeout(limit).expect("a time limit");
        client
    }

    fn sum(&self, of: impl Fn(&obring::telemetry::Core) -> u64) -> u64 {
        self.running().counters().iter().map(|c| of(c)).sum()
    }

    /// Waits for a state that must come.
    fn until(&self, what: &str, is_so: impl Fn(&Self) -> bool) {
        for _ in 0..30_000 {
            if is_so(self) {
                return;
            }
            // Any traffic makes the cores go on; it also is what time passes with here.
            let mut client = self.client();
            client.write_all(b"e.").expect("a write");
            client.read_exact(&mut [0]).expect("an echo");
        }
        panic!("{what} did not come");
    }

    fn stop(mut self) {
        let running = self.0.take().expect("it runs");
        running.handle().stop();
        running.join().expect("a quiet end");
    }
}

impl Drop for Cores {
    fn drop(&mut self) {
        if let Some(running) = self.0.take() {
            running.handle().stop();
            let _ = running.join();
        }
    }
}

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|n| (n * 7 + n / 251) as u8).collect()
}

fn rest(client: &mut TcpStream) -> Vec<u8> {
    let mut all = vec![];
    client
        .read_to_end(&mut all)
        .expect("everything up to the end");
    all
}

/// Writes all while another thread reads all: neither may wait for the other.
fn round_trip(client: &TcpStream, head: &[u8], bytes: &[u8]) -> Vec<u8> {
    std::thread::scope(|s| {
        s.spawn(|| {
            let mut to = client;
            to.write_all(head).expect("a write");
            to.write_all(bytes).expect("a write");
        });
        let (mut from, mut back) = (client, vec![0; bytes.len()]);
        from.read_exact(&mut back).expect("an echo");
        back
    })
}

#[test]
fn bytes_come_back_in_order_whatever_their_number() {
    let cores = Cores::of(&plan(2));
    for len in [1, 2, 1_447, 1_448, 4_096, 16_384, 65_537, 3 << 20] {
        let bytes = pattern(len);
        assert!(
            round_trip(&cores.client(), b"e", &bytes) == bytes,
            "{len} bytes"
        );
    }
    std::thread::scope(|s| {
        for n in 0..8 {
            let cores = &cores;
            s.spawn(move || {
                let (mut client, bytes) = (cores.client(), pattern(100 + n));
                client.write_all(b"e").expect("a write");
                for _ in 0..500 {
                    client.write_all(&bytes).expect("a write");
                    let mut back = vec![0; bytes.len()];
                    client.read_exact(&mut back).expect("an echo");
                    assert!(back == bytes);
                }
            });
        }
    });
    cores.stop();
}

#[test]
fn a_client_that_does_not_read_is_not_read_and_loses_nothing() {
    let cores = Cores::of(&plan(1));
    let client = cores.client();
    client.set_nonblocking(true).expect("not blocking");
    let block = pattern(64 << 10);
    let (mut sent, mut dry) = (vec![b'e'], 0);
    let _ = (&client).write(b"e").expect("the first byte");
    // Full when nothing fits for as long as a hundred other clients take.
    while dry < 100 {
        match (&client).write(&block) {
            Ok(n) => {
                sent.extend_from_slice(&block[..n]);
                dry = 0;
            }
            Err(e) if e.kind() == ErrorKind::WouldBlock => {
                dry += 1;
                let mut other = cores.client();
                other.write_all(b"e.").expect("a write");
                other
                    .read_exact(&mut [0])
                    .expect("an echo while another does not read");
            }
            Err(e) => panic!("{e}"),
        }
        assert!(sent.len() < 64 << 20, "64 MiB went in and none came out");
    }
    client.set_nonblocking(false).expect("blocking");
    client.shutdown(Shutdown::Write).expect("a shutdown");
    let mut back = vec![0; sent.len() - 1];
    (&client).read_exact(&mut back).expect("everything");
    assert!(back == sent[1..]);
    cores.stop();
}

#[test]
fn what_was_written_before_an_end_arrives() {
    let cores = Cores::of(&plan(1));
    for _ in 0..20 {
        let mut client = cores.client();
        // More than is read: the end must not turn into a reset.
        client
            .write_all(&[&b"f"[..], &pattern(100_000)].concat())
            .expect("a write");
        let all = rest(&mut client);
        assert!(
            all.len() == 1 << 20 && all.iter().all(|&b| b == b'f'),
            "{}",
            all.len()
        );
    }
    cores.stop();
}

#[test]
fn timers_and_mail_come_home() {
    let cores = Cores::of(&plan(2));
    let mut clients: Vec<_> = (0..10).map(|_| cores.client()).collect();
    for client in &mut clients {
        client.write_all(b"t").expect("a write");
    }
    for client in &mut clients {
        let mut due = [0; 3];
        client.read_exact(&mut due).expect("a timer");
        assert_eq!(&due, b"due");
    }
    let mut clients: Vec<_> = (0..4).map(|_| cores.client()).collect();
    for client in &mut clients {
        client.write_all(b"m").expect("a write");
    }
    for client in &mut clients {
        let mut back = [0; 4];
        client.read_exact(&mut back).expect("the letters");
        assert_eq!(&back, b"back");
    }
    cores.stop();
}

#[test]
fn a_link_relays_refuses_and_times_out() {
    let cores = Cores::of(&plan(1));
    let server = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let port = server.local_addr().expect("an address").port();
    let echo = Thread::new().spawn(move || {
        let (mut from, _) = server.accept().expect("a link");
        let mut to = from.try_clone().expect("a clone");
        std::io::copy(&mut from, &mut to).expect("an echo");
    });
    let mut client = cores.client();
    client
        .write_all(&[&b"c"[..], &port.to_le_bytes()].concat())
        .expect("a write");
    let mut up = [0; 2];
    client.read_exact(&mut up).expect("a connect");
    let bytes = pattern(8 << 20);
    assert!(round_trip(&client, b"", &bytes) == bytes);
    drop(client);
    let echo = echo.expect("a thread");
    echo.join().expect("the server saw the end");

    // Nobody listens there any more.
    let mut client = cores.client();
    client
        .write_all(&[&b"c"[..], &port.to_le_bytes()].concat())
        .expect("a write");
    assert_eq!(rest(&mut client), b"down 111");

    // A listener whose queue is full does not answer: ETIMEDOUT at the deadline.
    let address = SocketAddr::from(([127, 0, 0, 1], 0)).into();
    let full = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None);
    let full = full.expect("a socket");
    full.bind(&address).expect("a port");
    full.listen(0).expect("a listener");
    let to = full
        .local_addr()
        .expect("an address")
        .as_socket()
        .expect("an address");
    let _first = TcpStream::connect(to).expect("the queue has one place");
    let mut client = cores.client();
    client
        .write_all(&[&b"c"[..], &to.port().to_le_bytes()].concat())
        .expect("a write");
    assert_eq!(rest(&mut client), b"down 110");
    cores.stop();
}

#[test]
fn a_client_over_the_limit_is_told_and_makes_room_when_it_goes() {
    let cores = Cores::of(&Plan {
        clients_max: 3,
        ..plan(2)
    });
    let mut inside: Vec<_> = (0..3).map(|_| cores.client()).collect();
    for client in &mut inside {
        client.write_all(b"e.").expect("a write");
        client.read_exact(&mut [0]).expect("an echo");
    }
    assert_eq!(rest(&mut cores.client()), b"full");
    inside.pop();
    let mut again = false;
    for _ in 0..1_000 {
        let mut client = cores.client();
        let mut first = [0];
        again = client.write_all(b"e.").is_ok()
            && client.read_exact(&mut first).is_ok()
            && first == *b".";
        if again {
            break;
        }
    }
    assert!(again, "the place of a client that left stays taken");
    cores.stop();
}

#[test]
fn three_thousand_connections_leave_nothing() {
    let cores = Cores::of(&plan(2));
    let open = || {
        std::fs::read_dir("/proc/self/fd")
            .expect("descriptors")
            .count()
    };
    let cycle = |n: usize| {
        let mut client = cores.client();
        client.write_all(b"e.").expect("a write");
        client.read_exact(&mut [0]).expect("an echo");
        if n.is_multiple_of(3) {
            // A reset instead of a FIN.
            let linger = Some(Duration::ZERO);
            socket2::SockRef::from(&client)
                .set_linger(linger)
                .expect("a linger");
        }
    };
    let is_quiet = |c: &Cores| c.sum(|c| c.clients.get()) <= 1;
    (0..100).for_each(cycle);
    cores.until("the end of the first clients", is_quiet);
    let before = open();
    (0..3_000).for_each(cycle);
    cores.until("the end of all clients", is_quiet);
    // Other tests of this program open and close descriptors meanwhile, a few hundred at most.
    assert!(
        open() < before + 1_000,
        "{before} descriptors before, {} after",
        open()
    );
    cores.stop();
}

#[test]
fn a_drain_lets_machines_speak_and_refuses_new_clients() {
    let mut cores = Cores::of(&plan(2));
    let mut clients: Vec<_> = (0..6).map(|_| cores.client()).collect();
    for client in &mut clients {
        client.write_all(b"w").expect("a write");
        client.read_exact(&mut [0; 4]).expect("a word");
    }
    // This one does not end by itself: it is cut at the deadline.
    let mut stubborn = cores.client();
    stubborn.write_all(b"e.").expect("a write");
    stubborn.read_exact(&mut [0]).expect("an echo");
    let running = cores.0.take().expect("it runs");
    let address = running.addresses()[0];
    running.handle().drain(300);
    for client in &mut clients {
        assert_eq!(rest(client), b"drained");
    }
    assert_eq!(rest(&mut stubborn), b"");
    running.join().expect("a quiet end");
    assert!(TcpStream::connect(address).is_err());
}

#[test]
fn a_busy_port_and_a_plan_without_cores_do_not_start() {
    let cores = Cores::of(&plan(1));
    let busy = Plan {
        listen: vec![cores.running().addresses()[0]],
        ..plan(1)
    };
    let none = |_| Talkers {
        clients_max: 1,
        core: CoreId(0),
        table: Slab::with_limit(1),
    };
    let error = start(&busy, none, Mirror::default)
        .err()
        .expect("a refusal");
    assert!(matches!(error, StartError::Listen { .. }), "{error}");
    let error = start(&plan(0), none, Mirror::default)
        .err()
        .expect("a refusal");
    assert!(matches!(error, StartError::Plan(_)), "{error}");
    cores.stop();
}
