//! What a server's reply says about the place that its statement was sent to.

use super::{Reason, TableName, Tables};
use crate::base::Tick;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;

/// The partition-hit flag of a reply, `ob_proxy_partition_hit`. A reply without it is of a server
/// that was right, or of one that cannot tell: that is no hit.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Hit {
    /// The flag is set.
    Yes,
    /// The flag is 0.
    No,
    /// There is no flag.
    Unknown,
}

/// `_ob_proxy_weakread_feedback`, as far as it says something.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum WeakFeedback {
    /// 2: all of the leaves are led by the server.
    AllLed,
    /// 3: some of them.
    SomeLed,
}

/// What a statement was sent by, and what came back.
#[derive(Clone, Copy, Debug)]
pub struct Reply {
    /// Why the server was chosen.
    pub reason: Reason,
    /// The server is the leader that the entry names.
    pub is_to_leader: bool,
    /// The entry names a leader.
    pub has_leader: bool,
    /// The server holds the leaf, as far as the entry says.
    pub is_to_holder: bool,
    /// It was a weak read.
    pub is_weak: bool,
    /// The server knows that.
    pub is_told_weak: bool,
    /// It was an INSERT or the like.
    pub adds_rows: bool,
    /// The flag.
    pub hit: Hit,
    /// What a weak read met.
    pub weak: Option<WeakFeedback>,
    /// The reply is an error: its flags mean nothing.
    pub is_error: bool,
    /// It names a better server.
    pub is_rerouted: bool,
}

/// What a reply means to the entry that its statement went by.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Nothing.
    Nothing,
    /// It is right.
    Right,
    /// It is doubtful.
    Doubt,
}

/// Judges a reply. Source: OBProxy behaviour, as in the routing facts, section 8, and the metadata
/// facts, section 8.4.
#[must_use]
pub const fn judge(reply: &Reply) -> Verdict {
    if reply.is_rerouted {
        return Verdict::Doubt;
    }
    if reply.is_error {
        return Verdict::Nothing;
    }
    if matches!(reply.reason, Reason::TableAbsent) {
        // It worked, so the table is there now.
        return Verdict::Doubt;
    }
    if matches!(reply.reason, Reason::NoLeaf) {
        // There are rows after all, or there is a place for new ones.
        let has_leaf = matches!(reply.hit, Hit::No) || reply.adds_rows;
        return if has_leaf {
            Verdict::Doubt
        } else {
            Verdict::Nothing
        };
    }
    if matches!(reply.reason, Reason::LeafUnknown) {
        // Most likely a leaf of another server was meant. But if the table is divided otherwise by
        // now, nothing else would show that.
        return match reply.hit {
            Hit::No => Verdict::Doubt,
            Hit::Yes | Hit::Unknown => Verdict::Nothing,
        };
    }
    if reply.reason.is_beside_location() {
        return Verdict::Nothing;
    }
    if reply.is_weak && !reply.is_told_weak {
        // The server says what it says of a strong read.
        return Verdict::Nothing;
    }
    if reply.is_weak {
        return match (reply.weak, reply.hit) {
            (Some(WeakFeedback::AllLed), _) if !reply.is_to_leader => Verdict::Doubt,
            (_, Hit::Unknown) => Verdict::Nothing,
            (_, Hit::No) if reply.is_to_holder => Verdict::Doubt,
            (_, Hit::Yes) if !reply.is_to_holder => Verdict::Doubt,
            _ => Verdict::Nothing,
        };
    }
    match reply.hit {
        Hit::Unknown if !reply.has_leader => Verdict::Doubt,
        Hit::Unknown => Verdict::Nothing,
        Hit::Yes if reply.is_to_leader => Verdict::Right,
        // The flag is 0 only if one other server leads all of the leaves: then they are not spread
        // as the entry says.
        Hit::No if matches!(reply.reason, Reason::MostLeaders) => Verdict::Doubt,
        Hit::No if !reply.is_to_leader && reply.has_leader => Verdict::Nothing,
        Hit::Yes | Hit::No => Verdict::Doubt,
    }
}

/// What a server's error says about the places that are known.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// -5150, -4666: the tenant is not on this server, or the cluster is another one.
    NotTheTenants,
    /// The connection failed, or -4124: the server is gone.
    Gone,
    /// -4038: it does not lead any more.
    NotLeader,
}

impl Fault {
    /// By the error number, as a MySQL client sees it; `None` if it says nothing about places.
    #[must_use]
    pub const fn of(errno: u16) -> Option<Self> {
        match errno {
            5_150 | 4_666 => Some(Self::NotTheTenants),
            4_124 => Some(Self::Gone),
            4_038 => Some(Self::NotLeader),
            _ => None,
        }
    }
}

