//! The nodes around a foreign graph: uint8 `[N, H, W, 3]` to its input, and its output to logits
//! and probabilities.

use super::card::{AxisOrder, Channels, DeclaredScores, Hints};
use super::fit::Fit;
use super::values::Taken;
use crate::model::Preprocess;
use crate::model::{ModelCard, Task};
use crate::onnx::builder::{int_attribute, ints_attribute};
use crate::onnx::proto::tensor_proto::DataType;
use crate::onnx::{self, Element, GraphBuilder};

/// Names that the graph of every model has for what goes in and comes out.
const OURS: [&str; 5] = ["pixels", "logits", "probabilities", "embedding", "feature_map"];
/// A probability of nothing becomes this, so that it has a logarithm: the least normal float32.
const LEAST: f32 = f32::MIN_POSITIVE;

/// `graph` with our inputs and outputs, and the card in its metadata.
pub(super) fn wrap(graph: onnx::Model, fit: &Fit, card: &ModelCard, hints: &Hints) -> onnx::Model {
    let mut before = before(fit, &card.preprocess, hints);
    let mut after = after(fit, card.task);
    if let Some(images) = fit.batch {
        before.fix_batch(images);
        after.fix_batch(images);
    }
    let mut graft = before.around(after);
    graft.renamed = OURS.map(|name| (name.to_owned(), theirs(name))).to_vec();
    graft.metadata = card.to_metadata();
    graft.metadata.push(fit.scores.entry());
    graft.onto(graph)
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

fn after(fit: &Fit, task: Task) -> GraphBuilder {
    let mut graph = GraphBuilder::new("after");
    let to = int_attribute("to", DataType::Float as usize);
    let scores = graph.node("Cast", "resnetd.scores", &[&theirs(&fit.output)], [to]);
    graph.node("Flatten", ROWS, &[&scores], [int_attribute("axis", 1)]);
    ends(&mut graph, fit.scores.scores, task, fit.classes);
    graph
}

/// The graph's own scores, float32 `[N, classes]`.
const ROWS: &str = "resnetd.rows";
/// The values that [`ends`] makes.
const ENDS: [&str; 12] = [
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

/// Logits and probabilities of [`ROWS`].
fn ends(graph: &mut GraphBuilder, scores: DeclaredScores, task: Task, classes: usize) {
    match task {
        Task::SingleLabel => ends_of_one(graph, scores, classes),
        Task::MultiLabel => ends_of_each(graph, scores, classes),
    }
}

/// Where each class is right or not.
fn ends_of_each(graph: &mut GraphBuilder, scores: DeclaredScores, classes: usize) {
    match scores {
        DeclaredScores::Logits => {
            graph.node("Identity", "logits", &[ROWS], []);
            graph.node("Sigmoid", "probabilities", &[ROWS], []);
        }
        // A softmax is refused before.
        DeclaredScores::Sigmoid | DeclaredScores::Probabilities => {
            let [least, one] = [("resnetd.least", LEAST), ("resnetd.one", 1.0)]
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

/// Where one class is right. One class becomes two, the class and its absence.
fn ends_of_one(graph: &mut GraphBuilder, scores: DeclaredScores, classes: usize) {
    let axis = || int_attribute("axis", 1);
    let given = match (scores, classes) {
        (DeclaredScores::Logits, 1) => {
            // The softmax of a logit and 0 is its sigmoid.
            let zero = graph.constant("resnetd.zero", &[], &[0.0]);
            let absent = graph.node("Mul", "resnetd.absent", &[ROWS, &zero], []);
            graph.node("Concat", "resnetd.both", &[ROWS, &absent], [axis()])
        }
        (DeclaredScores::Sigmoid | DeclaredScores::Probabilities, 1) => {
            let one = graph.constant("resnetd.one", &[], &[1.0]);
            let rest = graph.node("Sub", "resnetd.rest", &[&one, ROWS], []);
            graph.node("Concat", "resnetd.both", &[ROWS, &rest], [axis()])
        }
        (DeclaredScores::Logits | DeclaredScores::Probabilities | DeclaredScores::Sigmoid, _) => {
            ROWS.to_owned()
        }
    };
    match scores {
        DeclaredScores::Logits => {
            graph.node("Identity", "logits", &[&given], []);
            graph.node("Softmax", "probabilities", &[&given], [axis()]);
        }
        DeclaredScores::Probabilities | DeclaredScores::Sigmoid => {
            let least = graph.constant("resnetd.least", &[], &[LEAST]);
            let positive = graph.node("Max", "resnetd.positive", &[&given, &least], []);
            graph.node("Log", "logits", &[&positive], []);
            graph.node("Identity", "probabilities", &[&given], []);
        }
    }
    let outputs = classes.max(2);
    graph.output("logits", "logits", &[outputs], "scores before the softmax");
    graph.output("probabilities", "probabilities", &[outputs], "scores after the softmax");
}

/// `graph`, which is wrapped already, with its scores taken for something else.
pub(super) fn taken_for(graph: onnx::Model, taken: Taken, card: &ModelCard) -> onnx::Model {
    let mut after = GraphBuilder::new("after");
    ends(&mut after, taken.scores, card.task, card.labels.len());
    if let Some(images) = graph.fixed_batch() {
        after.fix_batch(images);
    }
    let mut graft = GraphBuilder::new("before").around(after);
    graft.input.clone_from(&graph.graph().input);
    graft.dropped = ENDS.map(str::to_owned).to_vec();
    graft.metadata = vec![taken.entry()];
    graft.onto(graph)
}
