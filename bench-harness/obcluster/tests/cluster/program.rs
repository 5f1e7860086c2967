//! The program: arguments, its line, its log, its end.

use crate::client::{Client, Credentials};
use crate::kernel;
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

/// Killed if a test fails before its end.
struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        // Ended already, if all went well.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_obcluster"));
    command
        .args(arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

#[test]
fn the_program_says_where_it_is_and_ends_on_term() {
    let log = std::env::temp_dir().join(format!("obcluster-{}.jsonl", std::process::id()));
    let kernel = kernel().to_string();
    let arguments = [
        "--servers=2",
        "--zones=1",
        "--base=127.0.1.1:0",
        "--cluster=ob7",
        "--tenant=t2:2",
        "--kernel",
        &kernel,
        "--log",
        log.to_str().unwrap(),
    ];
    let mut child = Program(program(&arguments).spawn().unwrap());
    let mut lines = BufReader::new(child.0.stdout.take().unwrap()).lines();
    let line = lines.next().unwrap().unwrap();
    let said: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(said["cluster"], "ob7");
    assert_eq!(said["servers"].as_array().unwrap().len(), 2);
    let second = said["servers"][1].as_str().unwrap().parse().unwrap();
    for user in ["root@test", "root@t2"] {
        Client::new(second, &Credentials::direct(user)).ask("select 7");
    }
    let pid = child.0.id().to_string();
    assert!(Command::new("kill").arg(&pid).status().unwrap().success());
    assert!(child.0.wait().unwrap().success());
    let text = std::fs::read_to_string(&log).unwrap();
    std::fs::remove_file(&log).unwrap();
    let entries: Vec<Value> = text
        .lines()
        .map(|l| serde_json::from_str(l).unwrap())
        .collect();
    assert_eq!(entries.iter().filter(|e| e["sql"] == "select 7").count(), 2);
}

#[test]
fn what_cannot_be_is_said() {
    for (arguments, said) in [
        (
            ["--zones=4", "--base=127.0.1.1:0"],
            "zones: 1 to the number of servers",
        ),
        (
            ["--kernel=127.0.0.1:1", "--base=127.0.1.1:0"],
            "kernel at 127.0.0.1:1",
        ),
        (
            ["--place=t=0:1", "--base=127.0.1.1:0"],
            "db.table=leaf:server",
        ),
    ] {
        let output = program(&arguments).output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && text.contains(said), "{text}");
    }
}
