//! The limits of time of a session: those that a client has set, and those that a
//! COM_RESET_CONNECTION puts back, whose reply does not tell them.

use super::machine::framed::Framed;
use super::machine::{self, packet};
use super::{FRAMINGS, HOME, Pair, World};
use obring::base::{CloseReason, Input, Side, Tick, put_lenenc_bytes};
use obring::protocol::mysql::TRACK_VARIABLES;
use obring::protocol::ob20::Framing;

/// What the login tells.
const AT_LOGIN: &[(&str, &str)] = &[("wait_timeout", "28800"), ("ob_query_timeout", "10000000")];
/// What the client sets.
const SET: &[(&str, &str)] = &[("wait_timeout", "5"), ("ob_query_timeout", "3000000")];

/// Milliseconds that a statement may take, besides what every server gets on top.
const QUERY_MS: (u64, u64) = (10_000, 3_000);
/// Seconds without a statement after which a server ends a session.
const WAIT_S: (u64, u64) = (28_800, 5);

/// An OK that tells variables.
fn ok(seq: u8, variables: &[(&str, &str)]) -> Vec<u8> {
    let (mut pairs, mut state) = (vec![], vec![TRACK_VARIABLES]);
    for (name, value) in variables {
        put_lenenc_bytes(&mut pairs, name.as_bytes());
        put_lenenc_bytes(&mut pairs, value.as_bytes());
    }
    put_lenenc_bytes(&mut state, &pairs);
    packet(seq, |b| {
        // No rows, no id, autocommit and state that has changed, no warnings, no text.
        b.extend_from_slice(&[0, 0, 0, 2, 0x40, 0, 0, 0]);
        put_lenenc_bytes(b, &state);
    })
}

/// A session whose server told its limits, with them as the client wants.
fn with(world: &World, framing: Framing, is_set: bool, is_reset: bool) -> Pair {
    let mut pair = world.connected();
    world.bytes(&mut pair, HOME, &machine::greeting());
    let granted = (u64::MAX >> 32).to_string();
    let told = [AT_LOGIN, &[("ob_capability_flag", &granted)]].concat();
    world.bytes(&mut pair, HOME, &ok(2, &told));
    pair.server = Some(Framed::new(framing));
    pair.to_server.clear();
    for (is_done, request, reply) in [
        (is_set, &b"\x03set what the reply tells"[..], ok(1, SET)),
        (
            is_reset,
            b"\x1f",
            packet(1, |b| b.extend_from_slice(&[0, 0, 0, 2, 0, 0, 0])),
        ),
    ] {
        if is_done {
            let sent = packet(0, |b| b.extend_from_slice(request));
            pair.to_server.clear();
            world.bytes(&mut pair, Side::Client, &sent);
            assert_eq!(pair.to_server, sent, "the server is asked");
            pair.to_client.clear();
            world.reply(&mut pair, &reply);
            assert_eq!(pair.to_client.get(4), Some(&0), "an OK");
        }
    }
    pair
}

/// How long a statement may take that is sent now.
fn query_ms(world: &World, pair: &Pair) -> Option<u64> {
    let mut pair = pair.clone();
    let sent = packet(0, |b| b.extend_from_slice(b"\x03select 1"));
    world.bytes(&mut pair, Side::Client, &sent);
    let due = pair.session.poll_timeout()?;
    let ms = due.since_us(world.now.get()) / 1_000;
    ms.checked_sub(world.settings.query_timeout_delta_ms)
}

/// Why the client's connection ends when the server closes its own after so many idle seconds.
fn end_after(world: &World, pair: &Pair, idle_s: u64) -> Option<CloseReason> {
    let (mut pair, before) = (pair.clone(), world.now.get());
    world.now.set(before.after_ms(idle_s * 1_000));
    world.input(&mut pair, Input::Eof(HOME));
    world.now.set(before);
    pair.end
}

#[test]
fn a_reset_puts_the_limits_of_time_back() {
    for framing in FRAMINGS {
        for (is_set, is_reset) in [(false, false), (true, false), (true, true), (false, true)] {
            let mut world = World::new(framing);
            // Slow servers are not what is looked at.
            world.settings.suspect_ms = 0;
            world.now.set(Tick(1_000_000));
            let pair = with(&world, framing, is_set, is_reset);
            let what = format!("{framing:?}, set: {is_set}, reset: {is_reset}");
            let is_own = is_set && !is_reset;
            let of = |(first, own): (u64, u64)| if is_own { own } else { first };
            assert_eq!(query_ms(&world, &pair), Some(of(QUERY_MS)), "{what}");
            let limit = of(WAIT_S);
            let early = end_after(&world, &pair, limit - 1);
            assert!(
                early.is_some() && early != Some(CloseReason::ServerIdleTimeout),
                "{what}: {early:?} before its time"
            );
            let late = end_after(&world, &pair, limit);
            assert_eq!(late, Some(CloseReason::ServerIdleTimeout), "{what}");
        }
    }
}
