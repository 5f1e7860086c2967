//! A recorded connection: what scripts are written in. Every reply is read to the end that a direct
//! client sees; whatever a proxy adds turns up as the first packet of the next step.

use crate::norm::{
    Norm, blank_greeting, blank_schema_version, drop_proxy_variables, drop_trace_id, normalise,
};
use crate::params::{P, params, prepare_execute};
use crate::raw::{Conn, Got, Login};
use crate::transcript::{Step, Transcript};
use obring_wire::base::Cursor;
use obring_wire::protocol::mysql::{Greeting, MAX_PAYLOAD};
use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;

/// How far a reply reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Results until one has no more-results bit, or an error.
    Results,
    /// Like `Results`, but the columns of a cursor end it.
    Cursor,
    /// One packet.
    One,
    /// Definitions or rows up to EOF, or an error.
    ToEof,
    /// The reply of COM_STMT_PREPARE.
    Prepare,
    /// The reply of COM_STMT_PREPARE_EXECUTE.
    PrepareExecute,
    /// Nothing is sent back.
    Nothing,
    /// Everything up to the end of the connection.
    ToEnd,
}

/// One run of a script against one address.
#[derive(Clone, Debug)]
pub struct Run {
    to: SocketAddr,
    is_driver: bool,
    log: Rc<RefCell<Transcript>>,
    ids: Rc<RefCell<Vec<u32>>>,
}

/// A recorded connection.
#[derive(Debug)]
pub struct Session {
    name: &'static str,
    run: Run,
    conn: Option<Conn>,
    scramble: Vec<u8>,
    /// Its connection id, as the greeting said.
    pub id: u32,
    /// Statement id of the last prepare that worked.
    pub statement: u32,
    /// Parameters of the last prepare that worked.
    pub parameters: u16,
    norm: Norm,
}

impl Run {
    /// Of a script against `to`.
    #[must_use]
    pub fn new(to: SocketAddr) -> Self {
        Self {
            to,
            is_driver: false,
            log: Rc::default(),
            ids: Rc::default(),
        }
    }

    /// The same, all of whose clients are drivers of OceanBase with their framing.
    #[must_use]
    pub fn of_drivers(to: SocketAddr) -> Self {
        Self {
            is_driver: true,
            ..Self::new(to)
        }
    }

    /// What was seen.
    #[must_use]
    pub fn transcript(&self) -> Transcript {
        self.log.borrow().clone()
    }

    /// Connects and reads the greeting.
    pub fn connect(&self, name: &'static str) -> Session {
        let mut s = Session {
            name,
            run: self.clone(),
            conn: Conn::open(self.to).ok(),
            scramble: vec![],
            id: 0,
            statement: 0,
            parameters: 0,
            norm: Norm::Exact,
        };
        let mut got = s.next();
        if let Got::Packet(p) = &mut got
            && let Ok(g) = Greeting::parse(&p.payload)
        {
            s.id = g.connection_id;
            s.scramble = g.scramble.to_vec();
            self.ids.borrow_mut().push(g.connection_id);
            blank_greeting(&mut p.payload);
        }
        s.record("connect", vec![got]);
        s
    }

    /// Connects and logs in; follows an auth switch.
    pub fn login(&self, name: &'static str, login: &Login) -> Session {
        let mut s = self.connect(name);
        s.log_in(login);
        s
    }

    /// As root without a password, database `test`.
    pub fn root(&self, name: &'static str) -> Session {
        self.login(name, &Login::default().db("test"))
    }
}

impl Session {
    fn next(&mut self) -> Got {
        match &mut self.conn {
            None => Got::Closed,
            Some(c) => {
                let got = c.receive();
                if got.packet().is_none() {
                    self.conn = None;
                }
                got
            }
        }
    }

    /// What the next steps leave out of the comparison.
    pub const fn norm(&mut self, norm: Norm) -> &mut Self {
        self.norm = norm;
        self
    }

