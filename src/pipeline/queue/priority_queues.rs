//! Two classes of priority: interactive images are taken before batch images.
//!
//! While images of both classes wait, one of [`TURNS`] turns is for the class `batch`, so that batch images
//! are not starved. Within a class, the order is that of [`FairOrder`].

use super::fair::{self, FairOrder, OpenLanes};
use super::{Job, Lane, Priority};

/// One of this number of turns is for the class `batch`, while both classes wait.
const TURNS: u32 = 16;

/// Position of a queued job.
#[derive(Debug, Clone, Copy)]
pub(super) struct JobPosition {
    priority: Priority,
    within: fair::LanePosition,
}

/// Class and lane of the next job.
#[derive(Debug, Clone, Copy)]
pub(super) struct NextJob {
    priority: Priority,
    pub(super) lane: Lane,
}

/// Queued jobs by class.
#[derive(Debug, Default)]
pub(super) struct PriorityQueues {
    interactive: FairOrder,
    batch: FairOrder,
    /// Consecutive turns of interactive images while batch images were waiting.
    passed_over: u32,
}

impl PriorityQueues {
    /// Adds `job` after its client's other jobs of its class.
    pub(super) fn add(&mut self, job: Job) -> JobPosition {
        let priority = job.caller().origin().priority;
        JobPosition { priority, within: self.of_mut(priority).add(job) }
    }

    /// Removes a job that is no longer needed, if it is still queued.
    pub(super) fn remove(&mut self, JobPosition { priority, within }: JobPosition) -> Option<Job> {
        self.of_mut(priority).remove(within)
    }

    /// Class and lane of the next job, among the lanes that are open.
    pub(super) fn next(&self, open: OpenLanes) -> Option<NextJob> {
        let of = |priority| {
            let lane = self.of(priority).next_lane(open)?;
            Some(NextJob { priority, lane })
        };
        let (interactive, batch) = (of(Priority::Interactive), of(Priority::Batch));
        if self.passed_over + 1 >= TURNS { batch.or(interactive) } else { interactive.or(batch) }
    }

    /// The first job at `next`.
    pub(super) fn first(&self, next: NextJob) -> Option<&Job> {
        self.of(next.priority).first(next.lane)
    }

    /// Removes and returns the first `count` jobs at `next`; this counts as one turn.
    pub(super) fn take(&mut self, next: NextJob, count: usize) -> Vec<Job> {
        self.passed_over = match next.priority {
            Priority::Interactive if self.batch.len() > 0 => self.passed_over + 1,
            Priority::Interactive | Priority::Batch => 0,
        };
        self.of_mut(next.priority).take(next.lane, count)
    }

    /// Removes the last job of the client with the most queued jobs, in favour of a job with this `priority`:
    /// only a client with more than `count` of them loses one. An interactive job displaces any batch job first.
    pub(super) fn displace(&mut self, count: usize, priority: Priority) -> Option<Job> {
        match priority {
            Priority::Interactive => {
                self.batch.displace(0).or_else(|| self.interactive.displace(count))
            }
            Priority::Batch => self.batch.displace(count),
        }
    }

    /// Number of queued jobs at `next`.
    pub(super) fn count(&self, next: NextJob) -> usize {
        self.of(next.priority).count(next.lane)
    }

    /// Number of queued jobs.
    pub(super) fn len(&self) -> usize {
        self.interactive.len() + self.batch.len()
    }

    fn of(&self, priority: Priority) -> &FairOrder {
        match priority {
            Priority::Interactive => &self.interactive,
            Priority::Batch => &self.batch,
        }
    }

    fn of_mut(&mut self, priority: Priority) -> &mut FairOrder {
        match priority {
            Priority::Interactive => &mut self.interactive,
            Priority::Batch => &mut self.batch,
        }
    }
}
