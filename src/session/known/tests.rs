use super::*;
use crate::base::put_lenenc_bytes;

fn state(system: &[(&str, &str)], user: &[(&str, &str)], schema: Option<&str>) -> Vec<u8> {
    let mut data = vec![];
    let separator = [("__NULL", "__NULL")];
    for (name, value) in system.iter().chain(&separator).chain(user) {
        put_lenenc_bytes(&mut data, name.as_bytes());
        put_lenenc_bytes(&mut data, value.as_bytes());
    }
    let mut state = vec![TRACK_VARIABLES];
    put_lenenc_bytes(&mut state, &data);
    if let Some(schema) = schema {
        let mut data = vec![];
        put_lenenc_bytes(&mut data, schema.as_bytes());
        state.push(TRACK_SCHEMA);
        put_lenenc_bytes(&mut state, &data);
    }
    state
}

fn learn(known: &mut Known, state: &[u8]) {
    let ok = OkPacket {
        affected: 0,
        last_insert_id: 0,
        status: 0x4022,
        warnings: 0,
        message: b"",
        state,
    };
    known.learn(&ok, true);
}

fn set(known: &Known, has: Has, carries: bool) -> String {
    both(&known.missing(has, carries, true, false))
}

/// The statements, one after the other.
fn both(missing: &Missing) -> String {
    let all = [&missing.system, &missing.user].into_iter().flatten();
    let all: Vec<_> = all.map(|text| String::from_utf8_lossy(text)).collect();
    all.join("; ")
}

#[test]
fn only_what_a_link_lacks_is_missing() {
    let mut known = Known::default();
    let nothing = Has::default();
    assert!(known.missing(nothing, false, true, false).is_empty());
    let first = [("autocommit", "OFF"), ("ob_query_timeout", "100")];
    learn(&mut known, &state(&first, &[("a", "'x'")], Some("d")));
    let all = "SET @@autocommit = 'OFF', @@ob_query_timeout = 100; SET @`a` = 'x'";
    assert_eq!(set(&known, nothing, false), all);
    assert_eq!(set(&known, nothing, true), "SET @`a` = 'x'");
    let database = known.missing(nothing, true, true, false).database;
    assert_eq!(database.as_deref(), Some(&b"d"[..]));
    let before = known.newest();
    assert!(known.missing(before, false, true, false).is_empty());
    // The same again is no change; the last change comes last.
    learn(&mut known, &state(&first, &[("a", "'x'")], Some("d")));
    assert_eq!(known.newest(), before);
    learn(&mut known, &state(&[("autocommit", "ON")], &[], None));
    assert_eq!(set(&known, before, false), "SET @@autocommit = 'ON'");
    let both = "SET @@ob_query_timeout = 100, @@autocommit = 'ON'; SET @`a` = 'x'";
    assert_eq!(set(&known, nothing, false), both);
}

#[test]
fn what_servers_report_by_themselves_is_no_state() {
    let mut known = Known::default();
    let reports = [
        ("ob_last_schema_version", "1"),
        ("ob_enable_transmission_checksum", "ON"),
        ("ob_proxy_partition_hit", "OFF"),
        ("_ob_proxy_session_temporary_table_used", "1"),
        ("ob_proxy_set_trx_executed", "ON"),
    ];
    learn(&mut known, &state(&reports, &[], None));
    assert_eq!(known.newest(), Has::default());
    let changed = [("ob_enable_transmission_checksum", "OFF")];
    learn(&mut known, &state(&changed, &[], None));
    assert_ne!(known.newest(), Has::default());
}

#[test]
fn a_dropped_database_cannot_be_told_to_a_link_that_has_one() {
    let mut known = Known::default();
    known.set_database(Some(b"d"));
    let has = known.newest();
    learn(&mut known, &state(&[], &[], Some("")));
    assert!(known.missing(has, true, true, false).is_beyond);
    assert!(known.missing(has, true, false, false).is_empty());
}

#[test]
fn an_option_goes_to_links_that_have_another() {
    let mut known = Known::default();
    let nothing = Has::default();
    assert_eq!(known.missing(nothing, true, true, false).option, None);
    known.set_option(1);
    assert_eq!(known.missing(nothing, true, true, false).option, Some(1));
    let has = known.newest();
    known.set_option(1);
    assert!(known.missing(has, true, true, false).is_empty());
    known.clear();
    // New links are told all the same.
    assert_eq!(known.missing(has, true, true, false).option, Some(1));
}

