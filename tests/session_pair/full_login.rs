//! Clients without mysql_native_password: the exchange that tells their password, split at every
//! byte, with everything in it that can be wrong, and COM_CHANGE_USER.

use super::machine::{self, framed, packet};
use super::{Framing, HOME, Pair, World, error, unhex};
use aws_lc_rs::rsa::{OAEP_SHA1_MGF1SHA1, OaepPrivateDecryptingKey, PrivateDecryptingKey};
use obring::auth::{BLOCK_LEN, NoKey, Unseal, native_answer, scramble, stage1};
use obring::base::{CloseReason, Input, LinkId, Side, Tick};
use obring::config::FullAuthentication;
use obring::protocol::mysql::{CACHING_SHA2_PASSWORD, Login, client, put_attribute};
use std::sync::Mutex;

const PEM: &[u8] = b"-----BEGIN PUBLIC KEY-----\nglass\n-----END PUBLIC KEY-----\n";
/// What servers of these tests greet with.
const OF_SERVER: &[u8; 20] = &[b'x'; 20];

/// A key whose sealed blocks can be seen through: the text, then 0xEE.
#[derive(Debug)]
pub(super) struct Glass(Mutex<Result<(), NoKey>>);

impl Default for Glass {
    fn default() -> Self {
        Self(Mutex::new(Ok(())))
    }
}

impl Glass {
    fn becomes(&self, state: Result<(), NoKey>) {
        *self.0.lock().expect("one thread") = state;
    }
}

impl Unseal for Glass {
    fn public_pem(&self) -> Result<&[u8], NoKey> {
        let state = *self.0.lock().expect("one thread");
        state.map(|()| PEM)
    }

    fn open<'p>(&self, block: &[u8], plain: &'p mut [u8; BLOCK_LEN]) -> Option<&'p mut [u8]> {
        plain.copy_from_slice(block);
        let len = block.iter().rposition(|b| *b != 0xEE)? + 1;
        plain.get_mut(..len)
    }
}

/// The key pair of the recording.
#[derive(Debug)]
pub(super) struct Recorded {
    private: OaepPrivateDecryptingKey,
    public_pem: Vec<u8>,
}

impl Unseal for Recorded {
    fn public_pem(&self) -> Result<&[u8], NoKey> {
        Ok(&self.public_pem)
    }

    fn open<'p>(&self, block: &[u8], plain: &'p mut [u8; BLOCK_LEN]) -> Option<&'p mut [u8]> {
        let private = &self.private;
        let opened = private.decrypt(&OAEP_SHA1_MGF1SHA1, block, plain, None);
        opened.ok()
    }
}

/// The proxy's scramble in these tests.
fn of_proxy() -> [u8; 20] {
    scramble(&[7; 32])
}

fn sealed(password: &[u8]) -> [u8; BLOCK_LEN] {
    let mut block = [0xEE; BLOCK_LEN];
    let text = [password, b"\0"].concat();
    let scramble = of_proxy();
    let masked = text.iter().zip(scramble.iter().cycle()).map(|(t, s)| t ^ s);
    block.iter_mut().zip(masked).for_each(|(to, b)| *to = b);
    block
}

/// The first packet of libmysqlclient.
fn login(version: &[u8], auth: &[u8]) -> Vec<u8> {
    login_as(b"u1@sys", version, auth)
}

fn login_as(user: &[u8], version: &[u8], auth: &[u8]) -> Vec<u8> {
    let mut attributes = vec![];
    put_attribute(&mut attributes, b"_client_version", version);
    put_attribute(&mut attributes, b"_client_name", b"libmysql");
    let login = Login {
        capabilities: client::PROTOCOL_41
            | client::SECURE_CONNECTION
            | client::PLUGIN_AUTH
            | client::CONNECT_ATTRS,
        max_packet: 1 << 24,
        charset: 45,
        user,
        auth,
        database: None,
        plugin: Some(CACHING_SHA2_PASSWORD),
        attributes: &attributes,
    };
    packet(1, |b| login.put(b))
}

fn bytes(seq: u8, payload: &[u8]) -> Vec<u8> {
    packet(seq, |b| b.extend_from_slice(payload))
}

fn switch(seq: u8, plugin: &[u8]) -> Vec<u8> {
    bytes(seq, &[b"\xFE", plugin, b"\0", &of_proxy(), b"\0"].concat())
}

