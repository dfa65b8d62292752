//! The order of queued jobs: start-time fair queueing (Goyal, Vin and Cheng, 1996).
//!
//! Each client's jobs form a chain in virtual time: a job starts where its client's last one ends, or now
//! for a client that has none, and is as long as its service time. The earliest start is taken
//! first. So clients share the workers' time equally, and those who send one image at a time are
//! served in the order of arrival.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use super::held::Share;
use super::{ClientKey, Job, Lane};

/// A job's virtual start, and its number among all jobs: of equal starts the first to arrive comes first.
type Place = (Duration, u64);

/// Where a job stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tag {
    lane: Lane,
    place: Place,
}

/// Queued jobs in the order in which they will be taken.
#[derive(Debug, Default)]
pub(super) struct FairOrder {
    quick: BTreeMap<Place, Job>,
    slow: BTreeMap<Place, Job>,
    /// The virtual end of each client's last job, where it lies ahead.
    ends: HashMap<ClientKey, Duration>,
    /// The virtual start of the job that was taken last.
    now: Duration,
    next_number: u64,
}

/// Ends that lie behind are forgotten once there are so many.
const REMEMBERED_ENDS: usize = 1024;

impl FairOrder {
    /// Adds `job` behind its client's others.
    pub(super) fn add(&mut self, job: Job) -> Tag {
        let Share { client, lane, service_time, .. } = job.caller().share();
        let start = self.ends.get(&client).map_or(self.now, |end| self.now.max(*end));
        if self.ends.len() >= REMEMBERED_ENDS {
            let now = self.now;
            self.ends.retain(|_, end| *end > now);
        }
        self.ends.insert(client, start + service_time);
        let place = (start, self.next_number);
        self.next_number += 1;
        self.lane(lane).insert(place, job);
        Tag { lane, place }
    }

    /// Takes a job out that is not wanted any more, if it is still queued.
    pub(super) fn remove(&mut self, tag: Tag) -> Option<Job> {
        self.lane(tag.lane).remove(&tag.place)
    }

    /// The lane whose first job comes next, of those that may be taken from.
    pub(super) fn next_lane(&self, slow_allowed: bool) -> Option<Lane> {
        let quick = self.quick.keys().next();
        let slow = self.slow.keys().next().filter(|_| slow_allowed);
        match (quick, slow) {
            (Some(quick), Some(slow)) if slow < quick => Some(Lane::Slow),
            (Some(_), _) => Some(Lane::Quick),
            (None, Some(_)) => Some(Lane::Slow),
            (None, None) => None,
        }
    }

    /// The first job of `lane`.
    pub(super) fn first(&self, lane: Lane) -> Option<&Job> {
        match lane {
            Lane::Quick => self.quick.values().next(),
            Lane::Slow => self.slow.values().next(),
        }
    }

    /// The first `count` jobs of `lane`.
    pub(super) fn take(&mut self, lane: Lane, count: usize) -> Vec<Job> {
        let mut taken = Vec::with_capacity(count);
        while taken.len() < count
            && let Some(((start, _), job)) = self.lane(lane).pop_first()
        {
            self.now = self.now.max(start);
            taken.push(job);
        }
        taken
    }

    /// Takes the last job of the client that has most queued, if those are more than `fewer`.
    pub(super) fn displace(&mut self, fewer: usize) -> Option<Job> {
        let mut queued: HashMap<ClientKey, (usize, Place)> = HashMap::new();
        for (place, job) in self.quick.iter().chain(&self.slow) {
            let (count, last) = queued.entry(job.caller().share().client).or_insert((0, *place));
            *count += 1;
            *last = *place.max(last);
        }
        let (count, last) = queued.into_values().max()?;
        if count <= fewer {
            return None;
        }
        self.quick.remove(&last).or_else(|| self.slow.remove(&last))
    }

    /// Jobs of `lane`.
    pub(super) fn count(&self, lane: Lane) -> usize {
        match lane {
            Lane::Quick => self.quick.len(),
            Lane::Slow => self.slow.len(),
        }
    }

    /// All jobs.
    pub(super) fn len(&self) -> usize {
        self.quick.len() + self.slow.len()
    }

    fn lane(&mut self, lane: Lane) -> &mut BTreeMap<Place, Job> {
        match lane {
            Lane::Quick => &mut self.quick,
            Lane::Slow => &mut self.slow,
        }
    }
}
