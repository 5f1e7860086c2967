//! Cases about what a statement touches: the calculation's answers for tables as the kernel
//! describes them, against those of the reference server; then where the same statements run.

use super::leaders::led;
use super::{Case, DB, Field, check};
use crate::checks::Saw;
use crate::partcheck::describe_live;
use crate::raw::{Conn, Login};
use obring::partition::{Context, Request, Table, Value, leaves};
use obring::sql::{Scan, Syntax};

/// What is found of one statement.
struct Found {
    leaves: Vec<u32>,
    is_locking: bool,
}

fn find(table: &Table, text: &str, params: &[Option<Value<'_>>]) -> Result<Found, String> {
    let mut scan = Scan::default();
    scan.read(text.as_bytes(), Syntax::default(), true);
    let context = Context {
        params,
        ..Context::default()
    };
    let request = Request {
        text: text.as_bytes(),
        scan: &scan,
        tables: &[Some(table)],
        context: &context,
    };
    let answer = leaves(&request, 0).ok_or_else(|| format!("{text}: no table is found"))?;
    Ok(Found {
        leaves: answer.leaves.iter().collect(),
        is_locking: scan.facts.is_locking,
    })
}

fn table(f: &Field, name: &str) -> Result<Table, String> {
    let mut conn = Conn::login(f.setup.kernel, &Login::default())?;
    conn.run(&format!("use {DB}"))?;
    describe_live(&mut conn, name)
}

/// Each condition on a table of 16 leaves, and its leaves; none: all.
fn sets(f: &Field, name: &str, cases: &[(&str, &[u32])]) -> Saw {
    let table = table(f, name)?;
    let mut texts = vec![];
    for (condition, want) in cases {
        let text = format!("select * from {name} pt where {condition}");
        let want = match want {
            [] => (0..16).collect(),
            some => some.to_vec(),
        };
        let found = find(&table, &text, &[])?.leaves;
        if found != want {
            return Err(format!("{condition}: {found:?}, and not {want:?}"));
        }
        texts.push(text);
    }
    let led = led(f, &texts, None, false)?;
    Ok(format!("{} conditions, {led}", cases.len()))
}

/// Statements on `kv` whose key is 5.
fn fives(f: &Field, texts: &[String], is_locking: bool) -> Saw {
    let table = table(f, "kv")?;
    let params = [Some(Value::Int(5))];
    for text in texts {
        let found = find(&table, text, &params)?;
        if found.leaves != [5] || found.is_locking != is_locking {
            let head: String = text.chars().take(60).collect();
            return Err(format!(
                "{head}: {:?}, locking {}",
                found.leaves, found.is_locking
            ));
        }
    }
    // A locking read is strong wherever it stands.
    led(f, texts, Some(5), is_locking)
}

pub(super) const CASES: &[Case] = &[
    check("F040", "a key far behind in the text", |f| {
        let list: Vec<_> = (0..900).map(|n| format!("'{n:08}'")).collect();
        let long = format!("select * from kv where v in ({}) and id=", list.join(","));
        let comment = format!("/* {} */", "x".repeat(10 << 10));
        let value = "x".repeat(6 << 10);
        let texts = [
            format!("{long}5"),
            format!("{long}?"),
            format!("{comment}{long}5"),
            format!("insert into kv (v, id) values ('{value}', 5)"),
            format!("insert into kv (v, id) values ('{value}', ?)"),
        ];
        fives(f, &texts, false)
    }),
    check("F041", "FOR UPDATE behind comments", |f| {
        let texts = [
            "select * from kv where id=5 for update /*app:x*/",
            "select * from kv where id=5\n and n=1\nFOR\nUPDATE;",
            "select * from kv where id=5 for /*c*/ update",
            "select * from kv where id=5 lock in share mode",
        ];
        fives(f, &texts.map(str::to_owned), true)
    }),
    check("F046", "KEY partitions of strings", |f| {
        let five: &[u32] = &[5];
        let cases = [
            ("c = 'abc'", five),
            ("c = 'ABC'", five),
            ("c = 'abc '", five),
            ("c = 0x616263", five),
            ("c = _binary'abc'", five),
            ("c = 'abd'", &[15]),
            ("c = 'a''bc'", &[13]),
        ];
        sets(f, "names_k", &cases)
    }),
    check("F047", "ranges on hash and key columns", |f| {
        let cases: [(&str, &[u32]); 7] = [
            ("id>5", &[]),
            ("id between 5 and 6", &[5, 6]),
            ("id>=5 and id<=5", &[5]),
            ("id in (5,6)", &[5, 6]),
            ("id=5 or id=6", &[5, 6]),
            ("not id=5", &[]),
            ("id=5 or 1=1", &[]),
        ];
        let numbers = sets(f, "kv", &cases)?;
        let strings = sets(f, "names_k", &[("c>'abc'", &[]), ("c=123", &[])])?;
        Ok(format!("{numbers}, and {strings} on strings"))
    }),
    check("F048", "keys in other literal forms", |f| {
        let five: &[u32] = &[5];
        let forms = [
            "5",
            "'5'",
            "5.0",
            "5e0",
            "0x05",
            "005",
            "+5",
            "-5",
            "2+3",
            "(5)",
            "cast('5' as signed)",
            "length('abcde')",
        ];
        let mut conditions: Vec<_> = forms.iter().map(|form| format!("id = {form}")).collect();
        let others = ["5=id", "(id)=(5)", "pt.id=5", "ID=5", "`id`=5"];
        conditions.extend(others.map(str::to_owned));
        let mut cases: Vec<_> = conditions.iter().map(|c| (c.as_str(), five)).collect();
        cases.push(("id = true", &[1]));
        sets(f, "kv", &cases)
    }),
];
