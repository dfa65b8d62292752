//! Options for models from the Hugging Face hub.

use std::fmt;
use std::path::PathBuf;

use clap::Args;
use clap::builder::BoolishValueParser;

use crate::hub::Hub;

/// Address and cache of the Hugging Face hub. The environment variables are those of `huggingface_hub`.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Hugging Face hub")]
pub struct HubArgs {
    /// URL of the Hugging Face hub or of a mirror
    #[arg(
        hide_short_help = true,
        long,
        env = "HF_ENDPOINT",
        hide_env_values = true,
        default_value = "https://huggingface.co",
        value_name = "URL"
    )]
    pub hub_endpoint: String,

    #[expect(clippy::doc_markdown, reason = "help text is not Markdown")]
    /// Access token for private and gated models [default: the content of HF_HOME/token]
    #[arg(
        hide_short_help = true,
        long,
        env = "HF_TOKEN",
        hide_env_values = true,
        value_name = "TOKEN"
    )]
    pub hub_token: Option<HubToken>,

    #[expect(clippy::doc_markdown, reason = "help text is not Markdown")]
    /// Folder in which downloaded models are cached [default: HF_HOME/hub]
    #[arg(hide_short_help = true, long, env = "HF_HUB_CACHE", value_name = "FOLDER")]
    pub hub_cache: Option<PathBuf>,

    /// Folder for all Hugging Face data [default: ~/.cache/huggingface]
    #[arg(hide_short_help = true, long, env = "HF_HOME", value_name = "FOLDER")]
    pub hub_home: Option<PathBuf>,

    /// Use cached models only; never access the network. --hub-offline alone means true
    #[arg(hide_short_help = true, long, env = "HF_HUB_OFFLINE", value_parser = BoolishValueParser::new(), num_args = 0..=1,
          require_equals = true, value_name = "true|false", default_value = "false", default_missing_value = "true")]
    pub hub_offline: bool,
}

/// An access token. It is left out where options are logged.
#[derive(Clone, PartialEq, Eq)]
pub struct HubToken(String);

impl From<String> for HubToken {
    fn from(token: String) -> Self {
        Self(token)
    }
}

impl fmt::Debug for HubToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HubToken(…)")
    }
}

impl HubArgs {
    /// The hub configured by these options.
    #[must_use]
    pub fn hub(&self) -> Hub {
        let home = self.hub_home.clone().unwrap_or_else(|| {
            let home = std::env::home_dir().unwrap_or_default();
            home.join(".cache/huggingface")
        });
        let written = || std::fs::read_to_string(home.join("token")).ok();
        let given = self.hub_token.as_ref().map(|HubToken(token)| token.clone());
        let token = given.or_else(written);
        let token = token.map(|token| token.trim().to_owned()).filter(|token| !token.is_empty());
        Hub {
            endpoint: self.hub_endpoint.clone(),
            token,
            cache: self.hub_cache.clone().unwrap_or_else(|| home.join("hub")),
            offline: self.hub_offline,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_not_logged() {
        let token = HubToken::from("hf_secret".to_owned());
        assert_eq!(format!("{token:?}"), "HubToken(…)");
    }
}
