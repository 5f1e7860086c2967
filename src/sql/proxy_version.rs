//! `SELECT PROXY_VERSION()`: the one function of a proxy that clients ask for in any session.

/// What MySQL takes for white space.
const SPACE: &[u8] = b" \t\r\n\x0b\x0c";
/// A statement longer than this is something else; looking at it would cost every statement.
const LEN_MAX: usize = 256;

/// The column's name if the statement is `SELECT PROXY_VERSION() [[AS] name]`, and nothing else.
#[must_use]
pub fn proxy_version(statement: &[u8]) -> Option<Vec<u8>> {
    if statement.len() > LEN_MAX {
        return None;
    }
    let rest = word(trim(statement), b"select")?;
    let (name, rest) = (trim(rest), word(trim(rest), b"proxy_version")?);
    let rest = trim(trim(rest).strip_prefix(b"(")?).strip_prefix(b")")?;
    let written = name.get(..name.len() - rest.len())?;
    let rest = trim(rest);
    let rest = rest.strip_suffix(b";").map_or(rest, trim);
    if rest.is_empty() {
        return Some(written.to_vec());
    }
    let alias = word(rest, b"as").map_or(rest, trim);
    let alias = match alias {
        [q @ (b'\'' | b'"' | b'`'), inner @ .., z] if q == z && !inner.contains(q) => inner,
        other => other,
    };
    let is_name = |b: &u8| b.is_ascii_alphanumeric() || *b == b'_' || *b >= 0x80;
    (!alias.is_empty() && alias.iter().all(is_name)).then(|| alias.to_vec())
}

fn trim(mut text: &[u8]) -> &[u8] {
    while let [first, rest @ ..] = text
        && SPACE.contains(first)
    {
        text = rest;
    }
    while let [rest @ .., last] = text
        && SPACE.contains(last)
    {
        text = rest;
    }
    text
}

/// What stands behind a keyword.
fn word<'a>(text: &'a [u8], word: &[u8]) -> Option<&'a [u8]> {
    let (head, rest) = text.split_at_checked(word.len())?;
    let ends = rest.first().is_none_or(|b| SPACE.contains(b) || *b == b'(');
    (head.eq_ignore_ascii_case(word) && ends).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_statement() {
        for (text, name) in [
            ("select proxy_version()", Some("proxy_version()")),
            (" SELECT\tProxy_Version( ) ; ", Some("Proxy_Version( )")),
            ("select proxy_version() as v", Some("v")),
            ("select proxy_version() v;", Some("v")),
            ("select proxy_version() AS `v`", Some("v")),
            ("select proxy_version(), 1", None),
            ("select proxy_version", None),
            ("select proxy_version() from t", None),
            ("selectproxy_version()", None),
            ("select 1", None),
            ("", None),
            ("select proxy_version() as", None),
        ] {
            let got = proxy_version(text.as_bytes());
            assert_eq!(got.as_deref(), name.map(str::as_bytes), "{text}");
        }
    }
}
