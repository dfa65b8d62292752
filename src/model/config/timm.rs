//! `config.json` as timm writes it: the name of the architecture and a `pretrained_cfg`.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::{ConfiguredModel, Refusal};
use crate::graph::arch;
use crate::model::{Interpolation, Preprocess, Resize};

#[derive(Deserialize)]
struct TimmConfig {
    architecture: String,
    #[serde(default)]
    model_args: Option<Map<String, Value>>,
    #[serde(default)]
    label_names: Option<Vec<String>>,
    pretrained_cfg: Pretrained,
}

#[derive(Deserialize)]
struct Pretrained {
    input_size: [u32; 3],
    #[serde(default)]
    interpolation: Option<String>,
    #[serde(default)]
    crop_pct: Option<f64>,
    #[serde(default)]
    crop_mode: Option<String>,
    mean: [f32; 3],
    std: [f32; 3],
    #[serde(default)]
    license: Option<String>,
    #[serde(default)]
    label_names: Option<Vec<String>>,
}

/// Converts a config as timm's `create_model` and `create_transform` would interpret it. Inside transformers' wrapper the
/// labels are in `id2label`.
pub(super) fn describe(config: &Value) -> Result<ConfiguredModel, Refusal> {
    let TimmConfig { architecture, model_args, label_names, pretrained_cfg: cfg } =
        TimmConfig::deserialize(config)
            .map_err(|error| format!("it has neither timm's nor transformers' format: {error}"))?;
    let architecture = arch::find(&architecture).map_err(|error| error.to_string())?;
    let model_args = model_args.unwrap_or_default();
    if let Some((key, value)) = model_args.iter().find(|(key, value)| !is_default(key, value)) {
        return Err(format!(
            "model_args.{key} is {value}, which changes the network {}; only the default is supported",
            architecture.name
        ));
    }
    let license = cfg.license.clone().unwrap_or_default();
    let labels = match label_names.or(cfg.label_names.clone()) {
        None => super::transformers::labels_of(config)?,
        labels => labels,
    };
    Ok(ConfiguredModel { architecture, labels, preprocess: preprocess(&cfg)?, license })
}

/// Labels and preprocessing of a graph that a timm config describes, for any network.
pub(super) fn describe_graph(config: &Value) -> Result<(Option<Vec<String>>, Preprocess), Refusal> {
    let cfg = Pretrained::deserialize(&config["pretrained_cfg"])
        .map_err(|error| format!("pretrained_cfg: {error}"))?;
    let own = Option::<Vec<String>>::deserialize(&config["label_names"])
        .map_err(|error| format!("label_names: {error}"))?;
    let labels = match own.or(cfg.label_names.clone()) {
        None => super::transformers::labels_of(config)?,
        labels => labels,
    };
    Ok((labels, preprocess(&cfg)?))
}

/// Whether an argument of `create_model` has its default value. timm writes some defaults to the file too.
fn is_default(key: &str, value: &Value) -> bool {
    match key {
        "num_classes" => true, // determined from the weights
        "in_chans" => *value == 3,
        "global_pool" => value == "avg",
        _ => value.is_null(),
    }
}

fn preprocess(cfg: &Pretrained) -> Result<Preprocess, Refusal> {
    let [channels, height, width] = cfg.input_size;
    if channels != 3 {
        return Err(format!("input_size has {channels} channels; it must have 3"));
    }
    let resize = match cfg.crop_mode.as_deref() {
        None | Some("center") => Resize::ShorterSide,
        Some("squash") => Resize::Exact,
        Some(other) => return Err(format!("crop_mode is {other:?}; it must be center or squash")),
    };
    let interpolation = match cfg.interpolation.as_deref() {
        None | Some("bilinear") => Interpolation::Bilinear,
        Some("bicubic") => Interpolation::Bicubic,
        Some("nearest") => Interpolation::Nearest,
        Some("lanczos") => Interpolation::Lanczos,
        Some(other) => {
            return Err(format!(
                "interpolation is {other:?}; it must be nearest, bilinear, bicubic or lanczos"
            ));
        }
    };
    let (input, crop_ratio) = ([height, width], cfg.crop_pct.unwrap_or(0.875));
    Ok(Preprocess { input, resize, crop_ratio, interpolation, mean: cfg.mean, std: cfg.std })
}
