//! Two classes of priority: interactive images are taken before batch images.
//!
//! While images of both classes wait, one of [`TURNS`] turns is of the class `batch`. So batch images are slow,
//! and never starve. Within a class, the order is that of [`FairOrder`].

use super::fair::{self, FairOrder, OpenLanes};
use super::{Job, Lane, Priority};

/// Of so many turns one is of the class `batch`, while both wait.
const TURNS: u32 = 16;

/// Where a job stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tag {
    priority: Priority,
    place: fair::Tag,
}

/// Where the next job comes from.
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
    /// Turns of interactive images for which batch images have waited, since the last of theirs.
    passed_over: u32,
}

impl PriorityQueues {
    /// Adds `job` behind its client's others of its class.
    pub(super) fn add(&mut self, job: Job) -> Tag {
        let priority = job.caller().origin().priority;
        Tag { priority, place: self.of_mut(priority).add(job) }
    }

    /// Takes a job out that is not wanted any more, if it is still queued.
    pub(super) fn remove(&mut self, Tag { priority, place }: Tag) -> Option<Job> {
        self.of_mut(priority).remove(place)
    }

    /// Where the next job comes from, of the lanes that may be taken from.
    pub(super) fn next(&self, open: OpenLanes) -> Option<NextJob> {
        let of = |priority| {
            let lane = self.of(priority).next_lane(open)?;
            Some(NextJob { priority, lane })
        };
        let (interactive, batch) = (of(Priority::Interactive), of(Priority::Batch));
        if self.passed_over + 1 >= TURNS { batch.or(interactive) } else { interactive.or(batch) }
    }

    /// The first job of `next`.
    pub(super) fn first(&self, next: NextJob) -> Option<&Job> {
        self.of(next.priority).first(next.lane)
    }

    /// The first `count` jobs of `next`, which is one turn.
    pub(super) fn take(&mut self, next: NextJob, count: usize) -> Vec<Job> {
        self.passed_over = match next.priority {
            Priority::Interactive if self.batch.len() > 0 => self.passed_over + 1,
            Priority::Interactive | Priority::Batch => 0,
        };
        self.of_mut(next.priority).take(next.lane, count)
    }

    /// Takes the last job of the client that has most queued, for a job of the class `priority` of a client that
    /// has `fewer`. An interactive job takes the place of any batch job first.
    pub(super) fn displace(&mut self, fewer: usize, priority: Priority) -> Option<Job> {
        match priority {
            Priority::Interactive => {
                self.batch.displace(0).or_else(|| self.interactive.displace(fewer))
            }
            Priority::Batch => self.batch.displace(fewer),
        }
    }

    /// Jobs where `next` is from.
    pub(super) fn count(&self, next: NextJob) -> usize {
        self.of(next.priority).count(next.lane)
    }

    /// All jobs.
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
