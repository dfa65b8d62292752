//! Downloads a model of the hub, if `--model` names one.

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
    let is_id = !is_here && !is_file_name(name);
    let Some(id) = HubId::parse(name).filter(|_| is_id) else { return Ok(name.to_owned()) };
    tracing::info!("there is no file or folder {name}: looking for it on the hub");
    let bar = ProgressBar::hidden();
    bar.set_style(
        ProgressStyle::with_template(
            "{msg} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {eta}",
        )
        .context("the progress bar")?,
    );
    let folder = args.hub().fetch(&id, &mut |event| show(&bar, &id, event)).with_context(|| {
        format!("there is no file or folder {name}, and it could not be fetched from the hub")
    })?;
    bar.finish_and_clear();
    folder.into_os_string().into_string().ok().context("the path of the hub's cache is not UTF-8")
}

/// Whether a name ends as files of models do, and as no repository of the hub does.
fn is_file_name(name: &str) -> bool {
    let ending = Path::new(name).extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    ENDINGS.iter().any(|known| ending.eq_ignore_ascii_case(known))
}

/// Endings of files that people take for models.
const ENDINGS: [&str; 19] = [
    "onnx",
    "safetensors",
    "pth",
    "pt",
    "pt2",
    "bin",
    "ckpt",
    "tar",
    "h5",
    "hdf5",
    "keras",
    "pb",
    "tflite",
    "npz",
    "npy",
    "pkl",
    "json",
    "toml",
    "zip",
];

/// A bar on a terminal, which hides itself elsewhere; a line in the log for what takes long.
fn show(bar: &ProgressBar, id: &HubId, event: Event) {
    match event {
        Event::Started { file, bytes, have } => {
            tracing::info!(model = %id, file, bytes, have, "downloading");
            bar.set_draw_target(indicatif::ProgressDrawTarget::stderr());
            bar.set_message(file.to_owned());
            bar.set_length(bytes);
            bar.set_position(have);
        }
        Event::Received(bytes) => bar.inc(bytes),
        Event::Retrying(error) => tracing::warn!(%error, "download failed: retrying"),
        Event::Unreachable(error) => {
            tracing::warn!(model = %id, %error, "the hub cannot be reached: using the cached model");
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_name_with_a_files_ending_is_no_model_of_the_hub() {
        for name in ["weights/resnet50.pth", "models/best.onnx", "a/b.Safetensors", "run/last.ckpt"]
        {
            assert!(super::is_file_name(name), "{name}");
        }
        for name in
            ["timm/resnet50.a1_in1k", "microsoft/resnet-50", "lab/pets-v1.5", "a/b@refs/pr/1"]
        {
            assert!(!super::is_file_name(name), "{name}");
        }
    }
}
