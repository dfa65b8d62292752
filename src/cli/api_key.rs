//! `resnetd api-key`: generates an API key.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Args;

use super::output;
use crate::http::{NewKey, Role};

#[derive(Debug, Args)]
pub(super) struct ApiKeyArgs {
    /// The client's name, which log lines and metrics have; several keys may have the same
    name: String,

    /// What the client may do; the admin address accepts only keys of admins
    #[arg(long, value_enum, default_value_t)]
    role: Role,

    /// Append the key's line to this file (see `serve --api-keys`), and print only the key
    #[arg(long, value_name = "FILE")]
    append: Option<PathBuf>,
}

pub(super) fn run(args: &ApiKeyArgs) -> Result<()> {
    let NewKey { key, line } = NewKey::make(&args.name)?.with_role(args.role);
    if let Some(path) = &args.append {
        append(path, &line).with_context(|| format!("cannot write {}", path.display()))?;
        output::line(key);
    } else {
        output::line(format!("key, for the client:           {key}"));
        output::line(format!("line, for the file of keys:    {line}"));
    }
    Ok(())
}

/// Appends the line in a single write, so that a server that reads the file never sees a part of it.
fn append(path: &Path, line: &str) -> std::io::Result<()> {
    let old = std::fs::read(path).unwrap_or_default();
    let separator = if old.is_empty() || old.ends_with(b"\n") { "" } else { "\n" };
    let mut file = OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
    file.write_all(format!("{separator}{line}\n").as_bytes())
}
