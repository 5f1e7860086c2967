//! The generator: a seed makes a session.

use super::act::{Act, CAPABILITIES, Entrance, Script, Step};
use super::words::{
    BACK, BAD_ASSIGNMENTS, BEFORE_BACK, CHARSETS, ERRORS, LOCKS, LOOKS, PREPARED, ROWS,
    TEXT_PREPARED, TRANSACTION, USER_NAMES, USER_VALUES, VARIABLES,
};
use crate::params::P;
use obring_wire::base::Rng;
use obring_wire::protocol::mysql::client;

/// Slots that are used again and again; the others are for a session with many statements.
const FEW_SLOTS: u64 = 5;
/// Statements of a session that prepares many: more than the kernel's 50.
const MANY: usize = 53;

/// A random session with `db` as its database; `:db` with `_b` behind it is another one.
#[must_use]
pub fn single(seed: u64, db: &str, has_locks: bool) -> Script {
    let mut maker = Maker::new(Rng::new(seed), db);
    let capabilities = CAPABILITIES
        .iter()
        .filter(|_| maker.rng.chance(1, 3))
        .fold(0, |all, bit| all | bit);
    maker.is_tracking = capabilities & client::SESSION_TRACK != 0;
    let login = Entrance {
        capabilities,
        charset: maker.pick(&[45, 45, 45, 255, 28, 33]),
        database: if maker.rng.chance(9, 10) {
            db.to_owned()
        } else {
            String::new()
        },
    };
    let length = 15 + maker.rng.below(40);
    while (maker.acts.len() as u64) < length {
        maker.group(has_locks);
        if maker.rng.chance(2, 5) {
            maker.look();
        }
    }
    // Whatever was not looked at on the way is at the end, and more than once: the answers may
    // come from different servers.
    for _ in 0..2 {
        for look in LOOKS {
            maker.query(look);
        }
    }
    Script {
        logins: vec![login],
        steps: maker
            .acts
            .into_iter()
            .map(|act| Step { who: 0, act })
            .collect(),
        has_locks,
    }
}

/// What was prepared in a slot.
#[derive(Clone, Debug)]
struct Prepared {
    parameters: usize,
    /// Values of the last execute: their types hold.
    last: Option<Vec<P>>,
}

/// A session being made.
struct Maker {
    rng: Rng,
    db: String,
    /// The client asked to be told about changes of its session.
    is_tracking: bool,
    acts: Vec<Act>,
    slots: Vec<Option<Prepared>>,
}

impl Maker {
    fn new(rng: Rng, db: &str) -> Self {
        Self {
            rng,
            db: db.to_owned(),
            is_tracking: false,
            acts: vec![],
            slots: vec![None; FEW_SLOTS as usize],
        }
    }

