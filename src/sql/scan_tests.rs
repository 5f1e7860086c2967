//! What scans find, as a table of texts.

use super::*;
use std::fmt::Write as _;

/// An expression as an S-expression.
fn show(scan: &Scan, text: &[u8], id: NodeId) -> String {
    let written = |span: Span| String::from_utf8_lossy(span.of(text)).into_owned();
    let list = |name: &str, first: NodeId| {
        let mut all = format!("({name}");
        for child in scan.tree.children(first) {
            let _ = write!(all, " {}", show(scan, text, child));
        }
        all + ")"
    };
    match scan.tree.get(id) {
        Expr::Unknown => "??".into(),
        Expr::Null => "null".into(),
        Expr::True => "true".into(),
        Expr::False => "false".into(),
        Expr::Default => "default".into(),
        Expr::Int(s) | Expr::Decimal(s) | Expr::Float(s) | Expr::Text(s) => written(s),
        Expr::Hex(s) | Expr::Bit(s) | Expr::UserVariable(s) | Expr::SystemVariable(s) => written(s),
        Expr::Column(s) => written(s),
        Expr::Type(s) => format!("<{}>", written(s)),
        Expr::Temporal(kind, s) => format!("{kind:?}{}", written(s)),
        Expr::Param(n) => format!("?{n}"),
        Expr::Call(name, first) => list(&written(name), first),
        Expr::Interval(first) => list("interval", first),
        Expr::Case(first) => list("case", first),
        Expr::Row(first) => list("row", first),
        Expr::Negate(inner) => list("-", inner),
        Expr::BitNot(inner) => list("~", inner),
        Expr::Arithmetic(op, first) => list(&format!("{op:?}"), first),
        Expr::Compare(op, first) => list(&format!("{op:?}"), first),
        Expr::In(first) => list("in", first),
        Expr::Between(first) => list("between", first),
        Expr::IsNull(inner) => list("isnull", inner),
        Expr::And(first) => list("and", first),
        Expr::Or(first) => list("or", first),
        Expr::Not(inner) => list("not", inner),
    }
}

fn scan(text: &[u8], syntax: Syntax) -> Scan {
    let mut scan = Scan::default();
    scan.read(text, syntax, true);
    scan
}

/// Tables as `name[/alias][@block][~]`, conditions as `tables:expression`, with `!` at tables that
/// only NULL-rejecting parts restrict, then facts.
fn summary(text: &str) -> String {
    let scan = scan(text.as_bytes(), Syntax::default());
    let bytes = text.as_bytes();
    let written = |span: Span| String::from_utf8_lossy(span.of(bytes)).into_owned();
    let mut all = format!("{:?}", scan.verb);
    for table in &scan.tables {
        let _ = write!(all, " {}", written(table.name));
        if !table.alias.is_empty() {
            let _ = write!(all, "/{}", written(table.alias));
        }
        if table.block > 0 {
            let _ = write!(all, "@{}", table.block);
        }
        if table.origin == Origin::Derived {
            all.push('~');
        }
        for name in scan.names(table.partitions) {
            let _ = write!(all, "#{}", written(*name));
        }
    }
    for condition in &scan.conditions {
        all.push(' ');
        for table in 0..scan.tables.len() {
            if condition.plain >> table & 1 == 1 {
                let _ = write!(all, "{table}");
            }
            if condition.rejecting >> table & 1 == 1 {
                let _ = write!(all, "{table}!");
            }
        }
        let _ = write!(all, ":{}", show(&scan, bytes, condition.root));
    }
    if let Some(insert) = scan.insert {
        let columns = insert.columns.map(|c| scan.names(c));
        if let Some(columns) = columns {
            let columns: Vec<_> = columns.iter().map(|c| written(*c)).collect();
            let _ = write!(all, " ({})", columns.join(","));
        }
        let (Rows::Values(first) | Rows::Select(first)) = insert.rows;
        for row in scan.tree.children(first) {
            let _ = write!(all, " {}", show(&scan, bytes, row));
        }
    }
    let facts = scan.facts;
    for (is_so, name) in [
        (facts.is_locking, "locking"),
        (facts.is_multi, "multi"),
        (facts.is_broken, "broken"),
        (facts.is_cut, "cut"),
        (facts.hides_tables, "hides"),
    ] {
        if is_so {
            let _ = write!(all, " +{name}");
        }
    }
    all
}

