//! Classification networks that other programs exported as ONNX.
//!
//! Nodes before their graph take our pixels and make their input; nodes after it make our outputs
//! of their scores. Nothing behind this module knows that the network is not ours.

mod card; // its card
mod ending; // logits or probabilities, from its last nodes
mod values; // checks that on the scores of test images
mod fit; // its input and output
mod wrap; // adds nodes around it

use std::path::Path;

use super::{Model, ModelCard, ModelError, Task};
use crate::onnx;

use card::{ForeignCard, Hints};
pub use fit::Unfit;
pub use values::Contradiction;
use values::{ScoresVerdict, Taken};

/// What a card of such a model has for an architecture.
pub const ARCHITECTURE: &str = "onnx";

/// A card made of other libraries' files.
pub(super) struct DescribedCard {
    pub(super) card: ModelCard,
    /// The task, if the files name one.
    pub(super) task: Option<Task>,
}

/// The model of `graph` with the card in `text`.
///
/// # Errors
///
/// [`ModelError::Card`] where the card cannot be used, [`ModelError::Unfit`] where graph and card do
/// not go together or the graph is none of a classifier of pictures.
pub(super) fn adopt(path: &Path, graph: onnx::Model, text: &str) -> Result<Model, ModelError> {
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    let described = card::read(&name, text)
        .map_err(|source| ModelError::Card { of: name.to_string(), source })?;
    wrapped(path, graph, described)
}

/// The model of `graph` with a card made of other libraries' files.
///
/// # Errors
///
/// As [`adopt`].
pub(super) fn adopt_described(
    path: &Path,
    graph: onnx::Model,
    described: DescribedCard,
) -> Result<Model, ModelError> {
    let DescribedCard { card, task } = described;
    let hints = Hints { task, normalized: true, ..Hints::default() };
    wrapped(path, graph, ForeignCard { card, hints })
}

fn wrapped(
    path: &Path,
    graph: onnx::Model,
    ForeignCard { card, hints }: ForeignCard,
) -> Result<Model, ModelError> {
    let unfit = |source| ModelError::Unfit { path: path.to_owned(), source };
    let fit = fit::fit(&graph, &card, &hints).map_err(unfit)?;
    let card = ModelCard { task: fit.task, ..card }
        .checked()
        .map_err(|source| ModelError::Card { of: path.display().to_string(), source })?;
    let card = match (fit.task, fit.classes) {
        (Task::SingleLabel, 1) => card.with_absence(),
        _ => card,
    };
    let onnx = wrap::wrap(graph, &fit, &card, &hints).to_bytes().into();
    Ok(Model { card: card.into(), onnx })
}

/// Compares the scores of `model`, which was adopted, with what they are taken for. `logits` and
/// `probabilities` are the model's answers for several different images.
///
/// The model with its scores taken for what they are, where nothing said so; `None` where they are what
/// they are taken for.
///
/// # Errors
///
/// [`Contradiction`] where they are not, or where that cannot be known.
///
/// # Panics
///
/// Where `model` was not opened by this program.
pub fn judge(
    model: &Model,
    logits: &[&[f32]],
    probabilities: &[&[f32]],
) -> Result<Option<Model>, Contradiction> {
    let graph = model.graph();
    let taken = Taken::of(&graph);
    let given = match taken.scores {
        card::DeclaredScores::Logits => logits,
        card::DeclaredScores::Probabilities | card::DeclaredScores::Sigmoid => probabilities,
    };
    // The second of the two that one class became is ours.
    let is_one = graph.maker_of("resnetd.both").is_some();
    let rows: Vec<&[f32]> = given.iter().map(|row| if is_one { &row[..1] } else { *row }).collect();
    match taken.judge(model.card.task, &rows)? {
        ScoresVerdict::AsTaken => Ok(None),
        ScoresVerdict::Really(scores) => {
            tracing::info!("the values of the graph's scores say that they are {scores}");
            let taken = Taken { scores, ..taken };
            let onnx = wrap::taken_for(graph, taken, &model.card).to_bytes().into();
            Ok(Some(Model { card: model.card.clone(), onnx }))
        }
    }
}
