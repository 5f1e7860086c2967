//! Descriptions of tables from the metadata files.

use super::tsv::{Row, read};
use crate::raw::Conn;
use obring::partition::{ColumnRow, KeyRow, Layout, PartRow, Product, Table};
use std::collections::HashMap;
use std::path::Path;

/// Table descriptions by name, and why others have none.
pub(super) struct Tables {
    pub(super) known: HashMap<String, Table>,
    pub(super) failures: Vec<String>,
}

impl Tables {
    /// Reads all tables of a folder.
    pub(super) fn read(folder: &Path) -> Result<Self, String> {
        let by_table = |name: &str| -> Result<HashMap<String, Vec<Row>>, String> {
            let mut all: HashMap<String, Vec<Row>> = HashMap::new();
            for row in read(folder, name)? {
                all.entry(row.text("table").to_owned())
                    .or_default()
                    .push(row);
            }
            Ok(all)
        };
        let infos = by_table("meta_info")?;
        let (parts, subs) = (by_table("meta_part")?, by_table("meta_subpart")?);
        let mut it = Self {
            known: HashMap::new(),
            failures: vec![],
        };
        // The numbers of types tell the products apart, and each folder is of one of them.
        let numbers = || {
            infos
                .values()
                .flatten()
                .map(|r| r.number::<u32>("part_key_type"))
        };
        let product = match numbers().any(|n| n > 43) || !numbers().any(|n| n > 35) {
            true => Product::OceanBase,
            false => Product::SeekDb,
        };
        for row in read(folder, "tables")? {
            let name = row.text("table");
            let none = vec![];
            let info = infos.get(name).unwrap_or(&none);
            let part = parts.get(name).unwrap_or(&none);
            let sub = subs.get(name).unwrap_or(&none);
            match describe(info, part, sub, product) {
                Ok(mut table) => {
                    declare(&mut table, row.text("ddl"));
                    it.known.insert(name.to_owned(), table);
                }
                Err(why) => it.failures.push(format!("{name}: {why}")),
            }
        }
        Ok(it)
    }
}

fn describe(info: &[Row], parts: &[Row], subs: &[Row], product: Product) -> Result<Table, String> {
    let first = info.first().ok_or("no rows")?;
    let two_levels = first.number::<u32>("part_level") == 2;
    let layout = Layout {
        part_type: first.number("part_type"),
        part_expr: first.text("part_expr").as_bytes(),
        sub: two_levels.then(|| {
            let expr = first.text("sub_part_expr").as_bytes();
            (first.number("sub_part_type"), expr)
        }),
    };
    let defaults: Vec<_> = info
        .iter()
        .map(|r| r.hex("part_key_default_value_hex"))
        .collect();
    let keys: Vec<_> = info
        .iter()
        .zip(&defaults)
        .map(|(row, default)| KeyRow {
            level: row.number("part_key_level"),
            name: row.text("part_key_name").as_bytes(),
            type_number: row.number("part_key_type"),
            index: row.number("part_key_idx"),
            rowkey_index: row.number("part_key_rowkey_idx"),
            collation: row.number("part_key_collation_type"),
            extra: row.text("part_key_extra").as_bytes(),
            length: row.number("part_key_length"),
            precision: row.number("part_key_precision"),
            scale: row.number("part_key_scale"),
            default: default.as_deref(),
        })
        .collect();
    let bounds = |rows: &[Row]| -> Vec<Vec<u8>> {
        rows.iter()
            .map(|r| r.hex("high_bound_val_bin_hex").unwrap_or_default())
            .collect()
    };
    let (part_bounds, sub_bounds) = (bounds(parts), bounds(subs));
    let (parts, subs) = (rows(parts, &part_bounds), rows(subs, &sub_bounds));
    Table::new(&layout, &keys, &parts, &subs, product).map_err(|e| e.to_string())
}

fn rows<'a>(rows: &'a [Row], bounds: &'a [Vec<u8>]) -> Vec<PartRow<'a>> {
    let row = |(row, bound): (&'a Row, &'a Vec<u8>)| PartRow {
        part_id: row.number("part_id"),
        name: row.text("part_name").as_bytes(),
        tablet: row.number("tablet_id"),
        bound,
    };
    rows.iter().zip(bounds).map(row).collect()
}