/// `scan_cases.txt`: a statement, and behind blanks its [`summary`].
#[test]
fn statements_are_read_as_the_cases_say() {
    let lines = include_str!("scan_cases.txt").lines();
    let mut lines = lines.filter(|l| !l.is_empty() && !l.starts_with('#'));
    let mut count = 0;
    while let Some(text) = lines.next() {
        let text = match text {
            "(nothing)" => String::new(),
            text => text.replace("\\n", "\n").replace("\\x01", "\x01"),
        };
        let want = lines.next().and_then(|l| l.strip_prefix("    "));
        assert_eq!(summary(&text), want.expect("a summary"), "{text}");
        count += 1;
    }
    assert!(count > 120, "{count}");
}

#[test]
fn the_short_way_finds_what_the_long_one_finds() {
    const PARTS: &[&str] = &[
        "select",
        "SELECT",
        "c",
        "k",
        "sbtest1",
        "id",
        "from",
        "FROM",
        "where",
        "WHERE",
        "=",
        "=5",
        "12345",
        "12345678",
        "1.5",
        "1e3",
        "5x",
        ",",
        "*",
        "(",
        ")",
        "t.k",
        "`k`",
        "dual",
        "_x",
        "a_long_name",
        "eightlen",
        "and",
        "or",
        "not",
        "limit 1",
        "for update",
        ";",
        "\u{e9}t",
        "?",
        "'x'",
        "x'1f'",
        "/*c*/",
        "-- c\n",
        "#",
        "found_rows",
        "distinct",
        "union",
        "as",
        "@v",
        "in",
        "between",
        "<",
        "+",
        "-",
        "$k",
        "is null",
        "on",
        "join",
        "current_timestamp",
        "null",
    ];
    const USUAL: &[&str] = &[
        "select", "c", "from", "sbtest1", "where", "id", "=", "12345",
    ];
    let mut rng = crate::base::Rng::new(7);
    let (mut short, mut long) = (Scan::default(), Scan::default());
    let (mut compared, mut points) = (0, 0);
    for _ in 0..20_000 {
        let mut words: Vec<&str> = USUAL.to_vec();
        for _ in 0..rng.below(4) {
            let at = rng.below(words.len() as u64) as usize;
            let part = PARTS[rng.below(PARTS.len() as u64) as usize];
            match rng.below(3) {
                0 => words[at] = part,
                1 => words.insert(at, part),
                _ => words.push(part),
            }
        }
        let between = ["", " ", " ", " ", "  ", "\n"];
        let mut text = String::new();
        for word in words {
            text += word;
            text += between[rng.below(between.len() as u64) as usize];
        }
        for charset in [Charset::Plain, Charset::Sjis] {
            let syntax = Syntax {
                charset,
                ..Syntax::default()
            };
            short.read(text.as_bytes(), syntax, true);
            long.read_at_length(text.as_bytes(), syntax);
            // What is known of a name, and of a point, is known by the short way only.
            short.tables.iter_mut().for_each(|t| t.is_bare = false);
            if let Some(point) = short.point.take() {
                points += 1;
                assert_eq!(long.only_equality(), Some(point), "{text}");
            }
            assert_eq!(format!("{short:?}"), format!("{long:?}"), "{text}");
        }
        compared += usize::from(short.conditions.len() == 1);
    }
    assert!(compared > 2_000 && points > 50, "{compared} {points}");
}

