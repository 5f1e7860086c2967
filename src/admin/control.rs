//! The machines of the metadata core: cluster knowledge, and the administrators' desk.

use super::Desk;
use crate::base::{
    Accepted, CloseReason, CoreId, Input, Key, Level, Linger, Machines, Out, Output, Tick,
};
use crate::metadata::{self, Metadata};
use crate::routing::Mail;

/// Both machines.
#[derive(Debug)]
pub struct Control {
    metadata: Metadata,
    desk: Desk,
    is_desk_over: bool,
}

impl Control {
    /// The key of the desk; that of the other is [`Metadata::KEY`].
    const DESK: Key = Key {
        index: 1,
        generation: 1,
    };

    /// Both machines, not started.
    #[must_use]
    pub const fn new(metadata: Metadata, desk: Desk) -> Self {
        Self {
            metadata,
            desk,
            is_desk_over: false,
        }
    }

    fn keep_hot(&mut self, now: Tick, out: &mut Out<'_, Mail>) {
        let metadata = &self.metadata;
        let asked_since = |since| metadata.asked_since(since).collect();
        if let Err(what) = self.desk.keep_hot(now, asked_since) {
            let line = format!("cause={what:?}");
            let log = Output::Log(Level::Warn, "location_snapshot_not_kept", line);
            out.list.push(log);
        }
    }
}

impl Machines for Control {
    type Mail = Mail;

    fn accept(&mut self, _: Tick, _: Accepted) -> Option<Key> {
        None
    }

    fn clients_max(&self) -> u32 {
        0
    }

    fn handle(&mut self, now: Tick, id: Key, input: Input<'_>, out: &mut Out<'_, Mail>) {
        if id != Self::DESK {
            return self.metadata.handle(now, id, input, out);
        }
        match input {
            Input::Drain { .. } => {
                self.keep_hot(now, out);
                let end = Output::End(CloseReason::Shutdown, Linger::Flush);
                return out.list.push(end);
            }
            Input::Timer if self.desk.timer(now) => self.keep_hot(now, out),
            _ => {}
        }
        for (core, mail) in self.desk.letters() {
            out.list.push(Output::Post(core, mail));
        }
    }

    fn poll_timeout(&self, id: Key) -> Option<Tick> {
        match id {
            Self::DESK => self.desk.due().filter(|_| !self.is_desk_over),
            _ => self.metadata.poll_timeout(id),
        }
    }

    fn mail(&mut self, now: Tick, mail: Mail, wake: &mut Vec<Key>, post: &mut Vec<(CoreId, Mail)>) {
        if matches!(mail, Mail::Ask(_)) {
            self.desk.look(now, self.metadata.status());
        }
        let Some(mail) = self.desk.mail(now, mail) else {
            if let Some(settings) = self.desk.new_settings() {
                self.metadata.set_settings(metadata::Settings::of(settings));
            }
            post.append(&mut self.desk.letters());
            // Its timer is looked at again: all cores may have told.
            wake.push(Self::DESK);
            return;
        };
        self.metadata.mail(now, mail, wake, post);
    }

    fn ended(&mut self, id: Key) {
        match id {
            Self::DESK => self.is_desk_over = true,
            _ => self.metadata.ended(id),
        }
    }

    fn describe(&self, id: Key) -> String {
        match id {
            Self::DESK => "machine=desk".into(),
            _ => self.metadata.describe(id),
        }
    }

    fn ids(&self, into: &mut Vec<Key>) {
        self.metadata.ids(into);
        if !self.is_desk_over {
            into.push(Self::DESK);
        }
    }
}
