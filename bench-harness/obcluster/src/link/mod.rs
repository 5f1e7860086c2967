//! A link: one connection to a server of the model, and the one kernel connection that serves it,
//! made and ended with it.
//!
//! ```text
//! accept ── kernel's greeting ── login ─┬─ refused ── end
//!                                       └─ one request after another ─┬─ to the kernel as it came
//!                                                                     ├─ views: answered here
//!                                                                     └─ refused: answered here
//! ```

mod advice;
mod exchange;
mod follow;
mod frames;
mod listing;
mod login;
mod made;
mod plan;
mod request;
mod reroute;
mod rules;
mod session;
mod side;
mod tail;
mod transaction;
mod walk;

use crate::shared::{ServerView, Shared};
pub(crate) use login::asks_for_tls;
use session::Session;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio::sync::watch;

/// Why a link ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum End {
    /// Orderly.
    Close,
    /// With a reset of both sockets.
    Reset,
}

/// Serves one connection to its end.
pub(crate) async fn serve(
    shared: Arc<Shared>,
    server: u32,
    stream: TcpStream,
    view: watch::Receiver<ServerView>,
) {
    let (id, mut ordered) = shared.add_link(server);
    let gone = Gone(shared.clone(), id);
    let Ok(mut session) = Session::new(shared, id, server, stream, view) else {
        return;
    };
    let end = tokio::select! {
        // What fails ends the link: there is nobody to tell.
        end = session.run() => end.unwrap_or(End::Close),
        _ = ordered.wait_for(|cut| *cut) => End::Reset,
    };
    session.finish(end);
    drop(session);
    drop(gone);
}

/// Takes a link out of the list when it is gone, however it went.
struct Gone(Arc<Shared>, u64);

impl Drop for Gone {
    fn drop(&mut self) {
        self.0.drop_link(self.1);
    }
}
