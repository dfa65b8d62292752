//! The sources of the last refresh, by name and version.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use super::{LoadWhen, Source, Version};

/// Name and version of a [`Source`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SourceKey {
    pub(super) name: String,
    pub(super) version: Version,
}

/// By name, then by version.
impl Ord for SourceKey {
    fn cmp(&self, other: &Self) -> Ordering {
        self.name.cmp(&other.name).then_with(|| self.version.cmp(&other.version))
    }
}

impl PartialOrd for SourceKey {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl SourceKey {
    pub(super) fn of(source: &Source) -> Self {
        Self { name: source.name.clone(), version: source.version.clone() }
    }
}

/// The known sources.
pub(super) type KnownSources = BTreeMap<SourceKey, KnownSource>;

/// Whether this version of the model is loaded by the first request for it.
pub(super) fn is_on_demand(known: &KnownSources, name: &str, version: &Version) -> bool {
    known.values().any(|KnownSource { source, name: served }| {
        served == name && source.version == *version && source.load == LoadWhen::OnDemand
    })
}

/// A source, and the model's name in the registry.
pub(super) struct KnownSource {
    pub(super) source: Source,
    pub(super) name: String,
}