#[test]
fn the_syntax_of_the_session_counts() {
    let gbk = Syntax {
        charset: Charset::Gbk,
        ..Syntax::default()
    };
    let text = b"select * from kv where v='\xbf\x5c' and id=5";
    assert_eq!(scan(text, gbk).conditions.len(), 1);
    assert!(scan(text, Syntax::default()).facts.is_broken);
    let ansi = Syntax {
        ansi_quotes: true,
        pipes_as_concat: true,
        ..Syntax::default()
    };
    let text = b"select 1 from \"t\" where \"k\" = 'a' || 'b'";
    let found = scan(text, ansi);
    let root = show(&found, text, found.conditions[0].root);
    assert_eq!(root, "(Equal \"k\" (Concat 'a' 'b'))");
}

#[test]
fn settings_names_and_arguments_are_kept() {
    let assigned = |text: &str| {
        let found = scan(text.as_bytes(), Syntax::default());
        let one = |a: &Assignment| {
            let name = String::from_utf8_lossy(a.name.of(text.as_bytes())).into_owned();
            format!(
                "{:?} {name}={}",
                a.scope,
                show(&found, text.as_bytes(), a.value)
            )
        };
        found
            .assignments
            .iter()
            .map(one)
            .collect::<Vec<_>>()
            .join("; ")
    };
    for (text, want) in [
        ("set autocommit=0", "Session autocommit=0"),
        (
            "set autocommit = on, @@session.a := 5, global b=c",
            "Session autocommit=on; Session a=5; Global b=c",
        ),
        ("set @v = 'x', @@c=default", "User v='x'; Bare c=default"),
        (
            "set names utf8mb4 collate 'utf8mb4_bin'",
            "Session names=utf8mb4; Session collate='utf8mb4_bin'",
        ),
        ("set names 'gbk';", "Session names='gbk'"),
        ("set character set utf8mb4", "Session set=utf8mb4"),
        ("set transaction isolation level read committed", ""),
        ("set a = f(1, 2) b, c=3", "Session a=??; Session c=3"),
    ] {
        assert_eq!(assigned(text), want, "{text}");
    }
    for (text, subject, arguments) in [
        ("use `db`", "`db`", vec![]),
        ("call d.p(1, 'x', @v)", "d.p", vec!["1", "'x'", "@v"]),
        ("prepare s from 'select 1'", "s", vec!["'select 1'"]),
        ("execute s using @a,@b", "s", vec!["@a", "@b"]),
        ("deallocate prepare s", "s", vec![]),
        ("savepoint sp", "sp", vec![]),
    ] {
        let found = scan(text.as_bytes(), Syntax::default());
        let list: Vec<_> = found.tree.children(found.arguments.0).collect();
        let list: Vec<_> = list
            .iter()
            .map(|n| show(&found, text.as_bytes(), *n))
            .collect();
        assert_eq!(
            found.subject.of(text.as_bytes()),
            subject.as_bytes(),
            "{text}"
        );
        assert_eq!(list, arguments, "{text}");
    }
    let facts = |text: &str| scan(text.as_bytes(), Syntax::default()).facts;
    assert!(facts("select last_insert_id()").asks_last_insert_id);
    assert!(facts("select found_rows()").asks_last_result);
    assert!(facts("select 1 where row_count()=1").asks_last_result);
    assert!(facts("select connection_id()").asks_connection_id);
    assert!(facts("do release_all_locks()").uses_locks);
    assert!(facts("select @a").has_user_variables && facts("select @@a").has_system_variables);
    assert!(facts("start transaction read only").is_read_only);
    assert!(facts("create temporary table t (a int)").is_temporary);
    let hinted = scan(b"select /*c*/ /*+ query_timeout(9) */ 1", Syntax::default());
    assert_eq!(hinted.hints.query_timeout_us, Some(9));
    let inner = scan(
        b"select (select /*+ query_timeout(9) */ 1)",
        Syntax::default(),
    );
    assert_eq!(inner.hints.query_timeout_us, None);
}

