//! Options about several models.

use std::path::PathBuf;
use std::time::Duration;

use bytesize::ByteSize;
use clap::{Args, ValueEnum};

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

    /// When models are loaded. none: when the server starts and at SIGHUP. poll: also when files of
    /// a model, of --config or of the repository change. explicit: as none, but of the repository
    /// only those of --load-model and those requested over --admin-listen
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

    /// The model that answers requests that name none [default: the one whose table has
    /// default = true, or the first of --model and the tables, or the only model of the repository]
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
    /// Also when files of a model, the configuration file or the repository change.
    Poll,
    /// On request over the admin address.
    Explicit,
}
