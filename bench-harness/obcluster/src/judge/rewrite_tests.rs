use super::*;

fn text(sql: &str) -> Text<'_> {
    Text::read(sql.as_bytes()).unwrap()
}

/// What EXPLAIN is asked about each row of an INSERT into `t (id, k, d)`, keys `k` and `d`, of
/// which `d` is a moment.
fn asked(sql: &str) -> Vec<String> {
    let all = ["id", "k", "d"].map(String::from);
    let keys = ["k", "d"].map(String::from);
    let moments = ["d"].map(String::from);
    let columns = Columns {
        all: &all,
        keys: &keys,
        moments: &moments,
        has_generated_key: false,
    };
    let text = text(sql);
    let insert = Insert::read(&text).unwrap_or_else(|| panic!("{sql}"));
    let Source::Rows(rows) = &insert.source else {
        return vec!["query".into()];
    };
    let each = rows
        .iter()
        .map(|row| match insert.row(&text, row, &columns) {
            Ok(row) => {
                let sql = String::from_utf8(row.sql).unwrap();
                if row.marks.is_empty() {
                    return sql;
                }
                format!("{sql} {:?} {:?}", row.marks, row.moments)
            }
            Err(reason) => format!("{reason:?}"),
        });
    each.collect()
}

#[test]
fn each_row_becomes_a_select() {
    for (sql, want) in [
        (
            "insert into t values (1, 'a''b', \"x\"), (2, f(1, 2), null)",
            vec![
                "INSERT INTO t (`id`, `k`, `d`) SELECT 1, 'a''b', \"x\"",
                "INSERT INTO t (`id`, `k`, `d`) SELECT 2, f(1, 2), null",
            ],
        ),
        (
            "/*+ h */ replace /*+ h */ low_priority `a`.`t` (`K`, t.d) value (1 /* c */ + 2, 3)",
            vec!["REPLACE INTO `a`.`t` (`k`, `d`) SELECT 1 /* c */ + 2, 3"],
        ),
        (
            "insert ignore t partition (p0, p1) set k=(1=2), d='2020-01-01' \
             on duplicate key update id=3",
            vec!["INSERT IGNORE INTO t partition (p0, p1) (`k`, `d`) SELECT (1=2), '2020-01-01'"],
        ),
        (
            "insert into t (id, k, d) values (?, ?, ?), (now(), ?, f(?, '1.5')) \
             on duplicate key update id=?",
            vec![
                "INSERT INTO t (`id`, `k`, `d`) SELECT ?, ?, ? [0, 1, 2] [2]",
                "Fraction",
            ],
        ),
        (
            "insert into t values (default, 1, 2)",
            vec!["INSERT INTO t (`k`, `d`) SELECT 1, 2"],
        ),
        ("insert into t (k, d) select 1, 2", vec!["query"]),
        ("insert into t (select 1, 2, 3)", vec!["query"]),
        (
            "insert into t with a as (select 1) select * from a",
            vec!["query"],
        ),
    ] {
        assert_eq!(asked(sql), want, "{sql}");
    }
}

#[test]
fn what_cannot_be_said_has_a_reason() {
    for (sql, want) in [
        ("insert into t (k, d) values (default, 1)", "Default"),
        ("insert into t (id, d) values (1, 1)", "Default"),
        ("insert into t () values ()", "Default"),
        ("insert into t (k, d) values (rand(), 1)", "Volatile"),
        ("insert into t (k, d) values (@a := 1, 1)", "Volatile"),
        (
            "insert into t (k, d) values (1, current_timestamp)",
            "Volatile",
        ),
        (
            "insert into t (k, d) values (1, '2020-01-01 00:00:00.5')",
            "Fraction",
        ),
        (
            "insert into t (k, d) values (1, 20200101000000.5)",
            "Fraction",
        ),
        ("insert into t (k, d) values (1)", "Rewrite"),
        ("insert into t values (1, 2)", "Rewrite"),
    ] {
        assert_eq!(asked(sql), [want], "{sql}");
    }
    for sql in [
        "insert",
        "insert into",
        "insert into t",
        "insert into t (a",
        "insert into t values",
        "insert into t values (1",
        "insert into t (f(a)) values (1)",
        "insert into t set a",
        "insert into t set",
        "insert into 'a' values (1)",
        "update t set a=1",
    ] {
        let read = Text::read(sql.as_bytes()).unwrap();
        let insert = Insert::read(&read);
        let is_empty = insert.is_some_and(|i| i.columns.is_some_and(|c| c.is_empty()));
        assert!(is_empty || Insert::read(&read).is_none(), "{sql}");
    }
}

#[test]
fn what_stands_behind_the_rows_may_read_tables() {
    let of = |sql: &str| Insert::read(&text(sql)).unwrap().has_query_behind;
    assert!(of(
        "insert into t values (1) on duplicate key update a=(select 1 from u)"
    ));
    assert!(!of(
        "insert into t values ((select 1)) on duplicate key update a=values(a)"
    ));
}
