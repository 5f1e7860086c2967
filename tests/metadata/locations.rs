//! Properties of the location cache: the metadata machine and the replicas of all cores together.

use super::tables::{
    FIRST, TABLETS, column_row, column_rows, find, find_leaf, info_of, key, known, parts_of,
    questions, replicas, with_tables,
};
use super::*;
use obring::routing::{Doubted, Found, TableKey, Tables};

#[test]
fn one_question_for_one_table_whoever_asks() {
    let mut rig = with_tables();
    let hanging = rig.take_answer(FIRST);
    // 64 sessions on each core; a core asks once.
    let mut cores: Vec<Tables> = (0..CORES).map(|_| Tables::default()).collect();
    let key = key("a");
    for n in 0..u64::from(CORES) * 64 {
        let core = CoreId((n % u64::from(CORES)) as u16);
        let tables = &mut cores[usize::from(core.0)];
        let now = Tick(rig.now + n);
        assert!(!matches!(tables.find(now, &key.as_name()), Found::Fresh(_)));
        if let (Some(mail), _) = tables.ask(now, core, &key.as_name()) {
            rig.mail(mail);
        }
    }
    let link = *rig.links.keys().last().unwrap();
    rig.call(Input::Bytes(Side::Server(link), &hanging));
    assert_eq!(questions(&rig, FIRST).len(), 1);
    let entry = known(&rig, "a");
    for tables in &mut cores {
        assert!(tables.install(Tick(rig.now), entry.clone()));
        assert_eq!(tables.counts().asked, 1);
    }
    let counts = rig.metadata.status()[0].table_lookups;
    assert_eq!(
        (counts.asked, counts.looked_up, counts.batches),
        (u64::from(CORES), 1, 1)
    );
}

/// A table of so many leaves, hashed by id: tablets 1000 and on.
fn with_large(leaves: u64, leader: impl Fn(u64) -> u8) -> Rig {
    let mut rig = with_tables();
    rig.answer(FIRST, replicas(&[("big", 0, 9, leaves, 30, 1, 1)]));
    rig.answer("partition_info", info_of(9, 30, "5"));
    rig.answer("__all_virtual_proxy_partition ", parts_of(leaves, 1_000));
    lead(&mut rig, leaves, leader);
    rig
}

fn lead(rig: &mut Rig, leaves: u64, leader: impl Fn(u64) -> u8) {
    let rows = (0..leaves).map(|n| ("big", 1_000 + n, 9, leaves, 30, leader(n), 1));
    rig.answer(TABLETS, replicas(&rows.collect::<Vec<_>>()));
}

/// The tablets that a question names.
fn tablets(question: &str) -> usize {
    question.matches("'big', ").count()
}

#[test]
fn a_miss_of_one_leaf_fetches_that_leaf_and_those_that_moved_with_it() {
    let mut rig = with_large(300, |n| (n % 3) as u8 + 1);
    find(&mut rig, 0, "big", 0);
    let first = known(&rig, "big");
    assert_eq!(first.locations.leaves().len(), 300);
    // Nothing has moved: one question, for one tablet.
    let before = rig.asked.len();
    find_leaf(&mut rig, 0, "big", first.version, 7);
    assert_eq!(rig.asked.len(), before + 1);
    assert_eq!(tablets(&rig.asked[before]), 1);
    let same = known(&rig, "big");
    assert!(Arc::ptr_eq(&same.locations, &first.locations));
    // Server 2 leads nothing any more: leaf 7 is read first, then the others that it led.
    lead(&mut rig, 300, |n| {
        if n % 3 == 1 { 3 } else { (n % 3) as u8 + 1 }
    });
    let before = rig.asked.len();
    find_leaf(&mut rig, 1, "big", same.version, 7);
    let counts: Vec<_> = rig.asked[before..].iter().map(|q| tablets(q)).collect();
    assert_eq!(counts, [1, 99]);
    let moved = known(&rig, "big");
    assert!(
        (0..300).all(|n| moved.locations.leader(n) == Some(at(if n % 3 == 0 { 1 } else { 3 })))
    );
    assert_eq!(
        moved.version,
        same.version + 2,
        "the first answer did not wait for the second"
    );
    let counts = rig.metadata.status()[0].table_lookups;
    assert_eq!((counts.of_leaves, counts.followed), (2, 99));
    // Another core asks about what was read meanwhile: nobody is asked.
    let before = rig.asked.len();
    find_leaf(&mut rig, 2, "big", same.version, 10);
    assert_eq!(rig.asked.len(), before);
    // About a leaf that there is not: everything is read.
    find_leaf(&mut rig, 2, "big", moved.version, 9_999);
    assert_eq!(tablets(&rig.asked[before]), 300);
    let before = rig.asked.len();
    let same = known(&rig, "big");
    // About a leaf that was not read since then.
    find_leaf(&mut rig, 2, "big", same.version, 0);
    assert_eq!(rig.asked.len(), before + 1);
    assert_eq!(tablets(&rig.asked[before]), 1);
}

