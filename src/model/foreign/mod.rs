//! Classification networks that other programs exported as ONNX.
//!
//! The graph is wrapped: nodes before it convert pixels to its input; nodes after it convert its scores to
//! the outputs of all models. Other modules handle it like any model.

mod card; // hints about the graph in its card
mod last_nodes; // detects logits or probabilities from the last nodes
mod score_check; // checks the detected kind on scores of test images
mod signature; // its input and output
mod wrap; // adds nodes around it

use std::path::Path;

use super::{Model, ModelCard, ModelError, Task};
use crate::onnx;

use card::{ForeignCard, Hints};
pub use score_check::ScoreKindMismatch;
use score_check::{ScoreKind, ScoresVerdict};
pub use signature::UnsupportedGraph;

/// `architecture` in the card of such a model.
pub const ARCHITECTURE: &str = "onnx";

/// A card created from other libraries' files.
pub(super) struct DescribedCard {
    pub(super) card: ModelCard,
    /// The task, if the files name one.
    pub(super) task: Option<Task>,
}

/// The model of `graph` with the card in `text`.
///
/// # Errors
///
/// [`ModelError::Card`] if the card is invalid, [`ModelError::UnsupportedGraph`] if the card does not match the graph
/// or the graph is not an image classifier.
pub(super) fn adopt(path: &Path, graph: onnx::OnnxModel, text: &str) -> Result<Model, ModelError> {
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    let described = card::read(&name, text)
        .map_err(|source| ModelError::Card { of: name.to_string(), source })?;
    wrap_model(path, graph, described)
}

/// The model of `graph` with a card that was created from other libraries' files.
///
/// # Errors
///
/// Like [`adopt`].
pub(super) fn adopt_described(
    path: &Path,
    graph: onnx::OnnxModel,
    described: DescribedCard,
) -> Result<Model, ModelError> {
    let DescribedCard { card, task } = described;
    let hints = Hints { task, normalized: true, ..Hints::default() };
    wrap_model(path, graph, ForeignCard { card, hints })
}

fn wrap_model(
    path: &Path,
    graph: onnx::OnnxModel,
    ForeignCard { card, hints }: ForeignCard,
) -> Result<Model, ModelError> {
    let unfit = |source| ModelError::UnsupportedGraph { path: path.to_owned(), source };
    let signature = signature::check(&graph, &card, &hints).map_err(unfit)?;
    let card = ModelCard { task: signature.task, ..card }
        .checked()
        .map_err(|source| ModelError::Card { of: path.display().to_string(), source })?;
    let card = match (signature.task, signature.classes) {
        (Task::SingleLabel, 1) => card.with_absence(),
        _ => card,
    };
    let onnx = wrap::wrap(graph, &signature, &card, &hints).to_bytes().into();
    Ok(Model { card: card.into(), onnx })
}

/// Checks the assumed kind of the scores of a wrapped `model` against its outputs for several different
/// images.
///
/// Returns the model with the detected kind if neither card nor graph determined it, or `None` if the assumed
/// kind is correct.
///
/// # Errors
///
/// [`ScoreKindMismatch`] if the kind is wrong or ambiguous.
///
/// # Panics
///
/// If `model` was not opened by this program.
pub fn verify_scores(
    model: &Model,
    logits: &[&[f32]],
    probabilities: &[&[f32]],
) -> Result<Option<Model>, ScoreKindMismatch> {
    let graph = model.graph();
    let kind = ScoreKind::of(&graph);
    let given = match kind.scores {
        card::ScoreMeaning::Logits => logits,
        card::ScoreMeaning::Probabilities | card::ScoreMeaning::Sigmoid => probabilities,
    };
    // A network with one class was given a second one, which is not checked.
    let is_one = graph.producer_of("resnetd.both").is_some();
    let rows: Vec<&[f32]> = given.iter().map(|row| if is_one { &row[..1] } else { *row }).collect();
    match kind.verify(model.card.task, &rows)? {
        ScoresVerdict::AsAssumed => Ok(None),
        ScoresVerdict::Detected(scores) => {
            tracing::info!("detected from the values of the scores that they are {scores}");
            let kind = ScoreKind { scores, ..kind };
            let onnx = wrap::with_score_kind(graph, kind, &model.card).to_bytes().into();
            Ok(Some(Model { card: model.card.clone(), onnx }))
        }
    }
}
