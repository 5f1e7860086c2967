//! L3: what `root@proxysys` can say, and who answers.
//!
//! A session of the administrator sends its statements to the metadata core as they are. There the
//! [`Desk`] finds the command in one table (`command.rs`), answers it from settings and counters,
//! or asks the serving cores first and answers when all have replied or a second is over.
//!
//! * `lexer.rs`: words, texts and numbers of a statement.
//! * `command.rs`: the table of commands.
//! * `show.rs`, `cluster.rs`, `congestion.rs`, `alter.rs`, `kill.rs`: what they do.
//! * `route.rs`: what is known of tables; `hot.rs`: the used ones are kept for the next start.
//! * `driver.rs`: what drivers and monitors send at their start.
//! * `listing.rs`: a table as an answer, and LIKE.
//! * [`Control`]: the machines of the metadata core, this one and [`crate::metadata`].

mod alter;
mod cluster;
mod command;
mod congestion;
mod control;
mod desk;
mod driver;
mod hot;
mod kill;
mod lexer;
mod listing;
mod route;
mod show;

pub use control::Control;
pub use desk::{Desk, Facts, Keeper};
