//! How many replicas a load needs: an M/D/c queue (Poisson arrivals, a constant service time, c servers).
//!
//! The number of requests in the system is that of Crommelin (1932), whose equations are solved by iteration. The
//! waiting time is exact, too: Franx (2001), "A simple solution for the M/D/c waiting time distribution",
//! Operations Research Letters 29, in the form of Tijms, "A First Course in Stochastic Models", section 9.6.2.

use serde::Serialize;

/// A replica: `servers` requests are served at the same time, each in `service` seconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Replica {
    /// Sessions that run in parallel.
    pub servers: u32,
    /// Seconds for one request in one of them, while all are busy.
    pub service: f64,
}

/// What is required.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Demand {
    /// Requests a second.
    pub load: f64,
    /// The latency limit in seconds.
    pub latency: f64,
    /// The share of requests that must meet it, 0 to 1.
    pub share: f64,
}

/// The queue of one replica.
#[derive(Debug, Clone)]
pub struct ReplicaQueue {
    replica: Replica,
    /// Requests a second.
    load: f64,
    /// The probability of at most so many requests in the system.
    at_most: Vec<f64>,
    mean_wait: f64,
}

/// Above this utilisation a small error of the service time changes the waiting time a lot.
pub const MAX_UTILIZATION: f64 = 0.95;

/// The most replicas that are tried.
const MAX_REPLICAS: u32 = 100_000;

/// Probabilities that are neglected.
const NEGLIGIBLE: f64 = 1e-12;

impl ReplicaQueue {
    /// The queue of `replica` with `load` requests a second; `None` above [`MAX_UTILIZATION`].
    #[must_use]
    pub fn of(replica: Replica, load: f64) -> Option<Self> {
        let busy = load * replica.service;
        let utilization = busy / f64::from(replica.servers);
        if !(0.0..=MAX_UTILIZATION).contains(&utilization) {
            return None;
        }
        let servers = replica.servers as usize;
        let present = stationary(servers, busy);
        let waiting: f64 =
            (0_u32..).zip(present.iter().skip(servers)).map(|(n, p)| f64::from(n) * p).sum();
        let at_most = present
            .iter()
            .scan(0.0, |sum, probability| {
                *sum += probability;
                Some(*sum)
            })
            .collect();
        let mean_wait = if load > 0.0 { waiting / load } else { 0.0 }; // Little's law
        Some(Self { replica, load, at_most, mean_wait })
    }

    /// The share of the time in which a server is busy.
    #[must_use]
    pub fn utilization(&self) -> f64 {
        self.load * self.replica.service / f64::from(self.replica.servers)
    }

    /// The mean latency in seconds: waiting and service.
    #[must_use]
    pub fn mean(&self) -> f64 {
        self.mean_wait + self.replica.service
    }

    /// The latency in seconds that a share of requests, below 1, does not exceed.
    #[must_use]
    pub fn quantile(&self, share: f64) -> f64 {
        let step = self.replica.service;
        let mut above = 0.0;
        while self.waits_at_most(above) < share {
            above += step;
        }
        let mut below = (above - step).max(0.0);
        // 40 halvings: to a millionth of a millionth of the service time.
        for _ in 0..40 {
            let middle = below.midpoint(above);
            if self.waits_at_most(middle) < share { below = middle } else { above = middle }
        }
        above + step
    }

    /// The probability that a request waits at most `wait` seconds.
    #[must_use]
    pub fn waits_at_most(&self, wait: f64) -> f64 {
        let (servers, service) = (self.replica.servers as usize, self.replica.service);
        // The time until the next multiple of the service time, k, and the arrivals in it.
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a small number that is not negative"
        )]
        let k = (wait / service).floor() as usize + 1;
        #[expect(clippy::cast_precision_loss, reason = "a small number")]
        let arrivals = self.load * (k as f64 * service - wait).max(0.0);
        let places = k * servers;
        let last = self.at_most.len() - 1;
        poisson(arrivals)
            .take(places)
            .enumerate()
            .map(|(arrived, p)| p * self.at_most[(servers + places - 1 - arrived).min(last)])
            .sum()
    }
}

/// The smallest number of replicas that meets `demand`, if each gets an equal share of the requests at
/// random; `None` if the service alone takes longer, or with more than 100,000.
#[must_use]
pub fn needed(replica: Replica, demand: Demand) -> Option<u32> {
    if replica.service > demand.latency {
        return None;
    }
    (1..=MAX_REPLICAS).find(|&count| {
        ReplicaQueue::of(replica, demand.load / f64::from(count)).is_some_and(|queue| {
            queue.waits_at_most(demand.latency - replica.service) >= demand.share
        })
    })
}