#[test]
fn a_table_that_was_dropped_or_changed_is_seen_at_its_tablets() {
    let mut rig = with_large(4, |_| 1);
    find(&mut rig, 0, "big", 0);
    let first = known(&rig, "big");
    // ALTER TABLE: the rows have another version; everything is read again.
    rig.answer(FIRST, replicas(&[("big", 0, 9, 4, 31, 1, 1)]));
    rig.answer("partition_info", info_of(9, 31, "5"));
    let rows = [0, 1, 2, 3].map(|n| ("big", 1_000 + n, 9, 4, 31, 2, 1));
    rig.answer(TABLETS, replicas(&rows));
    find_leaf(&mut rig, 0, "big", first.version, 2);
    let second = known(&rig, "big");
    assert_eq!(second.schema_version, 31);
    assert!((0..4).all(|n| second.locations.leader(n) == Some(at(2))));
    // DROP TABLE: its tablets have no rows.
    rig.answer(FIRST, replicas(&[]));
    rig.answer(TABLETS, replicas(&[]));
    find_leaf(&mut rig, 0, "big", second.version, 2);
    assert_eq!(known(&rig, "big").standing, Standing::Absent);
}

#[test]
fn members_of_an_enum_are_asked_for_and_make_its_partitions_known() {
    let mut rig = with_tables();
    rig.answer(FIRST, replicas(&[("e", 0, 9, 4, 30, 1, 1)]));
    // KEY(id), id an ENUM.
    rig.answer("partition_info", info_of(9, 30, "32"));
    rig.answer("__all_virtual_proxy_partition ", parts_of(4, 1_000));
    rig.answer(
        TABLETS,
        replicas(&[0, 1, 2, 3].map(|n| ("e", 1_000 + n, 9, 4, 30, 1, 1))),
    );
    let facts = [vec!["1002".to_owned(), "MYSQL".to_owned()]];
    rig.answer_first("compatibility_mode", table(&["tenant_id", "c"], &facts));
    rig.answer(
        "__all_virtual_column",
        column_rows(9, "\x02\x03red\0\x04blue\0"),
    );
    find(&mut rig, 0, "e", 0);
    let asked = questions(&rig, "__all_virtual_column");
    assert!(
        asked[0].contains("tenant_id = 1002 AND table_id IN (9)"),
        "{asked:?}"
    );
    let entry = known(&rig, "e");
    let partitions = entry.partitions.as_ref().expect("a description");
    let members = &partitions.key_column(b"id").expect("the key").members;
    assert_eq!(*members, [b"red".to_vec(), b"blue".to_vec()]);
    // The tenant is asked for once a minute, not for each table.
    let before = questions(&rig, "compatibility_mode").len();
    find(&mut rig, 0, "e", entry.version);
    assert_eq!(questions(&rig, "compatibility_mode").len(), before);
}

#[test]
fn whether_the_server_fills_a_key_is_asked_for_and_else_not_known() {
    let described = |answer: Option<Vec<u8>>| {
        let mut rig = with_large(4, |_| 1);
        let facts = [vec!["1002".to_owned(), "MYSQL".to_owned()]];
        rig.answer_first("compatibility_mode", table(&["tenant_id", "c"], &facts));
        if let Some(answer) = answer {
            rig.answer("__all_virtual_column", answer);
        }
        find(&mut rig, 0, "big", 0);
        assert_eq!(questions(&rig, "autoincrement").len(), 1);
        let entry = known(&rig, "big");
        let partitions = entry.partitions.as_ref().expect("a description");
        let key = partitions.key_column(b"id").expect("the key");
        (key.is_nullable, key.is_auto)
    };
    for (auto, wanted) in [("1", true), ("0", false)] {
        let found = described(Some(column_row(9, ["5", "0", "", auto])));
        assert_eq!(found, (Some(false), Some(wanted)));
    }
    assert_eq!(described(None), (Some(false), None));
}

