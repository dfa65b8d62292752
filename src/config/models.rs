//! The models of a server, from `--model`, `[[model]]` tables in the configuration file, and a model
//! repository.

use std::path::PathBuf;
use std::time::Duration;

use bytesize::ByteSize;
use clap::{Args, ValueEnum};

use super::{Concurrency, ConfigError, ModelArgs, ModelTable, ServeArgs, cores};
use crate::registry::{LoadWhen, RoutingPolicy, Version};

/// Options about several models.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Several models")]
pub struct ModelsArgs {
    /// Folder with a folder for each model, which may have numbered folders for its versions, as
    /// those of Triton and TensorFlow Serving. See docs/models-in-service.md
    #[arg(long, env = "RESNETD_MODEL_REPOSITORY", value_name = "DIR")]
    pub model_repository: Option<PathBuf>,

    /// How many versions of each model in the repository are loaded: the highest ones
    #[arg(
        hide_short_help = true,
        long,
        env = "RESNETD_REPOSITORY_VERSIONS",
        default_value_t = 1,
        value_name = "N"
    )]
    pub repository_versions: usize,

    /// When models are loaded: none, when the server starts and at SIGHUP; poll, also when files of a
    /// model, --config or the repository change; explicit, only those of --load-model and those
    /// requested over --admin-listen
    #[arg(
        long,
        env = "RESNETD_MODEL_CONTROL",
        default_value = "none",
        value_enum,
        value_name = "MODE"
    )]
    pub model_control: ModelControl,

    /// How often to look for changed files of all models, --config and the repository, with
    /// --model-control poll
    #[arg(hide_short_help = true, long, env = "RESNETD_REPOSITORY_POLL", default_value = "5s", value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub repository_poll: Duration,

    /// Model of the repository to load at the start, with --model-control explicit; can be repeated
    #[arg(
        long = "load-model",
        env = "RESNETD_LOAD_MODEL",
        value_delimiter = ',',
        value_name = "NAME"
    )]
    pub load_models: Vec<String>,

    /// The model that answers requests that name none [default: the first of --model, or the only
    /// model of the repository]
    #[arg(long, env = "RESNETD_DEFAULT_MODEL", value_name = "NAME")]
    pub default_model: Option<String>,

    /// Maximum size of the weights of all loaded models; above it, models with load = "on-demand"
    /// that were not used for longest are unloaded
    #[arg(hide_short_help = true, long, env = "RESNETD_MODEL_MEMORY_LIMIT", value_name = "SIZE")]
    pub model_memory_limit: Option<ByteSize>,
}

/// When models are loaded and unloaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ModelControl {
    /// When the server starts and at SIGHUP.
    None,
    /// Also when the repository changes.
    Poll,
    /// On request over the admin address.
    Explicit,
}

impl ServeArgs {
    /// The models of `--model` and of the tables. The embedded model, if there are neither and there is no
    /// repository.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] with all invalid settings.
    pub fn specs(&self) -> Result<Vec<ModelSpec>, ConfigError> {
        let embedded = [self.model.model.clone()];
        let is_empty = self.named_models.is_empty()
            && self.model_tables.is_empty()
            && self.models.model_repository.is_none();
        let options = if is_empty { &embedded[..] } else { &self.named_models[..] };
        ModelSpec::all(options, &self.model_tables, &self.model)
    }
}

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
    /// Whether the server is ready only if it is.
    pub is_required: bool,
}

impl ModelSpec {
    /// The model of an option `--model`: `SOURCE` or `NAME=SOURCE`.
    fn of_option(typed: &str, base: &ModelArgs) -> Result<Self, ConfigError> {
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

    /// The models of the options and the tables.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] with all invalid settings.
    pub fn all(
        options: &[String],
        tables: &[ModelTable],
        base: &ModelArgs,
    ) -> Result<Vec<Self>, ConfigError> {
        let of_options = options.iter().map(|typed| Self::of_option(typed, base));
        let of_tables = tables.iter().map(|table| table.spec(base));
        let (mut specs, mut wrong) = (Vec::new(), Vec::new());
        for spec in of_options.chain(of_tables) {
            match spec {
                Ok(spec) => specs.push(spec),
                Err(ConfigError(more)) => wrong.extend(more),
            }
        }
        if specs.iter().filter(|spec| spec.is_default).count() > 1 {
            wrong.push("more than one [[model]] has default = true; keep one".to_owned());
        }
        wrong.extend(shadows_of_shadows(&specs));
        if wrong.is_empty() { Ok(specs) } else { Err(ConfigError(wrong)) }
    }
}

/// Rejects shadows that have a shadow, because those would compare images of a comparison.
fn shadows_of_shadows(specs: &[ModelSpec]) -> Option<String> {
    let shadow = |spec: &ModelSpec| spec.policy.shadow.as_ref().map(|plan| plan.model.clone());
    let compared: Vec<_> = specs.iter().filter_map(shadow).collect();
    let name = |spec: &ModelSpec| spec.name.clone().unwrap_or_else(|| spec.args.model.clone());
    let both =
        specs.iter().find(|spec| shadow(spec).is_some() && compared.contains(&name(spec)))?;
    Some(format!("the model {:?} is a shadow and has a shadow; remove one of the two", name(both)))
}

pub(super) const NAME_RULE: &str = "use letters, digits, '.', '_' and '-'";

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