#[test]
fn definitions_name_their_tables() {
    for (text, want) in [
        ("create table a (k int)", "a"),
        ("create table if not exists d.a like b", "d.a"),
        ("drop table a, d.b, `c`", "a d.b `c`"),
        ("drop view if exists v, w", "v w"),
        ("create or replace view v as select * from t", "v"),
        (
            "create algorithm = merge definer = u@h sql security invoker view v as select 1",
            "v",
        ),
        ("truncate a", "a"),
        ("truncate table a", "a"),
        ("rename table a to b, c to d.e", "a b c d.e"),
        ("rename user a to b", ""),
        ("alter table a rename to b", "a b"),
        ("alter table a add column x int, rename b", "a b"),
        (
            "alter table a rename column x to y, rename index i to j",
            "a",
        ),
        ("alter table a exchange partition p with table b", "a b"),
        (
            "alter table a add partition (partition p values less than (5))",
            "a",
        ),
        ("create unique index i on a (k)", "a"),
        ("drop index i on a", "a"),
        ("drop database d", "database d"),
        ("create schema if not exists `d`", "database `d`"),
        ("create user u identified by 'x'", ""),
        ("drop table", ""),
        ("alter system major freeze", ""),
    ] {
        let found = scan(text.as_bytes(), Syntax::default());
        assert_eq!(found.verb, Verb::Ddl, "{text}");
        let of = |span: &Span| String::from_utf8_lossy(span.of(text.as_bytes())).into_owned();
        let mut names: Vec<_> = found.tables.iter().map(|t| of(&t.name)).collect();
        if !found.subject.is_empty() {
            names.push(format!("database {}", of(&found.subject)));
        }
        assert_eq!(names.join(" "), want, "{text}");
    }
}

#[test]
fn a_text_that_goes_on_is_cut() {
    let mut found = Scan::default();
    found.read(b"select * from t where k=1", Syntax::default(), false);
    assert!(!found.is_whole() && found.tables.len() == 1);
    found.read(b"select * from t where k=1", Syntax::default(), true);
    assert!(found.is_whole());
}

#[test]
fn single_expressions_are_read() {
    let mut found = Scan::default();
    let text = b"substr(`src`,2,3)";
    let root = found.read_expression(text).unwrap();
    assert_eq!(show(&found, text, root), "(substr `src` 2 3)");
    assert!(found.read_expression(b"a, b").is_none());
    assert!(
        found
            .read_expression(b"")
            .is_some_and(|n| found.tree.get(n) == Expr::Unknown)
    );
    let text = b"k1 = 5, k2 = 'x'";
    let first = found.read_conditions(text);
    let all: Vec<_> = found.tree.children(first).collect();
    assert_eq!(all.len(), 2);
    assert!(found.read_conditions(b"k1 = 5; x").is_none());
}

/// Length of hostile statements: debug builds are slow.
const BYTES: usize = if cfg!(debug_assertions) {
    1 << 17
} else {
    1 << 20
};

/// Statements that are long or deep.
fn hostile(bytes: usize) -> Vec<Vec<u8>> {
    let repeat = |head: &str, part: &str, tail: &str| {
        let count = bytes / part.len();
        [head, &part.repeat(count), tail].concat().into_bytes()
    };
    vec![
        repeat("select * from t where k in (1", ",1234567890123456789", ")"),
        repeat(
            "insert into t values (1,2)",
            ",(12345,'abcdefghijklmnopqrstuvwxyz',0.5,null)",
            "",
        ),
        repeat("select * from t where ", "(", ""),
        repeat("select ", "(", ""),
        repeat("select * from ", "(", ""),
        repeat("select * from t where ", "((select 1 from t where ", ""),
        repeat("select * from t where k=1 ", "and k=1 ", ""),
        repeat("select * from t where k=1", "+1", ""),
        repeat("select * from t where k", "=1", ""),
        repeat("select * from t where ", "not ", "k=1"),
        repeat("select * from t where k=", "-", "1"),
        repeat("select * from t where ", "case when ", ""),
        repeat("select * from t where k=f", "(f", ""),
        repeat("select * from t where k='", "a\\'", ""),
        repeat("select * from t where k='", "a''", "'"),
        repeat("select /*", " /*", ""),
        repeat("select ", "/**/", "1"),
        repeat("select ", "/*!1", "1"),
        repeat("select * from t", ",t", ""),
        repeat("select * from t", " join t on 1", ""),
        repeat("select * from t", " left join t", ""),
        repeat(
            "with a as (select 1)",
            ",a as (select 1 from a)",
            "select * from a",
        ),
        repeat("select 1", " union select 1", ""),
        repeat("select ", "(select 1),", "1"),
        repeat("set a=1", ",b=2", ""),
        repeat("", "_x ", "'"),
        repeat("select ", "`a`.", "b"),
        repeat("select @@", "a.", "b"),
        repeat("select 0x", "f", "g"),
        repeat("/*", "odp:a=b,", "*/"),
        repeat("select /*+", " a(b)", "*/ 1"),
        repeat("select 1", ";", ""),
    ]
}

