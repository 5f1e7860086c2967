//! The lines of `accept session`: "It must show" of issue C1. A session keeps its state,
//! wherever its statements go.

use super::cluster::{Foundation, unbroken};
use super::command::cargo_test;
use super::{Job, Table, mysql_test};
use crate::checks::{Saw, Setup, switching};
use crate::field::{Case, Field, Place, Plan, Size, cases, fixture, needs_c1};
use crate::random::{FRAMINGS, Loss, RANDOM, ServerFraming, Sort, World};
use obcluster::{Cluster, Topology};
use std::ops::RangeInclusive;

/// Scripts among which a planted fault must show.
const ROBBED: u64 = 60;
/// Figures of a line that counts requests and waits.
type Figure = fn(&Setup, &ServerFraming) -> Saw;

/// What is measured in the model's log: name, bound, how.
const COUNTED: &[(&str, &str, Figure)] = &[
    (
        "switch, 10 variables, 3 statements",
        "<= 1 extra round trip",
        switching::switch_with_state,
    ),
    (
        "switch, nothing changed",
        "0 extra requests",
        switching::switch_without_state,
    ),
    (
        "BEGIN",
        "goes with the statement behind it",
        switching::begin_waits,
    ),
    (
        "50 open statements",
        "no 5930; once per link; CLOSE on each; then 1243",
        switching::open_statements,
    ),
    (
        "memory of statements",
        "<= 2 x text + 1 KiB each, counted",
        switching::statement_memory,
    ),
];

/// Why what needs random routing is not run.
const NO_RANDOM: &str = "this obring has no server_routing_mode=random";

/// Runs all lines.
pub fn run(job: &Job, table: &mut Table) {
    let has_random = match World::start(&job.setup, &[]).and_then(|w| w.has_random_mode()) {
        Ok(has) => has,
        Err(e) => return table.judge("a model cluster", "starts", Err(e)),
    };
    for framing in FRAMINGS {
        random_sessions(job, table, framing, "as always", Some(framing.settings));
        let settings = [framing.settings, &[RANDOM]].concat();
        let settings = has_random.then_some(&settings[..]);
        random_sessions(job, table, framing, "at random", settings);
    }
    planted(job, table, has_random);
    counted(job, table, has_random);
    elsewhere(job, table);
    stacks(job, table, has_random);
    if job.wants("frames") {
        let saw = cargo_test(job, &["--test", "vectors"], "");
        table.judge("frames", "equal to the vectors", saw);
    }
    field(job, table, has_random);
}

/// Random sessions in a framing; without settings they cannot be run.
fn random_sessions(
    job: &Job,
    table: &mut Table,
    framing: &ServerFraming,
    mode: &str,
    settings: Option<&[(&str, &str)]>,
) {
    let name = format!("random sessions, {}, {mode}", framing.name);
    if !job.wants(&name) {
        return;
    }
    let bound = "same visible results";
    let rules = format!("{name}: rules");
    let Some(settings) = settings else {
        table.not_run(&name, bound, NO_RANDOM);
        return table.not_run(&rules, "0 violations", NO_RANDOM);
    };
    let mut world = match World::start(&job.setup, settings) {
        Ok(world) => world,
        Err(e) => return table.judge(&name, bound, Err(e)),
    };
    for sort in [Sort::Single, Sort::Pair] {
        let tally = world.hunt(sort, framing.has_locks, 0..job.seeds);
        let saw = tally.and_then(|tally| {
            let said = format!("seeds 0..{}: {tally}", job.seeds);
            match tally.different.is_empty() {
                true => Ok(said),
                false => Err(said),
            }
        });
        table.judge(&format!("{name}, {sort:?}"), bound, saw);
    }
    table.judge(&rules, "0 violations", unbroken(&world.cluster));
}

/// Faults planted between cluster and kernel, and whether the comparison sees them: one per kind of
/// request that obring makes on a link that a session moves to (`src/session/sync.rs`), and what
/// travels beside one. Two kinds are not among them. USE is never made: COM_INIT_DB says the same.
/// The PREPARE and CLOSE of a statement that nobody uses only tell a server that one was prepared;
/// no reply shows whether they came.
fn planted(job: &Job, table: &mut Table, has_random: bool) {
    let at_random = [FRAMINGS[2].settings, &[RANDOM]].concat();
    let plain_at_random = [FRAMINGS[0].settings, &[RANDOM]].concat();
    let (plain, framed) = (&plain_at_random[..], &at_random[..]);
    for (what, settings, loss, is_random) in [
        ("a SET", FRAMINGS[0].settings, Loss::Text("set @"), false),
        ("system variables", framed, Loss::SubType(4), true),
        ("SET of system variables", plain, Loss::Text("SET @@"), true),
        ("user variables", framed, Loss::Text("SET @"), true),
        ("COM_INIT_DB", framed, Loss::Again(0x02), true),
        ("COM_STMT_PREPARE", framed, Loss::Again(0x16), true),
        ("COM_SET_OPTION", framed, Loss::Again(0x1b), true),
        // obring answers a BEGIN itself, and makes it in front of the statement behind it.
        ("BEGIN", framed, Loss::Text("begin"), true),
    ] {
        let (name, bound) = (format!("planted: {what} lost"), "found");
        if !job.wants(&name) {
            continue;
        }
        if is_random && !has_random {
            table.not_run(&name, bound, NO_RANDOM);
            continue;
        }
        table.judge(&name, bound, robbed(&job.setup, settings, loss));
    }
}

