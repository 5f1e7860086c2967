//! Logins and changes of the user.

use super::data::{Data, Present};
use super::frames::{Bad, Frames};
use super::login::{self, Arrival};
use super::reply::{Done, Failure, Reader};
use super::session::{Phase, Session};
use obring_wire::protocol::capability;
use obring_wire::protocol::mysql::{AuthSwitch, ChangeUser, client, status};

impl Session {
    pub(super) fn log_in(&mut self, data: &mut Data, out: &mut Vec<u8>) -> Result<(), Bad> {
        let Some(mut arrival) = Arrival::read(&self.frames.payload, self.scramble) else {
            return Err(Bad);
        };
        arrival.who.granted &= data.layout.granted;
        self.packets.reader = Reader {
            is_proxy: arrival.who.is_proxy,
            tracks: arrival.who.tracks(),
        };
        if arrival.plugin.as_deref() == Some(b"") {
            self.refuse(
                data,
                &Failure::new(1210, "HY000", "Incorrect arguments"),
                out,
            );
            return Ok(());
        }
        let user = login::find(data, &arrival.who.user, &arrival.tenant);
        if user.is_some_and(|u| login::needs_switch(u, &arrival)) {
            let seq = self.packets.seq;
            AuthSwitch::put(&mut self.packets.bytes, seq, &arrival.who.scramble);
            self.phase = Phase::Switch(Box::new(arrival));
            self.flush_turn(out);
            return Ok(());
        }
        self.enter(data, arrival, out);
        Ok(())
    }

    /// Lets a user in, or not.
    pub(super) fn enter(&mut self, data: &mut Data, arrival: Arrival, out: &mut Vec<u8>) {
        let Arrival {
            who,
            tenant,
            auth,
            database,
            ..
        } = arrival;
        let user = login::find(data, &who.user, &tenant);
        let is_right = user.is_some_and(|u| login::is_right(u, &who.scramble, &auth));
        if !is_right {
            let failure = login::denied(&who.user, &auth);
            return self.refuse(data, &failure, out);
        }
        let is_known = database.is_empty() || self.knows(data, &database);
        if !is_known {
            let text = format!("Unknown database '{database}'");
            return self.refuse(data, &Failure::new(1049, "42000", text), out);
        }
        self.who = who;
        self.is_logged_in = true;
        self.state.database = database;
        if let Some(id) = self.who.client_id
            && self.who.has(capability::CLIENT_SESSION_ID_V2)
        {
            self.state.visible = id;
        }
        data.present.insert(
            self.state.id,
            Present {
                id: self.state.id,
                visible: self.state.visible,
                peer: self.peer,
            },
        );
        login::put_ok(&mut self.packets, data, &self.who, &self.state.database);
        self.state.greet();
        self.phase = Phase::Ready;
        // A login is answered in plain packets, whatever was agreed.
        self.frames.write(out, &self.packets.bytes, &[], 0, true);
        self.packets.bytes.clear();
        self.frames = Frames::agreed(self.who.granted, self.state.id);
    }

    fn knows(&mut self, data: &mut Data, database: &str) -> bool {
        self.runner(data, 0, 0, false, &[]).knows_database(database)
    }

    /// Refuses a login; the session is over.
    fn refuse(&mut self, data: &mut Data, failure: &Failure, out: &mut Vec<u8>) {
        self.packets.error(failure);
        if self.packets.reader.is_proxy {
            self.packets.ok(
                &Done::default(),
                status::AUTOCOMMIT | status::NO_INDEX,
                None,
            );
        }
        self.phase = Phase::Over;
        self.flush(data, out);
    }

    /// COM_CHANGE_USER.
    pub(super) fn change_user(&mut self, data: &mut Data, payload: &[u8], out: &mut Vec<u8>) {
        let Ok(change) = ChangeUser::parse(payload) else {
            return self.answer(data, Err(Failure::unsupported()), out);
        };
        let (user, tenant) = login::split(change.user);
        let database = String::from_utf8_lossy(change.database).into_owned();
        let auth = change.auth.to_vec();
        let has_plugins = self.who.capabilities & client::PLUGIN_AUTH != 0;
        let has_password = login::find(data, &user, &tenant).is_none_or(|u| u.hash.is_some());
        if has_plugins && has_password && self.who.knows_switch(true) {
            let seq = self.packets.seq;
            AuthSwitch::put(&mut self.packets.bytes, seq, &self.who.scramble);
            self.phase = Phase::ChangeSwitch(Box::new((user, tenant, database)));
            return self.flush_turn(out);
        }
        self.change_to(data, &user, &tenant, &database, &auth, out);
    }

    pub(super) fn change_to(
        &mut self,
        data: &mut Data,
        user: &str,
        tenant: &str,
        database: &str,
        auth: &[u8],
        out: &mut Vec<u8>,
    ) {
        let found = login::find(data, user, tenant);
        if !found.is_some_and(|u| login::is_right(u, &self.who.scramble, auth)) {
            let failure = login::denied(user, auth);
            return self.refuse(data, &failure, out);
        }
        if !database.is_empty() && !self.knows(data, database) {
            let text = format!("Unknown database '{database}'");
            return self.refuse(data, &Failure::new(1049, "42000", text), out);
        }
        self.leave(data);
        data.unlock_all(self.state.visible);
        self.state.reset();
        self.state.database = database.into();
        self.who.user = user.into();
        self.phase = Phase::Ready;
        login::put_ok(&mut self.packets, data, &self.who, database);
        self.state.is_dirty = true;
        self.flush(data, out);
    }
}
