//! The nodes around somebody's graph: uint8 `[N, H, W, 3]` to what it takes, what it gives to
//! logits and probabilities.

use bytes::Bytes;

use super::card::{Channels, Hints, Layout, Scores};
use super::fit::Fit;
use crate::model::ModelCard;
use crate::onnx::builder::{int_attribute, ints_attribute};
use crate::onnx::proto::DataType;
use crate::onnx::{Element, GraphBuilder, NotOnnx};
use crate::pipeline::preprocess::Preprocess;

/// Names that the graph of every model has for what goes in and comes out.
const OURS: [&str; 5] = ["pixels", "logits", "probabilities", "embedding", "feature_map"];
/// A probability of nothing becomes this, so that it has a logarithm: the least normal float32.
const LEAST: f32 = f32::MIN_POSITIVE;

/// `bytes` with our inputs and outputs, and the card inside.
pub(super) fn wrap(
    bytes: &Bytes,
    fit: &Fit,
    card: &ModelCard,
    hints: &Hints,
) -> Result<Vec<u8>, NotOnnx> {
    let mut before = before(fit, &card.preprocess, hints);
    let mut after = after(fit, card.labels.len());
    if let Some(images) = fit.batch {
        before.fix_batch(images);
        after.fix_batch(images);
    }
    let mut graft = before.around(after);
    graft.renamed = OURS.map(|name| (name.to_owned(), theirs(name))).to_vec();
    graft.metadata = card.to_metadata();
    graft.onto(bytes)
}

/// What a value of the graph is called inside: not as one of ours.
fn theirs(name: &str) -> String {
    if OURS.contains(&name) { format!("their.{name}") } else { name.to_owned() }
}

fn before(fit: &Fit, preprocess: &Preprocess, hints: &Hints) -> GraphBuilder {
    let mut graph = GraphBuilder::new("before");
    let [height, width] = preprocess.input.map(|side| side as usize);
    let doc = "RGB, 0 to 255, of exactly this height and width";
    let mut value = graph.input("pixels", Element::Uint8, &[height, width, 3], doc);
    if fit.element != DataType::Uint8 {
        value = normalize(&mut graph, &value, preprocess);
    }
    if fit.element == DataType::Float16 {
        let to = int_attribute("to", DataType::Float16 as usize);
        value = graph.node("Cast", "resnetd.half", &[&value], [to]);
    }
    if hints.channels == Channels::Bgr {
        let order = [2_i64, 1, 0].iter().flat_map(|index| index.to_le_bytes()).collect::<Vec<_>>();
        let order = graph.raw_constant("resnetd.bgr.order", DataType::Int64, &[3], order);
        let axis = int_attribute("axis", 3);
        value = graph.node("Gather", "resnetd.bgr", &[&value, &order], [axis]);
    }
    let input = theirs(&fit.input);
    match fit.layout {
        Layout::Nchw => {
            let order = ints_attribute("perm", &[0, 3, 1, 2]);
            graph.node("Transpose", &input, &[&value], [order]);
        }
        Layout::Nhwc => {
            graph.node("Identity", &input, &[&value], []);
        }
    }
    graph
}

/// `(pixel / 255 - mean) / std`.
fn normalize(graph: &mut GraphBuilder, pixels: &str, preprocess: &Preprocess) -> String {
    let to = int_attribute("to", DataType::Float as usize);
    let pixels = graph.node("Cast", "resnetd.float", &[pixels], [to]);
    let shift = preprocess.mean.map(|mean| 255.0 * mean);
    let scale = preprocess.std.map(|std| 1.0 / (255.0 * std));
    let shift = graph.constant("resnetd.mean", &[3], &shift);
    let scale = graph.constant("resnetd.scale", &[3], &scale);
    let centred = graph.node("Sub", "resnetd.centred", &[&pixels, &shift], []);
    graph.node("Mul", "resnetd.normalized", &[&centred, &scale], [])
}

fn after(fit: &Fit, classes: usize) -> GraphBuilder {
    let mut graph = GraphBuilder::new("after");
    let to = int_attribute("to", DataType::Float as usize);
    let scores = graph.node("Cast", "resnetd.scores", &[&theirs(&fit.output)], [to]);
    let axis = || int_attribute("axis", 1);
    let scores = graph.node("Flatten", "resnetd.rows", &[&scores], [axis()]);
    match fit.scores {
        Scores::Logits => {
            graph.node("Identity", "logits", &[&scores], []);
            graph.node("Softmax", "probabilities", &[&scores], [axis()]);
        }
        Scores::Probabilities => {
            let least = graph.constant("resnetd.least", &[], &[LEAST]);
            let positive = graph.node("Max", "resnetd.positive", &[&scores, &least], []);
            graph.node("Log", "logits", &[&positive], []);
            graph.node("Identity", "probabilities", &[&scores], []);
        }
    }
    graph.output("logits", "logits", &[classes], "scores before the softmax");
    graph.output("probabilities", "probabilities", &[classes], "scores after the softmax");
    graph
}