    fn pick<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.rng.below(list.len() as u64) as usize]
    }

    fn query(&mut self, sql: &str) {
        let sql = sql.replace(":db", &self.db);
        self.acts.push(Act::Query(sql.into_bytes()));
    }

    fn look(&mut self) {
        let look = self.pick(LOOKS);
        self.query(look);
    }

    /// A few steps that belong together.
    fn group(&mut self, has_locks: bool) {
        match self.rng.below(100) {
            0..=13 => self.set(),
            14..=26 => self.user_variables(),
            27..=29 => self.charset(),
            30..=34 => self.database(),
            35..=48 => {
                let sql = self.row_statement();
                self.query(&sql);
            }
            49..=62 => self.prepared(),
            63..=68 => self.text_prepared(),
            69..=79 => {
                let sql = self.pick(TRANSACTION);
                self.query(sql);
            }
            80..=82 => {
                let sql = self.pick(ERRORS);
                self.query(sql);
            }
            83..=86 => self.several(),
            87..=90 => {
                let sql = self.pick(BEFORE_BACK);
                self.query(sql);
                for _ in 0..=self.rng.below(2) {
                    let sql = self.pick(BACK);
                    self.query(sql);
                }
            }
            91 if has_locks => {
                let n = self.rng.below(2).to_string();
                let sql = self.pick(LOCKS).replace('!', &n);
                self.query(&sql);
            }
            _ => self.command(),
        }
    }

    /// SET of one or several variables, of which one may fail.
    fn set(&mut self) {
        let mut list = vec![];
        for _ in 0..=self.rng.below(4) / 2 {
            list.push(self.assignment());
        }
        if self.rng.chance(1, 5) {
            let at = self.rng.below(list.len() as u64 + 1) as usize;
            let bad = self.pick(BAD_ASSIGNMENTS);
            list.insert(at, bad.to_owned());
        }
        let verb = self.pick(&["set", "set", "SET", "/* x */ set", "set /* y */"]);
        self.query(&format!("{verb} {}", list.join(", ")));
    }

    fn assignment(&mut self) -> String {
        if self.rng.chance(1, 4) {
            return self.user_assignment();
        }
        let (name, values) = self.pick(VARIABLES);
        let value = self.pick(values);
        let scope = self.pick(&["", "", "session ", "@@", "@@session.", "local "]);
        let sign = self.pick(&[" = ", "=", " := "]);
        format!("{scope}{name}{sign}{value}")
    }

    fn user_assignment(&mut self) -> String {
        let name = self.pick(USER_NAMES);
        let value = self.user_value();
        format!("{name} = {value}")
    }

    fn user_value(&mut self) -> String {
        let other = self.pick(USER_NAMES);
        self.pick(USER_VALUES).replace('?', other)
    }

    fn user_variables(&mut self) {
        let name = self.pick(USER_NAMES);
        let sql = match self.rng.below(10) {
            0..=4 => {
                let more = self.rng.below(3);
                let mut list = vec![self.user_assignment()];
                list.extend((0..more).map(|_| self.user_assignment()));
                format!("set {}", list.join(", "))
            }
            5 => format!("select {name} := {} as x", self.user_value()),
            6 => format!("select {name} := id as x from plain where id < 4 order by id"),
            7 => {
                let id = self.rng.below(5);
                format!("select v, n into {name}, @b from plain where id = {id}")
            }
            8 => {
                let n = [100, 5_000, 70_000][self.rng.below(3) as usize];
                format!("set {name} = '{}'", "long \\' ".repeat(n / 8))
            }
            _ => format!("set {name} = nosuch + 1"),
        };
        self.query(&sql);
    }

    fn charset(&mut self) {
        let sql = self.pick(CHARSETS);
        self.query(sql);
        if self.rng.chance(1, 2) {
            // The second byte of this character of GBK is a backslash.
            self.acts.push(Act::Query(
                b"select hex('\xbf\x5c') as h, '\xc3\xa9' as e".to_vec(),
            ));
        }
    }

    fn database(&mut self) {
        let name = match self.rng.below(8) {
            0..=3 => self.db.clone(),
            4..=6 => format!("{}_b", self.db),
            _ => "no_such_db".to_owned(),
        };
        match self.rng.chance(1, 3) {
            true => self.acts.push(Act::InitDb(name)),
            false => self.query(&format!("use `{name}`")),
        }
    }

    fn row_statement(&mut self) -> String {
        let mut sql = String::new();
        for c in self.pick(ROWS).chars() {
            match c {
                '#' => sql.push_str(&(1 + self.rng.below(16)).to_string()),
                '%' => sql.push_str(&self.rng.below(40).to_string()),
                c => sql.push(c),
            }
        }
        sql
    }

    fn value(&mut self) -> P {
        match self.rng.below(12) {
            0 => P::Null,
            1 => P::Tiny(self.rng.below(20) as i8),
            2 => P::Short(-7),
            3..=5 => P::Long(self.rng.below(17) as i32),
            6 => P::Big(self.rng.below(1 << 40) as i64),
            7 => P::UBig(u64::MAX),
            8 => P::Double(1.25),
            9 => P::Text("it's \\ \"\u{20ac}\""),
            10 => P::Stamp(2024, [2, 29, 23, 59, 59], 123_456),
            _ => P::Text("17"),
        }
    }

    fn prepare(&mut self, slot: usize, (text, parameters): (&str, usize)) {
        let sql = text.replace(":n", &self.acts.len().to_string());
        self.acts.push(Act::Prepare { slot, sql });
        if let Some(kept) = self.slots.get_mut(slot) {
            *kept = Some(Prepared {
                parameters,
                last: None,
            });
        }
    }

    fn prepared(&mut self) {
        let slot = self.rng.below(FEW_SLOTS) as usize;
        let Some(prepared) = self.slots[slot].clone() else {
            let text = self.pick(PREPARED);
            self.prepare(slot, text);
            return self.execute(slot, &[]);
        };
        match self.rng.below(20) {
            0..=8 => self.execute(slot, &[]),
            9 => self.acts.push(Act::ResetStatement(slot)),
            10 | 11 => {
                self.acts.push(Act::Close(slot));
                if self.rng.chance(1, 2) {
                    self.slots[slot] = None;
                }
            }
            12..=14 => self.cursor(slot, &prepared),
            15 | 16 if prepared.parameters > 0 => self.long_data(slot, &prepared),
            17 if self.rng.chance(1, 6) => {
                for n in 0..MANY {
                    self.prepare(FEW_SLOTS as usize + n, ("select :n + ? as n", 1));
                }
            }
            _ => {
                if self.rng.chance(2, 3) {
                    self.acts.push(Act::Close(slot));
                }
                let text = self.pick(PREPARED);
                self.prepare(slot, text);
            }
        }
    }

    /// Executes; parameters in `sent` went ahead as long data.
    fn execute(&mut self, slot: usize, sent: &[usize]) {
        let Some(mut prepared) = self.slots[slot].clone() else {
            return;
        };
        let reuse = self.rng.chance(1, 3) && sent.is_empty();
        let (params, types) = match prepared.last.take() {
            Some(last) if reuse => (last, false),
            _ => {
                let values = (0..prepared.parameters).map(|n| match sent.contains(&n) {
                    true => P::Sent,
                    false => self.value(),
                });
                (values.collect(), true)
            }
        };
        prepared.last = sent.is_empty().then(|| params.clone());
        self.slots[slot] = Some(prepared);
        self.acts.push(Act::Execute {
            slot,
            has_cursor: false,
            params,
            types,
        });
    }

    fn cursor(&mut self, slot: usize, prepared: &Prepared) {
        let params = (0..prepared.parameters).map(|_| self.value()).collect();
        self.acts.push(Act::Execute {
            slot,
            has_cursor: true,
            params,
            types: true,
        });
        for _ in 0..self.rng.below(4) {
            let rows = 1 + self.rng.below(4) as u32;
            self.acts.push(Act::Fetch { slot, rows });
            if self.rng.chance(1, 4) {
                self.look();
            }
        }
        if self.rng.chance(1, 2) {
            self.acts.push(Act::ResetStatement(slot));
        }
    }

    fn long_data(&mut self, slot: usize, prepared: &Prepared) {
        let param = self.rng.below(prepared.parameters as u64) as usize;
        for _ in 0..=self.rng.below(3) {
            let length = [0, 3, 3, 9_000][self.rng.below(4) as usize];
            self.acts.push(Act::LongData {
                slot,
                param: param as u16,
                bytes: b"1".repeat(length),
            });
            if self.rng.chance(1, 4) {
                self.look();
            }
        }
        self.execute(slot, &[param]);
    }

    fn text_prepared(&mut self) {
        let name = self.pick(&["s0", "s1", "`s2`"]);
        match self.rng.below(8) {
            0..=2 => {
                let (text, _) = self.pick(TEXT_PREPARED);
                self.query(&format!("prepare {name} from {text}"));
            }
            3 => {
                self.query("set @a = 'select ? as from_a', @b = 'update plain set n = ?'");
                self.query(&format!("prepare {name} from @a"));
                self.query("set @a = 'selec'");
                self.query(&format!("execute {name} using @b"));
            }
            4..=6 => {
                let using = ["", " using @a", " using @a, @b"][self.rng.below(3) as usize];
                self.query(&format!("execute {name}{using}"));
            }
            _ => {
                let verb = self.pick(&["deallocate", "drop"]);
                self.query(&format!("{verb} prepare {name}"));
            }
        }
    }

    /// Several statements in one text.
    fn several(&mut self) {
        if self.rng.chance(1, 4) {
            let is_on = self.rng.chance(2, 3);
            self.acts.push(Act::Several(is_on));
        }
        let mut texts = vec![];
        for _ in 0..2 + self.rng.below(2) {
            texts.push(match self.rng.below(8) {
                0 => self.pick(TRANSACTION).to_owned(),
                1 => format!("set {}", self.assignment()),
                2 => format!("set {}", self.user_assignment()),
                3 => format!("use `{}_b`", self.db),
                4 => self.pick(ERRORS).to_owned(),
                5 => self.pick(BACK).to_owned(),
                _ => self.row_statement(),
            });
        }
        self.query(&texts.join("; "));
    }

    fn command(&mut self) {
        let act = match self.rng.below(12) {
            // What a direct client is told with a COM_PING, one of a proxy is told later (norm
            // `direct-only-state`).
            0..=2 if !self.is_tracking => Act::Ping,
            3 => Act::Statistics,
            4 | 5 => Act::FieldList(self.pick(&["plain", "kv", "nope"])),
            6 => Act::Several(self.rng.chance(1, 2)),
            7 | 8 => {
                self.slots = vec![None; FEW_SLOTS as usize];
                Act::Reset
            }
            9 => {
                self.slots = vec![None; FEW_SLOTS as usize];
                let name = if self.rng.chance(1, 3) { "" } else { &self.db };
                Act::ChangeUser {
                    database: name.to_owned(),
                    is_other: self.rng.chance(1, 2),
                }
            }
            _ => {
                let texts = (0..2 + self.rng.below(3)).map(|_| match self.rng.below(3) {
                    0 => format!("set {}", self.assignment()).into_bytes(),
                    1 => self.pick(LOOKS).replace(":db", &self.db).into_bytes(),
                    _ => self.row_statement().into_bytes(),
                });
                Act::Burst(texts.collect())
            }
        };
        self.acts.push(act);
    }
}
