//! Tables of the field cases.

use crate::raw::{Conn, Login};
use std::net::SocketAddr;

/// Their database.
pub const DB: &str = "obring_field";

/// Makes the tables anew, directly at the kernel.
///
/// # Errors
/// The statement that failed, with the kernel's words.
pub fn fixture(kernel: SocketAddr) -> Result<(), String> {
    let mut c = Conn::login(kernel, &Login::default())?;
    for sql in [
        "drop database if exists obring_field",
        "create database obring_field",
        "use obring_field",
        "create table kv(id bigint primary key, v varchar(200), n int) partition by hash(id) \
         partitions 16",
        "create table names_k(c varchar(40) collate utf8mb4_general_ci primary key, n int) \
         partition by key(c) partitions 16",
        "create table ev(ts datetime not null, n int not null, primary key(ts,n)) \
         partition by range columns(ts) (partition p0 values less than ('2024-01-01'), \
         partition p1 values less than ('2025-01-01'), partition p2 values less than (maxvalue))",
        "create table plain_a(id int primary key, v int)",
        "create table plain_b(id int primary key, v int)",
        "create table auto_b(id bigint auto_increment primary key, v varchar(20))",
        "create table blobs(id bigint primary key, b longblob)",
        "create table ld(a int, b varchar(20))",
        "create table sq(n int primary key)",
        "insert into sq values(1),(2),(3),(4),(5),(6),(7),(8),(9),(10)",
        "insert into kv select n, concat('v', n), 0 from sq",
        "insert into kv select n + 10, concat('v', n + 10), 0 from sq where n < 7",
        "insert into plain_a values(1, 1)",
        "insert into plain_b values(1, 1)",
        "create procedure two_sets(in a int) begin select a; select a+1, 'x'; end",
    ] {
        c.run(sql).map_err(|e| format!("{sql}: {e}"))?;
    }
    Ok(())
}
