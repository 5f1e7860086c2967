//! The text of `config/reference.md`.

use super::{Kind, TABLE};
use std::fmt::Write;

const HEAD: &str = "\
# Settings

Made from the table in `src/config/table.rs` (`OBRING_BLESS=1 cargo test --lib reference` writes this file again); not edited by hand.

A value comes from, later wins: the default, the file of `--config`, `-o name=value,name=value`, a flag of its own
(`-p listen_port`, `-n app_name`, `-r rootservice_list`, `-c rootservice_cluster_name`), the environment variables
`observer_sys_password` and `observer_sys_password1`. Each value of the file that does not win is named at the start
(`event=setting_overridden`). `obring --check` reads everything, says what it noticed, and does not start.

This version reads settings at the start only. *Change* says what a setting was built for: **live** = everything at once,
**new sessions** = sessions that begin later, **restart** = the next start. *Name of*: OBProxy's names have OBProxy's
meaning. Its other parameters are accepted with the notice `accepted, no effect in this version`; a name that OBProxy does
not know either is a warning in `-o` and an error in the file.

";

const TAIL: &str = "
## How values are written

| kind | accepted |
|---|---|
| duration | a whole number and `us`, `ms`, `s`, `m`, `h` or `d`; without a unit: seconds; a negative one is 0 |
| size | a whole number and `b`, `k`, `m`, `g`, `t` or `p`, also as `KB`; without a unit: megabytes |
| bool | true, on, yes, t, 1 and false, off, no, f, 0, in any case |
| integer, port | decimal, `0x` hexadecimal, or octal after a leading 0 |
| server list | `ip:sqlport;ip:sqlport`, blanks and one `;` at the end do not matter, IPv6 in brackets; in the file also a list of texts |
| password | 40 hexadecimal digits = SHA1 of the password; `plain:` and the password; nothing = no password. Never shown or logged |
| log level | ERROR, WARN, INFO, DEBUG; EDIAG, WDIAG and TRACE of OBProxy count as ERROR, WARN and DEBUG |

In `-o` a value cannot contain a comma or a line end. Names are the same in upper and lower case.

## The file

```toml
[proxy]                     # settings of the table above
listen_port = 2883

[[cluster]]                 # any number of them
name = \"obcluster\"
rootservice_list = \"10.0.0.1:2881;10.0.0.2:2881\"
observer_sys_password = \"\"  # optional: this cluster's own, in place of the general one; also observer_sys_password1
```

The first `[[cluster]]` is the default of logins without a cluster name. `-c NAME` makes another one the default; `-r` gives
the start-up cluster's servers, replacing those of the `[[cluster]]` that `-c` names (or of the only one).
";

/// The text of `config/reference.md`.
#[must_use]
pub fn reference() -> String {
    let mut text = HEAD.to_owned();
    text.push_str("| name | kind, unit | default | range | change | name of | since | meaning |\n");
    text.push_str("|---|---|---|---|---|---|---|---|\n");
    for row in TABLE {
        let default = match row.default {
            "" => "(empty)".to_owned(),
            default => format!("`{default}`"),
        };
        let range = match row.kind {
            Kind::Port | Kind::Int | Kind::Duration | Kind::Size | Kind::Text => row.allowed(),
            _ => String::new(),
        };
        let words: Vec<_> = row.doc.split_whitespace().collect();
        let _ = writeln!(
            text,
            "| `{}` | {} | {default} | {range} | {} | {} | {} | {} |",
            row.name,
            row.kind.name(),
            row.reload.name(),
            row.origin.name(),
            row.since,
            words.join(" ").replace('|', "\\|"),
        );
    }
    text.push_str(TAIL);
    text
}

#[cfg(test)]
mod tests {
    #[test]
    fn reference_file_is_current() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/config/reference.md");
        let text = super::reference();
        if std::env::var_os("OBRING_BLESS").is_some() {
            std::fs::write(path, &text).unwrap();
        }
        let file = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            file == text,
            "{path} is old: OBRING_BLESS=1 cargo test --lib reference"
        );
    }
}
