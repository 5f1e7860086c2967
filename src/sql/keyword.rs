//! The words that steer a scan. Any other word is a name.

/// A word as one number: its bytes with bit 5 set, which folds the case of letters. Two words that
/// differ have different numbers, because of the bytes of a word only letters change by it, and
/// `_`, which becomes 0x7f, a byte that no word has.
const fn packed(word: &[u8]) -> u128 {
    let (mut number, mut at) = (0, word.len());
    while at > 0 {
        at -= 1;
        number = (number << 8) | (word[at] | 0x20) as u128;
    }
    number
}

macro_rules! keywords {
    ($($name:ident $text:literal)*) => {
        /// A word that steers a scan.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub(super) enum Kw { Other, $($name,)* }

        #[expect(non_upper_case_globals, reason = "named as the variants of Kw")]
        mod number {
            $(pub(super) const $name: u128 = super::packed($text.as_bytes());)*
        }

        /// The words, for the test below.
        #[cfg(test)]
        const ALL: &[(Kw, &str)] = &[$((Kw::$name, $text),)*];

        /// Words of up to eight bytes by a hash of their number; see [`slot`].
        static SHORT: [(u64, Kw); SHORT_LEN] = {
            let mut slots = [(0, Kw::Other); SHORT_LEN];
            $(
                if number::$name >> 64 == 0 {
                    let mut at = slot(number::$name as u64, SHORT_LEN);
                    while slots[at].0 != 0 {
                        at = (at + 1) % SHORT_LEN;
                    }
                    slots[at] = (number::$name as u64, Kw::$name);
                }
            )*
            slots
        };

        /// Longer ones, by a hash of their first eight bytes.
        static LONG: [(u128, Kw); LONG_LEN] = {
            let mut slots = [(0, Kw::Other); LONG_LEN];
            $(
                if number::$name >> 64 != 0 {
                    let mut at = slot(number::$name as u64, LONG_LEN);
                    while slots[at].0 != 0 {
                        at = (at + 1) % LONG_LEN;
                    }
                    slots[at] = (number::$name, Kw::$name);
                }
            )*
            slots
        };
    };
}

/// Places of the tables of words: more than three times as many as words, so that a search ends
/// soon.
const SHORT_LEN: usize = 512;
const LONG_LEN: usize = 128;

/// Where the search for a word begins in a table of so many places.
const fn slot(number: u64, len: usize) -> usize {
    (number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 48) as usize % len
}

keywords! {
    Against "against" All "all" Alter "alter" Analyze "analyze" And "and" Any "any" As "as"
    Asc "asc" Ascii "ascii" Begin "begin" Between "between" Binary "binary" Both "both" By "by"
    Call "call" Case "case" Cast "cast" Char "char" Character "character" Charset "charset"
    Collate "collate" Commit "commit" ConnectionId "connection_id" Consistent "consistent"
    Convert "convert" Create "create" Cross "cross"
    CurrentDate "current_date" CurrentTime "current_time" CurrentTimestamp "current_timestamp"
    Database "database" Date "date" Deallocate "deallocate" Default "default" Delayed "delayed"
    Delete "delete" Desc "desc" Describe "describe" Distinct "distinct" Div "div" Do "do"
    Drop "drop" Dual "dual" Duplicate "duplicate" Else "else" End "end" Escape "escape"
    Except "except" Execute "execute" Exists "exists" Explain "explain" Extended "extended"
    Extract "extract" Extension "extensions" Fetch "fetch" FalseWord "false" For "for"
    Force "force" Format "format" FoundRows "found_rows" From "from" Full "full"
    GetLock "get_lock" Global "global" Group "group" Handler "handler" Having "having"
    Help "help" High "high_priority" If "if" Ignore "ignore" Immediate "immediate" In "in"
    Index "index" Infile "infile" Inner "inner" Insert "insert" Intersect "intersect"
    Interval "interval" Into "into" Is "is" IsFreeLock "is_free_lock" IsUsedLock "is_used_lock"
    Join "join" Key "key" Kill "kill" LastInsertId "last_insert_id" Lateral "lateral"
    Leading "leading" Left "left" Like "like" Limit "limit" Load "load" Local "local"
    LocalTime "localtime" LocalTimestamp "localtimestamp" Lock "lock" Low "low_priority"
    Match "match" Merge "merge" Minus "minus" Mod "mod" Mode "mode" Names "names"
    Natural "natural" Not "not" Null "null" Offset "offset" On "on" Only "only" Or "or"
    Order "order" Outer "outer" Outfile "outfile" Partition "partition"
    Partitions "partitions" Persist "persist" Prepare "prepare" Procedure "procedure"
    Quick "quick" Read "read" Recursive "recursive" Regexp "regexp" Release "release"
    ReleaseAllLocks "release_all_locks" ReleaseLock "release_lock" Rename "rename"
    Replace "replace" Returning "returning" Right "right" Rlike "rlike" Rollback "rollback"
    Route "route" Row "row" RowCount "row_count" Savepoint "savepoint" Select "select"
    Session "session" Set "set" Share "share" Show "show" Snapshot "snapshot" Some "some"
    Sounds "sounds" Start "start" Straight "straight_join" Subpartition "subpartition"
    Substr "substr" Substring "substring" Mid "mid" Table "table" Tables "tables"
    Temporary "temporary" Then "then" Time "time" Timestamp "timestamp" To "to"
    Trailing "trailing" Transaction "transaction" Trim "trim" TrueWord "true"
    Truncate "truncate" Union "union" Unknown "unknown" Unlock "unlock" Update "update"
    Use "use" Using "using" UtcDate "utc_date" UtcTime "utc_time" UtcTimestamp "utc_timestamp"
    Value "value" Values "values" When "when" Where "where" Window "window" With "with"
    Work "work" Write "write" Xa "xa" Xor "xor"
}

