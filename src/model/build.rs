//! Builds a model from weights and a card.

use std::sync::Arc;

use super::{Model, ModelCard, ModelError, Precision, Task};
use crate::graph::{
    self, Architecture, Classes, EmitPlan, InputNormalization, Network, arch, infer,
};
use crate::weights::{CheckedWeights, Weights, WeightsError};

impl Model {
    /// Builds the graph that `card` describes, with `weights`.
    ///
    /// # Errors
    ///
    /// [`ModelError`] if the architecture is unknown or the weights do not match it.
    pub fn build(card: ModelCard, weights: Weights) -> Result<Self, ModelError> {
        let of = card.name.clone();
        let card = card.checked().map_err(|source| ModelError::Card { of, source })?;
        let card = ModelCard { precision: Precision::Fp32, ..card }; // only `quantize` makes an int8 graph
        let row = arch::find(&card.architecture)?;
        let network = Network::expand(row, card.labels.len());
        let input = card.preprocess.input;
        if !network.takes(input) {
            let (of, architecture) = (card.name, card.architecture);
            return Err(ModelError::TooSmall { of, architecture, input });
        }
        let unchecked = weights.clone(); // shares the elements
        let weights = weights
            .check(&network.tensors())
            .map_err(|error| explained(&card, row, &unchecked, error))?;
        let (card, network, weights) = match (card.task, card.labels.len()) {
            (Task::SingleLabel, 1) => {
                (card.with_absence(), Network::expand(row, 2), with_absence(&network, weights))
            }
            _ => (card, network, weights),
        };
        let plan = EmitPlan {
            input,
            normalize: InputNormalization { mean: card.preprocess.mean, std: card.preprocess.std },
            metadata: card.to_metadata(),
            classes: match card.task {
                Task::SingleLabel => Classes::Exclusive,
                Task::MultiLabel => Classes::Independent,
            },
        };
        let onnx = graph::emit(&network, &weights, &plan).to_bytes().into();
        Ok(Self { card: Arc::new(card), onnx })
    }
}

/// Adds a second class with score 0 to the weights of a network with one class: the softmax of the two is the
/// sigmoid of the trained one.
fn with_absence(network: &Network, weights: CheckedWeights) -> CheckedWeights {
    let tensors = network.tensors();
    let classifier = tensors.iter().rev().take(2); // its weight and its bias
    classifier.fold(weights, |weights, tensor| weights.with_zero_row(&tensor.name))
}

/// The cause, if it is the number of labels or the architecture, otherwise `differences`.
fn explained(
    card: &ModelCard,
    row: &'static Architecture,
    weights: &Weights,
    differences: WeightsError,
) -> ModelError {
    let of = card.name.clone();
    if !matches!(differences, WeightsError::Misfit { .. }) {
        return ModelError::Weights { of, source: differences };
    }
    let (labels, fitting) = (card.labels.len(), infer::fitting(weights));
    let same_row = fitting.iter().find(|found| found.architecture.name == row.name);
    match same_row.map(|found| found.classes) {
        Some(classes) if classes != labels => ModelError::OtherClasses { of, labels, classes },
        // All names and shapes fit, so the differences are in the elements.
        Some(_) => ModelError::Weights { of, source: differences },
        None if fitting.is_empty() => ModelError::Weights { of, source: differences },
        None => ModelError::WeightsOfOther {
            of,
            architecture: row.name,
            fitting: fitting.iter().map(|found| found.architecture.name).collect(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::DetectedArchitecture;
    use crate::model::config;

    /// The error of weights of `weights` with this number of classes, with a card for `card` and 10 labels.
    fn error(weights: &str, classes: usize, card: &str) -> String {
        let specs = Network::expand(arch::find(weights).unwrap(), classes).tensors();
        let architecture = arch::find(card).unwrap();
        let card =
            config::default_card("flowers", DetectedArchitecture { architecture, classes: 10 });
        Model::build(card, Weights::without_elements(&specs)).unwrap_err().to_string()
    }

    #[test]
    fn elements_that_are_not_finite_are_named() {
        let architecture = arch::find("resnet20").unwrap();
        let tensors = Network::expand(architecture, 10).tensors().into_iter().map(|spec| {
            let elements = vec![f32::NAN; spec.shape.iter().product()];
            (spec.name, spec.shape, elements)
        });
        let card =
            config::default_card("flowers", DetectedArchitecture { architecture, classes: 10 });
        let error = Model::build(card, Weights::from_tensors(tensors)).unwrap_err().to_string();
        assert!(error.contains("non-finite conv1.weight"), "{error}");
    }

    #[test]
    fn weights_that_do_not_fit_are_explained() {
        assert_eq!(
            error("resnet20", 5, "resnet20"),
            "flowers has 10 labels, and its weights have 5 classes; the labels must name each class, in the order of \
             training"
        );
        assert_eq!(
            error("resnet20", 10, "resnet32"),
            "the weights of flowers do not fit resnet32; they fit resnet20, plain20: remove --arch, or set one of these \
             with it or in the card"
        );
    }
}
