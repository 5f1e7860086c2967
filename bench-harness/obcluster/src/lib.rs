//! Model cluster.
