//! L2: which partitions a statement touches.
//!
//! [`leaves`] takes a statement as [`crate::sql::Scan`] read it, a [`Table`] as the metadata
//! describes it, and what the session adds ([`Context`]), and gives the set of leaves (partitions,
//! or subpartitions, each with its tablet). The set is never too small: what is not understood
//! widens it.
//!
//! The rules are those of tenants in MySQL mode. A table of a tenant in Oracle mode is not
//! described ([`TableError::Mode`]), so that its leaves are not known: types and literals mean
//! other things there.

mod answer;
mod binary;
mod charset;
mod choose;
mod collation;
mod column;
mod constant;
mod convert;
mod declared;
mod domain;
mod equal;
mod function;
mod generated;
mod insert;
mod language;
mod lax;
mod leaves;
mod murmur;
mod note;
mod object;
mod quick;
mod sample;
mod session;
mod solve;
mod table;
mod temporal;
mod value;
mod weights;
mod zone;

pub use answer::{Answer, Certainty, Request, leaves, only_leaf};
pub use charset::TextCharset;
pub use collation::Collation;
pub use column::{Column, Default, Kind, Product};
pub use declared::ColumnRow;
pub use leaves::LeafSet;
pub use note::leaves_of_note;
pub use object::Bound;
pub use session::Context;
pub use table::{KeyRow, LEAVES_MAX, Layout, Leaf, PartRow, Table, TableError};
pub use temporal::Moment;
pub use value::{Key, Value};
pub use zone::Zone;