/// What the client says, and what it is answered.
type Dialogue = Vec<(Vec<u8>, Vec<u8>)>;

/// The exchange from the answer to the switch, which has this number, to the sealed password.
fn exchange(seq: u8, password: &[u8]) -> Dialogue {
    let key = [b"\x01", PEM].concat();
    vec![
        (bytes(seq, &[7; 32]), bytes(seq + 1, &[1, 4])),
        (bytes(seq + 2, &[2]), bytes(seq + 3, &key)),
        (bytes(seq + 4, &sealed(password)), vec![]),
    ]
}

fn first() -> (Vec<u8>, Vec<u8>) {
    (login(b"9.7.0", b""), switch(2, CACHING_SHA2_PASSWORD))
}

fn world() -> World {
    World::new(Framing::Plain)
}

/// A client that has read the greeting.
fn greeted(world: &World) -> Pair {
    let mut pair = world.greeted();
    pair.to_client.clear();
    pair
}

/// Plays a dialogue; each packet in pieces of so many bytes.
fn play(world: &World, pair: &mut Pair, dialogue: &Dialogue, piece: usize) {
    for (said, answered) in dialogue {
        for piece in said.chunks(piece) {
            assert!(pair.to_client.is_empty(), "answered before it was asked");
            world.bytes(pair, Side::Client, piece);
        }
        assert_eq!(pair.to_client, *answered);
        pair.to_client.clear();
    }
}

/// The server is connected and greets: the login that it gets.
fn login_at_server(world: &World, pair: &mut Pair, id: LinkId) -> (Vec<u8>, Vec<u8>, Vec<u8>) {
    pair.to_server.clear();
    world.input(pair, Input::Connected(id));
    world.bytes(pair, Side::Server(id), &machine::greeting());
    let login = Login::parse(&pair.to_server[4..]).expect("a login");
    assert_eq!(login.plugin, Some(&b"mysql_native_password"[..]));
    let difference = login.attributes().find(|a| a.0 == b"__proxy_scramble");
    let difference = difference.map_or(vec![], |a| a.1.to_vec());
    (login.user.to_vec(), login.auth.to_vec(), difference)
}

/// The server takes the login; what the client is told.
fn accepted(world: &World, pair: &mut Pair, id: LinkId) -> Vec<u8> {
    world.bytes(pair, Side::Server(id), &framed::login_ok());
    std::mem::take(&mut pair.to_client)
}

fn ok(seq: u8) -> Vec<u8> {
    bytes(seq, &[0, 0, 0, 2, 0, 0, 0])
}

#[test]
fn a_told_password_answers_servers_wherever_the_packets_are_split() {
    let world = world();
    let mut dialogue = vec![first()];
    dialogue.extend(exchange(3, b"secret"));
    for piece in 1..300 {
        let mut pair = greeted(&world);
        play(&world, &mut pair, &dialogue, piece);
        let (user, answer, difference) = login_at_server(&world, &mut pair, LinkId(0));
        assert_eq!(user, b"u1@sys");
        assert_eq!(answer, native_answer(&stage1(b"secret"), OF_SERVER));
        assert_eq!(difference, [0; 20], "the server's own scramble is answered");
        assert_eq!(accepted(&world, &mut pair, LinkId(0)), ok(8));
        assert!(!pair.is_over);
    }
}

/// A real library, byte for byte: what it was answered, and the password that it sealed.
#[test]
fn a_real_library_is_answered_as_recorded() {
    let text = include_str!("../wire/17_full_authentication.hex");
    let lines = |kind: &str| -> Vec<Vec<u8>> {
        let found = text.lines().filter_map(|line| line.strip_prefix(kind));
        found.map(|hex| unhex(hex.trim())).collect()
    };
    let (said, answered, key) = (lines("C "), lines("S "), lines("K "));
    let private = PrivateDecryptingKey::from_pkcs8(&key[0]).expect("a key");
    let pem = answered[3][5..].to_vec();
    let mut world = world();
    world.pair = Some(Recorded {
        private: OaepPrivateDecryptingKey::new(private).expect("a key for OAEP"),
        public_pem: pem,
    });
    let mut pair = world.greeted();
    for (n, said) in said.iter().enumerate() {
        assert_eq!(pair.to_client, answered[n], "packet {n}");
        pair.to_client.clear();
        world.bytes(&mut pair, Side::Client, said);
    }
    let (_, answer, _) = login_at_server(&world, &mut pair, LinkId(0));
    assert_eq!(answer, native_answer(&stage1(b"secret"), OF_SERVER));
    let outcome = accepted(&world, &mut pair, LinkId(0));
    assert_eq!(Some(&outcome), answered.last());
}

