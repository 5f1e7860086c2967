//! The built binary from outside: exact lines, exit codes, detaching, signals.

use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime};

const SERVER: [&str; 2] = ["-r", "127.0.0.1:1"];

/// A working directory of one test, gone with the value.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("obring-cli-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn file(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    fn obring(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_obring"));
        command
            .args(arguments)
            .current_dir(&self.0)
            .env_remove("observer_sys_password")
            .env_remove("observer_sys_password1")
            .stdin(Stdio::null());
        command
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn run(arguments: &[&str]) -> Output {
    Folder::new().obring(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// It ends with this code, says this one line on stderr and nothing on stdout.
fn refuses(output: &Output, code: i32, line: &str) {
    assert_eq!(
        text(&output.stderr),
        format!("obring: cannot start: {line}\n")
    );
    assert_eq!(text(&output.stdout), "");
    assert_eq!(output.status.code(), Some(code));
}

#[test]
fn version_on_stderr_as_tools_read_it() {
    for flag in ["-V", "--version"] {
        let output = run(&[flag]);
        assert_eq!(output.status.code(), Some(0));
        assert_eq!(text(&output.stdout), "");
        let said = text(&output.stderr);
        let lines: Vec<_> = said.lines().collect();
        assert_eq!(lines[0], "obproxy (OceanBase 4.3.4.0 obring)");
        assert!(lines[1].starts_with(concat!("REVISION: ", env!("CARGO_PKG_VERSION"))));
        assert!(lines[2].starts_with("BUILD_TIME: "));
        assert!(lines[3].starts_with("BUILD_FLAGS: "));
    }
}

#[test]
fn help_on_stderr_names_every_flag() {
    let output = run(&["-h"]);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(text(&output.stdout), "");
    let said = text(&output.stderr);
    for flag in [
        "--listen_port",
        "--rs_list",
        "--cluster_name",
        "--appname",
        "--optstr",
        "--config",
        "--check",
        "--nodaemon",
        "--version",
        "--releaseid",
        "--help",
        "Exit codes",
    ] {
        assert!(said.contains(flag), "{flag} is not in {said}");
    }
}

#[test]
fn release_id_on_stdout() {
    let output = run(&["-R"]);
    assert_eq!(output.status.code(), Some(0));
    let expected = format!("{}.{}.\n", std::env::consts::OS, std::env::consts::ARCH);
    assert_eq!(text(&output.stdout), expected);
}

#[test]
fn bad_arguments() {
    for (arguments, line) in [
        (
            vec!["--bogus"],
            "unexpected argument '--bogus' found; obring -h lists the arguments",
        ),
        (
            vec!["word"],
            "unrecognized subcommand 'word'; obring -h lists the arguments",
        ),
        (
            vec!["-p"],
            "a value is required for '--listen_port <PORT>' but none was supplied; \
             obring -h lists the arguments",
        ),
        (
            vec!["-e"],
            "-e (--execute_config_sql) is not supported in this version",
        ),
        (
            vec!["-N", "-p", "80"],
            "-p: listen_port: \"80\" is out of range; allowed: 0 or [1025, 65535]",
        ),
        (
            vec!["-N", "-r", "localhost:2881"],
            "-r: rootservice_list: \"localhost:2881\" is no server list \
             (item \"localhost:2881\" is not ip:port); \
             allowed: ip:sqlport;ip:sqlport, at most 64, IPv6 in brackets",
        ),
        (
            vec!["-N", "-o", "proxy_id=9000"],
            "-o: proxy_id: \"9000\" is out of range; allowed: [0, 8191]",
        ),
        (
            vec!["-N", "-o", "proxy_id"],
            "-o: \"proxy_id\" is not name=value",
        ),
        (
            vec!["-N"],
            "no cluster to serve: give its servers with -r 'ip:sqlport;ip:sqlport', \
             or a [[cluster]] in the file of --config",
        ),
        // Without -N the same line, before anything is detached.
        (
            vec!["-o", "drain_timeout=never"],
            "-o: drain_timeout: \"never\" is not a duration (as 100ms, 5s, 1d); allowed: [0s, 1d]",
        ),
    ] {
        refuses(&run(&arguments), 2, line);
    }
}

#[test]
fn files_that_cannot_be_read() {
    let folder = Folder::new();
    std::fs::create_dir(folder.0.join("folder")).unwrap();
    folder.file("latin1.toml", b"# caf\xe9\n");
    folder.file("large.toml", vec![b'#'; (1 << 20) + 1]);
    for (name, what) in [
        ("missing.toml", "No such file or directory"),
        ("folder", "Is a directory"),
        ("latin1.toml", "it is not UTF-8"),
        ("large.toml", "it is larger than 1 MiB"),
    ] {
        let output = folder.obring(&["-N", "--config", name]).output().unwrap();
        refuses(&output, 2, &format!("cannot read {name}: {what}"));
    }
}

#[test]
fn files_with_mistakes() {
    let folder = Folder::new();
    for (content, line) in [
        (
            "[proxy]\n\nlisten_prot = 2883\n",
            "a.toml:3: listen_prot: unknown key; config/reference.md lists all keys",
        ),
        (
            "[proxy]\nclient_max_connections = 0\n",
            "a.toml:2: client_max_connections: \"0\" is out of range; allowed: [1, 131072]",
        ),
        (
            "[[cluster]]\nname = 'x'\nrootservice_list = '127.0.0.1:1'\n\
             observer_sys_password = 'hunter2'\n",
            "a.toml:4: cluster.observer_sys_password: *** has 7 characters; \
             allowed: 40 hexadecimal digits (SHA1), plain:password, or nothing",
        ),
    ] {
        folder.file("a.toml", content);
        refuses(
            &folder
                .obring(&["-N", "--config", "a.toml"])
                .output()
                .unwrap(),
            2,
            line,
        );
    }
    folder.file("a.toml", "[proxy\n");
    let output = folder
        .obring(&["-N", "--config", "a.toml"])
        .output()
        .unwrap();
    let said = text(&output.stderr);
    assert!(
        said.starts_with("obring: cannot start: a.toml:1: not TOML: "),
        "{said}"
    );
    assert_eq!((said.lines().count(), output.status.code()), (1, Some(2)));
}

#[test]
fn environment_passwords_are_read_and_never_shown() {
    let folder = Folder::new();
    let mut command = folder.obring(&["-N", SERVER[0], SERVER[1]]);
    let output = command
        .env("observer_sys_password1", "hunter2")
        .output()
        .unwrap();
    refuses(
        &output,
        2,
        "environment observer_sys_password1: observer_sys_password1: *** has 7 characters; \
         allowed: 40 hexadecimal digits (SHA1), plain:password, or nothing",
    );
}

#[test]
fn an_empty_environment_variable_counts_as_not_given() {
    let folder = Folder::new();
    let mut command = folder.obring(&["--check", "-r", "10.0.0.1:2881", "-o", "proxy_id=1"]);
    let output = command.env("observer_sys_password", "").output().unwrap();
    assert!(text(&output.stderr).contains("event=published_password"));
}

#[test]
fn check_says_what_it_noticed() {
    let folder = Folder::new();
    folder.file("a.toml", "[proxy]\nlisten_port = 3000\nproxy_id = 5\n");
    let output = folder
        .obring(&[
            "--check",
            "--config",
            "a.toml",
            "-r",
            "10.0.0.1:2881",
            "-p",
            "0",
        ])
        .args(["-o", "not_a_setting=1,enable_bad_route_reject=True"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(
        text(&output.stderr).lines().collect::<Vec<_>>(),
        [
            "obring: event=setting_unknown name=\"not_a_setting\" source=-o ignored",
            "obring: event=setting_without_effect name=enable_bad_route_reject source=\"-o\" \
             accepted, no effect in this version",
            "obring: event=setting_overridden name=listen_port file=\"a.toml:2\" by=\"-p\"",
            "obring: event=published_password cluster=\"undefined\" proxyro has its published \
             default password; change it and set observer_sys_password",
            "obring: the settings can be used",
        ]
    );
}

#[test]
fn a_busy_port_is_one_line_with_code_4() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let folder = Folder::new();
    let listen = ["-o", "local_bound_ip=127.0.0.1"];
    let arguments = [&["-p", &port][..], &SERVER, &listen].concat();
    let line = format!("cannot listen on 127.0.0.1:{port}: Address already in use");
    let errors = |output: &Output| {
        let said = text(&output.stderr);
        let is_complaint = |l: &&str| !l.contains(" INFO event=");
        said.lines()
            .filter(is_complaint)
            .map(ToOwned::to_owned)
            .collect::<Vec<_>>()
    };
    // In the foreground, and detached: the process that waits says it.
    for more in [&["-N"][..], &[]] {
        let output = folder
            .obring(&[&arguments[..], more].concat())
            .output()
            .unwrap();
        assert_eq!(errors(&output), [format!("obring: cannot start: {line}")]);
        assert_eq!(output.status.code(), Some(4));
    }
}

#[test]
fn a_log_file_that_cannot_be_opened_is_code_7() {
    let folder = Folder::new();
    folder.file("file", "");
    for more in [&["-N"][..], &[]] {
        let arguments = [&["-p", "0", "-o", "log_file=file/a.log"][..], &SERVER, more].concat();
        let output = folder.obring(&arguments).output().unwrap();
        refuses(&output, 7, "cannot write log file file/a.log: File exists");
    }
}

/// A process of a test; killed with the value.
struct Served(Child);

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts one in the foreground on a free port, and waits for `event=listening`.
fn serve(folder: &Folder, more: &[&str]) -> (Served, BufReader<ChildStderr>, String) {
    let arguments = [
        &["-N", "-p", "0", "-o", "local_bound_ip=127.0.0.1"][..],
        &SERVER,
        more,
    ];
    let mut command = folder.obring(&arguments.concat());
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap());
    let served = Served(child);
    loop {
        let mut line = String::new();
        assert_ne!(
            lines.read_line(&mut line).unwrap(),
            0,
            "it ended before it listened"
        );
        if line.contains(" event=listening ") {
            return (served, lines, line);
        }
    }
}

fn signal(pid: u32, name: &str) {
    let status = Command::new("kill")
        .args([name, &pid.to_string()])
        .status()
        .unwrap();
    assert!(status.success(), "kill {name} {pid}");
}

#[test]
fn it_serves_on_a_free_port_and_ends_with_0_on_term_and_int() {
    for name in ["-TERM", "-INT"] {
        let folder = Folder::new();
        let (mut served, mut lines, listening) = serve(&folder, &[]);
        let address = listening
            .split_once(" address=127.0.0.1:")
            .expect("an address")
            .1;
        let port: u16 = address.split(' ').next().unwrap().parse().unwrap();
        assert_ne!(port, 0);
        assert!(
            TcpListener::bind(("127.0.0.1", port)).is_err(),
            "nobody listens on {port}"
        );
        signal(served.0.id(), name);
        let mut rest = String::new();
        lines.read_to_string(&mut rest).unwrap();
        assert_eq!(served.0.wait().unwrap().code(), Some(0), "{rest}");
        assert!(
            rest.contains(" INFO event=draining limit_ms=30000\n"),
            "{rest}"
        );
        assert!(
            rest.contains(" INFO event=stopped log_lines_dropped=0\n"),
            "{rest}"
        );
    }
}

/// Waits until the file has the text.
fn wait_for(path: &Path, wanted: &str) -> String {
    let begin = now();
    loop {
        let content = std::fs::read_to_string(path).unwrap_or_default();
        if content.contains(wanted) {
            return content;
        }
        let waited = now().duration_since(begin).unwrap_or_default();
        assert!(
            waited < Duration::from_secs(20),
            "{wanted:?} is not in {content:?}"
        );
        std::thread::yield_now();
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a test of a process waits in real time"
)]
fn now() -> SystemTime {
    SystemTime::now()
}

#[test]
fn hup_opens_the_log_file_again() {
    let folder = Folder::new();
    let path = folder.0.join("a.log");
    let arguments = [
        "-N",
        "-p",
        "0",
        "-o",
        "log_file=a.log,local_bound_ip=127.0.0.1",
    ];
    let child = folder
        .obring(&[&arguments[..], &SERVER].concat())
        .spawn()
        .unwrap();
    let mut served = Served(child);
    wait_for(&path, "event=listening");
    std::fs::rename(&path, folder.0.join("a.log.1")).unwrap();
    signal(served.0.id(), "-HUP");
    wait_for(&path, "event=log_reopened");
    signal(served.0.id(), "-TERM");
    assert_eq!(served.0.wait().unwrap().code(), Some(0));
    assert!(wait_for(&path, "event=stopped").contains("event=draining"));
}

#[test]
fn without_n_it_detaches_into_a_session_of_its_own() {
    let folder = Folder::new();
    let arguments = ["-p", "0", "-o", "local_bound_ip=127.0.0.1"];
    // output() returns only when both pipes are closed: the daemon must let go of them.
    let output = folder
        .obring(&[&arguments[..], &SERVER].concat())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert_eq!(text(&output.stderr), "");
    let said = text(&output.stdout);
    let head = "obring: serving address=127.0.0.1:";
    assert!(
        said.starts_with(head) && said.lines().count() == 1,
        "{said}"
    );
    assert!(said.contains(" log=log/obring.log pid="), "{said}");
    let pid: u32 = said.trim_end().rsplit_once('=').unwrap().1.parse().unwrap();
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    // After the name: state, parent, group, session.
    let fields: Vec<_> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
    assert_eq!(
        (fields[2], fields[3]),
        (&*pid.to_string(), &*pid.to_string())
    );
    assert!(stat.contains("(obring)"), "{stat}");
    let cwd = std::fs::read_link(format!("/proc/{pid}/cwd")).unwrap();
    assert_eq!(cwd, folder.0.canonicalize().unwrap());
    signal(pid, "-TERM");
    wait_for(&folder.0.join("log/obring.log"), "event=stopped");
}
