//! The kernel behind the model, asked for what the cluster's views need to know of tables.

mod query;
mod tables;

pub use query::{Asked, Column, Kernel, KernelError, Rows};
pub use tables::{Located, Tables, TabletRow};