#[test]
fn shorter_ways_through_the_exchange() {
    let world = world();
    let full = exchange(3, b"secret");
    // An empty password, by either of the two answers that clients have for it.
    for nothing in [&b""[..], b"\0"] {
        let mut pair = greeted(&world);
        let dialogue = vec![first(), (bytes(3, nothing), vec![])];
        play(&world, &mut pair, &dialogue, 7);
        let (_, answer, difference) = login_at_server(&world, &mut pair, LinkId(0));
        assert!(answer.is_empty() && difference.is_empty());
        assert_eq!(accepted(&world, &mut pair, LinkId(0)), ok(4));
    }
    // The same in the first packet.
    let mut pair = greeted(&world);
    play(
        &world,
        &mut pair,
        &vec![(login(b"9.7.0", b"\0"), vec![])],
        7,
    );
    assert!(login_at_server(&world, &mut pair, LinkId(0)).1.is_empty());
    assert_eq!(accepted(&world, &mut pair, LinkId(0)), ok(2));
    // An answer in the first packet: no switch. The client has the key: it does not ask for it.
    let mut pair = greeted(&world);
    let block = bytes(3, &sealed(b"secret"));
    let dialogue = vec![
        (login(b"9.7.0", &[7; 32]), bytes(2, &[1, 4])),
        (block, vec![]),
    ];
    play(&world, &mut pair, &dialogue, 1000);
    let (_, answer, _) = login_at_server(&world, &mut pair, LinkId(0));
    assert_eq!(answer, native_answer(&stage1(b"secret"), OF_SERVER));
    assert_eq!(accepted(&world, &mut pair, LinkId(0)), ok(4));
    // An empty password in a block.
    let mut pair = greeted(&world);
    let mut dialogue = vec![first()];
    dialogue.extend(full.iter().take(2).cloned());
    dialogue.push((bytes(7, &sealed(b"")), vec![]));
    play(&world, &mut pair, &dialogue, 1000);
    assert!(login_at_server(&world, &mut pair, LinkId(0)).1.is_empty());
}

#[test]
fn what_is_wrong_is_one_error_packet() {
    let world = world();
    let full = exchange(3, b"secret");
    let mut open = sealed(b"secret");
    open[6] = of_proxy()[6] ^ b'x';
    let again = bytes(7, &[2]);
    let denied = "#42000Access denied for user 'u1@sys'@'127.0.0.9' (using password: YES): ";
    for (steps, packet, want) in [
        (2, again, "the public key was sent already"),
        (2, bytes(7, &[0xEE; BLOCK_LEN]), "not encrypted with this"),
        (2, bytes(7, &open), "the encrypted password is malformed"),
        (2, bytes(7, &[7; 255]), "not encrypted by RSA"),
        (2, bytes(7, &[7; 257]), "not encrypted by RSA"),
        (2, bytes(7, b""), "not encrypted by RSA"),
        // As mysql-connector-python without TLS.
        (1, bytes(5, b"secret\0"), "not encrypted by RSA"),
    ] {
        let mut pair = greeted(&world);
        let mut dialogue = vec![first()];
        dialogue.extend(full.iter().take(steps).cloned());
        play(&world, &mut pair, &dialogue, 1000);
        world.bytes(&mut pair, Side::Client, &packet);
        let (seq, text) = error(&pair.to_client).expect("one error packet");
        assert_eq!(seq, packet[3] + 1, "{text}");
        assert!(text.starts_with(denied) && text.contains(want), "{text}");
        assert!(!text.contains("secret"), "{text}");
        assert_eq!(pair.end, Some(CloseReason::LoginRefused), "{text}");
    }
    // Out of order, and longer than a login packet may be.
    for (packet, want) in [
        (bytes(6, &sealed(b"secret")), "out of order"),
        (vec![0, 0, 2, 7], "131072 bytes, at most 65536"),
    ] {
        let mut pair = greeted(&world);
        let mut dialogue = vec![first()];
        dialogue.extend(full.iter().take(2).cloned());
        play(&world, &mut pair, &dialogue, 1000);
        world.bytes(&mut pair, Side::Client, &packet);
        let (_, text) = error(&pair.to_client).expect("one error packet");
        assert!(text.contains(want), "{text}");
        assert!(pair.is_over);
    }
}

