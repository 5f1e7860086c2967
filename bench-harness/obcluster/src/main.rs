//! Starts a model cluster and says where it is; ends on Ctrl-C or TERM.

use clap::{Parser, ValueEnum};
use obcluster::builtin::Layout;
use obcluster::judge::JudgeMode;
use obcluster::tls::Certificate;
use obcluster::{Cluster, Engine, OnViolation, PlaceSpec, TenantSpec, Topology};
use serde_json::json;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::process::ExitCode;

/// A model OceanBase cluster: one process that looks like one server on each of several loopback
/// addresses, with a real single-node kernel behind it.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// A file with the topology (JSON; the documentation of `topology::file` has an example) in
    /// place of the arguments about servers, zones, tenants and addresses.
    #[arg(long, conflicts_with_all = [
        "servers", "zones", "base", "control", "config", "cluster", "tenant", "place",
        "spread_sys", "param_rows",
    ])]
    topology: Option<PathBuf>,
    /// Number of servers.
    #[arg(long, default_value_t = 3)]
    servers: u32,
    /// Number of zones.
    #[arg(long, default_value_t = 3)]
    zones: u32,
    /// What executes statements.
    #[arg(long, value_enum, default_value_t = EngineName::Kernel)]
    engine: EngineName,
    /// Tables sbtest1, sbtest2, ... of engine builtin.
    #[arg(long, default_value_t = 1)]
    sbtest: u32,
    /// Rows that each of them has.
    #[arg(long, default_value_t = 0)]
    sbtest_rows: u32,
    /// A certificate in PEM, with its chain: servers of engine builtin offer TLS.
    #[arg(long, requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// Its key in PEM.
    #[arg(long, requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Address of the kernel; its user root of sys must have no password.
    #[arg(long, default_value = "127.0.0.1:2881")]
    kernel: String,
    /// Address of the first server; the others have the next ones. Port 0: free ports.
    #[arg(long, default_value = "127.0.1.1:2881")]
    base: SocketAddr,
    /// Address of the control interface. Port 0: a free port.
    #[arg(long, default_value = "127.0.0.1:0")]
    control: SocketAddr,
    /// Address of the configuration service. Port 0: a free port.
    #[arg(long, default_value = "127.0.0.1:0")]
    config: SocketAddr,
    /// Name of the cluster.
    #[arg(long, default_value = "obcluster")]
    cluster: String,
    /// A user tenant besides test, `name` or `name:1,3` with the numbers of its servers; may be
    /// repeated. `test:1,3` says where test is.
    #[arg(long)]
    tenant: Vec<TenantSpec>,
    /// Where leaves of a table begin, `db.table=leaf:server,...`; may be repeated.
    #[arg(long)]
    place: Vec<PlaceSpec>,
    /// Spread tables of sys over the servers, too.
    #[arg(long)]
    spread_sys: bool,
    /// Rows of V$OB_PARAMETERS for `cluster`: one, or one per server.
    #[arg(long, value_enum, default_value_t = ParameterRows::One)]
    param_rows: ParameterRows,
    /// How many statements are judged by the kernel's EXPLAIN: sync, sample=N (one of N), fast
    /// (integer keys of a hash are calculated) or off.
    #[arg(long, default_value_t)]
    judge: JudgeMode,
    /// What follows when a proxy breaks a rule, besides its entry in the log: nothing, an error in
    /// place of the answer, or the end of the link.
    #[arg(long, value_enum, default_value_t = Consequence::Log)]
    on_violation: Consequence,
    /// A file for the statement log, as JSON lines.
    #[arg(long)]
    log: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum EngineName {
    /// A real single-node kernel.
    Kernel,
    /// None: a few statements on the tables kv and sbtest1.. of database test.
    Builtin,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ParameterRows {
    One,
    All,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Consequence {
    Log,
    Error,
    Close,
}

impl From<Consequence> for OnViolation {
    fn from(consequence: Consequence) -> Self {
        match consequence {
            Consequence::Log => Self::Log,
            Consequence::Error => Self::Error,
            Consequence::Close => Self::Close,
        }
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("obcluster: {e}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> Result<(), Box<dyn std::error::Error>> {
    let files = arguments.tls_cert.as_ref().zip(arguments.tls_key.as_ref());
    let certificate = files.map(|(chain, key)| Certificate::read(chain, key));
    let certificate = certificate.transpose()?;
    let engine = match arguments.engine {
        EngineName::Builtin => Engine::Builtin(Layout {
            sbtest: arguments.sbtest,
            sbtest_rows: arguments.sbtest_rows,
            certificate,
            ..Layout::default()
        }),
        EngineName::Kernel if certificate.is_some() => {
            return Err(
                "TLS needs --engine builtin: the bytes of a kernel's links are its own".into(),
            );
        }
        EngineName::Kernel => {
            let mut addresses = arguments.kernel.to_socket_addrs()?;
            Engine::Kernel(addresses.next().ok_or("the kernel has no address")?)
        }
    };
    let log = arguments.log.clone();
    let (judge, on_violation) = (arguments.judge, arguments.on_violation.into());
    let mut topology = match &arguments.topology {
        Some(file) => {
            let text = std::fs::read_to_string(file);
            let read = text.map_err(|e| e.to_string());
            let topology = read.and_then(|t| Topology::from_json(&t).map_err(|e| e.to_string()));
            topology.map_err(|e| format!("{}: {e}", file.display()))?
        }
        None => topology_of(arguments)?,
    };
    topology.judge = judge;
    topology.on_violation = on_violation;
    let name = topology.name.clone();
    let cluster = match log {
        Some(file) => Cluster::start_logging(topology, engine, &file)?,
        None => Cluster::start(topology, engine)?,
    };
    let servers: Vec<String> = cluster
        .addresses()
        .iter()
        .map(ToString::to_string)
        .collect();
    let started = json!({
        "cluster": name,
        "servers": servers,
        "control": cluster.control().to_string(),
        "config": cluster.config_url(),
        "pid": std::process::id(),
    });
    println!("{started}");
    cluster.wait_for_end()?;
    Ok(())
}

fn topology_of(arguments: Arguments) -> Result<Topology, Box<dyn std::error::Error>> {
    let mut tenants = arguments.tenant;
    if !tenants.iter().any(|t| t.name == "test") {
        tenants.insert(0, "test".parse()?);
    }
    Ok(Topology {
        name: arguments.cluster,
        servers: arguments.servers,
        zones: arguments.zones,
        base: arguments.base,
        control: arguments.control,
        config: arguments.config,
        tenants,
        places: arguments.place,
        spread_sys: arguments.spread_sys,
        param_rows_all: arguments.param_rows == ParameterRows::All,
        ..Topology::default()
    })
}
