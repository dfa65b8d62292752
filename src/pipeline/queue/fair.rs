//! The order of queued jobs: fair queueing (Demers, Keshav and Shenker, 1989).
//!
//! Each client's jobs form a chain in virtual time: a job starts at the end of its client's last job, or now
//! if the client has none, and is as long as its service time. The job with the earliest end is taken
//! first. Virtual time advances by the work that each client gets: by a job's service time, divided by the number of
//! clients with queued jobs.
//!
//! So clients share the workers' time equally. A cheap job is taken before the costly jobs that other clients
//! have queued, also if each of those belongs to a new client. (With the start as order, which is
//! start-time fair queueing, all jobs of new clients start at the present time, which then stands still. A client whose
//! last job ended later waits for all of them, and for those that come meanwhile.)

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use super::held::ImageLoad;
use super::{ClientKey, Job, Lane};

/// A job's virtual end, and its number among all jobs: of equal ends the first to arrive comes first.
type QueuePosition = (Duration, u64);

/// A queued job, and its virtual start.
#[derive(Debug)]
struct Queued {
    start: Duration,
    job: Job,
}

/// The jobs of one client.
#[derive(Debug, Clone, Copy, Default)]
struct Chain {
    queued: usize,
    /// The virtual end of the last one.
    end: Duration,
}

/// Where a job stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tag {
    lane: Lane,
    place: QueuePosition,
}

/// Queued jobs in the order in which they will be taken.
#[derive(Debug, Default)]
pub(super) struct FairOrder {
    quick: BTreeMap<QueuePosition, Queued>,
    slow: BTreeMap<QueuePosition, Queued>,
    /// Clients with queued jobs, and those whose last job's end is later than `now`.
    chains: HashMap<ClientKey, Chain>,
    /// Clients with queued jobs.
    waiting_clients: u32,
    /// The virtual time.
    now: Duration,
    next_number: u64,
}

/// With this many clients, those that no longer matter are removed.
const REMEMBERED_CLIENTS: usize = 1024;

/// The lanes that a worker may take jobs from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OpenLanes {
    Both,
    /// Enough workers decode slow images already.
    Quick,
}

impl FairOrder {
    /// Adds `job` behind its client's others.
    pub(super) fn add(&mut self, job: Job) -> Tag {
        let ImageLoad { client, lane, service_time, .. } = job.caller().share();
        let now = self.now;
        if self.chains.len() >= REMEMBERED_CLIENTS {
            self.chains.retain(|_, chain| chain.queued > 0 || chain.end > now);
        }
        let chain = self.chains.entry(client).or_default();
        let start = now.max(chain.end);
        chain.end = start + service_time;
        chain.queued += 1;
        self.waiting_clients += u32::from(chain.queued == 1);
        let place = (chain.end, self.next_number);
        self.next_number += 1;
        self.lane(lane).insert(place, Queued { start, job });
        Tag { lane, place }
    }

    /// Takes a job out that is not wanted any more, if it is still queued.
    pub(super) fn remove(&mut self, tag: Tag) -> Option<Job> {
        let Queued { job, .. } = self.lane(tag.lane).remove(&tag.place)?;
        self.leaves(&job);
        Some(job)
    }

    /// The lane whose first job comes next, of those that are `open`.
    pub(super) fn next_lane(&self, open: OpenLanes) -> Option<Lane> {
        let quick = self.quick.keys().next();
        let slow = match open {
            OpenLanes::Both => self.slow.keys().next(),
            OpenLanes::Quick => None,
        };
        match (quick, slow) {
            (Some(quick), Some(slow)) if slow < quick => Some(Lane::Slow),
            (Some(_), _) => Some(Lane::Quick),
            (None, Some(_)) => Some(Lane::Slow),
            (None, None) => None,
        }
    }

    /// The first job of `lane`.
    pub(super) fn first(&self, lane: Lane) -> Option<&Job> {
        let jobs = match lane {
            Lane::Quick => &self.quick,
            Lane::Slow => &self.slow,
        };
        jobs.values().next().map(|queued| &queued.job)
    }

    /// The first `count` jobs of `lane`.
    pub(super) fn take(&mut self, lane: Lane, count: usize) -> Vec<Job> {
        let mut taken = Vec::with_capacity(count);
        while taken.len() < count
            && let Some((_, Queued { start, job })) = self.lane(lane).pop_first()
        {
            let each = job.caller().share().service_time / self.waiting_clients.max(1);
            // Some jobs may have been taken early, as workers that may not take slow jobs do.
            self.now = (self.now + each).max(start);
            self.leaves(&job);
            taken.push(job);
        }
        taken
    }

    /// Takes the last job of the client that has most queued, if those are more than `fewer`.
    pub(super) fn displace(&mut self, fewer: usize) -> Option<Job> {
        let most = self.chains.values().map(|chain| chain.queued).max()?;
        if most <= fewer {
            return None;
        }
        let has_most = |queued: &Queued| {
            let client = queued.job.caller().share().client;
            self.chains.get(&client).is_some_and(|chain| chain.queued == most)
        };
        let last = |jobs: &BTreeMap<QueuePosition, Queued>| {
            jobs.iter().rev().find(|(_, queued)| has_most(queued)).map(|(place, _)| *place)
        };
        let (quick, slow) = (last(&self.quick), last(&self.slow));
        let tag = if quick > slow {
            Tag { lane: Lane::Quick, place: quick? }
        } else {
            Tag { lane: Lane::Slow, place: slow? }
        };
        self.remove(tag)
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

    /// Counts that a client has one job less in the queue.
    fn leaves(&mut self, job: &Job) {
        if let Some(chain) = self.chains.get_mut(&job.caller().share().client) {
            chain.queued -= 1;
            self.waiting_clients -= u32::from(chain.queued == 0);
        }
    }

    fn lane(&mut self, lane: Lane) -> &mut BTreeMap<QueuePosition, Queued> {
        match lane {
            Lane::Quick => &mut self.quick,
            Lane::Slow => &mut self.slow,
        }
    }
}