    fn record(&self, what: &str, got: Vec<Got>) {
        let what: String = what.chars().take(120).collect();
        let what = format!("{}: {what}", self.name);
        let mut got = got;
        got.iter_mut().for_each(blank_schema_version);
        got.iter_mut().for_each(drop_proxy_variables);
        got.iter_mut().for_each(drop_trace_id);
        // Drivers track the state of their session, in scripts that were not written for that.
        let norm = match self.norm {
            Norm::Exact if self.run.is_driver => Norm::NoAnnouncements,
            norm => norm,
        };
        let seen = normalise(got, norm, &self.run.ids.borrow());
        self.run.log.borrow_mut().steps.push(Step { what, seen });
    }

    /// Sends the login packet and reads up to OK, error or end; an auth switch is answered.
    pub fn log_in(&mut self, login: &Login) {
        let payload = match self.run.is_driver {
            true => login.clone().driver().payload(&self.scramble),
            false => login.payload(&self.scramble),
        };
        self.raw(&crate::raw::framed(&payload, login.seq));
        let answer = self.login_reply(&login.user, &login.password);
        if let (Some(c), Some(answer)) = (&mut self.conn, answer) {
            c.begin_frames(self.id, &answer);
        }
    }

    /// Reads the answer to a login packet or to COM_CHANGE_USER; the last packet of it.
    pub fn login_reply(&mut self, user: &[u8], password: &[u8]) -> Option<Got> {
        let mut got = vec![self.next()];
        if let Some(p) = got[0].packet()
            && p.payload.first() == Some(&0xFE)
            && p.payload.len() > 40
        {
            let at = p.payload.len() - 21;
            let scramble = p.payload[at..at + 20].to_vec();
            let answer = crate::raw::native_answer(password, &scramble);
            let seq = p.seq.wrapping_add(1);
            if let Got::Packet(p) = &mut got[0] {
                p.payload[at..at + 20].fill(b'S');
            }
            self.raw(&crate::raw::framed(&answer, seq));
            got.push(self.next());
        }
        if got.last().is_some_and(|g| g.error().is_some()) {
            got.push(self.next());
        }
        let user = String::from_utf8_lossy(user).into_owned();
        let last = got.last().cloned();
        self.record(&format!("login {user}"), got);
        last
    }

