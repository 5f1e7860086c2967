//! The judge's own session: kept like that of the link, and asked.

use super::connection::{Answer, Connection, Prepared};
use super::state::JudgeState;
use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;

/// Prepared statements that the session keeps; when there are more, all are closed. A session of
/// the kernel has 50 cursors (`open_cursors`) and refuses the next one.
const PREPARED_MAX: usize = 40;
/// The name of the text that is prepared for an EXECUTE.
const NAME: &str = "obcluster_judge";

/// How a question has its parameters.
#[derive(Clone, Copy, Debug)]
pub(super) enum Form<'a> {
    /// None.
    Plain,
    /// As COM_STMT_EXECUTE carries them, behind the statement's number; and the long ones.
    Binary(&'a [u8], &'a [(u16, &'a [u8])]),
    /// User variables, each as it is written behind USING.
    Named(&'a [Vec<u8>]),
}

/// A session of the judge, made when it is needed.
#[derive(Debug)]
pub(super) struct Desk {
    address: SocketAddr,
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    connection: Connection,
    /// The state of the session, as far as it was set.
    state: JudgeState,
    /// Session info that waits for the next request.
    block: Option<Vec<u8>>,
    prepared: HashMap<Vec<u8>, Prepared>,
}

impl Desk {
    pub(super) const fn new(address: SocketAddr) -> Self {
        Self {
            address,
            open: None,
        }
    }

    /// Ends the session; the next question has a new one.
    pub(super) fn forget(&mut self) {
        self.open = None;
    }

    /// The version of the kernel's definitions.
    pub(super) async fn version(&mut self) -> io::Result<u64> {
        let sql = b"SELECT refreshed_schema_version \
                    FROM oceanbase.__all_virtual_server_schema_info";
        let was_open = self.open.is_some();
        let answer = match self.version_once(sql).await {
            // The session was old.
            Err(_) if was_open => self.version_once(sql).await?,
            answer => answer?,
        };
        let Answer::Lines(lines) = answer else {
            return Err(io::ErrorKind::InvalidData.into());
        };
        let text = std::str::from_utf8(&lines).ok();
        let number = text.and_then(|t| t.trim().parse().ok());
        number.ok_or_else(|| io::ErrorKind::InvalidData.into())
    }

    async fn version_once(&mut self, sql: &[u8]) -> io::Result<Answer> {
        let mut open = self.take().await?;
        let answer = open.connection.query(&[sql], None).await?;
        self.open = Some(open);
        Ok(answer)
    }

    /// The session, taken out while it is used: a question that is given up leaves no half-read
    /// answer.
    async fn take(&mut self) -> io::Result<Open> {
        if let Some(open) = self.open.take() {
            return Ok(open);
        }
        Ok(Open {
            connection: Connection::open(self.address).await?,
            state: JudgeState::default(),
            block: None,
            prepared: HashMap::new(),
        })
    }

    /// Asks a statement in a session with this state. User variables are part of it where the
    /// statement reads some.
    pub(super) async fn ask(
        &mut self,
        state: &JudgeState,
        reads_variables: bool,
        sql: &[u8],
        form: Form<'_>,
    ) -> io::Result<Answer> {
        let mut open = self.take().await?;
        let steps = match open.state.steps(state, reads_variables) {
            Some(steps) => steps,
            None => {
                drop(open);
                open = self.take().await?;
                let steps = open.state.steps(state, reads_variables);
                steps.ok_or(io::ErrorKind::InvalidInput)?
            }
        };
        if steps.block.is_some() {
            open.block = steps.block;
        }
        // What fails here fails on the link, too, or the statement does: it is judged all the same.
        if let Some(set) = steps.set {
            let block = open.block.take();
            open.connection.query(&[&set], block.as_deref()).await?;
        }
        if let Some(database) = steps.database {
            let answer = open.connection.use_database(&database).await?;
            if let Answer::Error(_) = answer {
                // The database is gone: a session without one is the same.
                drop(open);
                return Ok(answer);
            }
        }
        open.state.reach(state, reads_variables);
        let answer = open.ask(sql, form).await?;
        self.open = Some(open);
        Ok(answer)
    }
}

impl Open {
    async fn ask(&mut self, sql: &[u8], form: Form<'_>) -> io::Result<Answer> {
        let block = self.block.take();
        let block = block.as_deref();
        match form {
            Form::Plain => self.connection.query(&[sql], block).await,
            Form::Binary(body, longs) => self.execute(sql, body, longs, block).await,
            Form::Named(using) => {
                let mut text = format!("PREPARE {NAME} FROM '").into_bytes();
                for b in sql {
                    if matches!(b, b'\'' | b'\\') {
                        text.push(*b);
                    }
                    text.push(*b);
                }
                text.push(b'\'');
                let prepared = self.connection.query(&[&text], block).await?;
                if prepared != Answer::Done {
                    return Ok(prepared);
                }
                let mut execute = format!("EXECUTE {NAME}").into_bytes();
                if !using.is_empty() {
                    execute.extend_from_slice(b" USING ");
                    execute.extend_from_slice(&using.join(&b", "[..]));
                }
                self.connection.query(&[&execute], None).await
            }
        }
    }

    async fn execute(
        &mut self,
        sql: &[u8],
        body: &[u8],
        longs: &[(u16, &[u8])],
        block: Option<&[u8]>,
    ) -> io::Result<Answer> {
        let mut block = block;
        let mut is_new = false;
        let mut prepared = match self.prepared.get(sql) {
            Some(prepared) => *prepared,
            None => {
                is_new = true;
                match self.prepare(sql, block.take()).await? {
                    Ok(prepared) => prepared,
                    Err(code) => return Ok(Answer::Error(code)),
                }
            }
        };
        loop {
            for (number, data) in longs {
                let statement = prepared.statement;
                self.connection.long_data(statement, *number, data).await?;
            }
            let id = prepared.statement;
            let answer = self.connection.execute(id, body, block.take()).await?;
            if is_new || !matches!(answer, Answer::Error(_)) {
                return Ok(answer);
            }
            // It may have been prepared on another definition of the table.
            self.prepared.remove(sql);
            self.connection.close(id).await?;
            is_new = true;
            prepared = match self.prepare(sql, None).await? {
                Ok(prepared) => prepared,
                Err(code) => return Ok(Answer::Error(code)),
            };
        }
    }

    async fn prepare(
        &mut self,
        sql: &[u8],
        block: Option<&[u8]>,
    ) -> io::Result<Result<Prepared, u16>> {
        if self.prepared.len() >= PREPARED_MAX {
            for (_, old) in self.prepared.drain() {
                self.connection.close(old.statement).await?;
            }
        }
        let prepared = self.connection.prepare(&[sql], block).await?;
        if let Ok(prepared) = prepared {
            self.prepared.insert(sql.to_vec(), prepared);
        }
        Ok(prepared)
    }
}
