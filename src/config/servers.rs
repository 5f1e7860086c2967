//! Lists of server addresses: `ip:port;ip:port`.

use std::net::SocketAddr;

/// Addresses in one list. Source: operations.md 2.1, "string list".
const ITEMS_MAX: usize = 64;

/// The addresses of a list, in order, each once. Blanks around items and one `;` at the end do not
/// matter; IPv6 stands in brackets. An empty text is an empty list.
///
/// # Errors
/// The item that is no address, in words.
pub(super) fn parse(text: &str) -> Result<Vec<SocketAddr>, String> {
    let text = text.trim();
    let text = text.strip_suffix(';').unwrap_or(text);
    if text.trim().is_empty() {
        return Ok(vec![]);
    }
    let mut list = vec![];
    for item in text.split(';') {
        let item = item.trim();
        let address: SocketAddr = item
            .parse()
            .map_err(|_| format!("item {item:?} is not ip:port"))?;
        if address.port() == 0 {
            return Err(format!("item {item:?} has port 0"));
        }
        if !list.contains(&address) {
            list.push(address);
        }
    }
    if list.len() > ITEMS_MAX {
        return Err(format!("{} items, at most {ITEMS_MAX}", list.len()));
    }
    Ok(list)
}

/// The list as text; reads back as the same.
pub(super) fn show(list: &[SocketAddr]) -> String {
    let items: Vec<_> = list.iter().map(ToString::to_string).collect();
    items.join(";")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists() {
        for (text, shown) in [
            ("", ""),
            (" ; ", ""),
            ("127.0.0.1:2881", "127.0.0.1:2881"),
            (
                " 10.0.0.1:2881 ; 10.0.0.2:2881 ; ",
                "10.0.0.1:2881;10.0.0.2:2881",
            ),
            ("[::1]:2881;[fe80::1]:2882", "[::1]:2881;[fe80::1]:2882"),
            ("1.1.1.1:1;1.1.1.1:1", "1.1.1.1:1"),
        ] {
            assert_eq!(show(&parse(text).unwrap()), shown, "{text:?}");
        }
    }

    #[test]
    fn refused() {
        for (text, what) in [
            ("localhost:2881", "item \"localhost:2881\" is not ip:port"),
            ("127.0.0.1", "item \"127.0.0.1\" is not ip:port"),
            ("127.0.0.1:0", "item \"127.0.0.1:0\" has port 0"),
            ("127.0.0.1:70000", "item \"127.0.0.1:70000\" is not ip:port"),
            ("::1:2881", "item \"::1:2881\" is not ip:port"),
            ("1.1.1.1:1;;2.2.2.2:2", "item \"\" is not ip:port"),
            ("1.1.1.1:1;;", "item \"\" is not ip:port"),
        ] {
            assert_eq!(parse(text).unwrap_err(), what, "{text:?}");
        }
        let many: Vec<_> = (1..=65).map(|i| format!("10.0.0.{i}:1")).collect();
        assert_eq!(parse(&many.join(";")).unwrap_err(), "65 items, at most 64");
    }
}
