//! HTTP, as far as a configuration server needs it, and all that can go wrong with it.

use super::document::{Question, Source};
use super::{Config, ConfigMode};
use crate::shared::Shared;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

/// A request head is shorter.
const HEAD_MAX: usize = 16 << 10;
/// A request that does not come in this time ends its connection.
const HEAD_TIME: Duration = Duration::from_secs(30);
/// The endless document ends here after all.
const ENDLESS_MAX: usize = 64 << 20;
/// Pause behind each byte of a slow document.
const SLOW_PAUSE: Duration = Duration::from_millis(50);

/// The port of the service.
#[derive(Debug)]
pub(crate) struct Port {
    address: SocketAddr,
    serving: Mutex<Option<JoinHandle<()>>>,
}

/// The port of a service that does not listen yet.
pub(crate) fn port(address: SocketAddr) -> Port {
    Port {
        address,
        serving: Mutex::new(None),
    }
}

impl Port {
    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }
}

/// Opens or closes the port, as the mode says. `listener` is one that was opened before.
pub(crate) async fn follow(shared: &Arc<Shared>, listener: Option<TcpListener>) -> io::Result<()> {
    let port = &shared.config_port;
    let is_down = {
        let config = shared.config();
        config.mode == ConfigMode::Down && config.action.is_none()
    };
    let mut serving = port.serving.lock().await;
    if is_down {
        if let Some(task) = serving.take() {
            task.abort();
            // Cancelled: that is what was asked for.
            let _ = task.await;
        }
        return Ok(());
    }
    if serving.is_none() {
        let listener = match listener {
            Some(listener) => listener,
            None => TcpListener::bind(port.address).await?,
        };
        *serving = Some(tokio::spawn(accept(listener, Arc::downgrade(shared))));
    }
    Ok(())
}

async fn accept(listener: TcpListener, shared: Weak<Shared>) {
    loop {
        let accepted = listener.accept().await;
        let Some(shared) = shared.upgrade() else {
            return;
        };
        match accepted {
            Ok((stream, _)) => {
                tokio::spawn(async move {
                    // A client that goes away is nobody's loss.
                    let _ = serve(stream, &shared).await;
                });
            }
            Err(_) => tokio::task::yield_now().await,
        }
    }
}

/// A connection: one request, one answer.
async fn serve(mut stream: TcpStream, shared: &Shared) -> io::Result<()> {
    let head = timeout(HEAD_TIME, head(&mut stream)).await??;
    let mut lines = head.lines();
    let target = lines
        .next()
        .and_then(|l| l.split(' ').nth(1))
        .unwrap_or("/");
    let host = lines.find_map(|l| {
        let (key, value) = l.split_once(':')?;
        key.eq_ignore_ascii_case("host")
            .then(|| value.trim().to_owned())
    });
    let host = host.unwrap_or_else(|| shared.config_port.address.to_string());
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let question = Question::parse(query);
    let config: Config = shared.config().clone();
    let is_about = config.action.as_ref().is_none_or(|a| *a == question.action);
    let mode = if is_about {
        config.mode
    } else {
        ConfigMode::Ok
    };
    let turn = shared.config_asked.fetch_add(1, Ordering::Relaxed);
    shared.count(|c| *c.config.entry(question.action.clone()).or_default() += 1);
    let (status, body) = if path == "/services" {
        let state = shared.state().clone();
        let source = Source {
            state: &state,
            config: &config,
            mode,
            host: &host,
            turn,
        };
        let (status, document) = source.answer(&question);
        (status, document.to_string())
    } else {
        (404, "{}".to_owned())
    };
    answer(&mut stream, mode, status, &body, target).await?;
    stream.shutdown().await
}

async fn head(stream: &mut TcpStream) -> io::Result<String> {
    let mut bytes = vec![];
    while !bytes.windows(4).any(|w| w == b"\r\n\r\n") {
        if bytes.len() > HEAD_MAX || stream.read_buf(&mut bytes).await? == 0 {
            return Err(io::ErrorKind::InvalidData.into());
        }
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

async fn answer(
    stream: &mut TcpStream,
    mode: ConfigMode,
    status: u16,
    body: &str,
    target: &str,
) -> io::Result<()> {
    let len = body.len();
    let json = |status: u16, len: usize| {
        let reason = if status == 200 { "OK" } else { "Error" };
        format!(
            "HTTP/1.1 {status} {reason}\r\nContent-Type: application/json\r\n\
             Content-Length: {len}\r\nConnection: close\r\n\r\n"
        )
    };
    match mode {
        ConfigMode::Down => Ok(()),
        ConfigMode::Http500 => {
            let head = json(500, 2);
            stream.write_all(format!("{head}{{}}").as_bytes()).await
        }
        ConfigMode::Html => {
            let page = "<html><body><h1>It works!</h1></body></html>";
            let len = page.len();
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {len}\r\n\
                 Connection: close\r\n\r\n"
            );
            stream.write_all((head + page).as_bytes()).await
        }
        ConfigMode::RedirectLoop => {
            let head = format!(
                "HTTP/1.1 302 Found\r\nLocation: {target}\r\nContent-Length: 0\r\n\
                 Connection: close\r\n\r\n"
            );
            stream.write_all(head.as_bytes()).await
        }
        ConfigMode::Truncated => {
            let half = body.get(..len / 2).unwrap_or_default();
            let text = json(status, len) + half;
            stream.write_all(text.as_bytes()).await
        }
        ConfigMode::Slow => {
            stream.write_all(json(status, len).as_bytes()).await?;
            for byte in body.bytes() {
                stream.write_all(&[byte]).await?;
                sleep(SLOW_PAUSE).await;
            }
            Ok(())
        }
        ConfigMode::Endless => {
            let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\
                        Connection: close\r\n\r\n{\"Code\":200,";
            stream.write_all(head.as_bytes()).await?;
            let blanks = vec![b' '; 64 << 10];
            for _ in 0..ENDLESS_MAX / blanks.len() {
                stream.write_all(&blanks).await?;
            }
            Ok(())
        }
        ConfigMode::Ok
        | ConfigMode::WrongMessage
        | ConfigMode::EmptyList
        | ConfigMode::OtherCluster
        | ConfigMode::MissingField
        | ConfigMode::Shuffle => {
            let text = json(status, len) + body;
            stream.write_all(text.as_bytes()).await
        }
    }
}
