//! Look-ups of tables: what is asked, what every core is sent, and what is not asked twice.

use super::*;
use obring::routing::{Doubted, TableEntry, TableKey, TableKind};

/// Name, tablet, id, number of partitions, version, server and role of a replica.
type Replica<'a> = (&'a str, u64, u64, u64, u64, u8, u8);

pub(super) fn replicas(list: &[Replica<'_>]) -> Vec<u8> {
    let columns = [
        "table_name",
        "tablet_id",
        "table_id",
        "part_num",
        "schema_version",
        "role",
        "replica_type",
        "dup_replica_type",
        "svr_ip",
        "sql_port",
    ];
    let row = |(name, tablet, id, parts, version, server, role): &Replica<'_>| {
        let ip = at(*server).ip().to_string();
        let numbers = [*tablet, *id, *parts, *version, u64::from(*role), 0, 0];
        let numbers = numbers.iter().map(u64::to_string);
        let front = std::iter::once((*name).to_owned()).chain(numbers);
        front.chain([ip, "2881".to_owned()]).collect()
    };
    table(&columns, &list.iter().map(row).collect::<Vec<_>>())
}

/// The keys of table 7: HASH(id).
fn info(version: u64) -> Vec<u8> {
    info_of(7, version, "5")
}

/// The key of a table: HASH(id), or KEY(id) if `id` is no number; its type by the kernel's number.
pub(super) fn info_of(id: u64, version: u64, type_number: &str) -> Vec<u8> {
    let method = if type_number == "5" { "0" } else { "1" };
    let values = [
        "1",
        method,
        "id",
        "0",
        "",
        "1",
        "id",
        type_number,
        "0",
        "0",
        "45",
        "",
        "-1",
        "20",
        "0",
        "",
    ];
    let id = std::iter::once(id.to_string());
    let values = values.iter().map(|v| (*v).to_owned());
    let row = id.chain(values).chain([version.to_string()]);
    table(&["c"; 18], &[row.collect()])
}

/// Two partitions with tablets 71 and 72.
fn parts() -> Vec<u8> {
    parts_of(2, 71)
}

/// Partitions with tablets from `first` on.
pub(super) fn parts_of(count: u64, first: u64) -> Vec<u8> {
    let row = |n: u64| {
        vec![
            n.to_string(),
            format!("p{n}"),
            (first + n).to_string(),
            String::new(),
        ]
    };
    table(
        &["part_id", "part_name", "tablet_id", "b"],
        &(0..count).map(row).collect::<Vec<_>>(),
    )
}

/// The column `id` of a table, as `__all_virtual_column` has it: an ENUM with these members.
pub(super) fn column_rows(table_id: u64, members: &str) -> Vec<u8> {
    column_row(table_id, ["32", "0", members, "0"])
}

/// The same with its type by the kernel's number, whether it can be NULL, members, and whether it
/// is AUTO_INCREMENT.
pub(super) fn column_row(table_id: u64, [kind, nullable, members, auto]: [&str; 4]) -> Vec<u8> {
    let values = ["id", kind, "4", "-1", "-1", nullable, "45", members, auto];
    let id = std::iter::once(table_id.to_string());
    let row = id.chain(values.map(str::to_owned));
    table(&["c"; 10], &[row.collect()])
}

pub(super) fn key(name: &str) -> Arc<TableKey> {
    Arc::new(TableKey {
        cluster: "ob1".into(),
        tenant: b"t2".as_slice().into(),
        database: b"d".as_slice().into(),
        name: name.as_bytes().into(),
    })
}

pub(super) fn find(rig: &mut Rig, core: u16, name: &str, wrong: u64) {
    doubt(rig, core, name, wrong, Doubted::Whole);
}

/// A core doubts one leaf.
pub(super) fn find_leaf(rig: &mut Rig, core: u16, name: &str, wrong: u64, leaf: u32) {
    doubt(rig, core, name, wrong, Doubted::leaf(leaf));
}

fn doubt(rig: &mut Rig, core: u16, name: &str, wrong: u64, doubted: Doubted) {
    rig.mail(Mail::FindTable {
        core: CoreId(core),
        key: key(name),
        wrong,
        doubted,
    });
}

/// What the last letter about a table said, on every core.
pub(super) fn known(rig: &Rig, name: &str) -> Arc<TableEntry> {
    let last = |mails: &Vec<Mail>| {
        let is = |mail: &Mail| match mail {
            Mail::Table(t) if *t.key.name == *name.as_bytes() => Some(t.clone()),
            _ => None,
        };
        // A letter that an answer led to is sent before those that the question came with.
        mails.iter().filter_map(is).max_by_key(|t| t.version)
    };
    let known: Vec<_> = rig.sent.iter().map(last).collect();
    let versions: Vec<_> = known
        .iter()
        .map(|k| k.as_ref().map(|k| k.version))
        .collect();
    assert!(versions.iter().all(|v| *v == versions[0]), "{versions:?}");
    known[0].clone().expect("something is known")
}

