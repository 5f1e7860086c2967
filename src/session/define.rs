//! Statements that change definitions: what is known of their tables is looked up again, for every
//! core, when they are over.

use super::outline::has_word;
use super::request::Head;
use super::state::{Ctx, Session};
use crate::base::{CoreId, Out, Output};
use crate::protocol::mysql::Command;
use crate::routing::{Mail, TableKey, defined};
use crate::sql::Verb;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Tables of one request that are looked up again; of more the others are found by misses.
const TABLES_MAX: usize = 64;
/// Words that may give tables another definition, behind other statements.
const WORDS: &[&[u8]] = &[b"create", b"alter", b"drop", b"truncate", b"rename"];

/// A table that the request at hand gives another definition; without a name: all of a database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Defined {
    database: Vec<u8>,
    table: Vec<u8>,
}

impl Session {
    /// Notes what a request defines before it goes out; that may be nothing.
    pub(super) fn note_definitions(&mut self, ctx: &Ctx<'_>, head: &Head<'_>) {
        self.aim.defines.clear();
        let syntax = self.dialect.syntax(self.facts.status);
        let mut scan = ctx.scan.borrow_mut();
        let text = match head.command {
            Command::QUERY if head.is_whole && self.binding.is_routed => head.body(),
            Command::STMT_EXECUTE => {
                let statement = self.statements.of(head.statement);
                let text = statement.map_or(&b""[..], |statement| &statement.text);
                scan.read(text, syntax, true);
                text
            }
            _ => return,
        };
        let is_several = scan.facts.is_multi;
        let may_define = match is_several {
            true => has_word(text, WORDS),
            false => scan.verb == Verb::Ddl,
        };
        if !may_define {
            return;
        }
        let database = self.known.database().unwrap_or_default();
        let dialect = &self.dialect;
        let mut rest = text;
        while !rest.is_empty() {
            if is_several {
                scan.read(rest, syntax, true);
            }
            let defined = defined(rest, &scan, database).map(|(database, table)| Defined {
                database: dialect.name_in_utf8(database).into_owned(),
                table: dialect.name_in_utf8(table).into_owned(),
            });
            let room = TABLES_MAX.saturating_sub(self.aim.defines.len());
            self.aim.defines.extend(defined.take(room));
            rest = scan.behind_first(rest);
        }
        if is_several {
            // Whoever reads on means all of it.
            scan.read(text, syntax, true);
        }
    }

    /// The reply is over, well or not: a part of the tables may be other ones.
    pub(super) fn look_definitions_up(&mut self, ctx: &Ctx<'_>, out: &mut Out<'_, Mail>) {
        let defines = std::mem::take(&mut self.aim.defines);
        let Some(name) = self.name.as_deref() else {
            return;
        };
        let Some(cluster) = ctx.view.cluster(name.cluster.as_deref()) else {
            return;
        };
        for Defined { database, table } in defines {
            let key = TableKey {
                cluster: cluster.name.clone(),
                tenant: name.tenant.clone().into(),
                database: database.into(),
                name: table.into(),
            };
            ctx.view.tables_mut().redefine(ctx.now, &key.as_name());
            let mail = Mail::Redefined(Arc::new(key));
            out.list.push(Output::Post(CoreId::METADATA, mail));
        }
    }
}