#[test]
fn info_is_kept_by_sub_type_and_sent_in_either_form() {
    let mut known = Known::default();
    let part = |kind: u16, bytes: &[u8]| {
        let mut out = vec![];
        put_tlv(&mut out, kind, bytes);
        out
    };
    let info = |known: &Known, has, is_new| {
        let mut out = vec![];
        known.put_info(&mut out, has, is_new, true);
        out
    };
    known.learn_info(&part(3, b"abc")).expect("taken");
    known.learn_info(&part(4, b"d")).expect("taken");
    let has = known.newest();
    assert_eq!(info(&known, has, true), b"");
    known.learn_info(&part(3, b"abc")).expect("taken");
    assert_eq!(info(&known, has, true), b"", "nothing new");
    known.learn_info(&part(3, b"x")).expect("taken");
    let only = part(entry::SESSION, &part(3, b"x"));
    assert_eq!(info(&known, has, true), only);
    let both = [part(3, b"x"), part(4, b"d")].concat();
    let both = part(entry::SESSION, &both);
    assert_eq!(info(&known, Has::default(), true), both);
    let old = info(&known, has, false);
    assert!(old.starts_with(b"\x16\x02\x00\xff\x08sess_inf\0"));
    assert!(known.learn_info(&[1, 0, 9, 0, 0, 0, 1]).is_err());
    known.learn_info(&part(7, b"0")).expect("taken");
    let mut out = vec![];
    known.put_info(&mut out, has, true, false);
    assert_eq!(out, only, "row_count() is left to the link");
}

#[test]
fn variables_that_no_literal_makes_again_are_told_once() {
    let mut known = Known::default();
    learn(&mut known, &state(&[], &[("n", "1")], None));
    assert_eq!(known.vague_variables(true), Vague::New);
    assert_eq!(known.vague_variables(true), Vague::No);
    // The same value, perhaps another type.
    learn(&mut known, &state(&[], &[("n", "1")], None));
    assert_eq!(known.vague_variables(true), Vague::New);
    learn(&mut known, &state(&[], &[("s", "'x'")], None));
    assert_eq!(known.vague_variables(false), Vague::No);
    let collation = [("collation_connection", "gbk_bin")];
    learn(&mut known, &state(&collation, &[], None));
    assert_eq!(known.vague_variables(false), Vague::Strings);
    // Nothing changed.
    learn(&mut known, &state(&collation, &[], None));
    assert_eq!(known.vague_variables(false), Vague::No);
}

#[test]
fn what_servers_tell_proxies_as_user_variables_is_no_state() {
    let mut known = Known::default();
    let told = [("ob_client_reroute_info", "x"), ("ob_client_feedback", "x")];
    learn(&mut known, &state(&[], &told, None));
    let missing = known.missing(Has::default(), false, true, false);
    assert!(missing.is_empty(), "{missing:?}");
    learn(&mut known, &state(&[], &[("ob_client", "1")], None));
    assert!(
        known
            .missing(Has::default(), false, true, false)
            .user
            .is_some()
    );
}

#[test]
fn strings_and_names_are_written_so_that_they_are_read_the_same() {
    let mut known = Known::default();
    let user = [("we``ird", r"'a\'b\\c'"), ("b`", "NULL"), ("n", "-1.50")];
    learn(&mut known, &state(&[("sql_mode", "A,'B")], &user, None));
    let text = |no_backslash| both(&known.missing(Has::default(), false, true, no_backslash));
    let want = r"SET @@sql_mode = 'A,''B'; SET @`we``ird` = 'a\'b\\c', @'b`' = NULL, @`n` = -1.50";
    assert_eq!(text(false), want);
    let want = r"SET @@sql_mode = 'A,''B'; SET @`we``ird` = 'a''b\c', @'b`' = NULL, @`n` = -1.50";
    assert_eq!(text(true), want);
}

#[test]
fn what_is_kept_is_bounded_and_a_cut_is_told() {
    let mut known = Known::default();
    let value = format!("'{}'", "v".repeat(100_000));
    for n in 0..20 {
        learn(&mut known, &state(&[], &[(&format!("v{n}"), &value)], None));
    }
    assert!(known.is_cut() && known.bytes <= KNOWN_BYTES_MAX);
    known.clear();
    assert!(!known.is_cut() && known.bytes == 0);
}
