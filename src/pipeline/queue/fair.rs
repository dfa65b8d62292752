//! The order of queued jobs: fair queueing (Demers, Keshav and Shenker, 1989).
//!
//! Each client's jobs form a chain in virtual time: a job starts at the end of its client's last job, or now
//! if the client has none, and is as long as its service time. The job with the earliest end is taken
//! first. Virtual time advances by the work that each client gets: by a job's service time, divided by the number of
//! clients with queued jobs.
//!
//! So clients share the workers' time equally. A cheap job is taken before expensive jobs that other clients
//! have queued, even if each of those belongs to a new client. (Start-time fair queueing orders by start
//! instead. Then all jobs of new clients start at the current virtual time, which does not advance while they
//! wait. A client whose last job ended later waits for all of them, and for new ones that arrive meanwhile.)

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use super::in_flight::ImageLoad;
use super::{ClientKey, Job, Lane};

/// A job's virtual end, and its number in order of arrival, which decides between equal ends.
type QueuePosition = (Duration, u64);

/// A queued job, and its virtual start.
#[derive(Debug)]
struct Queued {
    start: Duration,
    job: Job,
}

/// The jobs of one client.
#[derive(Debug, Clone, Copy, Default)]
struct ClientJobs {
    queued: usize,
    /// Virtual end of its last job.
    end: Duration,
    /// Service time of jobs that were removed without having run. It is given back when no job is queued, so that the
    /// client's jobs stay in their order.
    unspent: Duration,
}

/// Position of a queued job.
#[derive(Debug, Clone, Copy)]
pub(super) struct LanePosition {
    lane: Lane,
    position: QueuePosition,
}

/// Queued jobs in the order in which they will be taken.
#[derive(Debug, Default)]
pub(super) struct FairOrder {
    quick: BTreeMap<QueuePosition, Queued>,
    slow: BTreeMap<QueuePosition, Queued>,
    /// Clients with queued jobs, those whose last job ends later than `now`, and up to [`REMEMBERED_CLIENTS`] others.
    chains: HashMap<ClientKey, ClientJobs>,
    /// Clients with queued jobs.
    waiting_clients: u32,
    /// Current virtual time.
    now: Duration,
    next_number: u64,
}

/// At this number of clients, those that no longer affect the order are removed.
const REMEMBERED_CLIENTS: usize = 1024;

/// Lanes from which a worker may take jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OpenLanes {
    Both,
    /// Slow images occupy the maximum number of workers.
    Quick,
}

impl FairOrder {
    /// Adds `job` after its client's other jobs.
    pub(super) fn add(&mut self, job: Job) -> LanePosition {
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
        let position = (chain.end, self.next_number);
        self.next_number += 1;
        self.lane(lane).insert(position, Queued { start, job });
        LanePosition { lane, position }
    }

    /// Removes a job that is no longer needed, if it is still queued.
    pub(super) fn remove(&mut self, at: LanePosition) -> Option<Job> {
        let Queued { job, .. } = self.lane(at.lane).remove(&at.position)?;
        let ImageLoad { client, service_time, .. } = job.caller().share();
        if let Some(chain) = self.chains.get_mut(&client) {
            chain.unspent += service_time;
        }
        self.count_removed(&job);
        Some(job)
    }

    /// The lane of the next job, among the lanes that are `open`.
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

    /// Removes and returns the first `count` jobs of `lane`.
    pub(super) fn take(&mut self, lane: Lane, count: usize) -> Vec<Job> {
        let mut taken = Vec::with_capacity(count);
        while taken.len() < count
            && let Some((_, Queued { start, job })) = self.lane(lane).pop_first()
        {
            let each = job.caller().share().service_time / self.waiting_clients.max(1);
            // A job may have been taken early, by a worker that could not take slow jobs.
            self.now = (self.now + each).max(start);
            self.count_removed(&job);
            taken.push(job);
        }
        taken
    }

    /// Removes the last job of the client with the most queued jobs, if those are more than `count`.
    pub(super) fn displace(&mut self, count: usize) -> Option<Job> {
        let most = self.chains.values().map(|chain| chain.queued).max()?;
        if most <= count {
            return None;
        }
        let has_most = |queued: &Queued| {
            let client = queued.job.caller().share().client;
            self.chains.get(&client).is_some_and(|chain| chain.queued == most)
        };
        let last = |jobs: &BTreeMap<QueuePosition, Queued>| {
            jobs.iter().rev().find(|(_, queued)| has_most(queued)).map(|(position, _)| *position)
        };
        let (quick, slow) = (last(&self.quick), last(&self.slow));
        let at = if quick > slow {
            LanePosition { lane: Lane::Quick, position: quick? }
        } else {
            LanePosition { lane: Lane::Slow, position: slow? }
        };
        self.remove(at)
    }

    /// Number of queued jobs in `lane`.
    pub(super) fn count(&self, lane: Lane) -> usize {
        match lane {
            Lane::Quick => self.quick.len(),
            Lane::Slow => self.slow.len(),
        }
    }

    /// Number of queued jobs.
    pub(super) fn len(&self) -> usize {
        self.quick.len() + self.slow.len()
    }

    /// Decrements the number of queued jobs of the job's client.
    fn count_removed(&mut self, job: &Job) {
        let now = self.now;
        if let Some(chain) = self.chains.get_mut(&job.caller().share().client) {
            chain.queued -= 1;
            if chain.queued == 0 {
                self.waiting_clients -= 1;
                let unspent = std::mem::take(&mut chain.unspent);
                chain.end = chain.end.saturating_sub(unspent).max(now);
            }
        }
    }

    fn lane(&mut self, lane: Lane) -> &mut BTreeMap<QueuePosition, Queued> {
        match lane {
            Lane::Quick => &mut self.quick,
            Lane::Slow => &mut self.slow,
        }
    }
}