    /// Sends bytes as they are; nothing is read.
    pub fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        if let Some(c) = &mut self.conn
            && c.send_bytes(bytes).is_err()
        {
            // The answer, if any, can still be read.
        }
        self
    }

    /// The scramble of the greeting.
    #[must_use]
    pub fn scramble(&self) -> &[u8] {
        &self.scramble
    }

    /// Sends a payload with first sequence number 0 and reads the reply.
    pub fn send(&mut self, what: &str, payload: &[u8], reach: Reach) -> Vec<Got> {
        self.raw(&crate::raw::framed(payload, 0));
        self.read(what, reach)
    }

    /// COM_QUERY.
    pub fn q(&mut self, sql: &str) -> Vec<Got> {
        self.qb(sql.as_bytes())
    }

    /// COM_QUERY whose text names a connection: the id stands as `<id>` in the transcript.
    pub fn q_of(&mut self, before: &str, id: u32) -> Vec<Got> {
        let payload = [&[3], before.as_bytes(), id.to_string().as_bytes()].concat();
        self.send(&format!("{before}<id>"), &payload, Reach::Results)
    }

    /// COM_QUERY with a text of any bytes.
    pub fn qb(&mut self, sql: &[u8]) -> Vec<Got> {
        let payload = [&[3], sql].concat();
        self.send(&String::from_utf8_lossy(sql), &payload, Reach::Results)
    }

    /// Several COM_QUERY.
    pub fn qs(&mut self, texts: &[&str]) {
        for sql in texts {
            self.q(sql);
        }
    }

    /// A command whose reply is one packet.
    pub fn one(&mut self, what: &str, payload: &[u8]) -> Vec<Got> {
        self.send(what, payload, Reach::One)
    }

    /// COM_STMT_PREPARE.
    pub fn prepare(&mut self, sql: &str) -> Vec<Got> {
        let payload = [&[0x16], sql.as_bytes()].concat();
        self.send(&format!("prepare {sql}"), &payload, Reach::Prepare)
    }

    /// COM_STMT_EXECUTE of the statement prepared last. `body` is what follows the iteration
    /// count: null bitmap, flag, types, values.
    pub fn execute(&mut self, flags: u8, body: &[u8]) -> Vec<Got> {
        self.execute_id(self.statement, flags, body)
    }

    /// COM_STMT_EXECUTE of any statement.
    pub fn execute_id(&mut self, id: u32, flags: u8, body: &[u8]) -> Vec<Got> {
        let mut p = vec![0x17];
        p.extend_from_slice(&id.to_le_bytes());
        p.push(flags);
        p.extend_from_slice(&1u32.to_le_bytes());
        p.extend_from_slice(body);
        let reach = if flags & 1 == 1 {
            Reach::Cursor
        } else {
            Reach::Results
        };
        self.send(&format!("execute {id} flags {flags}"), &p, reach)
    }

    /// A command with a statement id behind its command byte.
    pub fn by_id(&mut self, command: u8, id: u32, rest: &[u8], reach: Reach) -> Vec<Got> {
        let mut p = vec![command];
        p.extend_from_slice(&id.to_le_bytes());
        p.extend_from_slice(rest);
        self.send(
            &format!("command {command:#x} of statement {id}"),
            &p,
            reach,
        )
    }

    /// The connection still answers and nothing is left over; then it says good-bye. Its end is not
    /// waited for: the kernel closes a second after COM_QUIT.
    pub fn bye(&mut self) {
        // With a column name: the kernel shares plans, and the length of the column with them,
        // between texts that differ in a literal only.
        self.q("select 'alive' as alive");
        self.norm(Norm::NoState).one("ping", b"\x0e");
        self.norm(Norm::Exact).send("quit", &[1], Reach::Nothing);
        self.conn = None;
    }

    /// Asks for one cell until it is `want`, for at most ten seconds; nothing is recorded, because
    /// the number of questions depends on the moment. A wait in vain is recorded.
    pub fn wait_for_cell(&mut self, sql: &str, want: &str) {
        let Some(c) = &mut self.conn else { return };
        let came = crate::clock::wait_for(crate::clock::Deadline::secs(10), sql, || {
            c.cell(sql).is_ok_and(|cell| cell == want).then_some(())
        });
        if came.is_err() {
            self.record(sql, vec![Got::TimedOut]);
        }
    }

    /// Reads one reply and records it.
    pub fn read(&mut self, what: &str, reach: Reach) -> Vec<Got> {
        let mut got = vec![];
        match reach {
            Reach::Nothing => {}
            Reach::One => got.push(self.next()),
            Reach::ToEnd => {
                while got.last().is_none_or(|g: &Got| g.packet().is_some()) {
                    got.push(self.next());
                }
            }
            Reach::ToEof => self.until_eof(&mut got),
            Reach::Prepare => self.prepare_reply(&mut got),
            Reach::PrepareExecute => self.prepare_execute_reply(&mut got),
            Reach::Results | Reach::Cursor => self.results(reach == Reach::Cursor, &mut got),
        }
        self.record(what, got.clone());
        got
    }

    /// Pushes one packet (with its continuations); true when it can be followed by more.
    fn push(&mut self, got: &mut Vec<Got>) -> bool {
        got.push(self.next());
        let first = got.len() - 1;
        while got
            .last()
            .and_then(Got::packet)
            .is_some_and(|p| p.payload.len() == MAX_PAYLOAD)
        {
            got.push(self.next());
        }
        match &got[first] {
            Got::Packet(p) => p.payload.first() != Some(&0xFF),
            _ => false,
        }
    }

    /// Pushes packets up to an EOF and returns its status; `None` when it ended otherwise.
    fn eof_status(&mut self, got: &mut Vec<Got>) -> Option<u16> {
        loop {
            let from = got.len();
            if !self.push(got) {
                return None;
            }
            match got[from].packet()?.payload.as_slice() {
                [0xFE, _, _, a, b] => return Some(u16::from_le_bytes([*a, *b])),
                p if p.first() == Some(&0xFE) && p.len() < 9 => return Some(0),
                _ => {}
            }
        }
    }

    fn until_eof(&mut self, got: &mut Vec<Got>) {
        self.eof_status(got);
    }

    fn results(&mut self, cursor: bool, got: &mut Vec<Got>) {
        loop {
            let from = got.len();
            if !self.push(got) {
                return;
            }
            let Got::Packet(p) = &got[from] else { return };
            let status = match p.payload.first() {
                Some(0) => ok_status(&p.payload),
                Some(0xFB | 0xFE) | None => return,
                Some(_) => {
                    let Some(columns) = self.eof_status(got) else {
                        return;
                    };
                    if cursor && columns & 0x40 != 0 {
                        return;
                    }
                    let Some(rows) = self.eof_status(got) else {
                        return;
                    };
                    // Output parameters of a CALL: one OK follows, without a more-results bit. Not
                    // for OceanBase's drivers.
                    let is_followed = columns & PS_OUT_PARAMS != 0 && !self.run.is_driver;
                    if is_followed && rows & 8 == 0 {
                        self.push(got);
                    }
                    rows
                }
            };
            if status & 8 == 0 {
                return;
            }
        }
    }

    fn prepare_reply(&mut self, got: &mut Vec<Got>) {
        if !self.push(got) {
            return;
        }
        let Got::Packet(p) = &got[got.len() - 1] else {
            return;
        };
        let &[0, i0, i1, i2, i3, c0, c1, p0, p1, ..] = p.payload.as_slice() else {
            return;
        };
        self.statement = u32::from_le_bytes([i0, i1, i2, i3]);
        self.parameters = u16::from_le_bytes([p0, p1]);
        if self.parameters > 0 {
            self.eof_status(got);
        }
        if [c0, c1] != [0, 0] {
            self.eof_status(got);
        }
    }
}

