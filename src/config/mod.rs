//! L0: settings. One table says what can be set; everything else is made from it.
//!
//! * [`TABLE`]: a [`Row`] per setting: name, kind, default, bounds, reload, meaning.
//! * [`Settings`]: the typed values, one public field per row, and the clusters to serve.
//! * [`IdleRow`]: settings of OBProxy that are only kept and shown.
//! * [`Draft`]: collects values from the file, `-o`, flags and the environment, in their order, and
//!   says what it noticed; [`Draft::finish`] makes the [`Settings`].
//! * [`alter()`]: one setting of a running proxy.
//! * [`reference()`]: the text of `config/reference.md`.
//!
//! Pure: text in, values or a one-line [`ConfigError`] out. Files are read by `server`.

mod alter;
mod bounds;
mod cluster;
mod draft;
mod error;
mod file;
mod full_authentication;
mod idle;
mod kind;
mod notice;
mod quantity;
mod reader;
mod reference;
mod routing_mode;
mod server_protocol;
mod servers;
mod source;
mod sys_password;
mod table;
mod weak_reader;

pub use alter::{Alter, AlterError, alter};
pub use bounds::Bounds;
pub use cluster::Cluster;
pub use draft::{Draft, Host};
pub use error::{BadValue, ConfigError, What};
pub use full_authentication::FullAuthentication;
pub use idle::IdleRow;
pub use kind::Kind;
pub use notice::Notice;
pub use reference::reference;
pub use routing_mode::RoutingMode;
pub use server_protocol::ServerProtocol;
pub use source::Source;
pub use sys_password::{Stage1, stage1_of};
pub use table::{Origin, Reload, Row, Settings, TABLE};
pub use weak_reader::WeakReader;

/// The OBProxy version that obring is compatible with: told to servers at login
/// (`__proxy_version`), to clients (`PROXY_VERSION()`), and by `-V`. Servers offer an auth switch
/// only to 4.3.3.0 and later (`oceanbase/obproxy` release notes; design decision "versions").
pub const COMPATIBILITY_VERSION: &str = "4.3.4.0";