#[test]
fn a_client_waits_for_a_key_that_is_being_drawn() {
    let world = world();
    let full = exchange(3, b"secret");
    let wait = |state| {
        world.now.set(Tick(1));
        world.key.becomes(Ok(()));
        let mut pair = greeted(&world);
        play(&world, &mut pair, &vec![first(), full[0].clone()], 1000);
        world.key.becomes(Err(NoKey::NotYet));
        world.bytes(&mut pair, Side::Client, &full[1].0);
        for _ in 0..3 {
            assert!(pair.to_client.is_empty());
            let due = pair.session.poll_timeout().expect("a timer");
            assert!(due.since_us(world.now.get()) <= 20_000);
            world.now.set(due);
            world.input(&mut pair, Input::Timer);
        }
        world.key.becomes(state);
        pair
    };
    let later = |pair: &mut Pair, us: u64| {
        world.now.set(Tick(world.now.get().0 + us));
        world.input(pair, Input::Timer);
    };
    let mut pair = wait(Ok(()));
    later(&mut pair, 20_000);
    assert_eq!(pair.to_client, full[1].1);
    pair.to_client.clear();
    play(&world, &mut pair, &vec![full[2].clone()], 1000);
    let (_, answer, _) = login_at_server(&world, &mut pair, LinkId(0));
    assert_eq!(answer, native_answer(&stage1(b"secret"), OF_SERVER));
    // It never comes, or the client's time is over: packet 6 is an error.
    for (state, us, want) in [
        (Err(NoKey::Failed), 20_000, "no key pair"),
        (Err(NoKey::NotYet), 11_000_000, "client_login_timeout"),
    ] {
        let mut pair = wait(state);
        later(&mut pair, us);
        let (seq, text) = error(&pair.to_client).expect("one error packet");
        assert!(seq == 6 && text.contains(want), "{seq} {text}");
        assert!(pair.is_over);
    }
    // It speaks where it has to wait.
    let mut pair = wait(Ok(()));
    world.bytes(&mut pair, Side::Client, &full[2].0);
    let (seq, text) = error(&pair.to_client).expect("one error packet");
    assert!(seq == 8 && text.contains("has to wait"), "{seq} {text}");
}

#[test]
fn who_can_answer_servers_is_asked_to() {
    let native = switch(2, b"mysql_native_password");
    let sha2 = switch(2, CACHING_SHA2_PASSWORD);
    let without = {
        let login = Login {
            capabilities: client::PROTOCOL_41 | client::SECURE_CONNECTION | client::PLUGIN_AUTH,
            max_packet: 1 << 24,
            charset: 45,
            user: b"u1@sys",
            auth: b"",
            database: None,
            plugin: Some(CACHING_SHA2_PASSWORD),
            attributes: b"",
        };
        packet(1, |b| login.put(b))
    };
    let mut world = world();
    use FullAuthentication::{Always, Auto, Never};
    for (rule, login, want) in [
        (Auto, login(b"9.0.0", b""), &sha2),
        (Auto, login(b"26.10.0", b""), &sha2),
        (Auto, login(b"8.4.0", b""), &native),
        (Auto, login(b"", b""), &native),
        (Auto, without.clone(), &native),
        (Never, login(b"9.7.0", b""), &native),
        (Always, without, &sha2),
        (Always, login(b"8.4.0", b""), &sha2),
    ] {
        world.settings.full_authentication = rule;
        let mut pair = greeted(&world);
        world.bytes(&mut pair, Side::Client, &login);
        assert_eq!(pair.to_client, *want, "{rule:?} {login:?}");
    }
}

#[test]
fn the_administrator_of_the_proxy_may_tell_its_password() {
    let mut world = world();
    world.settings.admin.password = Some(stage1(b"of the proxy"));
    world.settings.admin.from_anywhere = true;
    for (password, is_right) in [(&b"of the proxy"[..], true), (b"another", false)] {
        let mut pair = greeted(&world);
        let mut dialogue = vec![(
            login_as(b"root@proxysys", b"9.7.0", b""),
            switch(2, CACHING_SHA2_PASSWORD),
        )];
        let mut told = exchange(3, password);
        let (last, _) = told.pop().expect("a last packet");
        dialogue.extend(told);
        play(&world, &mut pair, &dialogue, 1000);
        world.bytes(&mut pair, Side::Client, &last);
        assert_eq!(pair.to_client == ok(8), is_right);
        assert_eq!(pair.is_over, !is_right);
    }
}

