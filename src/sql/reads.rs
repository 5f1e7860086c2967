//! Whether a statement only reads, so that it may run a second time.

use super::keyword::Kw;
use super::lexer::{Lexer, Tok};
use super::syntax::Syntax;

/// Functions that change nothing and that are no words of [`Kw`]. Any other name in front of a
/// parenthesis may be a stored function, which may write.
#[rustfmt::skip]
const PURE: &[&str] = &[
    "abs", "acos", "adddate", "addtime", "asin", "atan", "atan2", "avg", "bin", "bit_and",
    "bit_count", "bit_length", "bit_or", "bit_xor", "ceil", "ceiling", "char_length",
    "character_length", "coalesce", "concat", "concat_ws", "conv", "cos", "cot", "count", "crc32",
    "curdate", "current_user", "curtime", "date_add", "date_format", "date_sub", "datediff", "day",
    "dayname", "dayofmonth", "dayofweek", "dayofyear", "degrees", "dense_rank", "elt", "exp",
    "field", "find_in_set", "first_value", "floor", "from_days", "from_unixtime", "greatest",
    "group_concat", "hex", "hour", "ifnull", "inet_aton", "inet_ntoa", "instr", "isnull",
    "json_array", "json_contains", "json_extract", "json_object", "json_unquote", "json_value",
    "lag", "last_day", "last_value", "lcase", "lead", "least", "length", "ln", "locate", "log",
    "log10", "log2", "lower", "lpad", "ltrim", "makedate", "max", "md5", "microsecond", "min",
    "minute", "month", "monthname", "now", "ntile", "nullif", "oct", "octet_length", "ord", "pi",
    "position", "pow", "power", "quarter", "quote", "radians", "rand", "rank", "repeat", "reverse",
    "round", "row_number", "rpad", "rtrim", "schema", "sec_to_time", "second", "sha", "sha1",
    "sha2", "sign", "sin", "sleep", "space", "sqrt", "std", "stddev", "stddev_pop", "stddev_samp",
    "str_to_date", "strcmp", "subdate", "substring_index", "subtime", "sum", "sysdate", "tan",
    "time_format", "time_to_sec", "timediff", "timestampadd", "timestampdiff", "to_days",
    "to_seconds", "ucase", "unhex", "unix_timestamp", "upper", "user", "uuid", "var_pop",
    "var_samp", "variance", "version", "week", "weekday", "weekofyear", "year", "yearweek",
];

fn is_pure(name: &[u8]) -> bool {
    let name = name.to_ascii_lowercase();
    PURE.binary_search_by(|pure| pure.as_bytes().cmp(&name))
        .is_ok()
}

/// True for a SELECT of a tenant in MySQL mode that changes nothing, neither rows nor the session,
/// and takes no lock: to run it twice is the same as to run it once. False whenever that is not
/// sure. A view that calls a stored function is taken for a table.
#[must_use]
pub fn only_reads(text: &[u8], syntax: Syntax) -> bool {
    let mut lexer = Lexer::new(text, syntax);
    let mut before = Tok::End;
    let mut token = lexer.next();
    while token.tok == Tok::Punct(b'(') {
        token = lexer.next();
    }
    if token.tok != Tok::Word(Kw::Select) {
        return false;
    }
    loop {
        let next = lexer.next();
        let is_called = next.tok == Tok::Punct(b'(');
        let is_good = match token.tok {
            Tok::End => return !lexer.is_broken,
            Tok::Punct(b';') => next.tok == Tok::End,
            Tok::UserVariable | Tok::Assign => false,
            Tok::Word(
                Kw::Into
                | Kw::Lock
                | Kw::Procedure
                | Kw::LastInsertId
                | Kw::FoundRows
                | Kw::RowCount
                | Kw::GetLock
                | Kw::ReleaseLock
                | Kw::ReleaseAllLocks,
            ) => false,
            Tok::Word(Kw::For) => !matches!(next.tok, Tok::Word(Kw::Update | Kw::Share)),
            Tok::Word(_) | Tok::Name if is_called && before == Tok::Punct(b'.') => false,
            Tok::Name => !is_called,
            Tok::Word(Kw::Other) => {
                let name = token.span.of(text);
                !name.eq_ignore_ascii_case(b"nextval") && (!is_called || is_pure(name))
            }
            _ => true,
        };
        if !is_good {
            return false;
        }
        (before, token) = (token.tok, next);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_in_order() {
        assert!(PURE.is_sorted());
    }

    #[test]
    fn what_may_run_twice() {
        for text in [
            "select 1",
            "SELECT c FROM sbtest1 WHERE id=5;",
            "(select a from t) union all (select Count(*) from u where b in (1,2))",
            "select left(a, 2), max(b) from t use index for join (i) where exists(select 1)",
            "select @@autocommit, now() from d.t /* f() */",
            "select sleep(0.1), 'f(1)' from `t`",
        ] {
            assert!(only_reads(text.as_bytes(), Syntax::default()), "{text}");
        }
        for text in [
            "",
            "commit",
            "update t set a=1",
            "set @a=1",
            "show tables",
            "with c as (select 1) select * from c",
            "select 1; delete from t",
            "select a from t for update",
            "select a from t lock in share mode",
            "select @a",
            "select @a := 1",
            "select 1 into outfile '/f'",
            "select last_insert_id(5)",
            "select get_lock('a', 1)",
            "select f(1)",
            "select d.max(1)",
            "select `f`(1)",
            "select s.nextval",
            "select 'open",
        ] {
            assert!(!only_reads(text.as_bytes(), Syntax::default()), "{text}");
        }
    }
}
