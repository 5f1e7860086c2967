use super::super::fixture::{self, at, row, table};
use super::*;
use crate::partition::Context;
use crate::routing::{Blocks, Cluster, Loads, Preferences, route};
use crate::sql::{Scan, Syntax};
use std::sync::Arc;

const NOW: Tick = Tick(1_000_000);

/// `PARTITION BY HASH(id) PARTITIONS 3` over a bigint; leaf n has tablet 70 + n and is led by
/// server n + 1, with a follower on the next one.
fn hashed() -> Arc<TableEntry> {
    let names = [&b"first"[..], b"second", b"third"];
    let described = partition::Table::by_hash(b"id", names.into_iter().zip(70..));
    let rows: Vec<_> = (0..3_u8)
        .flat_map(|n| {
            let leaf = u32::from(n);
            [row(leaf, n + 1, true), row(leaf, (n + 1) % 3 + 1, false)]
        })
        .collect();
    let mut entry = TableEntry::clone(&table("h", 7, 3, &rows));
    entry.partitions = Some(Arc::new(described));
    Arc::new(entry)
}

struct World {
    cluster: Cluster,
    tables: Tables,
    preferences: Preferences,
    blocks: Blocks,
    loads: Loads,
}

impl World {
    fn new() -> Self {
        let mut tables = Tables::default();
        tables.install(NOW, hashed());
        Self {
            cluster: fixture::cluster(&[("z1", "i", "r"), ("z2", "i", "r"), ("z3", "i", "r")]),
            tables,
            preferences: Preferences::default(),
            blocks: Blocks::default(),
            loads: Loads::default(),
        }
    }

    fn explain(&self, text: &str) -> (String, String) {
        let mut scan = Scan::default();
        scan.read(text.as_bytes(), Syntax::default(), true);
        let context = Context {
            database: b"d",
            ..Context::default()
        };
        let statement = Statement {
            text: text.as_bytes(),
            scan: &scan,
            context: &context,
            cluster: "ob1",
            tenant: b"t",
            consistency: Consistency::Strong(StrongBy::Default),
            has_written_dup: false,
            pin: None,
            current: Some(at(2)),
            tried: &[],
            is_impatient: true,
            seed: 1,
        };
        let view = View {
            cluster: &self.cluster,
            tenant: None,
            blocks: &self.blocks,
            loads: &self.loads,
            preferences: &self.preferences,
        };
        let routed = route(NOW, &self.tables, &view, &statement);
        let plan = Plan::of(
            Tick(NOW.0 + 42),
            &self.tables,
            &view,
            &statement,
            &routed,
            NOW,
        );
        (plan.text(), plan.json())
    }
}

#[test]
fn a_point_select_names_its_partition_its_leader_and_the_reason() {
    let world = World::new();
    let (text, json) = world.explain("explain route select * from h where id = 5");
    for piece in [
        "Trans Current Query:\"explain route select * from h where id = 5\"",
        "Route Prompts\n-----------------\n",
        "> ROUTE_POLICY\n  [INFO] this server leads the partition of the statement",
        "Route Plan\n-----------------\n",
        "> SQL_PARSE:{cmd:\"COM_QUERY\", sql_type:\"SELECT\", table:\"h\"}",
        "route_info_type:\"USE_PARTITION_LOCATION_LOOKUP\", reason:\"leader\"",
        "  > TABLE_ENTRY_LOOKUP_DONE:{table:\"h\", table_id:1, partition_num:3",
        "  > PARTITION_ID_CALC_DONE:{partition_id:[72], partitions:\"third\", count:1, \
         certainty:\"exact\"}",
        "  > PARTITION_ENTRY_LOOKUP_DONE:{leader:\"127.0.0.3:2881\"}",
        "> CONGESTION_CONTROL:{svr_addr:\"127.0.0.3:2881\"",
    ] {
        assert!(text.contains(piece), "{piece}\n{text}");
    }
    for piece in [
        "\"class\": \"SELECT\"",
        "\"cache_source\": \"core\"",
        "\"partitions\": [{\"leaf\": 2, \"partition_id\": \"p2\", \"name\": \"third\", \
         \"tablet_id\": 72, \"leader\": \"127.0.0.3:2881\"}]",
        "\"server\": \"127.0.0.3:2881\", \"reason\": \"leader\"",
        "{\"server\": \"127.0.0.1:2881\", \"zone\": \"z1\", \"state\": \"ACTIVE\", \
         \"role\": \"follower\", \"leads\": 0, \"holds\": 1",
        "\"elapsed_us\": 42",
    ] {
        assert!(json.contains(piece), "{piece}\n{json}");
    }
    // Only who holds the leaf is a candidate.
    assert!(!json.contains("127.0.0.2"), "{json}");
    // To explain is not to use.
    assert_eq!(world.tables.counts().stale.get(), 0);
}

