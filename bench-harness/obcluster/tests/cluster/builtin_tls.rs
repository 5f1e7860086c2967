//! Engine `builtin` inside TLS: alone, and behind the servers of a cluster. No kernel is asked.

use crate::client::{Client, Credentials, MASKS};
use crate::engines::{Side, TEXTS};
use obcluster::builtin::{Layout, Server};
use obcluster::tls::Certificate;
use obcluster::{Cluster, Engine, Topology};
use obring_wire::protocol::mysql::{Command, client};
use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/tls")
        .join(name)
}

fn layout() -> Layout {
    let certificate = Certificate::read(&file("cert.pem"), &file("key.pem"));
    Layout {
        database: "obcluster_engines".into(),
        kv_partitions: 4,
        certificate: Some(certificate.unwrap()),
        ..Layout::default()
    }
}

/// A client that trusts the certificate of this test and nobody else.
fn trusting() -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    let own = CertificateDer::from_pem_file(file("cert.pem")).unwrap();
    roots.add(own).unwrap();
    let config = ClientConfig::builder_with_provider(ring::default_provider().into())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    Arc::new(config)
}

/// The certificate is for 127.0.0.1.
fn local_cluster() -> Cluster {
    let topology = Topology {
        servers: 1,
        zones: 1,
        base: "127.0.0.1:0".parse().unwrap(),
        ..Topology::default()
    };
    Cluster::start(topology, Engine::Builtin(layout())).unwrap()
}

/// What a fresh engine answers to the list, to a proxy of this mask.
fn replies(address: SocketAddr, mask: u64, is_sealed: bool) -> Vec<Vec<Vec<u8>>> {
    let mut who = Credentials::proxy("root@sys", mask);
    who.database = Some("obcluster_engines");
    who.tls = is_sealed.then(trusting);
    let mut side = Side(Client::new(address, &who));
    let mut all = vec![];
    for sql in TEXTS {
        all.push(side.ask(Command::QUERY, sql.as_bytes()));
    }
    all.push(side.ask(Command::QUERY, b"select 900 rows of 1000 bytes"));
    all
}

#[test]
fn replies_inside_tls_are_the_same() {
    for (framing, mask) in MASKS {
        let fresh = || Server::bind_free(layout()).unwrap().spawn().unwrap();
        let (plain, sealed) = (fresh(), fresh());
        let want = replies(plain.address(), mask, false);
        assert_eq!(replies(sealed.address(), mask, true), want, "{framing:?}");
        let cluster = local_cluster();
        let through = replies(cluster.address(1).unwrap(), mask, true);
        // The model writes the end of a reply anew; rows and errors are the engine's.
        assert_eq!(through.len(), want.len());
        for ((sql, through), want) in TEXTS.iter().zip(&through).zip(&want) {
            assert_eq!(through[0], want[0], "{framing:?}: {sql}");
            assert_eq!(through.len(), want.len(), "{framing:?}: {sql}");
        }
        assert_eq!(through.last(), want.last(), "{framing:?}: a long result");
    }
    let mut direct = Credentials::direct("root@sys");
    direct.tls = Some(trusting());
    let server = Server::bind_free(layout()).unwrap().spawn().unwrap();
    let mut client = Client::new(server.address(), &direct);
    assert_eq!(client.ask("select 7 as n").column("n"), ["7"]);
    println!(
        "figure: builtin: TLS | {} replies the same in 4 framings, alone and behind a cluster",
        TEXTS.len() + 1
    );
}

#[test]
fn what_is_no_tls_ends_its_connection_and_who_does_not_ask_has_none() {
    let server = Server::bind_free(layout()).unwrap().spawn().unwrap();
    let cluster = local_cluster();
    for address in [server.address(), cluster.address(1).unwrap()] {
        let (mut stream, greeting) = crate::client::greeting(address).unwrap();
        let greeting = obring_wire::protocol::mysql::Greeting::parse(&greeting).unwrap();
        assert_ne!(greeting.capabilities & client::SSL, 0);
        let mut asked = vec![32, 0, 0, 1];
        let capabilities = client::SSL | client::PROTOCOL_41;
        asked.extend_from_slice(&capabilities.to_le_bytes());
        asked.resize(36, 0);
        asked.extend_from_slice(b"this is no handshake of TLS at all");
        stream.write_all(&asked).unwrap();
        let mut rest = vec![];
        // An alert at most, and the end.
        let _ = stream.read_to_end(&mut rest);
        assert!(rest.len() < 16, "{rest:?}");
        let mut plain = Client::new(address, &Credentials::direct("root@sys"));
        assert_eq!(plain.ask("select 7 as n").column("n"), ["7"]);
    }
    // Where there is no certificate, none is offered, and who asks all the same is not answered:
    // as the kernel does it.
    let server = Server::bind_free(Layout::default())
        .unwrap()
        .spawn()
        .unwrap();
    let (mut stream, greeting) = crate::client::greeting(server.address()).unwrap();
    let greeting = obring_wire::protocol::mysql::Greeting::parse(&greeting).unwrap();
    assert_eq!(greeting.capabilities & client::SSL, 0);
    let mut asked = vec![32, 0, 0, 1];
    asked.extend_from_slice(&(client::SSL | client::PROTOCOL_41).to_le_bytes());
    asked.resize(36, 0);
    stream.write_all(&asked).unwrap();
    assert_eq!(stream.read(&mut [0]).unwrap(), 0);
}
