//! Rust text without what is no code.

/// The text with comments, strings and characters blanked; every line keeps its number.
pub(crate) fn only(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let rest = &bytes[at..];
        let is_inside_word = at > 0 && is_word(bytes[at - 1]);
        let len = if rest.starts_with(b"//") {
            find(rest, b"\n").unwrap_or(rest.len())
        } else if rest.starts_with(b"/*") {
            block_comment(rest)
        } else if rest[0] == b'"' {
            quoted(rest, b'"')
        } else if rest[0] == b'\'' {
            character(rest)
        } else if !is_inside_word && let Some(len) = raw_string(rest) {
            len
        } else {
            at += 1;
            continue;
        };
        for byte in &mut out[at..at + len] {
            if *byte != b'\n' {
                *byte = b' ';
            }
        }
        at += len;
    }
    String::from_utf8(out).expect("whole pieces are blanked")
}

pub(crate) const fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// Where `word` stands as a whole word: line numbers, from 1.
pub(crate) fn lines_with_word(code: &str, word: &str) -> Vec<usize> {
    let has = |line: &str| {
        line.match_indices(word).any(|(at, _)| {
            let before = line[..at].bytes().last();
            let after = line[at + word.len()..].bytes().next();
            !before.is_some_and(is_word) && !after.is_some_and(is_word)
        })
    };
    let numbered = code.lines().zip(1..);
    numbered
        .filter(|(line, _)| has(line))
        .map(|(_, number)| number)
        .collect()
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|w| w == what)
}

fn block_comment(bytes: &[u8]) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < bytes.len() {
        let rest = &bytes[at..];
        if rest.starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if rest.starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    at
}

fn quoted(bytes: &[u8], end: u8) -> usize {
    let mut at = 1;
    while at < bytes.len() && bytes[at] != end {
        at += 1 + usize::from(bytes[at] == b'\\');
    }
    (at + 1).min(bytes.len())
}

/// A character literal, or the quote of a lifetime.
fn character(bytes: &[u8]) -> usize {
    match bytes.get(1) {
        Some(b'\\') => quoted(bytes, b'\''),
        Some(_) => {
            let text = std::str::from_utf8(&bytes[1..]).unwrap_or_default();
            let len = text.chars().next().map_or(0, char::len_utf8);
            if bytes.get(1 + len) == Some(&b'\'') {
                len + 2
            } else {
                1
            }
        }
        None => 1,
    }
}

fn raw_string(bytes: &[u8]) -> Option<usize> {
    let rest = bytes
        .strip_prefix(b"b")
        .or_else(|| bytes.strip_prefix(b"c"))
        .unwrap_or(bytes);
    let rest = rest.strip_prefix(b"r")?;
    let hashes = rest.iter().take_while(|b| **b == b'#').count();
    if rest.get(hashes) != Some(&b'"') {
        return None;
    }
    let end = [b"\"".as_slice(), &vec![b'#'; hashes]].concat();
    let start = bytes.len() - rest.len() + hashes + 1;
    let close = find(&bytes[start..], &end)?;
    Some(start + close + end.len())
}

#[test]
fn only_code_is_left() {
    for (text, left) in [
        ("a // b\nc", "a     \nc"),
        ("a /* b /* c */ d */ e", "a                   e"),
        (r#"a "b \" // c" d"#, "a             d"),
        ("a 'b' '\\'' &'x c", "a            &  x c"),
        ("a '世' b", "a       b"),
        (r###"a r#"b " c"# d"###, "a             d"),
        (r#"a br"b" d"#, "a       d"),
        ("for_r\"b\" d", "for_r    d"),
        ("r#type x", "r#type x"),
    ] {
        let left: String = left.to_owned();
        let seen = only(text);
        let squeezed = |t: &str| t.split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(squeezed(&seen), squeezed(&left), "{text}");
        assert_eq!(seen.len(), text.len(), "{text}");
    }
}

#[test]
fn words_are_whole() {
    assert_eq!(
        lines_with_word("unsafe {\nunsafe_code\nan_unsafe\n(unsafe)", "unsafe"),
        [1, 4]
    );
}
