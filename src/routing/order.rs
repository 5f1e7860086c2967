//! The orders of classes that policies go by, as data.
//!
//! An order is written as in the tables of OBProxy: **A** same data centre, **B** same region,
//! **C** other region; **N** not merging, **M** merging; **R** read-only zone, **W** read-write
//! zone; **P** holds the leaf, **T** another server of the tenant; **F** follower, **L** leader;
//! **D** replica of a replicated table, or leader. A letter that is missing means: any. `|` is for
//! reading only. The compiler reads them into tables.

use super::class::{Class, Hold, Near};

/// The place of a class in no order.
const ABSENT: u8 = u8::MAX;

/// An order of classes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Order {
    /// The place of each class by its number; [`ABSENT`] if its servers must not be used.
    places: [u8; Class::COUNT],
    /// The first place of a class of servers that do not hold the leaf.
    first_without: u8,
}

impl Order {
    /// The place of a class: lower is better. `None`: its servers must not be used.
    #[must_use]
    pub const fn place(&self, class: Class) -> Option<u8> {
        match self.places[class.index()] {
            ABSENT => None,
            place => Some(place),
        }
    }

    /// The best place that a server without the leaf can have.
    #[must_use]
    pub const fn first_without_leaf(&self) -> u8 {
        self.first_without
    }

    /// Reads an order. With `holders_first` all classes that hold the leaf come before those that
    /// do not; else the order is as written. What cannot be read does not compile.
    const fn of(text: &str, holders_first: bool) -> Self {
        let mut order = Self {
            places: [ABSENT; Class::COUNT],
            first_without: ABSENT,
        };
        let mut place = 0;
        if holders_first {
            place = order.put(text, place, Some(true));
            order.put(text, place, Some(false));
        } else {
            order.put(text, place, None);
        }
        order
    }

    /// Gives places from `place` on to the patterns of the text, to all or to those that hold the
    /// leaf, or do not. Returns the next free place.
    const fn put(&mut self, text: &str, mut place: u8, holders: Option<bool>) -> u8 {
        let text = text.as_bytes();
        let mut at = 0;
        while at < text.len() {
            if matches!(text[at], b' ' | b'\n' | b'|') {
                at += 1;
                continue;
            }
            let (pattern, end) = Pattern::read(text, at);
            at = end;
            let is_holder = !matches!(pattern.holds, Some(false));
            if let Some(wanted) = holders
                && wanted != is_holder
            {
                continue;
            }
            let mut index = 0;
            while index < Class::COUNT {
                if self.places[index] == ABSENT && pattern.takes(Class::of_index(index)) {
                    self.places[index] = place;
                }
                index += 1;
            }
            if !is_holder && self.first_without == ABSENT {
                self.first_without = place;
            }
            place += 1;
        }
        place
    }
}

/// One word of an order. `None`: any.
#[derive(Clone, Copy)]
struct Pattern {
    near: Option<Near>,
    merging: Option<bool>,
    readonly: Option<bool>,
    holds: Option<bool>,
    leader: Option<bool>,
    dup_or_leader: bool,
}

impl Pattern {
    /// The word at `at`, and where it ends.
    const fn read(text: &[u8], mut at: usize) -> (Self, usize) {
        let mut pattern = Self {
            near: None,
            merging: None,
            readonly: None,
            holds: None,
            leader: None,
            dup_or_leader: false,
        };
        while at < text.len() && !matches!(text[at], b' ' | b'\n' | b'|') {
            match text[at] {
                b'A' => pattern.near = Some(Near::Idc),
                b'B' => pattern.near = Some(Near::Region),
                b'C' => pattern.near = Some(Near::Other),
                b'N' => pattern.merging = Some(false),
                b'M' => pattern.merging = Some(true),
                b'R' => pattern.readonly = Some(true),
                b'W' => pattern.readonly = Some(false),
                b'P' => pattern.holds = Some(true),
                b'T' => pattern.holds = Some(false),
                b'F' => pattern.leader = Some(false),
                b'L' => pattern.leader = Some(true),
                b'D' => pattern.dup_or_leader = true,
                _ => panic!("no letter of an order"),
            }
            at += 1;
        }
        (pattern, at)
    }

    const fn takes(self, class: Class) -> bool {
        let is_near = match self.near {
            Some(near) => near as u8 == class.near as u8,
            None => true,
        };
        let is_leader = matches!(class.hold, Hold::Leader);
        let holds = !matches!(class.hold, Hold::Nothing);
        is_near
            && fits(self.merging, class.is_merging)
            && fits(self.readonly, class.is_readonly)
            && fits(self.holds, holds)
            && fits(self.leader, is_leader)
            && (!self.dup_or_leader || class.is_dup || is_leader)
    }
}

