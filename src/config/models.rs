//! The models of a server: those of `--model`, of `[[model]]` tables in the configuration file, and of
//! a model repository.

use std::path::PathBuf;
use std::time::Duration;

use bytesize::ByteSize;
use clap::{Args, ValueEnum};
use serde::Deserialize;

use super::{Concurrency, ConfigError, ModelArgs, ServeArgs, cores};
use crate::registry::{Canary, LoadWhen, Policy, ShadowPlan, Version, WhenBusy};

/// Options for several models.
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

    /// When models are loaded: none, when the server starts and at SIGHUP; poll, also when the repository
    /// changes; explicit, only those of --load-model and those requested over --admin-listen
    #[arg(
        long,
        env = "RESNETD_MODEL_CONTROL",
        default_value = "none",
        value_enum,
        value_name = "MODE"
    )]
    pub model_control: ModelControl,

    /// How often to look for changes in the repository, with --model-control poll
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
    /// When the admin address is asked to.
    Explicit,
}

/// A `[[model]]` table of the configuration file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ModelTable {
    /// The name in requests; by default that of the model's card.
    pub name: Option<String>,
    /// As `--model`.
    pub source: String,
    version: Option<String>,
    arch: Option<String>,
    labels: Option<PathBuf>,
    precision: Option<String>,
    device: Option<String>,
    sessions: Option<usize>,
    threads: Option<usize>,
    max_batch: Option<usize>,
    weight: Option<f64>,
    #[serde(default)]
    default: bool,
    #[serde(default)]
    required: bool,
    #[serde(default)]
    load: LoadWord,
    canary: Option<CanaryTable>,
    when_busy: Option<OtherModel>,
    shadow: Option<OtherModel>,
}

/// `canary = { version = "2", share = 0.05 }`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct CanaryTable {
    version: String,
    share: f64,
}

/// Another model by its name, or with settings: `{ model = "small", after = "300ms" }`.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
enum OtherModel {
    Name(String),
    With(OtherTable),
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct OtherTable {
    model: String,
    /// Of `when-busy`.
    after: Option<String>,
    /// Of `shadow`.
    share: Option<f64>,
}

/// The predicted wait at which `when-busy` begins, unless it is given.
const BUSY_AFTER: Duration = Duration::from_millis(250);

impl OtherModel {
    fn into_table(self) -> OtherTable {
        match self {
            Self::Name(model) => OtherTable { model, after: None, share: None },
            Self::With(table) => table,
        }
    }
}

impl ModelTable {
    fn policy(&self) -> Result<Policy, String> {
        let share = |share: f64| {
            if (0.0..=1.0).contains(&share) {
                Ok(share)
            } else {
                Err(format!("share is {share}; it must be from 0 to 1"))
            }
        };
        let mut policy = Policy::default();
        if let Some(canary) = &self.canary {
            let version = Version::new(&canary.version);
            policy.canary = Some(Canary { version, share: share(canary.share)? });
        }
        if let Some(OtherTable { model, after, share }) =
            self.when_busy.clone().map(OtherModel::into_table)
        {
            if share.is_some() {
                return Err("when-busy has no share; it takes model and after".to_owned());
            }
            let after = after.as_deref().map_or(Ok(BUSY_AFTER), humantime::parse_duration);
            let after = after.map_err(|error| format!("after of when-busy: {error}"))?;
            policy.when_busy = Some(WhenBusy { model, after });
        }
        if let Some(OtherTable { model, after, share: of }) =
            self.shadow.clone().map(OtherModel::into_table)
        {
            if after.is_some() {
                return Err("shadow has no after; it takes model and share".to_owned());
            }
            policy.shadow = Some(ShadowPlan { model, share: share(of.unwrap_or(1.0))? });
        }
        Ok(policy)
    }
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum LoadWord {
    #[default]
    Start,
    OnDemand,
    Explicit,
}

impl ServeArgs {
    /// The models of `--model` and of the tables. The embedded model, if there are neither and no repository.
    ///
    /// # Errors
    ///
    /// [`ConfigError`], which lists everything that is wrong.
    pub fn specs(&self) -> Result<Vec<ModelSpec>, ConfigError> {
        let embedded = [self.model.model.clone()];
        let is_empty = self.named_models.is_empty()
            && self.model_tables.is_empty()
            && self.models.model_repository.is_none();
        let options = if is_empty { &embedded[..] } else { &self.named_models[..] };
        ModelSpec::all(options, &self.model_tables, &self.model)
    }
}

/// One model to serve.
#[derive(Debug, Clone)]
pub struct ModelSpec {
    /// The name in requests; `None` for that of the model's card.
    pub name: Option<String>,
    /// Its version.
    pub version: Version,
    /// What to open, and how.
    pub args: ModelArgs,
    /// Sessions, threads, batch.
    pub concurrency: Concurrency,
    /// Its share of the cores, relative to other models.
    pub weight: f64,
    /// When it is loaded.
    pub load: LoadWhen,
    /// How requests for its name are handed out.
    pub policy: Policy,
    /// Whether it answers requests that name no model.
    pub is_default: bool,
    /// Whether the server is ready only while it is.
    pub is_required: bool,
}

impl ModelSpec {
    /// What `--model` names: `SOURCE` or `NAME=SOURCE`.
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

