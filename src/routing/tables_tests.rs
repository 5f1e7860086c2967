use super::super::fixture::{at, key, row, table};
use super::*;
use std::collections::HashSet;

const CORE: CoreId = CoreId(1);

fn ms(n: u64) -> Tick {
    Tick(n * 1_000)
}

/// A core that knows table `a`, at version 5, led by server 1.
fn known() -> Tables {
    let mut tables = Tables::default();
    assert!(tables.install(ms(1), table("a", 5, 1, &[row(0, 1, true)])));
    tables
}

fn is_fresh(tables: &Tables, now: Tick, name: &str) -> Option<u64> {
    match tables.find(now, &key(name).as_name()) {
        Found::Fresh(entry) => Some(entry.version),
        _ => None,
    }
}

#[test]
fn one_question_for_everybody_who_misses_a_table() {
    let mut tables = Tables::default();
    let (a, now) = (key("a"), ms(10));
    let name = a.as_name();
    assert!(matches!(tables.find(now, &name), Found::Due(None)));
    let (mail, until) = tables.ask(now, CORE, &name);
    let Some(Mail::FindTable {
        key: asked, wrong, ..
    }) = mail
    else {
        panic!("no question");
    };
    assert_eq!((asked, wrong, until), (a.clone(), 0, ms(1_010)));
    for later in [ms(11), ms(500)] {
        let found = tables.find(later, &name);
        let Found::Asked { stale: None, until } = found else {
            panic!("{found:?}");
        };
        assert_eq!(until, ms(1_010));
        assert!(tables.ask(later, CORE, &name).0.is_none());
    }
    // The question was lost.
    assert!(matches!(tables.find(ms(5_011), &name), Found::Due(None)));
    assert!(tables.ask(ms(5_011), CORE, &name).0.is_some());
    assert!(tables.install(ms(5_012), table("a", 1, 1, &[])));
    assert_eq!(is_fresh(&tables, ms(5_013), "a"), Some(1));
}

#[test]
fn an_old_answer_never_overwrites_a_newer_one() {
    let mut tables = known();
    assert!(!tables.install(ms(2), table("a", 5, 1, &[row(0, 2, true)])));
    assert!(!tables.install(ms(2), table("a", 4, 1, &[row(0, 2, true)])));
    assert_eq!(is_fresh(&tables, ms(2), "a"), Some(5));
    assert!(tables.install(ms(2), table("a", 6, 1, &[row(0, 2, true)])));
    assert_eq!(is_fresh(&tables, ms(2), "a"), Some(6));
    assert_eq!(
        (tables.counts().installed, tables.counts().outdated),
        (2, 2)
    );
}

#[test]
fn a_doubted_entry_is_asked_for_once_and_used_after_two_milliseconds() {
    let mut tables = known();
    let a = key("a");
    let name = a.as_name();
    assert!(!tables.doubt(ms(10), &name, 4), "of an older version");
    assert_eq!(is_fresh(&tables, ms(10), "a"), Some(5));
    assert!(tables.doubt(ms(10), &name, 5), "due at once");
    assert!(matches!(tables.find(ms(10), &name), Found::Due(Some(_))));
    let (mail, until) = tables.ask(ms(10), CORE, &name);
    assert!(matches!(mail, Some(Mail::FindTable { wrong: 5, .. })));
    assert_eq!(until, ms(12));
    // A storm of misses meanwhile.
    for _ in 0..1_000 {
        assert!(!tables.doubt(ms(11), &name, 5));
        assert!(tables.ask(ms(11), CORE, &name).0.is_none());
    }
    let Found::Asked { stale, until } = tables.find(ms(11), &name) else {
        panic!("not asked");
    };
    assert_eq!((stale.map(|e| e.version), until), (Some(5), ms(12)));
    assert_eq!(tables.counts().asked, 1);
}

#[test]
fn entries_that_are_found_the_same_are_asked_for_ever_less_often() {
    let a = key("a");
    let name = a.as_name();
    let mut last = table("a", 5, 1, &[row(0, 1, true)]);
    let mut tables = Tables::default();
    tables.install(ms(0), last.clone());
    let mut asked = vec![];
    for now in 1..20_000 {
        tables.doubt(ms(now), &name, last.version);
        if matches!(tables.find(ms(now), &name), Found::Due(_)) {
            assert!(tables.ask(ms(now), CORE, &name).0.is_some());
            asked.push(now);
            let mut same = TableEntry::clone(&last);
            same.version += 1;
            last = Arc::new(same);
            tables.install(ms(now), last.clone());
        }
    }
    let gaps: Vec<_> = asked.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert_eq!(asked[0], 1, "the first doubt is believed at once");
    assert_eq!(gaps[..7], [50, 100, 200, 400, 800, 1_600, 3_200]);
    assert!(gaps[7..].iter().all(|gap| *gap == 5_000), "{gaps:?}");
    // The leader has moved: the next doubt is believed at once again.
    tables.install(
        ms(20_000),
        table("a", last.version + 1, 1, &[row(0, 2, true)]),
    );
    assert!(tables.doubt(ms(20_001), &name, last.version + 1));
}