fn change_user(auth: &[u8]) -> Vec<u8> {
    let mut payload = b"\x11u2@sys\0".to_vec();
    payload.push(auth.len() as u8);
    payload.extend_from_slice(auth);
    payload.extend_from_slice(b"test\0\x2d\0caching_sha2_password\0");
    bytes(0, &payload)
}

#[test]
fn another_user_tells_its_password_and_logs_in_on_a_new_link() {
    let world = world();
    let mut dialogue = vec![first()];
    dialogue.extend(exchange(3, b"secret"));
    let mut before = greeted(&world);
    play(&world, &mut before, &dialogue, 1000);
    login_at_server(&world, &mut before, LinkId(0));
    accepted(&world, &mut before, LinkId(0));
    let switched = (change_user(b""), switch(1, CACHING_SHA2_PASSWORD));
    for piece in [1, 2, 3, 5, 100, 1000] {
        let mut pair = before.clone();
        pair.to_server.clear();
        play(&world, &mut pair, &vec![switched.clone()], piece);
        assert_eq!(pair.to_server, [1, 0, 0, 0, 1], "good-bye on the old link");
        play(&world, &mut pair, &exchange(2, b"other"), piece);
        // The place of a link that was just closed is not taken again at once.
        let id = LinkId(1);
        let (user, answer, _) = login_at_server(&world, &mut pair, id);
        assert_eq!(user, b"u2@sys");
        assert_eq!(answer, native_answer(&stage1(b"other"), OF_SERVER));
        assert_eq!(accepted(&world, &mut pair, id), ok(7));
        pair.to_server.clear();
        let query = bytes(0, b"\x03select 1");
        world.bytes(&mut pair, Side::Client, &query);
        assert!(!pair.is_over && !pair.to_server.is_empty());
    }
    // No password: no exchange.
    let mut pair = before.clone();
    play(&world, &mut pair, &vec![(change_user(b"\0"), vec![])], 1000);
    assert!(login_at_server(&world, &mut pair, LinkId(1)).1.is_empty());
    assert_eq!(accepted(&world, &mut pair, LinkId(1)), ok(1));
    // The server says no: its words, and the end.
    let mut pair = before.clone();
    play(&world, &mut pair, &vec![switched], 1000);
    play(&world, &mut pair, &exchange(2, b"wrong"), 1000);
    login_at_server(&world, &mut pair, LinkId(1));
    let refusal = b"\xFF\x15\x04#28000Access denied for user 'u2'";
    world.bytes(&mut pair, Side::Server(LinkId(1)), &bytes(2, refusal));
    assert_eq!(pair.to_client, bytes(7, refusal));
    assert_eq!(pair.end, Some(CloseReason::LoginDenied));
    // The client leaves, or is too slow.
    let mut pair = before.clone();
    play(
        &world,
        &mut pair,
        &vec![(change_user(b""), switch(1, CACHING_SHA2_PASSWORD))],
        1000,
    );
    world.input(&mut pair, Input::Eof(Side::Client));
    assert_eq!(pair.end, Some(CloseReason::ClientEof));
    let mut pair = before;
    play(
        &world,
        &mut pair,
        &vec![(change_user(b""), switch(1, CACHING_SHA2_PASSWORD))],
        1000,
    );
    world.now.set(pair.session.poll_timeout().expect("a timer"));
    world.input(&mut pair, Input::Timer);
    let (seq, text) = error(&pair.to_client).expect("one error packet");
    assert!(
        seq == 3 && text.contains("client_login_timeout"),
        "{seq} {text}"
    );
}

#[test]
fn other_clients_change_users_as_before() {
    let world = world();
    let mut pair = world.logged_in();
    pair.server = None;
    world.bytes(&mut pair, HOME, b"");
    let sent = change_user(b"");
    world.bytes(&mut pair, Side::Client, &sent);
    assert_eq!(pair.to_server, sent, "the server switches this client");
    assert!(pair.to_client.is_empty());
}
