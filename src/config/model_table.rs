//! A `[[model]]` table of the configuration file.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use super::model_spec::{NAME_RULE, is_name};
use super::{ConfigError, ModelArgs, ModelSpec};
use crate::digest::{SHA256_DIGITS, is_hex};
use crate::registry::{
    AutoPromotion, Canary, LoadWhen, RoutingPolicy, ShadowPlan, Version, WhenBusy,
};

/// A `[[model]]` table of the configuration file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ModelTable {
    /// The name in requests; by default that of the model's card.
    pub name: Option<String>,
    /// The same as `--model`.
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
    load: LoadSetting,
    digest: Option<String>,
    canary: Option<CanaryTable>,
    when_busy: Option<OtherModel>,
    shadow: Option<OtherModel>,
}

/// `canary = { version = "2", share = 0.05, auto = { requests = 1000 } }`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct CanaryTable {
    version: String,
    share: f64,
    auto: Option<AutoTable>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct AutoTable {
    requests: u64,
    min_agreement: Option<f64>,
    max_error_increase: Option<f64>,
}

/// Default of `max-error-increase`.
const MAX_ERROR_INCREASE: f64 = 0.01;

impl CanaryTable {
    fn canary(&self) -> Result<Canary, String> {
        let auto = self.auto.map(|auto| {
            let AutoTable { requests, min_agreement, max_error_increase } = auto;
            if requests == 0 {
                return Err("auto of canary: requests is 0; it must be at least 1".to_owned());
            }
            let min_agreement =
                min_agreement.map(|value| from_0_to_1("min-agreement", value)).transpose()?;
            let increase = max_error_increase.unwrap_or(MAX_ERROR_INCREASE);
            let max_error_increase = from_0_to_1("max-error-increase", increase)?;
            Ok(AutoPromotion { requests, min_agreement, max_error_increase })
        });
        Ok(Canary {
            version: Version::new(&self.version),
            share: from_0_to_1("share of canary", self.share)?,
            auto: auto.transpose()?,
        })
    }
}

fn from_0_to_1(name: &str, value: f64) -> Result<f64, String> {
    if (0.0..=1.0).contains(&value) {
        Ok(value)
    } else {
        Err(format!("{name} is {value}; it must be from 0 to 1"))
    }
}

/// The name of another model, or a table with settings: `{ model = "small", after = "300ms" }`.
#[derive(Debug, Clone, Deserialize)]
#[serde(
    untagged,
    expecting = "the name of a model, or a table such as { model = \"small\", after = \"300ms\" }"
)]
enum OtherModel {
    Name(String),
    With(OtherTable),
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct OtherTable {
    model: String,
    /// For `when-busy`.
    after: Option<String>,
    /// For `shadow`.
    share: Option<f64>,
}

/// Default of `after` in `when-busy`: the predicted wait from which the other model answers.
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
    /// The model of this table; options that it does not set are those of `base`.
    pub(super) fn spec(&self, base: &ModelArgs) -> Result<ModelSpec, ConfigError> {
        let Self { source, .. } = self;
        let wrong = |why: String| ConfigError(vec![format!("the [[model]] {source:?}: {why}")]);
        if let Some(name) = self.name.as_deref().filter(|name| !is_name(name)) {
            return Err(wrong(format!("name is {name:?}; {NAME_RULE}")));
        }
        let mut args = ModelArgs { model: source.clone(), ..base.clone() };
        args.arch = self.arch.clone().or(args.arch);
        args.labels = self.labels.clone().or(args.labels);
        args.sessions = self.sessions.or(args.sessions);
        args.threads = self.threads.or(args.threads);
        args.max_batch = self.max_batch.or(args.max_batch);
        if let Some(precision) = &self.precision {
            args.precision = precision.parse().map_err(|error| wrong(format!("{error}")))?;
        }
        if let Some(device) = &self.device {
            args.device = device.parse().map_err(|error| wrong(format!("{error}")))?;
        }
        let weight = self.weight.unwrap_or(1.0);
        if !(0.001..=1000.0).contains(&weight) {
            return Err(wrong(format!("weight is {weight}; it must be from 0.001 to 1000")));
        }
        let version = self.version.as_deref().map_or_else(Version::only, Version::new);
        let load = match self.load {
            LoadSetting::Start => LoadWhen::Now,
            LoadSetting::OnDemand => LoadWhen::OnDemand,
            LoadSetting::Explicit => LoadWhen::Explicit,
        };
        let spec = ModelSpec::of(self.name.clone(), version, args)
            .map_err(|ConfigError(why)| wrong(why.join(", ")))?;
        let (is_default, is_required) = (self.default, self.required);
        if spec.name.is_none() && load != LoadWhen::Now {
            return Err(wrong("it needs a name, because it is not loaded at the start".to_owned()));
        }
        let digest = self.digest.clone();
        if let Some(digest) = digest.as_deref().filter(|digest| !is_hex(digest, SHA256_DIGITS)) {
            return Err(wrong(format!(
                "digest is {digest:?}; it must be the 64 hexadecimal digits of digests.graph in /v1/model"
            )));
        }
        let policy = self.policy().map_err(&wrong)?;
        Ok(ModelSpec { weight, load, digest, policy, is_default, is_required, ..spec })
    }

    fn policy(&self) -> Result<RoutingPolicy, String> {
        let mut policy = RoutingPolicy {
            canary: self.canary.as_ref().map(CanaryTable::canary).transpose()?,
            ..RoutingPolicy::default()
        };
        if let Some(OtherTable { model, after, share }) =
            self.when_busy.clone().map(OtherModel::into_table)
        {
            if share.is_some() {
                return Err("when-busy has no share; use model and after".to_owned());
            }
            let after = after.as_deref().map_or(Ok(BUSY_AFTER), humantime::parse_duration);
            let after = after.map_err(|error| format!("after of when-busy: {error}"))?;
            policy.when_busy = Some(WhenBusy { model, after });
        }
        if let Some(OtherTable { model, after, share: of }) =
            self.shadow.clone().map(OtherModel::into_table)
        {
            if after.is_some() {
                return Err("shadow has no after; use model and share".to_owned());
            }
            let share = from_0_to_1("share of shadow", of.unwrap_or(1.0))?;
            policy.shadow = Some(ShadowPlan { model, version: None, share });
        }
        Ok(policy)
    }
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum LoadSetting {
    #[default]
    Start,
    OnDemand,
    Explicit,
}
