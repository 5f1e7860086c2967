//! Servers that sessions suspect are asked, and all cores are told.

use super::{Mail, Rig, at, table};
use obring::routing::Pulse;
use std::net::SocketAddr;

const QUESTION: &str = "SELECT 1";

fn suspect(rig: &mut Rig, n: u8) {
    rig.mail(Mail::Suspect {
        cluster: "ob1".into(),
        server: at(n),
    });
}

/// What every core was told, in order; forgotten then.
fn told(rig: &mut Rig) -> Vec<(SocketAddr, Pulse)> {
    let pulses = |mails: &Vec<Mail>| -> Vec<_> {
        let pulse = |mail: &Mail| match mail {
            Mail::Pulse(server, pulse) => Some((*server, *pulse)),
            _ => None,
        };
        mails.iter().filter_map(pulse).collect()
    };
    let all: Vec<_> = rig.sent.iter().map(pulses).collect();
    assert!(all.windows(2).all(|w| w[0] == w[1]), "{all:?}");
    rig.sent.iter_mut().for_each(Vec::clear);
    all.into_iter().next().unwrap_or_default()
}

fn asked(rig: &Rig) -> usize {
    rig.asked.iter().filter(|q| q.contains(QUESTION)).count()
}

fn answers(rig: &mut Rig) {
    rig.answer(QUESTION, table(&["1"], &[vec!["1".into()]]));
}

/// A rig that knows its two servers.
fn rig() -> Rig {
    let mut rig = Rig::new(&[1], &[1, 2]);
    rig.call(obring::base::Input::Wake);
    rig.wait(100);
    assert!(rig.cluster().has_views);
    told(&mut rig);
    rig
}

#[test]
fn a_server_that_answers_is_let_alone_for_a_while() {
    let mut rig = rig();
    answers(&mut rig);
    for _ in 0..3 {
        suspect(&mut rig, 2);
        rig.wait(100);
    }
    assert_eq!((asked(&rig), told(&mut rig)), (1, vec![]));
    assert!(rig.links.values().all(|(to, _)| *to != at(2)), "closed");
    rig.wait(5_000);
    suspect(&mut rig, 2);
    rig.wait(100);
    assert_eq!((asked(&rig), told(&mut rig)), (2, vec![]));
    // One that says no has said something.
    rig.wait(6_000);
    rig.answer(QUESTION, super::error(1045));
    suspect(&mut rig, 2);
    rig.wait(3_000);
    assert_eq!(told(&mut rig), vec![]);
}

#[test]
fn a_silent_server_is_avoided_then_lost_and_asked_on_until_it_answers() {
    let mut rig = rig();
    suspect(&mut rig, 2);
    rig.wait(900);
    assert_eq!(told(&mut rig), vec![(at(2), Pulse::Silent)]);
    rig.wait(2_000);
    let rest = vec![(at(2), Pulse::Silent), (at(2), Pulse::Lost)];
    assert_eq!(told(&mut rig), rest, "within three seconds");
    rig.wait(10_000);
    let again = told(&mut rig);
    assert!(
        again.iter().all(|p| *p == (at(2), Pulse::Lost)),
        "{again:?}"
    );
    assert!((4..=10).contains(&again.len()), "{again:?}");
    answers(&mut rig);
    rig.wait(2_000);
    assert_eq!(told(&mut rig).last(), Some(&(at(2), Pulse::Well)));
    rig.wait(20_000);
    assert_eq!(told(&mut rig), vec![], "it is over");
}

#[test]
fn one_that_cannot_be_reached_or_is_none_of_the_cluster_ends_it_too() {
    let mut rig = rig();
    rig.alive.retain(|server| *server != at(2));
    suspect(&mut rig, 2);
    rig.wait(100);
    let all = told(&mut rig);
    assert!(all.contains(&(at(2), Pulse::Lost)), "{all:?}");
    // It leaves the list.
    rig.answer("DBA_OB_SERVERS", super::servers(&[(1, "ACTIVE")]));
    rig.wait(30_000);
    told(&mut rig);
    rig.wait(30_000);
    assert_eq!(told(&mut rig), vec![]);
    suspect(&mut rig, 9);
    rig.wait(5_000);
    assert_eq!((asked(&rig), told(&mut rig)), (0, vec![]));
}
