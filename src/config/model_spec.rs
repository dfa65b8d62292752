//! A model to serve, from an option, a table or the repository.

use super::{Concurrency, ConfigError, ModelArgs, cores};
use crate::registry::{LoadWhen, RoutingPolicy, Version};

/// A model to serve.
#[derive(Debug, Clone)]
pub struct ModelSpec {
    /// The name in requests; `None` for that of the model's card.
    pub name: Option<String>,
    /// Its version.
    pub version: Version,
    /// The model's options.
    pub args: ModelArgs,
    /// Sessions, threads and batch sizes.
    pub concurrency: Concurrency,
    /// Its share of the cores, relative to other models.
    pub weight: f64,
    /// When it is loaded.
    pub load: LoadWhen,
    /// The digest that its graph must have.
    pub digest: Option<String>,
    /// The distribution of requests for its name.
    pub policy: RoutingPolicy,
    /// Whether it is the default model, which answers requests without a model name.
    pub is_default: bool,
    /// Whether the server is not ready while this model is not loaded.
    pub is_required: bool,
}

impl ModelSpec {
    /// The model of an option `--model`: `SOURCE` or `NAME=SOURCE`.
    pub(super) fn of_option(typed: &str, base: &ModelArgs) -> Result<Self, ConfigError> {
        let (name, source) = match typed.split_once('=') {
            Some((name, source)) if is_name(name) => (Some(name.to_owned()), source),
            _ => (None, typed),
        };
        let args = ModelArgs { model: source.to_owned(), ..base.clone() };
        Self::of(name, Version::only(), args)
    }

    /// The model in a folder of the repository.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] if the options for all models are invalid.
    pub fn in_repository(
        name: &str,
        version: Version,
        folder: String,
        base: &ModelArgs,
    ) -> Result<Self, ConfigError> {
        Self::of(Some(name.to_owned()), version, ModelArgs { model: folder, ..base.clone() })
    }

    pub(super) fn of(
        name: Option<String>,
        version: Version,
        args: ModelArgs,
    ) -> Result<Self, ConfigError> {
        let concurrency = args.concurrency(cores())?;
        Ok(Self {
            name,
            version,
            args,
            concurrency,
            weight: 1.0,
            load: LoadWhen::Now,
            digest: None,
            policy: RoutingPolicy::default(),
            is_default: false,
            is_required: false,
        })
    }
}

pub(super) const NAME_RULE: &str =
    "use ASCII letters, digits, '.', '_' and '-', and begin with another character than '.'";

/// Whether `name` is a valid name of a model in requests.
pub(super) fn is_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    !name.is_empty() && !name.starts_with('.') && name.bytes().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::is_name;

    #[test]
    fn a_path_with_an_equals_sign_is_not_a_name() {
        assert!(is_name("pets-v1.5"));
        for path in ["./runs/lr", "a/b", "", ".hidden", "ü"] {
            assert!(!is_name(path), "{path}");
        }
    }
}
