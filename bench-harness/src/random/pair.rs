//! The generator of two sessions that meet on the same rows: what one has not committed the other
//! must not see, and what one has locked the other waits for in vain, for a short time.

use super::act::{Act, Entrance, Script, Step};
use obring_wire::base::Rng;

/// Statements of a transaction. `#` stands for a key of 1 to 4.
const TEXTS: &[&str] = &[
    "begin",
    "start transaction",
    "commit",
    "commit",
    "rollback",
    "set autocommit = 0",
    "set autocommit = 1",
    "savepoint s",
    "rollback to s",
    "select n, v from plain where id = #",
    "select id, n from plain where id < 5 order by id",
    "select n from kv where id = #",
    "select n from plain where id = # for update",
    "update plain set n = n + 1 where id = #",
    "update plain set v = 'mine' where id in (#, #)",
    "update kv set n = n + 10 where id = #",
    "delete from kv where id = #",
    "insert into kv values(#, 'again', 1)",
    "insert into kv values(# + 50, 'more', 2)",
    "select count(*), sum(n) from kv",
    "set transaction isolation level serializable",
    "insert into nope values(1)",
    "insert into plain(id) values(1)",
];
/// The same with user locks.
const LOCKS: &[&str] = &[
    "select get_lock(':db#', 0) as g",
    "select release_lock(':db#') as r",
    "select is_free_lock(':db#') as f",
    "select is_used_lock(':db#') = connection_id() as u",
    "select release_all_locks() as n",
];

/// Two random sessions with `db` as their database.
#[must_use]
pub fn pair(seed: u64, db: &str, has_locks: bool) -> Script {
    let mut rng = Rng::new(seed);
    let login = Entrance {
        capabilities: 0,
        charset: 45,
        database: db.to_owned(),
    };
    let mut steps: Vec<Step> = (0..2)
        .map(|who| {
            let sql = b"set ob_trx_lock_timeout = 40000, ob_query_timeout = 5000000";
            let act = Act::Query(sql.to_vec());
            Step { who, act }
        })
        .collect();
    let mut who = 0;
    for _ in 0..20 + rng.below(30) {
        if rng.chance(2, 5) {
            who = 1 - who;
        }
        let list = match has_locks && rng.chance(1, 8) {
            true => LOCKS,
            false => TEXTS,
        };
        let text = list[rng.below(list.len() as u64) as usize].replace(":db", db);
        let mut sql = String::new();
        for c in text.chars() {
            match c {
                '#' => sql.push_str(&(1 + rng.below(4)).to_string()),
                c => sql.push(c),
            }
        }
        let act = Act::Query(sql.into_bytes());
        steps.push(Step { who, act });
    }
    Script {
        logins: vec![login.clone(), login],
        steps,
        has_locks,
    }
}