#[test]
fn what_is_not_known_is_said() {
    let mut world = World::new();
    let (text, json) = world.explain("explain route select * from h where x = 5");
    assert!(
        text.contains("[WARN] the conditions leave all 3 partitions of h"),
        "{text}"
    );
    assert!(
        json.contains("\"certainty\": \"superset\", \"touched\": 3"),
        "{json}"
    );
    let (text, json) = world.explain("explain route select * from unheard");
    assert!(
        text.contains("[WARN] nothing is known of unheard yet"),
        "{text}"
    );
    assert!(json.contains("\"cache_source\": \"pending\""), "{json}");
    world.tables.doubt(NOW, &fixture::key("h").as_name(), 7);
    let (text, json) = world.explain("explain route select * from h where id = 5");
    assert!(
        text.contains("[WARN] what is known of h is doubted"),
        "{text}"
    );
    assert!(json.contains("\"cache_source\": \"core_stale\""), "{json}");
}

#[test]
fn blocked_and_busy_servers_are_shown() {
    let mut world = World::new();
    world.blocks.set(at(3), Some(Block::Black));
    world.loads.begin(Tick(0), at(1));
    let (_, json) = world.explain("explain route select * from h where id = 5");
    assert!(json.contains("\"reason\": \"leader_blocked\""), "{json}");
    assert!(json.contains("\"blocked\": \"black\""), "{json}");
    assert!(json.contains("\"outstanding\": 1"), "{json}");
}

#[test]
fn the_format_is_read_from_the_first_words() {
    for (text, format) in [
        ("explain route select 1", Format::Text),
        ("EXPLAIN ROUTE FORMAT=JSON select 1", Format::Json),
        (
            "/* x */ explain\troute format = json select 1",
            Format::Json,
        ),
        ("explain route select 'route format=json'", Format::Text),
        ("explain route format json /* c */ set a = 1", Format::Text),
        ("explain", Format::Text),
    ] {
        let mut scan = Scan::default();
        scan.read(text.as_bytes(), Syntax::default(), true);
        let front = text.get(..scan.subject.start as usize).unwrap();
        assert_eq!(Format::of(front.as_bytes()), format, "{text}");
    }
}

#[test]
fn the_result_is_one_row_of_one_text() {
    let world = World::new();
    let scan = Scan::default();
    let context = Context::default();
    let statement = Statement {
        text: b"",
        scan: &scan,
        context: &context,
        cluster: "ob1",
        tenant: b"t",
        consistency: Consistency::Weak(WeakBy::Hint),
        has_written_dup: false,
        pin: None,
        current: None,
        tried: &[],
        is_impatient: false,
        seed: 1,
    };
    let view = View {
        cluster: &world.cluster,
        tenant: None,
        blocks: &world.blocks,
        loads: &world.loads,
        preferences: &world.preferences,
    };
    let routed = Routed::Nowhere(Reason::Nobody);
    let plan = Plan::of(NOW, &world.tables, &view, &statement, &routed, NOW);
    let mut out = vec![];
    plan.put(&mut out, 1, 2, Format::Json);
    let shown = String::from_utf8_lossy(&out);
    assert!(
        shown.contains(COLUMN) && shown.contains("\"server\": null"),
        "{shown}"
    );
}

#[test]
fn a_plan_says_where_what_is_known_came_from() {
    let mut world = World::new();
    let asked_at = Tick(NOW.0 + 10);
    for (published, source) in [(5, "global"), (15, "query")] {
        world.tables.redefine(NOW, &hashed().key.as_name());
        world
            .tables
            .ask(asked_at, crate::base::CoreId(1), &hashed().key.as_name());
        let mut entry = TableEntry::clone(&hashed());
        entry.version = 100 + published;
        entry.published = Tick(NOW.0 + published);
        assert!(world.tables.install(Tick(NOW.0 + 20), Arc::new(entry)));
        let (_, json) = world.explain("explain route select * from h where id = 5");
        let wanted = format!("\"cache_source\": \"{source}\"");
        assert!(json.contains(&wanted), "{json}");
    }
}
