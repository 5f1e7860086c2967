//! `bench run` measures obring against other peers, `bench serve` is the server of a run, `bench
//! record` counts instructions. scripts/bench builds what it needs and calls it.

use bench_harness::bench::peer::Programs;
use bench_harness::bench::statement::{cluster, layout};
use bench_harness::bench::{Job, instructions, run};
use obcluster::builtin::Server;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

const USAGE: &str = "bench run --obring PATH --out DIR [--haproxy PATH] [--relay PATH] [--quick] \
                     [--plain] [--routed] [--only TEXT] | bench record --session PATH \
                     --partition PATH --route PATH --out FILE | bench serve [--plain] [--routed]";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let done = match words.split_first() {
        Some((word, rest)) if word == "run" => measure(rest),
        Some((word, rest)) if word == "record" => record(rest),
        Some((word, rest)) if word == "serve" => serve(rest),
        _ => Err(format!("usage: {USAGE}")),
    };
    done.unwrap_or_else(|e| {
        eprintln!("bench: {e}");
        ExitCode::from(2)
    })
}

/// The value of each `--name value`, and whether each `--name` is there.
struct Words<'a>(&'a [String]);

impl Words<'_> {
    fn check(&self, with_value: &[&str], alone: &[&str]) -> Result<(), String> {
        let mut words = self.0.iter();
        while let Some(word) = words.next() {
            if with_value.contains(&word.as_str()) {
                words
                    .next()
                    .ok_or_else(|| format!("{word} needs a value"))?;
            } else if !alone.contains(&word.as_str()) {
                return Err(format!("unknown argument {word}; usage: {USAGE}"));
            }
        }
        Ok(())
    }

    fn has(&self, name: &str) -> bool {
        self.0.iter().any(|w| w == name)
    }

    fn value(&self, name: &str) -> Option<&str> {
        let at = self.0.iter().position(|w| w == name)?;
        self.0.get(at + 1).map(String::as_str)
    }

    fn file(&self, name: &str) -> Result<Option<PathBuf>, String> {
        let Some(path) = self.value(name).map(PathBuf::from) else {
            return Ok(None);
        };
        if path.is_file() {
            return Ok(Some(path));
        }
        Err(format!("{name}: there is no {}", path.display()))
    }
}

fn measure(words: &[String]) -> Result<ExitCode, String> {
    let words = Words(words);
    words.check(
        &["--obring", "--out", "--haproxy", "--relay", "--only"],
        &["--quick", "--plain", "--routed"],
    )?;
    let folder = PathBuf::from(words.value("--out").ok_or("--out is missing")?);
    std::fs::create_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let [load_cpu, peer_cpu] = bench_harness::bench::run::two_cpus()?;
    let job = Job {
        programs: Programs {
            bench: std::env::current_exe().map_err(|e| format!("this program: {e}"))?,
            obring: words.file("--obring")?.ok_or("--obring is missing")?,
            haproxy: words.value("--haproxy").unwrap_or("haproxy").into(),
            relay: words.file("--relay")?,
            is_plain: words.has("--plain"),
            is_routed: words.has("--routed"),
            folder: folder.clone(),
            load_cpu,
            peer_cpu,
        },
        is_quick: words.has("--quick"),
        only: words.value("--only").map(Into::into),
    };
    let findings = run(&job)?;
    let report = findings.markdown();
    write(&folder.join("report.md"), &report)?;
    write(&folder.join("rounds.tsv"), &findings.rows())?;
    println!("{report}");
    let missed = findings.verdicts().iter().filter(|v| !v.is_met).count();
    eprintln!("bench: {missed} bounds missed; {}", folder.display());
    Ok(ExitCode::from(u8::from(missed > 0)))
}

fn record(words: &[String]) -> Result<ExitCode, String> {
    let words = Words(words);
    words.check(&["--session", "--partition", "--route", "--out"], &[])?;
    let file = |name: &str| {
        let path = words.file(name)?;
        path.ok_or_else(|| format!("{name} is missing"))
    };
    let (session, partition, route) = (file("--session")?, file("--partition")?, file("--route")?);
    let out = PathBuf::from(words.value("--out").ok_or("--out is missing")?);
    let text = instructions::record(&session, &partition, &route)?;
    write(&out, &text)?;
    print!("{text}");
    Ok(ExitCode::SUCCESS)
}

/// Says where it listens, and serves until it is killed.
fn serve(words: &[String]) -> Result<ExitCode, String> {
    let words = Words(words);
    words.check(&[], &["--plain", "--routed"])?;
    let is_plain = words.has("--plain");
    if words.has("--routed") {
        let (cluster, addresses) = cluster(is_plain)?;
        let shown: Vec<_> = addresses.iter().map(ToString::to_string).collect();
        say(&shown.join(" "))?;
        cluster
            .wait_for_end()
            .map_err(|e| format!("serving: {e}"))?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut server = Server::bind_free(layout(is_plain)).map_err(|e| format!("listening: {e}"))?;
    let address = server.address().map_err(|e| format!("listening: {e}"))?;
    say(&address.to_string())?;
    server.run().map_err(|e| format!("serving: {e}"))?;
    Ok(ExitCode::SUCCESS)
}

/// The line that says where a server listens.
fn say(line: &str) -> Result<(), String> {
    let mut stdout = std::io::stdout();
    let said = writeln!(stdout, "{line}").and_then(|()| stdout.flush());
    said.map_err(|e| format!("stdout: {e}"))
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    std::fs::write(path, text).map_err(|e| format!("{}: {e}", path.display()))
}