#[test]
fn an_election_is_waited_for() {
    let mut tables = known();
    let a = key("a");
    assert!(!tables.doubt_soon(ms(10), &a.as_name(), 5));
    assert_eq!(is_fresh(&tables, ms(209), "a"), Some(5));
    assert!(matches!(
        tables.find(ms(210), &a.as_name()),
        Found::Due(Some(_))
    ));
}

#[test]
fn doubts_about_servers_and_tenants_reach_their_entries() {
    let mut tables = known();
    tables.install(ms(1), table("b", 5, 1, &[row(0, 2, true)]));
    tables.doubt_server(ms(2), at(2));
    assert_eq!(is_fresh(&tables, ms(2), "a"), Some(5));
    assert_eq!(is_fresh(&tables, ms(2), "b"), None);
    tables.doubt_tenant(ms(3), "ob1", b"other");
    assert_eq!(is_fresh(&tables, ms(3), "a"), Some(5));
    tables.doubt_tenant(ms(3), "ob1", b"t");
    assert_eq!(is_fresh(&tables, ms(3), "a"), None);
}

#[test]
fn the_table_that_nobody_uses_makes_room() {
    let mut tables = Tables {
        tables_max: 4,
        ..Tables::default()
    };
    let names = ["a", "b", "c", "d"];
    for name in names {
        tables.install(ms(1), table(name, 1, 3, &[row(0, 1, true)]));
    }
    assert_eq!(tables.leaves, 12);
    // A first round of the hand takes the marks of their arrival; then only use counts.
    tables.install(ms(2), table("e", 1, 1, &[]));
    for name in ["b", "d", "e"] {
        assert_eq!(is_fresh(&tables, ms(3), name), Some(1));
    }
    tables.install(ms(4), table("f", 1, 1, &[]));
    let left: HashSet<_> = tables.places.iter().map(|(k, _)| k.name.to_vec()).collect();
    let wanted = ["b", "d", "e", "f"].map(|n| n.as_bytes().to_vec());
    assert_eq!(left, wanted.into());
    assert_eq!((tables.leaves, tables.counts().evicted), (3 + 3 + 1 + 1, 2));
    assert_eq!(tables.clock.len(), 4);
}

#[test]
fn forgotten_entries_are_gone() {
    let mut tables = known();
    let mut gone = TableEntry::clone(&table("a", 6, 1, &[]));
    gone.standing = Standing::Forgotten;
    assert!(tables.install(ms(2), Arc::new(gone)));
    assert!(matches!(
        tables.find(ms(2), &key("a").as_name()),
        Found::Due(None)
    ));
    assert_eq!((tables.leaves, tables.places.iter().count()), (0, 0));
    // However often tables come and go, the clock has its limit.
    tables.tables_max = 4;
    for version in 7..100 {
        tables.install(ms(3), table("b", version * 2, 1, &[]));
        let mut gone = TableEntry::clone(&table("b", version * 2 + 1, 1, &[]));
        gone.standing = Standing::Forgotten;
        tables.install(ms(3), Arc::new(gone));
    }
    assert!(tables.clock.len() <= 4 && tables.counts().evicted == 0);
}

#[test]
fn a_core_asks_only_so_much_in_a_second() {
    let mut tables = Tables::default();
    let ask = |tables: &mut Tables, now: Tick, n: u64| {
        let key = key(&n.to_string());
        tables.ask(now, CORE, &key.as_name()).0.is_some()
    };
    let asked = (0..2_000).filter(|n| ask(&mut tables, ms(1), *n)).count();
    assert_eq!(asked as u64, QUESTIONS_MAX);
    assert!(ask(&mut tables, ms(1_000), 5_000));
    assert_eq!(tables.counts().held_back, 2_000 - QUESTIONS_MAX);
}

#[test]
fn a_look_up_that_fails_leaves_the_doubt() {
    let mut tables = known();
    let a = key("a");
    assert!(tables.doubt(ms(10), &a.as_name(), 5));
    tables.ask(ms(10), CORE, &a.as_name());
    let mut failed = TableEntry::clone(&table("a", 6, 1, &[row(0, 1, true)]));
    failed.standing = Standing::Unanswered { cause: "no".into() };
    assert!(tables.install(ms(11), Arc::new(failed)));
    assert_eq!(is_fresh(&tables, ms(12), "a"), Some(6), "for a moment");
    let later = ms(11 + PAUSE_MS);
    assert!(matches!(
        tables.find(later, &a.as_name()),
        Found::Due(Some(_))
    ));
    tables.ask(later, CORE, &a.as_name());
    assert!(tables.install(later, table("a", 7, 1, &[row(0, 1, true)])));
    assert_eq!(is_fresh(&tables, ms(100_000), "a"), Some(7));
}
