//! `config.json` of a ResNet in Hugging Face transformers: `ResNetConfig`.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::{ConfiguredModel, Refusal};
use crate::graph::choices::{
    Activation, Architecture, Block, Family, FirstStage, Sampling, Shortcut, Stride,
};
use crate::graph::infer;
use crate::model::Preprocess;
use crate::weights::Weights;

/// The settings that tensors do not show. Absent fields have the library's defaults.
#[derive(Deserialize)]
struct TransformersConfig {
    model_type: String,
    #[serde(default)]
    downsample_in_bottleneck: bool,
    #[serde(default)]
    downsample_in_first_stage: bool,
    #[serde(default = "default_activation")]
    hidden_act: String,
    #[serde(default)]
    id2label: BTreeMap<usize, String>,
}

fn default_activation() -> String {
    "relu".to_owned()
}

/// The network, determined from the config and the shapes of the weights.
pub(super) fn describe(
    config: &Value,
    preprocess: Option<Preprocess>,
    weights: &Weights,
) -> Result<ConfiguredModel, Refusal> {
    let config = TransformersConfig::deserialize(config).map_err(|error| error.to_string())?;
    if config.model_type != "resnet" {
        return Err(format!(
            "model_type is {:?}; only resnet is supported as weights. Serve other networks as an .onnx file with \
             a card next to it",
            config.model_type
        ));
    }
    let options = NetworkOptions::of(&config)?;
    let fitting = infer::fitting(weights);
    let found = fitting.iter().find(|inferred| options.are_those_of(inferred.architecture));
    let Some(architecture) = found.map(|inferred| inferred.architecture) else {
        // The reported differences of the weights are more useful than the config.
        return Err(match infer::infer(weights, "") {
            Err(error) => error.to_string(),
            Ok(guess) => format!(
                "the weights are those of {}, and no supported network has them with these settings \
                 (downsample_in_bottleneck, downsample_in_first_stage, hidden_act)",
                guess.inferred.architecture.name
            ),
        });
    };
    let preprocess = preprocess.unwrap_or_else(|| Preprocess::default_for(architecture.input));
    let labels = labels(config.id2label)?;
    Ok(ConfiguredModel { architecture, labels, preprocess, license: String::new() })
}

/// The choices of a row that a config makes.
struct NetworkOptions {
    stride: Stride,
    activation: Activation,
    first_stage: FirstStage,
}

impl NetworkOptions {
    fn of(config: &TransformersConfig) -> Result<Self, Refusal> {
        let activation = match config.hidden_act.as_str() {
            "relu" => Activation::Relu,
            "gelu" | "gelu_python" => Activation::Gelu,
            "silu" | "swish" => Activation::Silu,
            other => {
                return Err(format!("hidden_act is {other:?}; it must be relu, gelu or silu"));
            }
        };
        let stride = if config.downsample_in_bottleneck { Stride::On1x1 } else { Stride::On3x3 };
        let first_stage =
            if config.downsample_in_first_stage { FirstStage::Halved } else { FirstStage::Kept };
        Ok(Self { stride, activation, first_stage })
    }

    /// Whether transformers' ResNet with these options is this row.
    fn are_those_of(&self, row: &Architecture) -> bool {
        match row.family {
            Family::Residual(choices) => {
                choices.shortcut == Shortcut::Projection
                    && choices.sampling == Sampling::Strided
                    && (choices.block == Block::Basic
                        || choices.block == Block::Bottleneck(self.stride))
                    && choices.activation == self.activation
                    && choices.first_stage == self.first_stage
            }
            Family::Vgg(_) | Family::Inverted(_) => false,
        }
    }
}

/// The class names, if the config has them.
pub(super) fn labels_of(config: &Value) -> Result<Option<Vec<String>>, Refusal> {
    let id2label = Option::<BTreeMap<usize, String>>::deserialize(&config["id2label"]);
    labels(id2label.map_err(|error| format!("id2label: {error}"))?.unwrap_or_default())
}

fn labels(id2label: BTreeMap<usize, String>) -> Result<Option<Vec<String>>, Refusal> {
    if !id2label.keys().copied().eq(0..id2label.len()) {
        return Err("the keys of id2label must be the numbers from 0 without gaps".to_owned());
    }
    let names: Vec<_> = id2label.into_values().collect();
    Ok((!names.is_empty()).then_some(names))
}
