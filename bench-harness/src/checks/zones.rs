//! Zones that only read, zones in a major compaction and data centres: which servers serve weak
//! reads.

use super::readers::{Step, play};
use super::{Saw, Setup};
use Step::{Back, Kill, Kind, Merging, Refused, Served, Session, Setting, Start, Strong};
use obcluster::ZoneSpec;

/// A zone for each server: kind, data centre, region.
fn zones(each: &[(&str, &str, &str)]) -> Vec<ZoneSpec> {
    let zone = |((kind, idc, region), n): (&(&str, &str, &str), u32)| ZoneSpec {
        name: format!("z{n}"),
        idc: Some((*idc).into()),
        region: Some((*region).into()),
        kind: Some((*kind).into()),
        servers: vec![n],
    };
    each.iter().zip(1..).map(zone).collect()
}

const READ_WRITE: (&str, &str, &str) = ("ReadWrite", "i", "r");
const READ_ONLY: (&str, &str, &str) = ("ReadOnly", "i", "r");

/// Source: routing facts, sections 6.8 to 6.10. In a tenant with a zone that only reads
/// `ob_route_policy` of the session says which servers serve, and `proxy_route_policy` says
/// nothing.
const READING: &[Step] = &[
    // READONLY_ZONE_FIRST is the default.
    Served(&[3]),
    Strong,
    Kill(3),
    Served(&[1, 2, 4]),
    Start(3),
    Served(&[3]),
    Kind("z4", "ReadOnly"),
    Served(&[3, 4]),
    Kill(3),
    Served(&[4]),
    Start(3),
    Served(&[3, 4]),
    Session("set ob_route_policy = 'ONLY_READONLY_ZONE'"),
    Served(&[3, 4]),
    Strong,
    Kill(3),
    Served(&[4]),
    Kill(4),
    Refused,
    Start(3),
    Back(&[3]),
    Start(4),
    Served(&[3, 4]),
    Kind("z3", "ReadWrite"),
    Served(&[4]),
    Kind("z3", "ReadOnly"),
    Session("set ob_route_policy = 0"),
    Served(&[1, 2, 3, 4]),
    Session("set ob_route_policy = 'UNMERGE_ZONE_FIRST'"),
    Served(&[3, 4]),
    Session("set ob_route_policy = 'READONLY_ZONE_FIRST'"),
    Setting("proxy_route_policy", "ONLY_READONLY_ZONE"),
    Served(&[3, 4]),
    Setting("proxy_route_policy", "FOLLOWER_ONLY"),
    Served(&[3, 4]),
    Kill(3),
    Kill(4),
    Served(&[1, 2]),
    Start(3),
    Start(4),
    Served(&[3, 4]),
    // Without such a zone it is the other way round.
    Kind("z3", "ReadWrite"),
    Kind("z4", "ReadWrite"),
    Served(&[2, 3, 4]),
    Setting("proxy_route_policy", "READONLY_ZONE_FIRST"),
    Served(&[1, 2, 3, 4]),
    Session("set @proxy_route_policy = 'follower_first'"),
    Served(&[2, 3, 4]),
];

