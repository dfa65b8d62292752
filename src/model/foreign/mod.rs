//! Classification networks that somebody else exported as ONNX.
//!
//! Nodes before their graph take our pixels and make their input; nodes after it make our outputs
//! of their scores. Nothing behind this module knows that the network is not ours.

mod card; // what its maker says of it
mod fit; // what its graph takes and gives
mod wrap; // the nodes around it

use std::path::Path;

use bytes::Bytes;

use super::{Model, ModelError};
use crate::onnx;

pub use fit::Unfit;

/// What a card of such a model has for an architecture.
pub const ARCHITECTURE: &str = "onnx";

/// The model in `bytes`, which is `graph`, with the card in `text`.
///
/// # Errors
///
/// [`ModelError::Card`] where the card cannot be used, [`ModelError::Unfit`] where graph and card do
/// not go together or the graph is none of a classifier of pictures.
pub(super) fn adopt(
    path: &Path,
    bytes: &Bytes,
    graph: &onnx::Model,
    text: &str,
) -> Result<Model, ModelError> {
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    let (card, hints) = card::read(&name, text)
        .map_err(|source| ModelError::Card { of: name.to_string(), source })?;
    let unfit = |source| ModelError::Unfit { path: path.to_owned(), source };
    let fit = fit::fit(graph, &card, &hints).map_err(unfit)?;
    let onnx = wrap::wrap(bytes, &fit, &card, &hints).map_err(|error| ModelError::NotOnnx {
        path: path.to_owned(),
        reason: error.to_string(),
    })?;
    Ok(Model { card: card.into(), onnx: onnx.into() })
}
