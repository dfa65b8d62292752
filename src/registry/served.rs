//! One version of a model that is ready to answer.

use std::cmp::Ordering;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering as Memory};
use std::time::Instant;

use super::Description;
use crate::pipeline::Pipeline;

/// A loaded version of a model: its pipeline and its description.
#[derive(Debug)]
pub struct Served {
    /// The version.
    pub version: Version,
    /// The pipeline that classifies images.
    pub pipeline: Pipeline,
    /// The description for clients.
    pub description: Description,
    /// The size of its graph with weights, in bytes, for `--model-memory-limit`.
    pub weight_bytes: u64,
    /// When it is loaded.
    pub load: LoadWhen,
    /// Time of the last use.
    pub used: LastUse,
}

/// The time of a model's last request.
#[derive(Debug)]
pub struct LastUse {
    since: Instant,
    millis: AtomicU64,
}

impl LastUse {
    /// The time of the last request, or of loading.
    #[must_use]
    pub fn time(&self) -> Instant {
        self.since + std::time::Duration::from_millis(self.millis.load(Memory::Relaxed))
    }

    /// Records a request.
    pub fn now(&self) {
        let millis = u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.millis.store(millis, Memory::Relaxed);
    }
}

impl Default for LastUse {
    fn default() -> Self {
        Self { since: Instant::now(), millis: AtomicU64::new(0) }
    }
}

impl Served {
    /// The model's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.pipeline.card().name
    }

    /// The digest of its graph, as in `X-Model-Digest`.
    #[must_use]
    pub fn digest(&self) -> &str {
        &self.description.digests.graph
    }
}

/// The version of a model: a number, like the folder names in a model repository, or another name.
///
/// Numbers are ordered by value, and before all other names.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Version(String);

impl Version {
    /// The version of a model that has only one.
    #[must_use]
    pub fn only() -> Self {
        Self("1".to_owned())
    }

    /// Parses a version; `1.0`, TorchServe's form, is 1.
    #[must_use]
    pub fn new(written: &str) -> Self {
        let whole = written.strip_suffix(".0").filter(|number| number.parse::<u64>().is_ok());
        Self(whole.unwrap_or(written).to_owned())
    }

    /// Its form in paths and answers.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn key(&self) -> (Option<u64>, &str) {
        (self.0.parse().ok(), &self.0)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self.key(), other.key()) {
            ((Some(own), _), (Some(others), _)) if own != others => own.cmp(&others),
            ((Some(_), _), (None, _)) => Ordering::Less,
            ((None, _), (Some(_), _)) => Ordering::Greater,
            ((_, own), (_, others)) => own.cmp(others),
        }
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// When a model is loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoadWhen {
    /// When the server starts, or when the model is added.
    Now,
    /// When the first request needs it; it may be unloaded when `--model-memory-limit` is reached.
    OnDemand,
    /// When it is requested over the admin address.
    Explicit,
}

#[cfg(test)]
mod tests {
    use super::Version;

    #[test]
    fn versions_are_ordered_as_numbers() {
        let mut versions: Vec<_> = ["10", "2", "beta", "1", "alpha", "02"].map(Version::new).into();
        versions.sort();
        let written: Vec<_> = versions.iter().map(Version::as_str).collect();
        assert_eq!(written, ["1", "02", "2", "10", "alpha", "beta"]);
        assert_eq!(Version::new("1.0"), Version::only());
        assert_eq!(Version::new("beta.0").as_str(), "beta.0");
    }
}