/// CPU time of this thread so far: what else runs on the machine is not in it.
fn cpu_seconds() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

#[test]
fn a_megabyte_of_anything_is_read_in_linear_time() {
    let mut found = Scan::default();
    let mut worst: f64 = 0.0;
    for (text, part) in hostile(BYTES).into_iter().zip(hostile(BYTES / 32)) {
        for charset in [Charset::Plain, Charset::Gbk] {
            let syntax = Syntax {
                charset,
                ..Syntax::default()
            };
            // A thirty-second part of it takes about a thirty-second part of the time.
            let mut took = |text: &[u8]| {
                let mut best = f64::MAX;
                for _ in 0..3 {
                    let start = cpu_seconds();
                    found.read(text, syntax, true);
                    best = best.min(cpu_seconds() - start);
                }
                best
            };
            let part = took(&part);
            let whole = took(&text);
            let ratio = whole / part.max(1e-5) / 32.0;
            let head = String::from_utf8_lossy(&text[..40]).into_owned();
            assert!(ratio < 12.0, "{head}: {whole} s, {ratio} times linear");
            worst = worst.max(ratio);
        }
    }
    println!("worst: {worst:.1} times linear");
}

#[test]
fn any_bytes_are_read() {
    // Every prefix of a statement with everything in it, and every prefix with one byte changed.
    let text = "with q as (select k from t1 where a=_gbk'x\\'' 'y') insert into d.`t` (a,b) \
                values (1.5e3,x'1f'),(@@a.b,@v) /*!1 x*/ -- c\n on duplicate key update a=?; \
                update t set a=(select case when 1 then 2 end) where (a,b) in ((1,2)) and k \
                between date'2020-01-01' and interval 1 day # z";
    let mut found = Scan::default();
    for len in 0..=text.len() {
        for charset in [Charset::Plain, Charset::Gbk, Charset::Big5, Charset::Sjis] {
            let syntax = Syntax {
                charset,
                ..Syntax::default()
            };
            found.read(&text.as_bytes()[..len], syntax, true);
            for byte in [
                0, b'(', b')', b'\'', b'\\', b'`', b'.', b'*', 0x81, 0xff, b'e',
            ] {
                let mut changed = text.as_bytes()[..len].to_vec();
                if let Some(last) = changed.last_mut() {
                    *last = byte;
                }
                changed.extend_from_slice(&text.as_bytes()[len..]);
                found.read(&changed, syntax, true);
            }
        }
    }
}

#[test]
fn a_statement_costs_no_allocation_after_the_first() {
    let mut found = Scan::default();
    let texts = [
        "select c from sbtest1 where id=12345",
        "/*ODP: trace_id=x*/ with q as (select 1) update a join b on a.k=b.k set a.x='y' \
         where (a.k, b.k) in ((1,2),(3,4)) or a.k between 1 and 2",
        "insert into t (a, b) values (1, 'x'), (2, 'y') on duplicate key update a=1",
    ];
    for text in texts {
        found.read(text.as_bytes(), Syntax::default(), true);
    }
    let count = allocation_counter::measure(|| {
        for text in texts {
            found.read(text.as_bytes(), Syntax::default(), true);
        }
    });
    assert_eq!(count.count_total, 0);
}
