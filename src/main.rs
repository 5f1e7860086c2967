//! The `obring` binary.
fn main() {}
