//! Rate limits of clients.

use std::fmt;
use std::hash::Hash;
use std::num::NonZeroU32;
use std::str::FromStr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::state::keyed::HashMapStateStore;
use governor::{DefaultDirectRateLimiter, NotUntil, Quota, RateLimiter};

/// A number of requests per time. They may arrive at once; further ones must be spread evenly (GCRA).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    requests: NonZeroU32,
    per: Per,
}

/// Unit of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Per {
    Second,
    Minute,
    Hour,
}

/// Text that is not a rate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?}; use a number of requests, such as 20 (per second), 100/m or 1000/h")]
pub struct BadRate(String);

impl FromStr for Rate {
    type Err = BadRate;

    fn from_str(text: &str) -> Result<Self, BadRate> {
        let (number, unit) = text.split_once('/').unwrap_or((text, "s"));
        let per = match unit {
            "s" => Per::Second,
            "m" => Per::Minute,
            "h" => Per::Hour,
            _ => return Err(BadRate(text.to_owned())),
        };
        let requests = number.parse().map_err(|_| BadRate(text.to_owned()))?;
        Ok(Self { requests, per })
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let per = match self.per {
            Per::Second => "second",
            Per::Minute => "minute",
            Per::Hour => "hour",
        };
        let requests = if self.requests.get() == 1 { "request" } else { "requests" };
        write!(f, "{} {requests} per {per}", self.requests)
    }
}

impl Rate {
    fn quota(self) -> Quota {
        match self.per {
            Per::Second => Quota::per_second(self.requests),
            Per::Minute => Quota::per_minute(self.requests),
            Per::Hour => Quota::per_hour(self.requests),
        }
    }
}

/// A request that exceeds the rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RateExceeded {
    pub(super) rate: Rate,
    /// Time until the next request is allowed.
    pub(super) wait: Duration,
}

impl RateExceeded {
    fn of(rate: Rate, until: &NotUntil<<DefaultClock as Clock>::Instant>) -> Self {
        Self { rate, wait: until.wait_time_from(DefaultClock::default().now()) }
    }
}

/// The rate of one client, shared by all its keys and connections.
#[derive(Debug)]
pub(super) struct SharedRate {
    rate: Rate,
    limiter: DefaultDirectRateLimiter,
}

impl SharedRate {
    pub(super) fn new(rate: Rate) -> Self {
        Self { rate, limiter: RateLimiter::direct(rate.quota()) }
    }

    /// Counts a request.
    pub(super) fn check(&self) -> Result<(), RateExceeded> {
        self.limiter.check().map_err(|until| RateExceeded::of(self.rate, &until))
    }
}

/// Number of requests after which inactive clients are removed.
const SWEEP: u32 = 4096;

/// The same rate limit for each of many clients.
#[derive(Debug)]
pub(super) struct RateOfEach<K: Hash + Eq + Clone> {
    rate: Rate,
    limiter: RateLimiter<K, HashMapStateStore<K>, DefaultClock>,
    checks: AtomicU32,
}

impl<K: Hash + Eq + Clone> RateOfEach<K> {
    pub(super) fn new(rate: Rate) -> Self {
        Self { rate, limiter: RateLimiter::hashmap(rate.quota()), checks: AtomicU32::new(0) }
    }

    /// Counts a request of `client`.
    pub(super) fn check(&self, client: &K) -> Result<(), RateExceeded> {
        if self.checks.fetch_add(1, Ordering::Relaxed).is_multiple_of(SWEEP) {
            self.limiter.retain_recent();
            self.limiter.shrink_to_fit();
        }
        self.limiter.check_key(client).map_err(|until| RateExceeded::of(self.rate, &until))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_client_has_its_own_rate() {
        let limit = RateOfEach::new("2/h".parse().unwrap());
        assert!(
            limit.check(&"a").is_ok() && limit.check(&"a").is_ok() && limit.check(&"b").is_ok()
        );
        let refused = limit.check(&"a").unwrap_err();
        assert_eq!(refused.rate.to_string(), "2 requests per hour");
        assert!(refused.wait > Duration::ZERO && refused.wait <= Duration::from_secs(1800));
    }

    #[test]
    fn rates_are_read_with_their_units() {
        let text = |rate: &str| rate.parse::<Rate>().map(|rate| rate.to_string());
        assert_eq!(text("20").unwrap(), "20 requests per second");
        assert_eq!(text("100/m").unwrap(), "100 requests per minute");
        for wrong in ["0", "-1", "1.5", "", "3/d", "fast"] {
            assert!(text(wrong).is_err(), "{wrong}");
        }
    }
}