#[test]
fn a_table_of_an_oracle_tenant_is_not_described() {
    let mut rig = with_large(4, |_| 1);
    let facts = [vec!["1002".to_owned(), "ORACLE".to_owned()]];
    rig.answer_first("compatibility_mode", table(&["tenant_id", "c"], &facts));
    find(&mut rig, 0, "big", 0);
    let entry = known(&rig, "big");
    assert!(entry.partitions.is_none() && entry.locations.leader(3) == Some(at(1)));
}

#[test]
fn memory_has_its_limit_and_what_nobody_asks_for_makes_room() {
    let mut rig = with_tables();
    rig.settings(|s| s.tables_bytes_max = 20 * 1_024);
    for n in 0..100 {
        let name: &'static str = Box::leak(format!("m{n}").into_boxed_str());
        rig.answer(FIRST, replicas(&[(name, 0, n, 1, 10, 1, 1)]));
        find(&mut rig, 0, name, 0);
        // One of them is in use all the time.
        rig.answer(FIRST, replicas(&[("m0", 0, 0, 1, 10, 1, 1)]));
        find(&mut rig, 1, "m0", 0);
    }
    let counts = rig.metadata.status()[0].table_lookups;
    assert!(
        counts.bytes <= 20 * 1_024 && counts.tables < 20,
        "{counts:?}"
    );
    assert!(counts.evicted >= 100 - counts.tables, "{counts:?}");
    assert_eq!(known(&rig, "m0").standing, Standing::Known);
    assert_eq!(
        known(&rig, "m1").standing,
        Standing::Forgotten,
        "every core forgets it"
    );
}

#[test]
fn used_tables_of_the_last_run_are_looked_up_at_the_first_login_of_their_tenant() {
    let mut rig = Rig::new(&[1], &[1, 2]);
    let names = ["a", "b", "c"];
    let mut other = TableKey::clone(&key("x"));
    other.tenant = b"other".as_slice().into();
    let keys = names.map(|name| TableKey::clone(&key(name)));
    rig.metadata
        .remember(keys.into_iter().chain([other]).collect());
    rig.answer(
        "version_comment",
        table(&["v"], &[vec!["OceanBase 4.3".into()]]),
    );
    rig.answer(
        FIRST,
        replicas(&[("a", 0, 1, 1, 9, 1, 1), ("b", 0, 2, 1, 9, 2, 1)]),
    );
    rig.call(Input::Wake);
    assert!(questions(&rig, FIRST).is_empty(), "nobody has logged in");
    rig.answer("'t2'", tenant_servers(&[1]));
    rig.find(0, "t2", 0);
    let asked = questions(&rig, FIRST);
    assert_eq!(asked.len(), 1, "{asked:?}");
    assert!(asked[0].contains("IN ('a', 'b', 'c')"), "{asked:?}");
    assert_eq!(
        known(&rig, "b").locations.leader(0),
        Some(at(2)),
        "on every core"
    );
    assert_eq!(
        known(&rig, "c").standing,
        Standing::Absent,
        "it was dropped"
    );
    let hot = |rig: &Rig| rig.metadata.asked_since(Tick(0)).count();
    assert_eq!(hot(&rig), 0, "no statement has used one");
    find(&mut rig, 0, "a", 0);
    assert_eq!(hot(&rig), 1);
    rig.find(1, "t2", 0);
    assert_eq!(questions(&rig, FIRST).len(), 1);
}

/// A letter under way.
struct UnderWay {
    due: u64,
    core: usize,
    mail: Mail,
}

