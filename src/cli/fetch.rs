//! A model's name becomes something that is on this machine.

use std::path::Path;

use anyhow::{Context, Result};
use indicatif::{ProgressBar, ProgressStyle};

use crate::config::HubArgs;
use crate::hub::{Event, HubId};
use crate::model::EMBEDDED;

/// What to open for the model `name`: an embedded name or a path as it is, and for an id of the hub
/// the folder that it was fetched to. What is here under that name comes first.
pub(super) fn model(name: &str, args: &HubArgs) -> Result<String> {
    let is_here = EMBEDDED.iter().any(|embedded| embedded.name == name) || Path::new(name).exists();
    let Some(id) = HubId::parse(name).filter(|_| !is_here) else { return Ok(name.to_owned()) };
    let bar = ProgressBar::hidden();
    bar.set_style(
        ProgressStyle::with_template(
            "{msg} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {eta}",
        )
        .context("the progress bar")?,
    );
    let folder = args.hub().fetch(&id, &mut |event| show(&bar, &id, event))?;
    bar.finish_and_clear();
    folder.into_os_string().into_string().ok().context("the path of the hub's cache is not UTF-8")
}

/// A bar on a terminal, which hides itself elsewhere; a line in the log for what takes long.
fn show(bar: &ProgressBar, id: &HubId, event: Event) {
    match event {
        Event::Started { file, bytes, have } => {
            tracing::info!(model = %id, file, bytes, have, "fetching");
            bar.set_draw_target(indicatif::ProgressDrawTarget::stderr());
            bar.set_message(file.to_owned());
            bar.set_length(bytes);
            bar.set_position(have);
        }
        Event::Received(bytes) => bar.inc(bytes),
        Event::Retrying(error) => tracing::warn!(%error, "trying again"),
        Event::Unreachable(error) => {
            tracing::warn!(model = %id, %error, "the hub cannot be asked: using what was fetched earlier");
        }
    }
}