impl Session {
    /// COM_STMT_PREPARE_EXECUTE. `statement` 0: a new one.
    pub fn prepare_execute(
        &mut self,
        statement: u32,
        sql: &str,
        rows: u32,
        list: &[P],
    ) -> Vec<Got> {
        let count = list.len() as u32;
        let payload = prepare_execute(statement, sql, rows, count, &params(list, true));
        let what = format!("prepare {statement} and execute {sql}, {rows} rows");
        self.send(&what, &payload, Reach::PrepareExecute)
    }

    fn prepare_execute_reply(&mut self, got: &mut Vec<Got>) {
        if !self.push(got) {
            return;
        }
        let Got::Packet(p) = &got[got.len() - 1] else {
            return;
        };
        let [0, i0, i1, i2, i3, c0, c1, p0, p1, .., has_rows] = *p.payload.as_slice() else {
            return;
        };
        self.statement = u32::from_le_bytes([i0, i1, i2, i3]);
        let ends = [[p0, p1] != [0, 0], [c0, c1] != [0, 0], has_rows == 1];
        for _ in ends.iter().filter(|is_there| **is_there) {
            if self.eof_status(got).is_none() {
                return;
            }
        }
        self.push(got);
    }
}

/// Status bit of the EOF before rows of output parameters.
const PS_OUT_PARAMS: u16 = 0x1000;

fn ok_status(payload: &[u8]) -> u16 {
    let mut c = Cursor::new(payload);
    let read = c.u8().and_then(|_| c.lenenc()).and_then(|_| c.lenenc());
    read.and_then(|_| c.u16()).unwrap_or_default()
}
