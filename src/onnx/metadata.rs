//! The metadata of a model file, `metadata_props`: keys and values.

use super::proto::StringStringEntryProto;
use super::{OnnxModel, builder};

impl OnnxModel {
    /// The value of a key.
    #[must_use]
    pub fn metadata(&self, key: &str) -> Option<&str> {
        let entry = self.proto.metadata_props.iter().find(|entry| entry.key() == key)?;
        Some(entry.value())
    }

    /// All keys with their values, in the order of the file.
    pub fn all_metadata(&self) -> impl Iterator<Item = (&str, &str)> {
        self.proto.metadata_props.iter().map(|entry| (entry.key(), entry.value()))
    }

    /// Removes all keys that begin with `prefix`.
    pub fn remove_metadata(&mut self, prefix: &str) {
        self.proto.metadata_props.retain(|entry| !entry.key().starts_with(prefix));
    }

    /// Sets the value of a key, and replaces an existing value.
    pub fn set_metadata(&mut self, key: &str, value: &str) {
        let (entries, value) = (&mut self.proto.metadata_props, builder::text(value));
        if let Some(entry) = entries.iter_mut().find(|entry| entry.key() == key) {
            entry.value = value;
        } else {
            entries.push(StringStringEntryProto { key: Some(key.to_owned()), value });
        }
    }
}
