//! The statements of measurements, and the bytes of their replies: those that engine `builtin` of
//! the model cluster gives to a direct client.

use crate::raw::{Login, framed};
use obcluster::builtin::{Data, Layout, Session};
use obcluster::judge::JudgeMode;
use obcluster::{Cluster, Engine, Topology};
use obring_wire::protocol::capability;
use obring_wire::protocol::mysql::{Command, Greeting, HEADER_LEN};
use std::net::SocketAddr;

/// Text of the row of [`Statement::Point`].
const POINT_TEXT: usize = 100;
/// Its table, by HASH of the id.
const POINT_TABLE: &str = "test.kv";
/// Its id.
const POINT_ID: i64 = 5;
/// MYSQL_TYPE_LONGLONG, the type of the parameter of a prepared point select.
const LONGLONG: u8 = 0x08;
/// The number of the first statement that a connection prepares.
const FIRST_ID: u32 = 1;

/// What a client asks again and again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Statement {
    /// `select 1`.
    One,
    /// One row of 100 bytes by its key.
    Point,
    /// 1 MB in 5,000 rows.
    Megabyte,
}

/// The tables of a server of measurements. `is_plain`: it grants no other framing.
#[must_use]
pub fn layout(is_plain: bool) -> Layout {
    let mut layout = Layout {
        kv_rows: vec![(POINT_ID, "1".repeat(POINT_TEXT))],
        ..Layout::default()
    };
    if is_plain {
        layout.granted = capability::PLAIN;
    }
    layout
}

/// A cluster of servers of measurements, with the same tables, and where they listen: first who
/// leads the partition of [`Statement::Point`].
///
/// # Errors
/// It does not start.
pub fn cluster(is_plain: bool) -> Result<(Cluster, Vec<SocketAddr>), String> {
    let topology = Topology {
        // The clients are of `sys`, like those of a single server.
        spread_sys: true,
        // It would judge what comes through a proxy only, which its server would be slower for.
        judge: JudgeMode::Off,
        ..Topology::default()
    };
    let layout = layout(is_plain);
    let shapes = layout.shapes();
    let cluster = Cluster::start(topology, Engine::Builtin(layout)).map_err(|e| e.to_string())?;
    let state = cluster.state();
    let shape = shapes.iter().find(|s| s.name == POINT_TABLE);
    let place = shape.zip(state.tenant("sys")).map(|(shape, sys)| {
        let leaf = POINT_ID as u32 % shape.tablets.len() as u32;
        state.placement.leaf(sys, shape, leaf)
    });
    let leader = place.and_then(|place| place.leader);
    let leader = leader.ok_or_else(|| format!("nobody leads {POINT_TABLE}"))?;
    let mut all = cluster.addresses();
    all.swap(0, leader as usize - 1);
    Ok((cluster, all))
}

impl Statement {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::One, Self::Point, Self::Megabyte];

    /// Its text as a query.
    #[must_use]
    pub const fn text(self) -> &'static [u8] {
        match self {
            Self::One => b"select 1",
            Self::Point => b"select v from test.kv where id=5",
            // With header and length a row has 209 bytes.
            Self::Megabyte => b"select 5000 rows of 204 bytes",
        }
    }

    /// Its text for COM_STMT_PREPARE.
    #[must_use]
    pub const fn prepared_text(self) -> &'static [u8] {
        match self {
            Self::Point => b"select v from test.kv where id=?",
            _ => self.text(),
        }
    }

    /// The packet that prepares it.
    #[must_use]
    pub fn prepare(self) -> Vec<u8> {
        let command = [Command::STMT_PREPARE.0];
        framed(&[&command, self.prepared_text()].concat(), 0)
    }

    /// The packet that asks it: COM_QUERY, or COM_STMT_EXECUTE of the first one that its
    /// connection has prepared.
    #[must_use]
    pub fn request(self, is_prepared: bool) -> Vec<u8> {
        if !is_prepared {
            return framed(&[&[Command::QUERY.0], self.text()].concat(), 0);
        }
        let mut payload = vec![Command::STMT_EXECUTE.0];
        payload.extend_from_slice(&FIRST_ID.to_le_bytes());
        // No cursor, one iteration.
        payload.extend_from_slice(&[0, 1, 0, 0, 0]);
        if self == Self::Point {
            // Nothing is null; types follow.
            payload.extend_from_slice(&[0, 1, LONGLONG, 0]);
            payload.extend_from_slice(&POINT_ID.to_le_bytes());
        }
        framed(&payload, 0)
    }

    /// What a direct client gets: the reply to the prepare (empty for a query), and to each
    /// request.
    ///
    /// # Errors
    /// The engine does not answer.
    pub fn replies(self, is_prepared: bool) -> Result<[Vec<u8>; 2], String> {
        let mut data = Data::new(layout(false));
        let mut out = vec![];
        let mut session = Session::new(1, None, 1, &mut out);
        let greeting = out.get(HEADER_LEN..).unwrap_or_default();
        let greeting = Greeting::parse(greeting).map_err(|e| format!("greeting: {e}"))?;
        let login = framed(&Login::default().payload(&greeting.scramble), 1);
        let mut ask = |request: &[u8]| {
            let mut out = vec![];
            let mut flow = session.receive(&mut data, 0, request, &mut out);
            while flow == obcluster::builtin::Flow::Write {
                flow = session.resume(&mut data, 0, &mut out);
            }
            out
        };
        if ask(&login).get(HEADER_LEN) != Some(&0) {
            return Err("the engine does not let root in".into());
        }
        let mut prepared = vec![];
        if is_prepared {
            prepared = ask(&self.prepare());
        }
        Ok([prepared, ask(&self.request(is_prepared))])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_statement_has_a_reply() {
        for statement in Statement::ALL {
            for is_prepared in [false, true] {
                let [prepared, reply] = statement.replies(is_prepared).unwrap();
                assert_eq!(prepared.is_empty(), !is_prepared);
                assert_ne!(reply[HEADER_LEN], 0xFF, "{statement:?}");
            }
        }
        let [_, reply] = Statement::Megabyte.replies(false).unwrap();
        assert!(
            (1_000_000..1_100_000).contains(&reply.len()),
            "{}",
            reply.len()
        );
    }

    #[test]
    fn a_prepared_point_select_has_its_parameter() {
        let asked = Statement::Point.request(true);
        assert_eq!(asked[..5], [22, 0, 0, 0, 0x17]);
        assert_eq!(asked.len(), 26);
        assert_eq!(Statement::One.request(true).len(), 14);
    }
}