const fn fits(wanted: Option<bool>, is: bool) -> bool {
    match wanted {
        Some(wanted) => wanted == is,
        None => true,
    }
}

macro_rules! orders {
    ($( $(#[doc = $doc:literal])+ $name:ident = $text:literal; )+) => {
        /// The policies that have an order of classes.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        pub enum Ordered {
            $( $(#[doc = $doc])+ $name, )+
        }

        impl Ordered {
            /// All of them.
            pub const ALL: &[Self] = &[$( Self::$name, )+];

            /// Its order, as it is written.
            #[must_use]
            pub const fn text(self) -> &'static str {
                match self {
                    $( Self::$name => $text, )+
                }
            }

            /// Its order.
            #[must_use]
            pub const fn order(self) -> &'static Order {
                match self {
                    $( Self::$name => { const { &Order::of($text, false) } } )+
                }
            }

            /// Its optimized order: no usable server that holds the leaf is in the same region, so
            /// those far away come before servers that do not hold it.
            #[must_use]
            pub const fn optimized(self) -> &'static Order {
                match self {
                    $( Self::$name => { const { &Order::of($text, true) } } )+
                }
            }
        }
    };
}

// Source: OBProxy behaviour, as in the routing facts, section 6.9.
orders! {
    /// MERGE_IDC_ORDER: near ones first; it is the default.
    MergeIdcOrder = "ANP BNP AMP BMP | ANT BNT AMT BMT | CNP CMP | CNT CMT";
    /// READONLY_ZONE_FIRST
    ReadonlyZoneFirst = "ANRP BNRP AMRP BMRP ANWP BNWP AMWP BMWP \
        | ANRT BNRT AMRT BMRT ANWT BNWT AMWT BMWT \
        | CNRP CMRP CNWP CMWP | CNRT CMRT CNWT CMWT";
    /// ONLY_READONLY_ZONE
    OnlyReadonlyZone = "ANRP BNRP AMRP BMRP | ANRT BNRT AMRT BMRT | CNRP CMRP | CNRT CMRT";
    /// ONLY_READWRITE_ZONE
    OnlyReadwriteZone = "ANWP BNWP AMWP BMWP | ANWT BNWT AMWT BMWT | CNWP CMWP | CNWT CMWT";
    /// UNMERGE_ZONE_FIRST
    UnmergeZoneFirst = "ANRP BNRP ANWP BNWP AMRP BMRP AMWP BMWP \
        | ANRT BNRT ANWT BNWT AMRT BMRT AMWT BMWT \
        | CNRP CNWP CMRP CMWP | CNRT CNWT CMRT CMWT";
    /// FOLLOWER_FIRST
    FollowerFirst = "ANPF BNPF AMPF BMPF | ANPL BNPL AMPL BMPL | ANT BNT AMT BMT \
        | CNPF CMPF | CNPL CMPL | CNT CMT";
    /// UNMERGE_FOLLOWER_FIRST
    UnmergeFollowerFirst = "ANPF BNPF ANPL BNPL | AMPF BMPF AMPL BMPL | ANT BNT AMT BMT \
        | CNPF CNPL | CMPF CMPL | CNT CMT";
    /// FOLLOWER_ONLY: the leader is never used.
    FollowerOnly = "ANPF BNPF AMPF BMPF | ANT BNT AMT BMT | CNPF CMPF | CNT CMT";
    /// DUP_REPLICA_FIRST
    DupReplicaFirst = "ANPD BNPD AMPD BMPD CNPD CMPD | ANP BNP AMP BMP CNP CMP \
        | ANT BNT AMT BMT CNT CMT";
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The class of the letters that EXPLAIN ROUTE shows, all given.
    fn class(letters: &str) -> Class {
        let all = (0..Class::COUNT).map(Class::of_index);
        let mut found = all.filter(|class| class.letters() == letters);
        found.next().unwrap_or_else(|| panic!("no class {letters}"))
    }

    fn places(order: &Order, letters: &str) -> Vec<Option<u8>> {
        letters
            .split_whitespace()
            .map(|word| order.place(class(word)))
            .collect()
    }

    /// One class for each group of a row, best first, and classes that the policy never uses.
    #[test]
    fn each_row_puts_classes_in_its_order() {
        use Ordered::*;
        let rows: &[(Ordered, &str, &str)] = &[
            (
                MergeIdcOrder,
                "ANWPF BNRPL AMWPF BMRPF ANWT BNRT AMWT BMRT CNWPL CMWPF CNRT CMWT",
                "",
            ),
            (
                ReadonlyZoneFirst,
                "ANRPF BNRPF AMRPF BMRPF ANWPL BNWPF AMWPF BMWPF ANRT BNRT AMRT BMRT ANWT BNWT \
                 AMWT BMWT CNRPF CMRPF CNWPL CMWPF CNRT CMRT CNWT CMWT",
                "",
            ),
            (
                OnlyReadonlyZone,
                "ANRPF BNRPF AMRPF BMRPF ANRT BNRT AMRT BMRT CNRPF CMRPF CNRT CMRT",
                "ANWPF ANWPL BNWT CMWT AMWPF",
            ),
            (
                OnlyReadwriteZone,
                "ANWPL BNWPF AMWPF BMWPF ANWT BNWT AMWT BMWT CNWPF CMWPL CNWT CMWT",
                "ANRPF BNRT CMRT CNRPF",
            ),
            (
                UnmergeZoneFirst,
                "ANRPF BNRPF ANWPL BNWPF AMRPF BMRPF AMWPF BMWPF ANRT BNRT ANWT BNWT AMRT BMRT \
                 AMWT BMWT CNRPF CNWPF CMRPF CMWPF CNRT CNWT CMRT CMWT",
                "",
            ),
            (
                FollowerFirst,
                "ANWPF BNWPF AMRPF BMWPF ANWPL BNWPL AMWPL BMWPL ANWT BNRT AMWT BMWT CNWPF CMWPF \
                 CNWPL CMWPL CNWT CMWT",
                "",
            ),
            (
                UnmergeFollowerFirst,
                "ANWPF BNWPF ANWPL BNWPL AMWPF BMWPF AMWPL BMWPL ANWT BNWT AMWT BMWT CNWPF CNWPL \
                 CMWPF CMWPL CNWT CMWT",
                "",
            ),
            (
                FollowerOnly,
                "ANWPF BNRPF AMWPF BMWPF ANWT BNWT AMWT BMWT CNWPF CMWPF CNWT CMWT",
                "ANWPL BNWPL AMRPL BMWPL CNWPL CMWPL",
            ),
            (
                DupReplicaFirst,
                "ANWPFD BNWPL AMWPFD BMWPL CNWPFD CMWPL ANWPF BNWPF AMWPF BMWPF CNWPF CMWPF ANWT \
                 BNWT AMWT BMWT CNWT CMWT",
                "",
            ),
        ];
        assert_eq!(rows.len(), Ordered::ALL.len());
        for (policy, ordered, never) in rows {
            let places = places(policy.order(), ordered);
            assert!(places[0] == Some(0), "{policy:?}");
            assert!(
                places.windows(2).all(|pair| pair[0] < pair[1]),
                "{policy:?}: {places:?}"
            );
            assert_eq!(
                places.len(),
                policy
                    .text()
                    .split_whitespace()
                    .filter(|w| *w != "|")
                    .count(),
                "{policy:?}: a class for each word"
            );
            for word in never.split_whitespace() {
                assert_eq!(policy.order().place(class(word)), None, "{policy:?} {word}");
            }
        }
    }

    #[test]
    fn letters_that_are_missing_mean_any() {
        let order = Ordered::MergeIdcOrder.order();
        let same = places(order, "ANWPF ANWPL ANRPF ANRPLD");
        assert_eq!(same, [Some(0); 4]);
        let all = (0..Class::COUNT).map(Class::of_index);
        assert!(all.into_iter().all(|class| order.place(class).is_some()));
    }

    #[test]
    fn an_optimized_order_tries_far_holders_before_near_strangers() {
        let by = |policy: Ordered, is_optimized: bool, word: &str| {
            let order = match is_optimized {
                true => policy.optimized(),
                false => policy.order(),
            };
            order.place(class(word)).unwrap()
        };
        for policy in Ordered::ALL {
            let (far, stranger) = match policy {
                Ordered::OnlyReadonlyZone => ("CMRPF", "ANRT"),
                _ => ("CMWPF", "ANWT"),
            };
            assert!(by(*policy, true, far) < by(*policy, true, stranger));
            let is_moved = by(*policy, false, far) > by(*policy, false, stranger);
            assert_eq!(is_moved, *policy != Ordered::DupReplicaFirst, "{policy:?}");
            for order in [policy.order(), policy.optimized()] {
                let all = (0..Class::COUNT).map(Class::of_index);
                let strangers = all.filter(|class| class.hold == Hold::Nothing);
                let first = strangers.filter_map(|class| order.place(class)).min();
                assert_eq!(Some(order.first_without_leaf()), first, "{policy:?}");
            }
        }
        let order = Ordered::FollowerFirst.optimized();
        let row = "ANWPF BMWPF ANWPL BMWPL CNWPF CMWPF CNWPL CMWPL ANWT CNWT";
        assert!(places(order, row).windows(2).all(|pair| pair[0] < pair[1]));
        assert_eq!(
            Ordered::FollowerOnly.optimized().place(class("ANWPL")),
            None
        );
    }
}