/// Asks a server for the metadata of a table of the current database.
pub(crate) fn describe_live(conn: &mut Conn, name: &str) -> Result<Table, String> {
    let id = conn.cell(&format!(
        "select table_id from oceanbase.__all_table where table_name = '{name}' and database_id = \
         (select database_id from oceanbase.__all_database where database_name = database())"
    ))?;
    let of = |table: &str, columns: &[&str], bytes: &[&str]| {
        let plain = columns.iter().map(|c| (*c).to_owned());
        let hex = bytes.iter().map(|c| format!("hex({c})"));
        let list: Vec<_> = plain.chain(hex).collect();
        format!(
            "select {} from oceanbase.__all_virtual_proxy_{table} where tenant_name = 'sys' and \
             table_id = {id}",
            list.join(", ")
        )
    };
    let mut rows = |table: &str, columns: &[&str], bytes: &[&str]| -> Result<Vec<Row>, String> {
        let rows = conn.rows(&of(table, columns, bytes))?;
        let bytes: Vec<_> = bytes.iter().map(|b| format!("{b}_hex")).collect();
        let names = columns
            .iter()
            .copied()
            .chain(bytes.iter().map(String::as_str));
        let names: Vec<_> = names.collect();
        Ok(rows.into_iter().map(|row| Row::of(&names, row)).collect())
    };
    let info = [
        "part_level",
        "part_type",
        "part_expr",
        "sub_part_type",
        "sub_part_expr",
        "part_key_name",
        "part_key_type",
        "part_key_idx",
        "part_key_level",
        "part_key_extra",
        "part_key_collation_type",
        "part_key_rowkey_idx",
        "part_key_length",
        "part_key_precision",
        "part_key_scale",
    ];
    let info = rows("partition_info", &info, &["part_key_default_value"])?;
    let part = ["part_id", "part_name", "tablet_id"];
    let parts = rows("partition", &part, &["high_bound_val_bin"])?;
    let subs = rows("sub_partition", &part, &["high_bound_val_bin"])?;
    let mut table = describe(&info, &parts, &subs, Product::SeekDb)?;
    let names = [
        "column_name",
        "data_type",
        "data_length",
        "data_precision",
        "data_scale",
        "nullable",
        "autoincrement",
        "collation_type",
    ];
    let columns = conn.rows(&format!(
        "select {} from oceanbase.__all_virtual_column where tenant_id = 1 and table_id = {id}",
        names.join(", ")
    ))?;
    for values in columns {
        let row = Row::of(&names, values);
        let column = ColumnRow {
            name: row.text("column_name").as_bytes(),
            type_number: row.number("data_type"),
            length: row.number("data_length"),
            precision: row.number("data_precision"),
            scale: row.number("data_scale"),
            is_nullable: row.text("nullable") != "0",
            is_auto: row.text("autoincrement") != "0",
            collation: row.number("collation_type"),
            members: &[],
        };
        table.declare_column(&column, Product::SeekDb);
    }
    Ok(table)
}

/// Collations by the names that declarations use.
const COLLATIONS: &[(&str, u32)] = &[
    ("utf8mb4_general_ci", 45),
    ("utf8mb4_bin", 46),
    ("utf8mb4_unicode_ci", 224),
    ("utf8mb4_unicode_520_ci", 246),
    ("utf8mb4_0900_as_cs", 278),
    ("utf8mb4_0900_as_ci", 305),
    ("utf8mb4_0900_ai_ci", 255),
    ("utf8mb4_0900_bin", 309),
    ("latin1_swedish_ci", 8),
    ("latin1_bin", 47),
    ("gbk_chinese_ci", 28),
    ("gbk_bin", 87),
    ("gb18030_chinese_ci", 248),
    ("gb18030_bin", 249),
    ("utf16_general_ci", 54),
    ("utf16_bin", 55),
    ("ascii_general_ci", 11),
];

/// Tells the table what its CREATE TABLE says about columns.
fn declare(table: &mut Table, ddl: &str) {
    let Some((_, body)) = ddl.split_once('(') else {
        return;
    };
    for definition in top_level(body) {
        let definition = definition.trim();
        let Some((name, declared)) = definition.split_once(' ') else {
            continue;
        };
        let collation = COLLATIONS.iter().find(|(name, _)| {
            let mut words = declared.split_whitespace().skip_while(|w| *w != "collate");
            words.nth(1) == Some(name)
        });
        let collation = collation.map_or(45, |(_, id)| *id);
        table.declare(
            name.trim_matches('`').as_bytes(),
            declared.trim(),
            collation,
        );
    }
}

/// Parts of a list up to its closing parenthesis, divided by commas outside of parentheses and
/// strings.
fn top_level(body: &str) -> Vec<&str> {
    let (mut parts, mut start, mut depth, mut is_quoted) = (vec![], 0, 0, false);
    for (at, c) in body.char_indices() {
        match c {
            '\'' => is_quoted = !is_quoted,
            _ if is_quoted => {}
            '(' => depth += 1,
            ')' if depth == 0 => {
                parts.push(&body[start..at]);
                break;
            }
            ')' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&body[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts
}
