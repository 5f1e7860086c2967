//! Requests that another server should answer: reroute, which only engine `builtin` offers.
//!
//! A proxy that can repeat a request says so (flag REROUTE of its packets, after capability bit
//! 12). A server that would have to fetch everything from one other server then runs nothing, and
//! answers error 5727 with that server's address.

use super::advice::{Advice, Place};
use super::exchange::Turn;
use super::made::refusals;
use super::request::Reading;
use super::session::Session;
use crate::builtin::SCHEMA_VERSION;
use crate::shadow::LinkState;
use obring_wire::base::{put_lenenc, put_lenenc_bytes};
use obring_wire::protocol::capability;
use obring_wire::protocol::ob20::flag;
use std::io;
use std::net::{IpAddr, SocketAddr};

/// The user variable that names the other server.
const REROUTE_INFO: &[u8] = b"ob_client_reroute_info";
/// Roles of a replica, and the type of one with all data.
const LEADER: u64 = 1;
const FOLLOWER: u64 = 2;
const FULL: u64 = 0;

/// The value of [`REROUTE_INFO`]: its length, then numbers as length-encoded integers: version of
/// the address, the address (of version 6: upper and lower half), port, role, type of replica, then
/// the table's name and its schema version. Source: OceanBase wire facts, reroute.
fn reroute_info(address: SocketAddr, place: &Place) -> Vec<u8> {
    let mut inner = vec![];
    match address.ip() {
        IpAddr::V4(ip) => {
            put_lenenc(&mut inner, 4);
            put_lenenc(&mut inner, u32::from(ip).into());
        }
        IpAddr::V6(ip) => {
            put_lenenc(&mut inner, 6);
            let bits = u128::from(ip);
            put_lenenc(&mut inner, (bits >> 64) as u64);
            put_lenenc(&mut inner, bits as u64);
        }
    }
    put_lenenc(&mut inner, address.port().into());
    put_lenenc(&mut inner, if place.is_leader { LEADER } else { FOLLOWER });
    put_lenenc(&mut inner, FULL);
    put_lenenc_bytes(&mut inner, place.table.as_bytes());
    put_lenenc(&mut inner, SCHEMA_VERSION);
    let mut out = vec![];
    put_lenenc_bytes(&mut out, &inner);
    out
}

impl Session {
    /// Answers a request with the address of the server that should have got it, if there is one
    /// and the proxy can go there.
    pub(super) async fn reroute(
        &mut self,
        advice: &mut Advice,
        request: &Reading,
    ) -> io::Result<Option<Turn>> {
        let flags = request.frames().flags();
        let is_offered = self.shared.is_builtin
            && request.is_over()
            && self.granted & capability::PROXY_REROUTE != 0
            && flags & flag::REROUTE != 0;
        // An open transaction is here; it may go on elsewhere only where its proxy says so.
        let stays = || {
            let is_open = self.shared.shadows.read(self.id, LinkState::in_transaction);
            is_open == Some(true) && flags & flag::INTERNAL_ROUTING == 0
        };
        if !is_offered || stays() {
            return Ok(None);
        }
        let better = advice.better(&self.shared, &mut self.judge, self.server);
        let Some(place) = better.await else {
            return Ok(None);
        };
        let address = self.shared.state().server(place.server).map(|s| s.address);
        let Some(address) = address else {
            return Ok(None);
        };
        let refusal = refusals::reroute();
        if let Some(entry) = &mut self.running {
            let told = advice.settle(&self.shared, &mut self.judge, entry, refusal.code, &[]);
            told.await;
        }
        self.bring(request).await?;
        let value = reroute_info(address, &place);
        let packets = self
            .manner(request.seq())
            .error_with(&refusal, (REROUTE_INFO, &value));
        let framed = request.frames().wrap_reply(&packets);
        self.say(&refusal, &framed).await?;
        Ok(Some(Turn::Next))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_of_either_version_is_written() {
        let place = |is_leader| Place {
            server: 2,
            is_leader,
            table: "kv".into(),
        };
        let v4 = reroute_info("127.0.1.2:2881".parse().unwrap(), &place(true));
        let version = [0xFE, 0x00, 0x40, 0x1E, 0x18, 0x24, 0x0A, 0x06, 0x00];
        assert_eq!(
            v4,
            [
                &b"\x1b\x04\xFE\x02\x01\0\x7f\0\0\0\0\xFC\x41\x0B\x01\0\x02kv"[..],
                &version
            ]
            .concat()
        );
        let v6 = reroute_info("[::1]:7".parse().unwrap(), &place(false));
        assert_eq!(
            v6,
            [&b"\x12\x06\0\x01\x07\x02\0\x02kv"[..], &version].concat()
        );
    }
}