/// The probabilities of 0, 1, 2, … requests in the system, where `busy` of `servers` are busy on average.
///
/// After one service time all that were in service have left, and of the others as many as there are servers have
/// begun: n requests become max(n − servers, 0), and those that have arrived meanwhile.
fn stationary(servers: usize, busy: f64) -> Vec<f64> {
    let arrivals: Vec<f64> = poisson(busy).collect();
    let mut present = vec![1.0];
    loop {
        let mut next = vec![0.0; present.len().saturating_sub(servers).max(1) + arrivals.len()];
        for (count, probability) in present.iter().enumerate() {
            let left = count.saturating_sub(servers);
            for (arrived, arrival) in arrivals.iter().enumerate() {
                next[left + arrived] += probability * arrival;
            }
        }
        while next.len() > servers + 1 && next.last().is_some_and(|last| *last < NEGLIGIBLE) {
            next.pop();
        }
        let total: f64 = next.iter().sum();
        for probability in &mut next {
            *probability /= total;
        }
        let before = present.iter().copied().chain(std::iter::repeat(0.0));
        let change: f64 = next.iter().zip(before).map(|(new, old)| (new - old).abs()).sum();
        present = next;
        if change < NEGLIGIBLE.sqrt() * 1e-3 {
            return present;
        }
    }
}

/// The probabilities of 0, 1, 2, … events of a Poisson distribution, until the rest is negligible.
fn poisson(mean: f64) -> impl Iterator<Item = f64> {
    let mut logarithm = -mean;
    let mut count = 0.0;
    std::iter::from_fn(move || {
        let probability = logarithm.exp();
        if count > mean && probability < NEGLIGIBLE {
            return None;
        }
        count += 1.0;
        logarithm += (mean / count).ln();
        Some(probability)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::load::arrivals;

    /// Latencies of a simulated queue, in ascending order.
    fn simulated(replica: Replica, load: f64, requests: usize) -> Vec<f64> {
        let mut free = vec![0.0_f64; replica.servers as usize];
        let mut latencies: Vec<f64> = arrivals(load, 11)
            .take(requests)
            .map(|at| {
                let at = at.as_secs_f64();
                let first = free.iter_mut().min_by(|a, b| a.total_cmp(b)).unwrap();
                *first = first.max(at) + replica.service;
                *first - at
            })
            .collect();
        latencies.sort_by(f64::total_cmp);
        latencies
    }

    fn close(found: f64, expected: f64, tolerance: f64) {
        assert!((found / expected - 1.0).abs() < tolerance, "{found} is not about {expected}");
    }

    #[test]
    fn one_server_has_the_mean_wait_of_pollaczek_and_khinchine() {
        for utilization in [0.1, 0.5, 0.8, 0.95] {
            let queue =
                ReplicaQueue::of(Replica { servers: 1, service: 1.0 }, utilization).unwrap();
            close(queue.mean_wait, utilization / (2.0 * (1.0 - utilization)), 1e-3);
            close(queue.waits_at_most(0.0), 1.0 - utilization, 1e-6);
        }
    }

    #[test]
    #[expect(clippy::cast_precision_loss, reason = "a small count")]
    fn the_distribution_is_that_of_a_simulation() {
        for (servers, utilization) in [(1, 0.7), (2, 0.6), (2, 0.9), (4, 0.8), (16, 0.85)] {
            let replica = Replica { servers, service: 0.02 };
            let load = utilization * f64::from(servers) / replica.service;
            let queue = ReplicaQueue::of(replica, load).unwrap();
            let latencies = simulated(replica, load, 400_000);
            let mean = latencies.iter().sum::<f64>() / latencies.len() as f64;
            close(queue.mean(), mean, 0.03);
            for percent in [50_u32, 90, 99] {
                let found = queue.quantile(f64::from(percent) / 100.0);
                close(found, latencies[latencies.len() * percent as usize / 100], 0.05);
            }
        }
    }

    #[test]
    fn the_smallest_number_that_meets_the_target_is_found() {
        let replica = Replica { servers: 2, service: 0.01 };
        let demand = Demand { load: 1000.0, latency: 0.03, share: 0.99 };
        let count = needed(replica, demand).unwrap();
        let queue = ReplicaQueue::of(replica, demand.load / f64::from(count)).unwrap();
        assert!(queue.quantile(0.99) <= 0.03 && queue.utilization() < 0.95);
        let fewer = ReplicaQueue::of(replica, demand.load / f64::from(count - 1));
        assert!(fewer.is_none_or(|fewer| fewer.quantile(0.99) > 0.03), "{count}");
        assert!(needed(replica, Demand { latency: 0.005, ..demand }).is_none());
        assert_eq!(needed(replica, Demand { load: 0.1, ..demand }), Some(1));
        assert!(ReplicaQueue::of(replica, 199.0).is_none(), "too busy");
    }
}
