//! Adds nodes around a foreign graph: from uint8 `[N, H, W, 3]` to its input, and from its output to logits
//! and probabilities.

use super::card::{AxisOrder, Channels, Hints, ScoreMeaning};
use super::score_check::ScoreKind;
use super::signature::GraphSignature;
use crate::model::Preprocess;
use crate::model::{ModelCard, Task};
use crate::onnx::builder::{int_attribute, ints_attribute};
use crate::onnx::proto::tensor_proto::DataType;
use crate::onnx::{self, Element, GraphBuilder};

/// Names that are reserved for the input and the outputs of a model's graph.
const OWN_NAMES: [&str; 5] = ["pixels", "logits", "probabilities", "embedding", "feature_map"];
/// Probabilities of 0 are raised to this, the smallest normal float32, so that they have a logarithm.
const SMALLEST: f32 = f32::MIN_POSITIVE;

/// `graph` with the inputs and outputs of all models, and the card in its metadata.
pub(super) fn wrap(
    graph: onnx::OnnxModel,
    signature: &GraphSignature,
    card: &ModelCard,
    hints: &Hints,
) -> onnx::OnnxModel {
    let mut before = before(signature, &card.preprocess, hints);
    let mut after = after(signature, card.task);
    if let Some(images) = signature.batch {
        before.fix_batch(images);
        after.fix_batch(images);
    }
    let mut graft = before.around(after);
    graft.renamed = OWN_NAMES.map(|name| (name.to_owned(), foreign_name(name))).to_vec();
    graft.metadata = card.to_metadata();
    graft.metadata.push(signature.scores.entry());
    graft.onto(graph)
}

/// Name of a value of the foreign graph; renamed if it collides with one of [`OWN_NAMES`].
fn foreign_name(name: &str) -> String {
    if OWN_NAMES.contains(&name) { format!("their.{name}") } else { name.to_owned() }
}

