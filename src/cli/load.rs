//! A model by its options, on warm sessions.

use anyhow::Result;

use crate::config::{Concurrency, ModelArgs};
use crate::model::Model;
use crate::pipeline::run::{InputShape, Library, SessionsPlan, WarmSessions, open_sessions};

/// What a pipeline is started from.
pub(super) struct Loaded {
    pub(super) model: Model,
    pub(super) library: Library,
    pub(super) warm: WarmSessions,
}

/// Opens the model and the library that `args` name, and warms up the sessions.
pub(super) fn load(args: &ModelArgs, concurrency: Concurrency) -> Result<Loaded> {
    let model = Model::open(&args.model)?;
    let library = Library::load(args.onnxruntime.as_deref())?;
    let plan = SessionsPlan {
        device: args.device,
        sessions: concurrency.sessions,
        threads: concurrency.threads,
        max_batch: concurrency.max_batch,
        input: InputShape::of(&model.card.preprocess),
    };
    let warm = open_sessions(&library, &model.onnx, plan)?;
    Ok(Loaded { model, library, warm })
}