    fn of(name: Option<String>, version: Version, args: ModelArgs) -> Result<Self, ConfigError> {
        let concurrency = args.concurrency(cores())?;
        Ok(Self {
            name,
            version,
            args,
            concurrency,
            weight: 1.0,
            load: LoadWhen::Now,
            policy: Policy::default(),
            is_default: false,
            is_required: false,
        })
    }

    fn of_table(table: &ModelTable, base: &ModelArgs) -> Result<Self, ConfigError> {
        let ModelTable { source, .. } = table;
        let wrong = |why: String| ConfigError(vec![format!("the [[model]] {source:?}: {why}")]);
        if let Some(name) = table.name.as_deref().filter(|name| !is_name(name)) {
            return Err(wrong(format!("name is {name:?}; {A_NAME}")));
        }
        let mut args = ModelArgs { model: source.clone(), ..base.clone() };
        args.arch = table.arch.clone().or(args.arch);
        args.labels = table.labels.clone().or(args.labels);
        args.sessions = table.sessions.or(args.sessions);
        args.threads = table.threads.or(args.threads);
        args.max_batch = table.max_batch.or(args.max_batch);
        if let Some(precision) = &table.precision {
            args.precision = precision.parse().map_err(|error| wrong(format!("{error}")))?;
        }
        if let Some(device) = &table.device {
            args.device = device.parse().map_err(|error| wrong(format!("{error}")))?;
        }
        let weight = table.weight.unwrap_or(1.0);
        if !(0.001..=1000.0).contains(&weight) {
            return Err(wrong(format!("weight is {weight}; it must be from 0.001 to 1000")));
        }
        let version = table.version.as_deref().map_or_else(Version::only, Version::new);
        let load = match table.load {
            LoadWord::Start => LoadWhen::Now,
            LoadWord::OnDemand => LoadWhen::OnDemand,
            LoadWord::Explicit => LoadWhen::Explicit,
        };
        let spec = Self::of(table.name.clone(), version, args)
            .map_err(|ConfigError(why)| wrong(why.join(", ")))?;
        let (is_default, is_required) = (table.default, table.required);
        if spec.name.is_none() && load != LoadWhen::Now {
            return Err(wrong("it needs a name, because it is not loaded at the start".to_owned()));
        }
        let policy = table.policy().map_err(&wrong)?;
        Ok(Self { weight, load, policy, is_default, is_required, ..spec })
    }

    /// The models of the options and the tables; the embedded model if there is none and no repository.
    ///
    /// # Errors
    ///
    /// [`ConfigError`], which lists everything that is wrong.
    pub fn all(
        options: &[String],
        tables: &[ModelTable],
        base: &ModelArgs,
    ) -> Result<Vec<Self>, ConfigError> {
        let of_options = options.iter().map(|typed| Self::of_option(typed, base));
        let of_tables = tables.iter().map(|table| Self::of_table(table, base));
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

/// Comparisons that would compare their own comparison.
fn shadows_of_shadows(specs: &[ModelSpec]) -> Option<String> {
    let shadow = |spec: &ModelSpec| spec.policy.shadow.as_ref().map(|plan| plan.model.clone());
    let compared: Vec<_> = specs.iter().filter_map(shadow).collect();
    let name = |spec: &ModelSpec| spec.name.clone().unwrap_or_else(|| spec.args.model.clone());
    let both =
        specs.iter().find(|spec| shadow(spec).is_some() && compared.contains(&name(spec)))?;
    Some(format!(
        "the model {:?} is a shadow and has a shadow; it can be only one of both",
        name(both)
    ))
}

const A_NAME: &str = "a name has letters, digits, '.', '_' and '-'";

fn is_name(name: &str) -> bool {
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
