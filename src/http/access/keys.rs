//! API keys: the file that lists them, and the comparison with the key of a request.
//!
//! The file has one line `NAME:SHA256` for each key, with optional settings: `NAME:SHA256 rate=20/s images=8
//! priority=batch role=admin`. It contains digests instead of keys. A key has 256 random bits, so a digest needs neither
//! salt nor a slow hash function.

use std::collections::HashMap;
use std::sync::Arc;

use clap::ValueEnum;
use rustls::crypto::ring::default_provider;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::rate::{Rate, SharedRate};
use crate::digest::{SHA256_DIGITS, hex, is_hex};
use crate::pipeline::queue::Priority;

/// Prefix of every generated key, by which secret scanners recognise it.
const PREFIX: &str = "resnetd_";

/// Maximum length of a client's name, which is used in log lines and metric labels.
const LONGEST_NAME: usize = 64;

/// The keys of a file.
#[derive(Debug, Default)]
pub(super) struct Keys(Vec<Key>);

/// One line of the file.
#[derive(Debug)]
struct Key {
    digest: [u8; 32],
    client: Arc<KeyClient>,
}

/// A client with one or more keys.
#[derive(Debug)]
pub(super) struct KeyClient {
    pub(super) name: String,
    /// Overrides `--rate-limit`.
    pub(super) rate: Option<SharedRate>,
    /// Overrides `--max-client-images`.
    pub(super) images: Option<usize>,
    /// The highest priority class of its images.
    pub(super) priority: Priority,
    pub(super) role: Role,
}

/// What a client may do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Role {
    /// Use models
    #[default]
    User,
    /// Also change them, on the admin address
    Admin,
}

/// All invalid lines of a file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.join("; "))]
pub struct BadKeys(Vec<String>);

/// A new key, and its line for the file.
#[derive(Debug)]
pub struct NewKey {
    /// The key, for the client only.
    pub key: String,
    /// The line for the file of `--api-keys`.
    pub line: String,
}

/// Why no key can be generated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoKey {
    /// The name is not valid in the file.
    #[error(
        "{0:?} is not a client name; use 1 to 64 letters, digits, dots, hyphens and underscores"
    )]
    Name(String),
    /// The system's random number generator failed.
    #[error("the system's random number generator failed")]
    Random,
}

impl NewKey {
    /// Generates a key of 256 random bits for the client `name`.
    ///
    /// # Errors
    ///
    /// [`NoKey`] for an invalid name, or if there are no random numbers.
    pub fn make(name: &str) -> Result<Self, NoKey> {
        if !is_name(name) {
            return Err(NoKey::Name(name.to_owned()));
        }
        let mut random = [0; 32];
        default_provider().secure_random.fill(&mut random).map_err(|_| NoKey::Random)?;
        let key = format!("{PREFIX}{}", hex(&random));
        let digest = hex(&digest(key.as_bytes()));
        Ok(Self { line: format!("{name}:{digest}"), key })
    }

    /// The same key, with this role.
    #[must_use]
    pub fn with_role(self, role: Role) -> Self {
        match role {
            Role::User => self,
            Role::Admin => Self { line: format!("{} role=admin", self.line), ..self },
        }
    }
}

fn digest(key: &[u8]) -> [u8; 32] {
    Sha256::digest(key).into()
}

fn is_name(name: &str) -> bool {
    (1..=LONGEST_NAME).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

impl Keys {
    /// Parses a file. Empty lines and lines that begin with `#` are ignored.
    pub(super) fn read(text: &str) -> Result<Self, BadKeys> {
        let (mut keys, mut wrong) = (Self::default(), Vec::new());
        let mut clients: HashMap<&str, (Settings, Arc<KeyClient>)> = HashMap::new();
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            if let Err(why) = keys.add(line, &mut clients) {
                wrong.push(format!("line {number}: {why}"));
            }
        }
        if wrong.is_empty() && keys.0.is_empty() {
            wrong.push("it has no keys; make one with `resnetd api-key NAME`".to_owned());
        }
        if wrong.is_empty() { Ok(keys) } else { Err(BadKeys(wrong)) }
    }

    fn add<'a>(
        &mut self,
        line: &'a str,
        clients: &mut HashMap<&'a str, (Settings, Arc<KeyClient>)>,
    ) -> Result<(), String> {
        let mut words = line.split_whitespace();
        let (name, text) = (words.next()).and_then(|word| word.split_once(':')).ok_or(
            "it must have the form NAME:SHA256; `resnetd api-key NAME` prints such a line",
        )?;
        if !is_name(name) {
            return Err(NoKey::Name(name.chars().take(LONGEST_NAME).collect()).to_string());
        }
        let digest = unhex(text).ok_or("the digest is not 64 hexadecimal digits")?;
        if self.0.iter().any(|key| key.digest == digest) {
            return Err("another line has the same key".to_owned());
        }
        let settings = Settings::read(words)?;
        let (first, client) = clients.entry(name).or_insert_with(|| {
            let rate = settings.rate.map(SharedRate::new);
            let Settings { images, priority, role, .. } = settings;
            let client = KeyClient { name: name.to_owned(), rate, images, priority, role };
            (settings, Arc::new(client))
        });
        if *first != settings {
            return Err(format!("another line of {name} has other settings"));
        }
        self.0.push(Key { digest, client: Arc::clone(client) });
        Ok(())
    }

    /// The number of keys.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The client with this key. All digests are compared completely, so that the time does not depend on the
    /// key.
    pub(super) fn client(&self, key: &[u8]) -> Option<Arc<KeyClient>> {
        let digest = digest(key);
        let mut found = None;
        for key in &self.0 {
            if bool::from(key.digest.ct_eq(&digest)) {
                found = Some(&key.client);
            }
        }
        found.cloned()
    }
}