fn before(signature: &GraphSignature, preprocess: &Preprocess, hints: &Hints) -> GraphBuilder {
    let mut graph = GraphBuilder::new("before");
    let [height, width] = preprocess.input.map(|side| side as usize);
    let doc = "RGB, 0 to 255, of exactly this height and width";
    let mut value = graph.input("pixels", Element::Uint8, &[height, width, 3], doc);
    if signature.element != DataType::Uint8 {
        value = normalize(&mut graph, &value, preprocess);
    }
    if signature.element == DataType::Float16 {
        let to = int_attribute("to", DataType::Float16 as usize);
        value = graph.node("Cast", "resnetd.half", &[&value], [to]);
    }
    if hints.channels == Channels::Bgr {
        let order = [2_i64, 1, 0].iter().flat_map(|index| index.to_le_bytes()).collect::<Vec<_>>();
        let order = graph.raw_constant("resnetd.bgr.order", DataType::Int64, &[3], order);
        let axis = int_attribute("axis", 3);
        value = graph.node("Gather", "resnetd.bgr", &[&value, &order], [axis]);
    }
    let input = foreign_name(&signature.input);
    match signature.layout {
        AxisOrder::Nchw => {
            let order = ints_attribute("perm", &[0, 3, 1, 2]);
            graph.node("Transpose", &input, &[&value], [order]);
        }
        AxisOrder::Nhwc => {
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

fn after(signature: &GraphSignature, task: Task) -> GraphBuilder {
    let mut graph = GraphBuilder::new("after");
    let to = int_attribute("to", DataType::Float as usize);
    let scores = graph.node("Cast", "resnetd.scores", &[&foreign_name(&signature.output)], [to]);
    graph.node("Flatten", ROWS, &[&scores], [int_attribute("axis", 1)]);
    add_outputs(&mut graph, signature.scores.scores, task, signature.classes);
    graph
}

/// Name of the graph's own scores, float32 `[N, classes]`.
const ROWS: &str = "resnetd.rows";
/// Names of the values that [`add_outputs`] creates.
const OUTPUT_VALUES: [&str; 12] = [
    "logits",
    "probabilities",
    "resnetd.least",
    "resnetd.positive",
    "resnetd.zero",
    "resnetd.absent",
    "resnetd.one",
    "resnetd.rest",
    "resnetd.both",
    "resnetd.possible",
    "resnetd.log",
    "resnetd.log_rest",
];

/// Adds logits and probabilities, computed from [`ROWS`].
fn add_outputs(graph: &mut GraphBuilder, scores: ScoreMeaning, task: Task, classes: usize) {
    match task {
        Task::SingleLabel => add_single_label_outputs(graph, scores, classes),
        Task::MultiLabel => add_multi_label_outputs(graph, scores, classes),
    }
}

/// Outputs of a multi-label network.
fn add_multi_label_outputs(graph: &mut GraphBuilder, scores: ScoreMeaning, classes: usize) {
    match scores {
        ScoreMeaning::Logits => {
            graph.node("Identity", "logits", &[ROWS], []);
            graph.node("Sigmoid", "probabilities", &[ROWS], []);
        }
        // Softmax outputs were rejected before.
        ScoreMeaning::Sigmoid | ScoreMeaning::Probabilities => {
            let [least, one] = [("resnetd.least", SMALLEST), ("resnetd.one", 1.0)]
                .map(|(name, value)| graph.constant(name, &[], &[value]));
            let rest = graph.node("Sub", "resnetd.rest", &[&one, ROWS], []);
            let positive = graph.node("Max", "resnetd.positive", &[ROWS, &least], []);
            let possible = graph.node("Max", "resnetd.possible", &[&rest, &least], []);
            let log = graph.node("Log", "resnetd.log", &[&positive], []);
            let log_rest = graph.node("Log", "resnetd.log_rest", &[&possible], []);
            graph.node("Sub", "logits", &[&log, &log_rest], []);
            graph.node("Identity", "probabilities", &[ROWS], []);
        }
    }
    graph.output("logits", "logits", &[classes], "scores before the sigmoid");
    graph.output("probabilities", "probabilities", &[classes], "the sigmoid of each");
}

/// Outputs of a single-label network. With one class, a second one is added, which means its absence.
fn add_single_label_outputs(graph: &mut GraphBuilder, scores: ScoreMeaning, classes: usize) {
    let axis = || int_attribute("axis", 1);
    let given = match (scores, classes) {
        (ScoreMeaning::Logits, 1) => {
            // The softmax of a logit and 0 is its sigmoid.
            let zero = graph.constant("resnetd.zero", &[], &[0.0]);
            let absent = graph.node("Mul", "resnetd.absent", &[ROWS, &zero], []);
            graph.node("Concat", "resnetd.both", &[ROWS, &absent], [axis()])
        }
        (ScoreMeaning::Sigmoid | ScoreMeaning::Probabilities, 1) => {
            let one = graph.constant("resnetd.one", &[], &[1.0]);
            let rest = graph.node("Sub", "resnetd.rest", &[&one, ROWS], []);
            graph.node("Concat", "resnetd.both", &[ROWS, &rest], [axis()])
        }
        (ScoreMeaning::Logits | ScoreMeaning::Probabilities | ScoreMeaning::Sigmoid, _) => {
            ROWS.to_owned()
        }
    };
    match scores {
        ScoreMeaning::Logits => {
            graph.node("Identity", "logits", &[&given], []);
            graph.node("Softmax", "probabilities", &[&given], [axis()]);
        }
        ScoreMeaning::Probabilities | ScoreMeaning::Sigmoid => {
            let least = graph.constant("resnetd.least", &[], &[SMALLEST]);
            let positive = graph.node("Max", "resnetd.positive", &[&given, &least], []);
            graph.node("Log", "logits", &[&positive], []);
            graph.node("Identity", "probabilities", &[&given], []);
        }
    }
    let outputs = classes.max(2);
    graph.output("logits", "logits", &[outputs], "scores before the softmax");
    graph.output("probabilities", "probabilities", &[outputs], "scores after the softmax");
}

/// The wrapped `graph` with another kind of scores.
pub(super) fn with_score_kind(
    graph: onnx::OnnxModel,
    kind: ScoreKind,
    card: &ModelCard,
) -> onnx::OnnxModel {
    let mut after = GraphBuilder::new("after");
    add_outputs(&mut after, kind.scores, card.task, card.labels.len());
    if let Some(images) = graph.fixed_batch() {
        after.fix_batch(images);
    }
    let mut graft = GraphBuilder::new("before").around(after);
    graft.input.clone_from(&graph.graph().input);
    graft.dropped = OUTPUT_VALUES.map(str::to_owned).to_vec();
    graft.metadata = vec![kind.entry()];
    graft.onto(graph)
}
