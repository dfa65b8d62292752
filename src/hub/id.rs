//! `owner/name`, or `owner/name@revision`.

use std::fmt;

use crate::digest::is_hex;

/// A repository of the hub at a revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HubId {
    /// `owner/name`.
    pub repository: String,
    /// A branch, a tag or a commit; `main` by default.
    pub revision: String,
}

impl HubId {
    /// Parses `text`, if it is an id: two names separated by a slash.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (repository, revision) = text.split_once('@').unwrap_or((text, "main"));
        let (owner, name) = repository.split_once('/')?;
        let is_name = |part: &str| {
            !part.is_empty()
                && part.len() <= 96
                && !part.starts_with(['.', '-'])
                && !part.ends_with(['.', '-'])
                && !part.contains("..")
                && !part.contains("--")
                && part.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
        };
        let is_revision = !revision.is_empty()
            && !revision.contains("..")
            && !revision.starts_with('/')
            && revision.chars().all(|c| c.is_ascii_alphanumeric() || "-_./".contains(c));
        (is_name(owner) && is_name(name) && is_revision)
            .then(|| Self { repository: repository.to_owned(), revision: revision.to_owned() })
    }

    /// Whether the revision is a commit, which never changes.
    #[must_use]
    pub fn is_commit(&self) -> bool {
        is_hex(&self.revision, 40)
    }
}

impl fmt::Display for HubId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.revision.as_str() {
            "main" => f.write_str(&self.repository),
            revision => write!(f, "{}@{revision}", self.repository),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_distinguished_from_paths() {
        let id = HubId::parse("timm/resnet50.a1_in1k").unwrap();
        assert_eq!(
            (id.repository.as_str(), id.revision.as_str()),
            ("timm/resnet50.a1_in1k", "main")
        );
        let id = HubId::parse("microsoft/resnet-50@refs/pr/1").unwrap();
        assert_eq!(
            (id.to_string().as_str(), id.is_commit()),
            ("microsoft/resnet-50@refs/pr/1", false)
        );
        assert!(HubId::parse(&format!("a/b@{}", "0a".repeat(20))).unwrap().is_commit());
        for path in [
            "resnet50",
            "./model/x",
            "../model",
            "/model",
            "a/b/c",
            "a/",
            "a/b@",
            "models/x y",
            "a/..",
            "a/b@../../etc",
            "~/model",
        ] {
            assert_eq!(HubId::parse(path), None, "{path}");
        }
    }
}