/// The leader of every leaf moves each second, and every core sends a statement to every leaf each
/// 100 us. A look-up takes 1 ms, a letter between cores 100 us.
#[test]
fn leaders_that_move_cost_few_misses_and_few_look_ups() {
    const LEAVES: u64 = 3;
    const MOVES: u64 = 20;
    const STEP_US: u64 = 100;
    const LOOK_UP_US: u64 = 1_000;
    let leader = |moves: u64| move |leaf: u64| ((leaf + moves) % 3) as u8 + 1;
    let mut rig = with_large(LEAVES, leader(0));
    let mut cores: Vec<Tables> = (0..CORES).map(|_| Tables::default()).collect();
    let name = key("big");
    find(&mut rig, 0, "big", 0);
    for tables in &mut cores {
        tables.install(Tick(rig.now), known(&rig, "big"));
    }
    let (start, asked_before) = (rig.now, questions(&rig, TABLETS).len());
    let mut seen = rig.sent.iter().map(Vec::len).collect::<Vec<_>>();
    let mut under_way: Vec<UnderWay> = vec![];
    let (mut misses, mut statements, mut late) = (0_u64, 0_u64, 0_u64);
    let mut moves = 0;
    while moves < MOVES {
        rig.now += STEP_US;
        let now = Tick(rig.now);
        let second = (rig.now - start) / 1_000_000;
        if second > moves {
            moves = second;
            lead(&mut rig, LEAVES, leader(moves));
        }
        for letter in under_way
            .extract_if(.., |l| l.due <= now.0)
            .collect::<Vec<_>>()
        {
            match letter.mail {
                Mail::Table(entry) => {
                    cores[letter.core].install(now, entry);
                }
                mail => {
                    rig.mail(mail);
                    // What it answered was true at this moment, and arrives later.
                    for (core, count) in seen.iter_mut().enumerate() {
                        for mail in rig.sent[core].split_off(*count) {
                            let due = now.0 + LOOK_UP_US + STEP_US;
                            under_way.push(UnderWay { due, core, mail });
                        }
                    }
                }
            }
        }
        for (core, tables) in cores.iter_mut().enumerate() {
            for leaf in 0..LEAVES as u32 {
                statements += 1;
                let (entry, is_due) = match tables.find(now, &name.as_name()) {
                    Found::Fresh(entry) => (entry.clone(), false),
                    Found::Due(Some(entry)) => (entry.clone(), true),
                    Found::Asked {
                        stale: Some(entry), ..
                    } => (entry.clone(), false),
                    other => panic!("{other:?}"),
                };
                let is_miss = entry.locations.leader(leaf) != Some(at(leader(moves)(leaf.into())));
                let since_move = (rig.now - start) % 1_000_000;
                misses += u64::from(is_miss);
                late += u64::from(is_miss && moves > 0 && since_move > 50_000);
                let doubted =
                    is_miss && tables.doubt_leaf(now, &name.as_name(), entry.version, leaf);
                if doubted || is_due {
                    let (mail, _) = tables.ask(now, CoreId(core as u16), &name.as_name());
                    let due = now.0 + STEP_US;
                    under_way.extend(mail.map(|mail| UnderWay { due, core, mail }));
                }
            }
        }
    }
    let asked = (questions(&rig, TABLETS).len() - asked_before) as u64;
    // A look-up and two letters are 13 steps; what is sent meanwhile goes to the old leader. Leaves
    // that move to different places are found out one after the other.
    let in_flight = LEAVES * 13 * u64::from(CORES) * LEAVES;
    let bound = MOVES * (LEAVES * u64::from(CORES) + in_flight);
    assert!(
        misses > 0 && misses <= bound,
        "{misses} misses of {statements}, bound {bound}"
    );
    assert_eq!(late, 0, "no statement goes to the old leader after 50 ms");
    let per_move = asked as f64 / MOVES as f64;
    assert!(
        asked >= MOVES && per_move <= (LEAVES * 2) as f64,
        "{asked} questions"
    );
}

#[test]
fn what_is_doubted_is_what_is_asked_for() {
    let mut rig = with_large(8, |_| 1);
    find(&mut rig, 0, "big", 0);
    let entry = known(&rig, "big");
    let mut tables = Tables::default();
    tables.install(Tick(rig.now), entry.clone());
    let name = key("big");
    for leaf in [3, 5] {
        assert!(tables.doubt_leaf(Tick(rig.now), &name.as_name(), entry.version, leaf));
    }
    let (mail, _) = tables.ask(Tick(rig.now), CoreId(0), &name.as_name());
    let Some(Mail::FindTable { doubted, .. }) = &mail else {
        panic!("{mail:?}");
    };
    assert!(doubted.covers(&Doubted::leaf(3)) && !doubted.covers(&Doubted::leaf(4)));
    let before = rig.asked.len();
    rig.mail(mail.unwrap());
    assert_eq!(tablets(&rig.asked[before]), 2);
}
