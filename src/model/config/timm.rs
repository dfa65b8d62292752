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

/// What timm's `create_model` and `create_transform` would make of a config.
pub(super) fn describe(config: &Value) -> Result<ConfiguredModel, Refusal> {
    let TimmConfig { architecture, model_args, label_names, pretrained_cfg: cfg } =
        TimmConfig::deserialize(config)
            .map_err(|error| format!("neither timm's nor transformers' shape: {error}"))?;
    let architecture = arch::find(&architecture).map_err(|error| error.to_string())?;
    let model_args = model_args.unwrap_or_default();
    if let Some((key, value)) = model_args.iter().find(|(key, value)| !is_usual(key, value)) {
        return Err(format!(
            "model_args.{key} is {value}, which makes another network of {}",
            architecture.name
        ));
    }
    let license = cfg.license.clone().unwrap_or_default();
    let labels = label_names.or(cfg.label_names.clone());
    Ok(ConfiguredModel { architecture, labels, preprocess: preprocess(&cfg)?, license })
}

/// Labels and preprocessing of a graph that timm describes, whichever network it is. Inside transformers'
/// wrapper the labels are `id2label`.
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

/// Whether an argument of `create_model` leaves the network what its name says. timm writes the usual
/// ones down too.
fn is_usual(key: &str, value: &Value) -> bool {
    match key {
        "num_classes" => true, // the weights say it
        "in_chans" => *value == 3,
        "global_pool" => value == "avg",
        _ => value.is_null(),
    }
}

fn preprocess(cfg: &Pretrained) -> Result<Preprocess, Refusal> {
    let [channels, height, width] = cfg.input_size;
    if channels != 3 {
        return Err(format!("input_size has {channels} channels; images have 3"));
    }
    let resize = match cfg.crop_mode.as_deref() {
        None | Some("center") => Resize::ShorterSide,
        Some("squash") => Resize::Exact,
        Some(other) => return Err(format!("crop_mode {other:?} is none of center and squash")),
    };
    let interpolation = match cfg.interpolation.as_deref() {
        None | Some("bilinear") => Interpolation::Bilinear,
        Some("bicubic") => Interpolation::Bicubic,
        Some("nearest") => Interpolation::Nearest,
        Some("lanczos") => Interpolation::Lanczos,
        Some(other) => {
            return Err(format!(
                "interpolation {other:?} is none of nearest, bilinear, bicubic and lanczos"
            ));
        }
    };
    let (input, crop_ratio) = ([height, width], cfg.crop_pct.unwrap_or(0.875));
    Ok(Preprocess { input, resize, crop_ratio, interpolation, mean: cfg.mean, std: cfg.std })
}