fn robbed(setup: &Setup, settings: &[(&str, &str)], loss: Loss) -> Saw {
    let mut world = World::start_robbed(setup, settings, loss)?;
    let tally = world.hunt_first(0..ROBBED)?;
    let stolen = world.stolen();
    let said = format!(
        "{stolen} pieces lost, {} of {} scripts differ",
        tally.different.len(),
        tally.scripts
    );
    match stolen > 0 && !tally.different.is_empty() {
        true => Ok(said),
        false => Err(format!("{said}\n{}", tally.story)),
    }
}

fn counted(job: &Job, table: &mut Table, has_random: bool) {
    for (what, bound, figure) in COUNTED {
        for framing in FRAMINGS {
            let name = format!("{what}, {}", framing.name);
            match (job.wants(&name), has_random) {
                (false, _) => {}
                (true, false) => table.not_run(&name, bound, NO_RANDOM),
                (true, true) => table.judge(&name, bound, figure(&job.setup, framing)),
            }
        }
    }
}

/// What the kernel refuses or lacks: temporary tables, XA, routing inside a transaction. On engine
/// builtin, and in the simulator.
fn elsewhere(job: &Job, table: &mut Table) {
    let bound = "the session stays, or the transaction is whole";
    for (name, target, filter) in [
        (
            "temporary tables and XA, builtin",
            "cluster",
            "transactions::a_temporary_table_and_xa_bind_the_session",
        ),
        (
            "routing inside a transaction, builtin",
            "cluster",
            "transactions::",
        ),
        (
            "temporary tables, XA, routing inside a transaction, simulated",
            "sim_session",
            "what_only_one_server_has",
        ),
    ] {
        if job.wants(name) {
            table.judge(name, bound, cargo_test(job, &["--test", target], filter));
        }
    }
}

/// What is known to work on one server, through three.
fn stacks(job: &Job, table: &mut Table, has_random: bool) {
    let (clients, files) = ("client stacks", "mysql_test at random");
    let bound = "as directly";
    if !has_random {
        for name in [clients, files] {
            if job.wants(name) {
                table.not_run(name, bound, NO_RANDOM);
            }
        }
        return;
    }
    let cluster = match Cluster::start(Topology::default(), job.setup.kernel) {
        Ok(cluster) => cluster,
        Err(e) => return table.judge(clients, bound, Err(e.to_string())),
    };
    if job.wants(clients) {
        // The scripts go through all framings by themselves.
        for only in ["end to end", "differential"] {
            let lines = Foundation {
                framing: "at random",
                settings: "server_routing_mode=random",
                only,
                without: "",
            };
            lines.run(job, table, &cluster);
        }
    }
    if job.wants(files) {
        match &job.mysql_test {
            None => table.not_run(files, bound, "no --mysql-test DIR"),
            Some(dir) => {
                let saw = World::start(&job.setup, &[RANDOM])
                    .and_then(|w| mysql_test::run_through(&job.setup, &w.proxy, dir));
                table.judge(files, bound, saw);
            }
        }
    }
}

/// Numbers of the field cases about prepared statements, session state, transactions and character
/// sets: the areas of this issue.
const AREAS: [RangeInclusive<u32>; 2] = [13..=39, 104..=107];

fn is_of_areas(case: &Case) -> bool {
    let number = case.id.get(1..).and_then(|digits| digits.parse().ok());
    number.is_some_and(|number| AREAS.iter().any(|area| area.contains(&number)))
}

/// The field cases of the areas, one line each, and the others that have to hold on three servers.
fn field(job: &Job, table: &mut Table, has_random: bool) {
    let several = needs_c1();
    let place = |id: &str| match several.iter().any(|c| c.id == id) {
        true => format!("{id}, three servers"),
        false => id.to_owned(),
    };
    let all = cases();
    let mut ids: Vec<&str> = several.iter().map(|c| c.id).collect();
    ids.extend(all.iter().filter(|c| is_of_areas(c)).map(|c| c.id));
    ids.sort_unstable();
    ids.dedup();
    ids.retain(|id| job.wants(&place(id)));
    if !ids.is_empty()
        && let Err(e) = fixture(job.setup.kernel)
    {
        return table.judge("field cases", "tables", Err(e));
    }
    for id in ids {
        let name = place(id);
        let mut field = Field {
            setup: job.setup.clone(),
            size: if job.is_long { Size::Full } else { Size::Small },
            place: Place::Kernel,
        };
        if let Some(case) = several.iter().find(|c| c.id == id) {
            field.place = Place::Cluster;
            match has_random {
                true => table.judge(&name, case.title, (case.check)(&field)),
                false => table.not_run(&name, case.title, NO_RANDOM),
            }
            continue;
        }
        for case in all.iter().filter(|c| c.id == id) {
            match case.plan {
                Plan::Check(check) => table.judge(&name, case.title, check(&field)),
                Plan::Part(check, left) => {
                    let saw = check(&field).map(|saw| format!("{saw}\nleft: {left}"));
                    table.judge(&name, case.title, saw);
                }
                Plan::Later(why) => table.not_run(&name, case.title, why),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_areas_are_all_their_cases() {
        let all = cases();
        let of = all.iter().filter(|c| is_of_areas(c)).count();
        // prepared 9, session state 11, transaction 7, character sets 4.
        assert_eq!(of, 9 + 11 + 7 + 4);
    }
}