/// The longest word: `current_timestamp`, of which 16 bytes are looked at, is told apart from
/// other words of 17 bytes by [`of`].
const LEN_MAX: usize = 17;

impl Kw {
    /// What a word of up to eight bytes is, given as the number that [`packed`] makes of it.
    #[inline]
    pub(super) fn of_number(number: u64) -> Self {
        let mut at = slot(number, SHORT_LEN);
        // The table has free places, so that this ends.
        loop {
            let (word, kw) = SHORT[at];
            if word == number || word == 0 {
                // A free place holds `Other`.
                return kw;
            }
            at = (at + 1) % SHORT_LEN;
        }
    }

    /// What a word is.
    pub(super) fn of(word: &[u8]) -> Self {
        let mut bytes = [0; 16];
        for (to, from) in bytes.iter_mut().zip(word) {
            *to = from | 0x20;
        }
        let number = u128::from_le_bytes(bytes);
        match word.len() {
            2..=8 => Self::of_number(number as u64),
            9..=16 => {
                let mut at = slot(number as u64, LONG_LEN);
                loop {
                    let (word, kw) = LONG[at];
                    if word == number || word == 0 {
                        return kw;
                    }
                    at = (at + 1) % LONG_LEN;
                }
            }
            LEN_MAX if word.eq_ignore_ascii_case(b"current_timestamp") => Self::CurrentTimestamp,
            LEN_MAX if word.eq_ignore_ascii_case(b"release_all_locks") => Self::ReleaseAllLocks,
            _ => Self::Other,
        }
    }

    /// True for words that cannot be an alias behind a table, because they begin what may follow.
    pub(super) const fn ends_table(self) -> bool {
        use Kw::*;
        matches!(
            self,
            Where
                | Set
                | On
                | Using
                | Join
                | Inner
                | Left
                | Right
                | Cross
                | Natural
                | Straight
                | Group
                | Having
                | Order
                | Limit
                | For
                | Lock
                | Union
                | Except
                | Intersect
                | Minus
                | Partition
                | Use
                | Force
                | Ignore
                | Values
                | Select
                | From
                | Into
                | When
                | Window
                | Procedure
                | Returning
                | With
                | As
                | And
                | Or
                | Xor
                | Fetch
                | Value
        )
    }

    /// True for words that may begin a join behind a table.
    pub(super) const fn begins_join(self) -> bool {
        use Kw::*;
        matches!(
            self,
            Join | Straight | Inner | Cross | Left | Right | Full | Natural
        )
    }

    /// True for words that join query blocks.
    pub(super) const fn joins_blocks(self) -> bool {
        matches!(
            self,
            Self::Union | Self::Except | Self::Intersect | Self::Minus
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_known_in_any_case_and_nothing_else_is() {
        for (kw, text) in ALL {
            assert_eq!(Kw::of(text.as_bytes()), *kw, "{text}");
            assert_eq!(Kw::of(text.to_uppercase().as_bytes()), *kw, "{text}");
            assert_eq!(Kw::of(format!("{text}x").as_bytes()), Kw::Other, "{text}");
        }
        for text in [
            "",
            "a",
            "selec",
            "sel_ect",
            "straight-join",
            "straight\x7fjoin",
        ] {
            let is_odd = text.contains('\x7f');
            assert_eq!(Kw::of(text.as_bytes()) == Kw::Other, !is_odd, "{text}");
        }
    }
}