pub(super) fn questions(rig: &Rig, piece: &str) -> Vec<String> {
    let is_one = |q: &&String| q.contains(piece);
    rig.asked.iter().filter(is_one).cloned().collect()
}

pub(super) const FIRST: &str = "tablet_id = 0";
pub(super) const TABLETS: &str = "table_name, tablet_id) IN";

/// A cluster with tables `a` (one leaf, led by 1) and `h` (two leaves, led by 1 and 2).
pub(super) fn with_tables() -> Rig {
    let mut rig = ready();
    rig.answer(
        "version_comment",
        table(&["v"], &[vec!["OceanBase 4.3".into()]]),
    );
    rig.answer(
        FIRST,
        replicas(&[
            ("a", 0, 6, 1, 10, 1, 1),
            ("a", 0, 6, 1, 10, 2, 2),
            ("h", 0, 7, 2, 20, 1, 1),
        ]),
    );
    rig.answer("partition_info", info(20));
    rig.answer("__all_virtual_proxy_partition ", parts());
    // Who may not know is told of no column.
    rig.answer("__all_virtual_column", table(&["c"; 10], &[]));
    rig.answer(
        TABLETS,
        replicas(&[("h", 71, 7, 2, 20, 1, 1), ("h", 72, 7, 2, 20, 2, 1)]),
    );
    rig
}

#[test]
fn tables_of_a_database_are_looked_up_together_and_every_core_is_told() {
    let mut rig = with_tables();
    let answer = rig.take_answer("version_comment");
    for n in 0..200 {
        find(
            &mut rig,
            n % CORES,
            ["a", "h", "n", "A"][usize::from(n % 4)],
            0,
        );
    }
    assert!(
        questions(&rig, FIRST).is_empty(),
        "the first question hangs"
    );
    let link = *rig.links.keys().last().unwrap();
    rig.call(Input::Bytes(Side::Server(link), &answer));
    // The first look-up was of `a` alone; the others waited, and were one.
    let asked = questions(&rig, FIRST);
    assert!(asked[0].contains("table_name IN ('a')"), "{asked:?}");
    assert!(asked[1].contains("IN ('h', 'n', 'A')"), "{asked:?}");
    assert_eq!(asked.len(), 2);
    let a = known(&rig, "a");
    assert_eq!(a.locations.leader(0), Some(at(1)));
    assert_eq!(
        (a.standing.clone(), a.locations.servers()),
        (Standing::Known, &[at(1), at(2)][..])
    );
    let h = known(&rig, "h");
    assert_eq!((h.id, h.schema_version), (7, 20));
    assert_eq!(h.partitions.as_ref().map(|p| p.leaf_count()), Some(2));
    let leaders = [0, 1].map(|leaf| h.locations.leader(leaf));
    assert_eq!(leaders, [Some(at(1)), Some(at(2))]);
    assert_eq!(known(&rig, "n").standing, Standing::Absent);
    // Whoever asked before it had the answer gets it again, and nobody is asked.
    let before = rig.asked.len();
    find(&mut rig, 1, "h", 0);
    assert_eq!(rig.asked.len(), before);
}

#[test]
fn a_doubted_table_is_located_again_without_its_description() {
    let mut rig = with_tables();
    find(&mut rig, 0, "h", 0);
    let first = known(&rig, "h");
    find(&mut rig, 0, "h", first.version);
    let same = known(&rig, "h");
    assert!(same.version > first.version);
    assert!(
        Arc::ptr_eq(&same.locations, &first.locations),
        "nothing moved"
    );
    assert_eq!(questions(&rig, "partition_info").len(), 1);
    rig.answer(
        TABLETS,
        replicas(&[("h", 71, 7, 2, 20, 2, 1), ("h", 72, 7, 2, 20, 2, 1)]),
    );
    for core in 0..CORES {
        find(&mut rig, core, "h", same.version);
    }
    let moved = known(&rig, "h");
    assert_eq!(moved.locations.leader(0), Some(at(2)));
    assert_eq!(
        questions(&rig, TABLETS).len(),
        3,
        "one question for all cores"
    );
    assert_eq!(questions(&rig, "partition_info").len(), 1);
}

#[test]
fn a_table_that_changes_meanwhile_is_read_again() {
    let mut rig = with_tables();
    rig.answer("partition_info", info(21));
    find(&mut rig, 0, "h", 0);
    let standing = known(&rig, "h").standing.clone();
    assert!(
        matches!(standing, Standing::Unanswered { .. }),
        "{standing:?}"
    );
    rig.wait(1_100);
    assert_eq!(known(&rig, "h").standing, Standing::Forgotten);
    rig.answer("partition_info", info(20));
    find(&mut rig, 0, "h", 0);
    assert_eq!(known(&rig, "h").standing, Standing::Known);
}