const MERGING: &[Step] = &[
    Served(&[1, 2, 3, 4]),
    Merging(&["z2"]),
    Served(&[1, 3, 4]),
    Merging(&["z2", "z3"]),
    Served(&[1, 4]),
    Merging(&["z1", "z2", "z3"]),
    Served(&[4]),
    Strong,
    // Where all merge there is nothing to avoid.
    Merging(&["z1", "z2", "z3", "z4"]),
    Served(&[1, 2, 3, 4]),
    Merging(&[]),
    Session("set @proxy_route_policy = 'FOLLOWER_FIRST'"),
    Served(&[2, 3, 4]),
    Merging(&["z2"]),
    Served(&[3, 4]),
    Merging(&["z2", "z3", "z4"]),
    Served(&[2, 3, 4]),
    Session("set @proxy_route_policy = 'UNMERGE_FOLLOWER_FIRST'"),
    Served(&[1]),
    Merging(&["z2", "z3"]),
    Served(&[4]),
    Kill(4),
    Served(&[1]),
    Start(4),
    Served(&[4]),
    Session("set @proxy_route_policy = 'FOLLOWER_ONLY'"),
    Served(&[4]),
    Merging(&["z2", "z3", "z4"]),
    Served(&[2, 3, 4]),
    Session("set @proxy_route_policy = ''"),
    Served(&[1]),
    Setting("proxy_route_policy", "FOLLOWER_FIRST"),
    Served(&[2, 3, 4]),
    Setting("proxy_route_policy", "UNMERGE_FOLLOWER_FIRST"),
    Served(&[1]),
    Merging(&["z3"]),
    Served(&[2, 4]),
    Setting("proxy_route_policy", ""),
    Served(&[1, 2, 4]),
    // With zones that only read.
    Kind("z3", "ReadOnly"),
    Kind("z4", "ReadOnly"),
    Served(&[4]),
    Merging(&["z3", "z4"]),
    Served(&[3, 4]),
    Session("set ob_route_policy = 'ONLY_READONLY_ZONE'"),
    Served(&[3, 4]),
    Merging(&["z4"]),
    Served(&[3]),
    Session("set ob_route_policy = 'UNMERGE_ZONE_FIRST'"),
    Served(&[3]),
    Merging(&["z3", "z4"]),
    Served(&[1, 2]),
    Merging(&["z1", "z3", "z4"]),
    Served(&[2]),
    Session("set ob_route_policy = 0"),
    Served(&[2]),
    Merging(&["z3"]),
    Served(&[1, 2, 4]),
    Merging(&[]),
    Served(&[1, 2, 3, 4]),
];

/// The data centre is `i1`, by the setting.
const ROOMS: &[Step] = &[
    Served(&[1]),
    Strong,
    Kill(1),
    Served(&[2]),
    Kill(2),
    Served(&[3]),
    Start(2),
    Served(&[2]),
    Start(1),
    Served(&[1]),
    Kill(3),
    Served(&[1]),
    Start(3),
    Session("set @proxy_idc_name = 'i2'"),
    Served(&[2]),
    Kill(2),
    Served(&[1]),
    Start(2),
    Served(&[2]),
    Session("set @proxy_idc_name = 'i3'"),
    Served(&[3]),
    Kill(3),
    Served(&[1, 2]),
    Start(3),
    Served(&[3]),
    Strong,
    Session("set @proxy_idc_name = ''"),
    Served(&[1]),
    Setting("proxy_idc_name", "i3"),
    Served(&[3]),
    Setting("proxy_idc_name", ""),
    Served(&[1, 2, 3]),
];

/// Weak reads while zones become such that only read, and their servers die.
///
/// # Errors
/// The steps that were not as they must be.
pub fn read_only_zones(setup: &Setup, reads: usize) -> Saw {
    let zones = zones(&[READ_WRITE, READ_WRITE, READ_ONLY, READ_WRITE]);
    play(setup, ("reading", zones), &[], (READING, reads))
}

/// Weak reads while zones are in a major compaction, under each policy that heeds it.
///
/// # Errors
/// The steps that were not as they must be.
pub fn merging_zones(setup: &Setup, reads: usize) -> Saw {
    let zones = zones(&[READ_WRITE; 4]);
    let settings = [("enable_merge_status_check", "True")];
    play(setup, ("merging", zones), &settings, (MERGING, reads))
}

/// Weak reads by data centre and region, while the servers of one die.
///
/// # Errors
/// The steps that were not as they must be.
pub fn rooms(setup: &Setup, reads: usize) -> Saw {
    let zones = zones(&[
        ("ReadWrite", "i1", "r1"),
        ("ReadWrite", "i2", "r1"),
        ("ReadWrite", "i3", "r2"),
    ]);
    let settings = [("proxy_idc_name", "i1")];
    play(setup, ("rooms", zones), &settings, (ROOMS, reads))
}
