//! TLS towards clients of engine `builtin`: bytes in, bytes out, without a socket.

use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection};
use std::fmt;
use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::Arc;

/// A server's certificate with its chain, and its key; both in DER.
#[derive(Clone, PartialEq, Eq)]
pub struct Certificate {
    chain: Vec<CertificateDer<'static>>,
    key: Vec<u8>,
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Never the key.
        write!(f, "Certificate({} in its chain)", self.chain.len())
    }
}

impl Certificate {
    /// Reads files in PEM: the chain, the server's own certificate first, and the key.
    ///
    /// # Errors
    /// A file that cannot be read, or holds no such thing.
    pub fn read(chain: &Path, key: &Path) -> io::Result<Self> {
        let of = |path: &Path, e: rustls::pki_types::pem::Error| {
            io::Error::other(format!("{}: {e}", path.display()))
        };
        let certificates = CertificateDer::pem_file_iter(chain).map_err(|e| of(chain, e))?;
        let certificates: Result<Vec<_>, _> = certificates.collect();
        let private = PrivateKeyDer::from_pem_file(key).map_err(|e| of(key, e))?;
        Ok(Self {
            chain: certificates.map_err(|e| of(chain, e))?,
            key: private.secret_der().to_vec(),
        })
    }

    /// What connections are made with.
    ///
    /// # Errors
    /// Certificate and key are none, or do not fit together.
    pub fn config(&self) -> io::Result<Arc<ServerConfig>> {
        let key = PrivateKeyDer::try_from(self.key.clone()).map_err(io::Error::other)?;
        let config = ServerConfig::builder_with_provider(ring::default_provider().into())
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .with_no_client_auth()
            .with_single_cert(self.chain.clone(), key)
            .map_err(io::Error::other)?;
        Ok(Arc::new(config))
    }
}

/// The server's side of one connection.
#[derive(Debug)]
pub(crate) struct Tls {
    connection: ServerConnection,
    /// The client has said that nothing more comes.
    pub(crate) is_over: bool,
}

impl Tls {
    pub(crate) fn new(config: Arc<ServerConfig>) -> io::Result<Self> {
        let mut connection = ServerConnection::new(config).map_err(io::Error::other)?;
        // Whoever writes has a bound of its own.
        connection.set_buffer_limit(None);
        Ok(Self {
            connection,
            is_over: false,
        })
    }

    /// Takes bytes of the client: appends what they say to `plain`, and what is to be sent for it
    /// to `wire`.
    ///
    /// # Errors
    /// They are no TLS; `wire` says so to the client.
    pub(crate) fn read(
        &mut self,
        mut bytes: &[u8],
        plain: &mut Vec<u8>,
        wire: &mut Vec<u8>,
    ) -> io::Result<()> {
        while !bytes.is_empty() && !self.is_over {
            self.connection.read_tls(&mut bytes)?;
            let state = match self.connection.process_new_packets() {
                Ok(state) => state,
                Err(e) => {
                    self.send(wire)?;
                    return Err(io::Error::new(io::ErrorKind::InvalidData, e));
                }
            };
            let from = plain.len();
            plain.resize(from + state.plaintext_bytes_to_read(), 0);
            let room = plain.get_mut(from..).unwrap_or_default();
            self.connection.reader().read_exact(room)?;
            self.is_over = state.peer_has_closed();
        }
        self.send(wire)
    }

    /// Appends these words of the server to `wire`.
    ///
    /// # Errors
    /// The connection is broken.
    pub(crate) fn write(&mut self, plain: &[u8], wire: &mut Vec<u8>) -> io::Result<()> {
        self.connection.writer().write_all(plain)?;
        self.send(wire)
    }

    fn send(&mut self, wire: &mut Vec<u8>) -> io::Result<()> {
        while self.connection.wants_write() {
            self.connection.write_tls(wire)?;
        }
        Ok(())
    }
}
