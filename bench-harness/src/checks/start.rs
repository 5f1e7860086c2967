//! Starts that must fail with one clear line, and one that must not fail.

use super::{Saw, Setup, complaints, ensure, plain_server};
use crate::clock::{Deadline, Watch, wait_for};
use crate::process::{Obring, Options, free_port};
use crate::raw::{Conn, Login};
use crate::relay::Relay;
use std::net::{SocketAddr, TcpListener};

/// A start that fails: ends soon, not with 0, and says one line that contains `words`.
fn must_refuse(mut proxy: Obring, words: &[&str]) -> Saw {
    let status = proxy.wait_exit(10)?;
    ensure(status.code().is_some_and(|c| c != 0), || {
        format!("ended with {status}: {:?}", proxy.log())
    })?;
    let lines = complaints(&proxy.log());
    let [line] = lines.as_slice() else {
        return Err(format!("not one clear line: {:?}", proxy.log()));
    };
    for word in words {
        ensure(line.contains(word), || {
            format!("{word:?} is not in {line:?}")
        })?;
    }
    Ok(format!("{status}: {line}"))
}

/// The port is taken by another program.
///
/// # Errors
/// When the start does not fail in the right way.
pub fn busy_port(setup: &Setup) -> Saw {
    let taken = TcpListener::bind(("127.0.0.1", 0)).map_err(|e| e.to_string())?;
    let port = taken.local_addr().map_err(|e| e.to_string())?.port();
    let mut options = setup.options();
    options.port = Some(port);
    must_refuse(Obring::launch(&options)?, &[&port.to_string()])?;
    // Another obring: it listens with SO_REUSEPORT, so a plain bind would succeed.
    let first = setup.start()?;
    options.port = Some(first.address().port());
    let text = first.address().port().to_string();
    must_refuse(Obring::launch(&options)?, &[&text])
}

/// The configuration file cannot be read, or is no configuration.
///
/// # Errors
/// When the start does not fail in the right way.
pub fn unreadable_config(setup: &Setup) -> Saw {
    let dir = std::env::temp_dir().join(format!("obring-rig-{}", std::process::id()));
    std::fs::create_dir_all(&dir).map_err(|e| e.to_string())?;
    let broken = dir.join("broken.toml");
    std::fs::write(&broken, "listen_port = = 3\n").map_err(|e| e.to_string())?;
    let mut said = String::new();
    for path in [dir.join("missing.toml"), broken, dir.clone()] {
        let path = path.display().to_string();
        let mut options = setup.options();
        options.more = vec!["--config".into(), path.clone()];
        said = must_refuse(Obring::launch(&options)?, &[&path])?;
    }
    let _ = std::fs::remove_dir_all(&dir);
    Ok(said)
}

/// A wrong password of the metadata user: it serves, and one line names cluster, address and cause.
///
/// # Errors
/// When the line is missing, or repeated.
pub fn wrong_proxyro_password(setup: &Setup) -> Saw {
    let server = plain_server(true)?;
    let address = server.address().to_string();
    let mut proxy = Obring::start(&Options::new(&setup.binary, &[server.address()]))?;
    proxy.wait_log(&address)?;
    let told = |log: &[String]| -> Vec<String> {
        let about = |l: &&String| {
            l.contains(&address) && l.contains("obcluster") && l.to_lowercase().contains("denied")
        };
        log.iter().filter(about).cloned().collect()
    };
    let lines = wait_for(Deadline::secs(10), "the line", || {
        let lines = told(&proxy.log());
        (!lines.is_empty()).then_some(lines)
    });
    let line = lines.map_err(|e| format!("{e}: {:?}", proxy.log()))?[0].clone();
    // The next rounds fail in the same way and say nothing new.
    let rounds = server
        .counts()
        .accepted
        .load(std::sync::atomic::Ordering::SeqCst);
    let _ = wait_for(Deadline::secs(6), "two more rounds", || {
        let now = server
            .counts()
            .accepted
            .load(std::sync::atomic::Ordering::SeqCst);
        (now >= rounds + 2).then_some(())
    });
    let again = told(&proxy.log()).len();
    ensure(again == 1, || format!("said {again} times: {line}"))?;
    Ok(line)
}

/// The system refuses io_uring (a seccomp filter, as containers have).
///
/// # Errors
/// When the start does not fail in the right way.
pub fn io_uring_refused(setup: &Setup) -> Saw {
    let mut options = setup.options();
    options.refuse_io_uring = true;
    must_refuse(Obring::launch(&options)?, &["io_uring"])
}

/// No server can be reached: the start succeeds, a login is told the address and the cause; once a
/// server is there, logins work without a restart.
///
/// # Errors
/// What was seen instead.
pub fn unreachable_servers(setup: &Setup) -> Saw {
    let port = free_port().map_err(|e| e.to_string())?;
    let nowhere = SocketAddr::from(([127, 0, 0, 1], port));
    let proxy = Obring::start(&Options::new(&setup.binary, &[nowhere]))?;
    let watch = Watch::start();
    let told = match Conn::login(proxy.address(), &Login::default()) {
        Ok(_) => return Err("a login worked without a server".into()),
        Err(text) => text,
    };
    let took = watch.elapsed();
    ensure(told.contains("error "), || {
        format!("no error packet: {told}")
    })?;
    ensure(told.contains(&nowhere.to_string()), || {
        format!("the address {nowhere} is not named: {told}")
    })?;
    ensure(told.to_lowercase().contains("refused"), || {
        format!("the cause is not named: {told}")
    })?;
    let _relay = Relay::start_at(setup.kernel, nowhere).map_err(|e| e.to_string())?;
    let watch = Watch::start();
    wait_for(
        Deadline::secs(20),
        "a login after the server came up",
        || {
            let mut c = Conn::login(proxy.address(), &Login::default()).ok()?;
            c.cell("select 1").ok()
        },
    )?;
    Ok(format!(
        "told after {took:.2?}; a login works {:.2?} after the server came up: {told}",
        watch.elapsed()
    ))
}
