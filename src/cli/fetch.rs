//! Downloads the model of `--model` if it is on the hub.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use indicatif::{ProgressBar, ProgressStyle};

use crate::config::HubArgs;
use crate::hub::{Event, HubId};
use crate::model::{is_embedded, starter};

/// The path or name to open for `--model name`: an embedded model or a path is returned unchanged, for the
/// starter model its folder, and for an id of the hub the folder of its download. Local files take
/// precedence.
pub(super) fn model(name: &str, args: &HubArgs) -> Result<String> {
    if name == starter::NAME && !Path::new(name).exists() {
        return starter_model(args);
    }
    let is_here = is_embedded(name) || Path::new(name).exists();
    let is_id = !is_here && !is_file_name(name);
    let Some(id) = HubId::parse(name).filter(|_| is_id) else { return Ok(name.to_owned()) };
    tracing::info!("there is no file or folder {name}: looking for it on the hub");
    from_hub(&id, args).with_context(|| {
        format!("there is no file or folder {name}, and it could not be fetched from the hub")
    })
}

/// The installed starter model, or else a similar network from the hub.
fn starter_model(args: &HubArgs) -> Result<String> {
    if let Some(folder) = starter::folder() {
        return as_text(folder);
    }
    let (name, on_the_hub) = (starter::NAME, starter::ON_THE_HUB);
    tracing::info!("the starter model {name} is not installed: using {on_the_hub} from the hub");
    let id = HubId::parse(on_the_hub).context("the starter model's id")?;
    from_hub(&id, args).with_context(|| {
        format!(
            "the starter model {name} is not installed, and {on_the_hub} could not be fetched from the hub\n\
             hint: scripts/fetch-imagenet in the repository installs it, and so does make run MODEL={name}"
        )
    })
}

fn from_hub(id: &HubId, args: &HubArgs) -> Result<String> {
    let bar = ProgressBar::hidden();
    bar.set_style(
        ProgressStyle::with_template(
            "{msg} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {eta}",
        )
        .context("the progress bar")?,
    );
    let folder = args.hub().fetch(id, &mut |event| show(&bar, id, event))?;
    bar.finish_and_clear();
    as_text(folder)
}

fn as_text(folder: PathBuf) -> Result<String> {
    let is_not_text = |folder| anyhow!("the path {} is not UTF-8", Path::new(&folder).display());
    folder.into_os_string().into_string().map_err(is_not_text)
}

/// Whether a name has the extension of a model file, which no repository on the hub has.
pub(super) fn is_file_name(name: &str) -> bool {
    let ending = Path::new(name).extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    ENDINGS.iter().any(|known| ending.eq_ignore_ascii_case(known))
}

/// Extensions of files that might be given as models.
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

/// Shows a progress bar on a terminal, and logs the start of a download.
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
    fn a_name_with_a_file_extension_is_not_a_model_on_the_hub() {
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
