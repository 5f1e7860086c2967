//! How long requests stay in each stage.

use super::Core;
use crate::base::{Laps, Stage};
use std::sync::Arc;

/// Where the request of one machine has got to, and since when. Kept with the machine's sockets.
#[derive(Clone, Copy, Debug, Default)]
pub struct Lap {
    stage: Option<Stage>,
    since_ns: u64,
}

/// Takes the laps of the machine that is being called. Its times are nanoseconds of `clock`.
#[derive(Debug)]
pub struct Stopwatch {
    core: Arc<Core>,
    clock: fn() -> u64,
    came_ns: u64,
    handed_ns: u64,
    lap: Lap,
}

impl Stopwatch {
    /// One for a core.
    #[must_use]
    pub fn new(core: Arc<Core>, clock: fn() -> u64) -> Self {
        Self {
            core,
            clock,
            came_ns: 0,
            handed_ns: 0,
            lap: Lap::default(),
        }
    }

    /// A turn begins: what is handled in it came at `came_ns`.
    pub const fn turn(&mut self, came_ns: u64) {
        self.came_ns = came_ns;
    }

    /// A turn ends: its sends are handed to the kernel at `handed_ns`.
    pub const fn handed(&mut self, handed_ns: u64) {
        self.handed_ns = handed_ns;
    }

    /// A machine is to be called whose request stands at `lap`. Give it `self`, then [`Self::lap`].
    pub const fn take(&mut self, lap: Lap) {
        self.lap = lap;
    }

    /// Where the request of the machine stands now.
    #[must_use]
    pub const fn lap(&self) -> Lap {
        self.lap
    }

    /// Ends [`Stage::Write`]: the kernel took all for the client as soon as it was handed over.
    /// That is known in the next turn only.
    pub fn taken(&self, lap: &mut Lap) {
        self.written(lap, self.handed_ns);
    }

    /// Ends [`Stage::Write`]: a client that was slow to take it has all now.
    pub fn taken_late(&self, lap: &mut Lap) {
        self.written(lap, self.came_ns);
    }

    fn written(&self, lap: &mut Lap, at_ns: u64) {
        if lap.stage == Some(Stage::Write) {
            let write = self.core.stage(Stage::Write);
            write.record(at_ns.saturating_sub(lap.since_ns));
            lap.stage = None;
        }
    }

    fn enter(&mut self, stage: Stage, at_ns: u64) {
        if let Some(last) = self.lap.stage {
            self.core
                .stage(last)
                .record(at_ns.saturating_sub(self.lap.since_ns));
        }
        self.lap = Lap {
            stage: Some(stage),
            since_ns: at_ns,
        };
    }
}

impl Laps for Stopwatch {
    fn came(&mut self, stage: Stage) {
        if self.lap.stage != Some(stage) {
            // Bytes that had to wait for the stage before came earlier than it ended.
            self.enter(stage, self.came_ns.max(self.lap.since_ns));
        }
    }

    fn now(&mut self, stage: Stage) {
        if self.lap.stage != Some(stage) {
            let now_ns = (self.clock)();
            self.enter(stage, now_ns);
        }
    }

    fn over(&mut self) {
        self.lap = Lap::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::CoreId;
    use crate::telemetry::readable;
    use std::cell::Cell;

    thread_local!(static NOW: Cell<u64> = const { Cell::new(0) });

    fn sum(core: &Core, stage: Stage) -> (u64, u64) {
        let mut all = readable();
        core.stage(stage).add_to(&mut all);
        (all.len(), core.stage(stage).sum_ns())
    }

    #[test]
    fn a_request_is_timed_stage_by_stage_over_several_calls() {
        let core = Arc::new(Core::new(CoreId(0)));
        let mut watch = Stopwatch::new(core.clone(), || NOW.get());
        watch.turn(1_000);
        watch.take(Lap::default());
        watch.came(Stage::Read);
        NOW.set(1_400);
        watch.now(Stage::Parse);
        NOW.set(1_500);
        watch.now(Stage::ServerWait);
        let mut lap = watch.lap();
        // Nothing is being written yet.
        watch.handed(2_000);
        watch.taken(&mut lap);
        watch.turn(90_000);
        watch.take(lap);
        watch.came(Stage::Relay);
        watch.came(Stage::Relay);
        NOW.set(91_000);
        watch.now(Stage::Write);
        lap = watch.lap();
        let mut late = lap;
        watch.handed(95_000);
        watch.turn(600_000);
        watch.taken(&mut lap);
        watch.taken(&mut lap);
        assert_eq!(sum(&core, Stage::Read), (1, 400));
        assert_eq!(sum(&core, Stage::Parse), (1, 100));
        assert_eq!(sum(&core, Stage::Route), (0, 0));
        assert_eq!(sum(&core, Stage::ServerWait), (1, 88_500));
        assert_eq!(sum(&core, Stage::Relay), (1, 1_000));
        assert_eq!(sum(&core, Stage::Write), (1, 4_000));
        watch.taken_late(&mut late);
        assert_eq!(sum(&core, Stage::Write), (2, 513_000));
    }

    #[test]
    fn what_is_given_up_is_not_counted_and_no_time_is_counted_twice() {
        let core = Arc::new(Core::new(CoreId(0)));
        let mut watch = Stopwatch::new(core.clone(), || NOW.get());
        watch.turn(1_000);
        watch.came(Stage::Read);
        watch.over();
        NOW.set(2_000);
        watch.now(Stage::Write);
        // A request that came with the one before it, and waited.
        watch.came(Stage::Read);
        NOW.set(2_300);
        watch.now(Stage::Parse);
        assert_eq!(sum(&core, Stage::Read), (1, 300));
        assert_eq!(sum(&core, Stage::Write), (1, 0));
    }
}