/// Does what an error asks for to what this core knows of tables.
pub fn take_fault(
    tables: &mut Tables,
    now: Tick,
    fault: Fault,
    server: SocketAddr,
    entry: Option<(&TableName<'_>, u64)>,
    session: (&str, &[u8]),
) {
    match (fault, entry) {
        (Fault::NotTheTenants, _) => tables.doubt_tenant(now, session.0, session.1),
        (Fault::Gone, _) => tables.doubt_server(now, server),
        (Fault::NotLeader, Some((name, version))) => {
            tables.doubt_soon(now, name, version);
        }
        (Fault::NotLeader, None) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::super::Found;
    use super::super::fixture::{at, key, row, table};
    use super::*;

    type Change = fn(&mut Reply);

    #[test]
    fn flags_are_judged_by_where_the_statement_went() {
        use Verdict::{Doubt, Nothing, Right};
        let to_leader = Reply {
            reason: Reason::Leader,
            is_to_leader: true,
            has_leader: true,
            is_to_holder: true,
            is_weak: false,
            is_told_weak: true,
            adds_rows: false,
            hit: Hit::Unknown,
            weak: None,
            is_error: false,
            is_rerouted: false,
        };
        let cases: &[(&str, Change, Verdict)] = &[
            ("no flag says nothing", |_| {}, Nothing),
            ("hit at the leader", |r| r.hit = Hit::Yes, Right),
            ("miss at the leader", |r| r.hit = Hit::No, Doubt),
            (
                "hit elsewhere: it leads now",
                |r| (r.hit, r.is_to_leader) = (Hit::Yes, false),
                Doubt,
            ),
            (
                "miss elsewhere: as expected",
                |r| (r.hit, r.is_to_leader) = (Hit::No, false),
                Nothing,
            ),
            (
                "miss where several leaves were thought to be led by several servers",
                |r| {
                    (r.hit, r.is_to_leader) = (Hit::No, false);
                    r.reason = Reason::MostLeaders;
                },
                Doubt,
            ),
            (
                "an entry without a leader",
                |r| (r.has_leader, r.is_to_leader) = (false, false),
                Doubt,
            ),
            (
                "an error",
                |r| (r.hit, r.is_error) = (Hit::No, true),
                Nothing,
            ),
            (
                "a server that names a better one",
                |r| (r.is_error, r.is_rerouted) = (true, true),
                Doubt,
            ),
            (
                "a server that was chosen for another reason",
                |r| (r.hit, r.reason) = (Hit::No, Reason::PrimaryZone),
                Nothing,
            ),
            (
                "a table that was thought absent",
                |r| r.reason = Reason::TableAbsent,
                Doubt,
            ),
            (
                "no leaf, and nothing there",
                |r| r.reason = Reason::NoLeaf,
                Nothing,
            ),
            (
                "no leaf, and another server leads one",
                |r| (r.hit, r.reason) = (Hit::No, Reason::NoLeaf),
                Doubt,
            ),
            (
                "nobody knew which leaf, and another server leads it",
                |r| (r.hit, r.reason) = (Hit::No, Reason::LeafUnknown),
                Doubt,
            ),
            (
                "no leaf, and a row was added",
                |r| (r.adds_rows, r.reason) = (true, Reason::NoLeaf),
                Doubt,
            ),
            (
                "inside a transaction",
                |r| (r.hit, r.reason) = (Hit::No, Reason::Coordinator),
                Nothing,
            ),
            (
                "weak: a holder that says no",
                |r| (r.is_weak, r.hit) = (true, Hit::No),
                Doubt,
            ),
            (
                "weak: a holder that knows nothing of that and says no",
                |r| (r.is_weak, r.is_told_weak, r.hit) = (true, false, Hit::No),
                Nothing,
            ),
            (
                "weak: a stranger that says yes",
                |r| (r.is_weak, r.hit, r.is_to_holder) = (true, Hit::Yes, false),
                Doubt,
            ),
            (
                "weak: a holder that says yes",
                |r| (r.is_weak, r.hit) = (true, Hit::Yes),
                Nothing,
            ),
            (
                "weak: a follower that leads",
                |r| {
                    (r.is_weak, r.is_to_leader) = (true, false);
                    r.weak = Some(WeakFeedback::AllLed);
                },
                Doubt,
            ),
            (
                "weak: a follower that leads a part",
                |r| {
                    (r.is_weak, r.is_to_leader) = (true, false);
                    r.weak = Some(WeakFeedback::SomeLed);
                },
                Nothing,
            ),
        ];
        for (name, change, verdict) in cases {
            let mut reply = to_leader;
            change(&mut reply);
            assert_eq!(judge(&reply), *verdict, "{name}");
        }
    }

    #[test]
    fn errors_doubt_what_they_are_about() {
        let (a, b) = (key("a"), key("b"));
        let known = || {
            let mut tables = Tables::default();
            tables.install(Tick(0), table("a", 5, 1, &[row(0, 1, true)]));
            tables.install(Tick(0), table("b", 5, 1, &[row(0, 2, true)]));
            tables
        };
        let now = Tick(1_000_000);
        for (errno, doubted, later) in [
            (5_150, [true, true], [true, true]),
            (4_666, [true, true], [true, true]),
            (4_124, [true, false], [true, false]),
            (4_038, [false, false], [true, false]),
        ] {
            let mut tables = known();
            let fault = Fault::of(errno).unwrap();
            let entry = a.as_name();
            let session = ("ob1", b"t".as_slice());
            take_fault(&mut tables, now, fault, at(1), Some((&entry, 5)), session);
            let is_due = |now: Tick| {
                [&a, &b].map(|k| matches!(tables.find(now, &k.as_name()), Found::Due(_)))
            };
            assert_eq!(is_due(now), doubted, "{errno}");
            assert_eq!(is_due(now.after_ms(1_000)), later, "{errno}");
        }
        assert_eq!(Fault::of(1_064), None);
    }
}