#[test]
fn what_has_another_definition_is_looked_up_again_for_every_core() {
    let mut rig = with_tables();
    for name in ["a", "h", "n"] {
        find(&mut rig, 0, name, 0);
    }
    let versions = |rig: &Rig| ["a", "h", "n"].map(|name| known(rig, name).version);
    let first = versions(&rig);
    let redefined = |rig: &mut Rig, database: &str, name: &str| {
        let before = rig.asked.len();
        let mut key = TableKey::clone(&key(name));
        key.database = database.as_bytes().into();
        rig.mail(Mail::Redefined(Arc::new(key)));
        rig.asked.len() > before
    };
    // A server may take another spelling for the same table.
    assert!(redefined(&mut rig, "D", "H"));
    let second = versions(&rig);
    let is_newer = |n: usize| second[n] > first[n];
    assert_eq!([0, 1, 2].map(is_newer), [false, true, false]);
    // What nobody has asked for is of no interest.
    assert!(!redefined(&mut rig, "d", "unknown"));
    assert!(!redefined(&mut rig, "other", ""));
    // All of a database, with what was not there.
    assert!(redefined(&mut rig, "d", ""));
    let third = versions(&rig);
    assert!((0..3).all(|n| third[n] > second[n]), "{second:?} {third:?}");
}

#[test]
fn another_definition_is_looked_up_in_every_spelling() {
    let mut rig = with_tables();
    find(&mut rig, 0, "h", 0);
    find(&mut rig, 0, "H", 0);
    let first = ["h", "H"].map(|name| known(&rig, name).version);
    // A leader that moves is no other definition.
    let moved = replicas(&[("h", 71, 7, 2, 20, 2, 1), ("h", 72, 7, 2, 20, 2, 1)]);
    rig.answer(TABLETS, moved);
    find(&mut rig, 0, "h", first[0]);
    let second = ["h", "H"].map(|name| known(&rig, name).version);
    assert!(second[0] > first[0] && second[1] == first[1], "{second:?}");
    rig.answer(FIRST, replicas(&[("h", 0, 7, 2, 21, 1, 1)]));
    rig.answer("partition_info", info(21));
    let tablets = [("h", 71, 7, 2, 21, 1, 1), ("h", 72, 7, 2, 21, 2, 1)];
    rig.answer(TABLETS, replicas(&tablets));
    find(&mut rig, 0, "h", second[0]);
    let third = ["h", "H"].map(|name| known(&rig, name).version);
    assert!(third[0] > second[0] && third[1] > second[1], "{third:?}");
}

#[test]
fn absent_tables_are_remembered_for_a_short_time() {
    let mut rig = with_tables();
    for n in 0..20 {
        find(&mut rig, n % CORES, "n", 0);
    }
    assert_eq!(questions(&rig, FIRST).len(), 1);
    assert_eq!(known(&rig, "n").standing, Standing::Absent);
    rig.wait(2_100);
    assert_eq!(known(&rig, "n").standing, Standing::Forgotten);
    find(&mut rig, 0, "n", 0);
    assert_eq!(questions(&rig, FIRST).len(), 2);
    // A name that no table can have is not asked for, and a quote is doubled.
    find(&mut rig, 0, "a\0b", 0);
    assert_eq!(known(&rig, "a\0b").standing, Standing::Absent);
    find(&mut rig, 0, "it's", 0);
    assert!(questions(&rig, FIRST)[2].contains("('it''s')"));
    assert_eq!(questions(&rig, FIRST).len(), 3);
    // A back quote inside a name is doubled in the statement that names it.
    find(&mut rig, 0, "t``x", 0);
    assert!(questions(&rig, FIRST)[3].contains("('t`x')"));
}

#[test]
fn a_look_up_that_fails_keeps_what_was_known() {
    let mut rig = with_tables();
    find(&mut rig, 0, "a", 0);
    let first = known(&rig, "a");
    rig.answer(FIRST, error(4012));
    find(&mut rig, 0, "a", first.version);
    let kept = known(&rig, "a");
    assert!(matches!(kept.standing, Standing::Unanswered { .. }));
    assert_eq!(kept.locations.leader(0), Some(at(1)));
    rig.wait(10_000);
    assert_eq!(
        known(&rig, "a").version,
        kept.version,
        "it is not forgotten"
    );
}

#[test]
fn a_kernel_that_does_not_tell_has_its_tables_everywhere() {
    let mut rig = with_tables();
    rig.answer(FIRST, error(1054));
    find(&mut rig, 0, "a", 0);
    assert_eq!(known(&rig, "a").kind, TableKind::Everywhere);
}
