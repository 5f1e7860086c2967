//! Descriptions for tests and benchmarks.

use super::column::Product;
use super::table::{KeyRow, Layout, PartRow, Table};

impl Table {
    /// A table by `HASH(column)` over a bigint: its partitions' names and tablets in order.
    ///
    /// # Panics
    /// If a table cannot be described so: no partition, or too many.
    #[doc(hidden)]
    #[must_use]
    pub fn by_hash<'a>(column: &'a [u8], parts: impl IntoIterator<Item = (&'a [u8], u64)>) -> Self {
        let layout = Layout {
            part_type: 0,
            part_expr: column,
            sub: None,
        };
        let key = KeyRow {
            level: 1,
            name: column,
            type_number: 5,
            index: 0,
            rowkey_index: 0,
            collation: 63,
            extra: b"",
            length: -1,
            precision: 20,
            scale: 0,
            default: None,
        };
        let numbered = (0..).zip(parts);
        let part = |(part_id, (name, tablet))| PartRow {
            part_id,
            name,
            tablet,
            bound: b"",
        };
        let parts: Vec<_> = numbered.map(part).collect();
        let table = Self::new(&layout, &[key], &parts, &[], Product::OceanBase);
        let mut table = table.expect("a table by hash");
        let name = String::from_utf8_lossy(column).into_owned();
        table.declare(name.as_bytes(), "bigint", 63);
        table
    }
}