/// The settings of a line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Settings {
    rate: Option<Rate>,
    images: Option<usize>,
    priority: Priority,
    role: Role,
}

impl Settings {
    fn read<'a>(words: impl Iterator<Item = &'a str>) -> Result<Self, String> {
        let mut settings = Self::default();
        for word in words {
            match word.split_once('=') {
                Some(("rate", value)) => {
                    settings.rate =
                        Some(value.parse().map_err(|wrong| format!("rate is {wrong}"))?);
                }
                Some(("images", value)) => {
                    let images = value.parse().ok().filter(|images| *images > 0);
                    settings.images = Some(images.ok_or("images is not a number above 0")?);
                }
                Some(("priority", value)) => {
                    settings.priority =
                        value.parse().map_err(|wrong| format!("priority is {value:?}; {wrong}"))?;
                }
                Some(("role", value)) => {
                    settings.role = Role::from_str(value, false)
                        .map_err(|_| format!("role is {value:?}; it must be user or admin"))?;
                }
                _ => {
                    return Err(format!(
                        "{word:?} is none of rate=N/s, images=N, priority=interactive|batch and role=user|admin"
                    ));
                }
            }
        }
        Ok(settings)
    }
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    if !is_hex(text, SHA256_DIGITS) {
        return None;
    }
    let mut bytes = [0; 32];
    for (byte, place) in bytes.iter_mut().zip((0..SHA256_DIGITS).step_by(2)) {
        *byte = u8::from_str_radix(&text[place..place + 2], 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generated_line_accepts_its_key_and_no_other() {
        let (first, second) = (NewKey::make("phone").unwrap(), NewKey::make("batch").unwrap());
        let text = format!("# ours\n\n{} rate=5/m images=2\r\n{}\n", first.line, second.line);
        let keys = Keys::read(&text).unwrap();
        let client = keys.client(first.key.as_bytes()).unwrap();
        assert_eq!((client.name.as_str(), client.images), ("phone", Some(2)));
        assert!(client.rate.is_some());
        let second_client = keys.client(second.key.as_bytes()).unwrap();
        assert_eq!((second_client.name.as_str(), second_client.role), ("batch", Role::User));
        assert!(keys.client(NewKey::make("phone").unwrap().key.as_bytes()).is_none());
        assert!(keys.client(b"").is_none());
        assert!(!text.contains(&first.key), "the file does not contain the key");
    }

    #[test]
    fn two_keys_of_one_client_share_its_limits() {
        let (old, new) = (NewKey::make("phone").unwrap(), NewKey::make("phone").unwrap());
        let keys = Keys::read(&format!("{} rate=1/h\n{} rate=1/h", old.line, new.line)).unwrap();
        let client = |key: &NewKey| keys.client(key.key.as_bytes()).unwrap();
        assert!(Arc::ptr_eq(&client(&old), &client(&new)));
    }

    #[test]
    fn every_invalid_line_is_reported() {
        let NewKey { line, .. } = NewKey::make("a").unwrap();
        let (_, sum) = line.split_once(':').unwrap();
        let text = format!(
            "{line}\nno-digest\nb:12\nb c:{sum}\n{line}\na:{} rate=1\nd:{} fast\ne:{} role=root\n",
            "0".repeat(64),
            "1".repeat(64),
            "2".repeat(64)
        );
        let wrong = Keys::read(&text).unwrap_err().to_string();
        for expected in [
            "line 2: it must have the form NAME:SHA256",
            "line 3: the digest is not",
            "line 4: it must have the form NAME:SHA256",
            "line 5: another line has the same key",
            "line 6: another line of a has other settings",
            "line 7: \"fast\" is none of",
            "line 8: role is \"root\"; it must be user or admin",
        ] {
            assert!(wrong.contains(expected), "{expected} in {wrong}");
        }
        assert!(Keys::read("# none yet\n").is_err());
        assert!(NewKey::make("a b").is_err() && NewKey::make("").is_err());
    }
}
