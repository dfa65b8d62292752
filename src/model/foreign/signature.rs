//! Checks that a foreign graph is an image classifier, and determines the layout of its input.

use super::card::{AxisOrder, Hints, ScoreMeaning};
use super::last_nodes::scores_of;
use super::score_check::{KindSource, ScoreKind};
use crate::model::{ModelCard, Task};
use crate::onnx;
use crate::onnx::proto::tensor_proto::DataType;
use crate::onnx::proto::{ValueInfoProto, type_proto};

/// The oldest supported operator set; the operators used here mean the same in all later ones.
const OLDEST_OPSET: i64 = 8;

/// Input and output of a graph.
#[derive(Debug)]
pub(super) struct GraphSignature {
    /// Name of the input.
    pub(super) input: String,
    /// Type of the input's elements: float32, float16 or uint8.
    pub(super) element: DataType,
    pub(super) layout: AxisOrder,
    /// The batch size, if it is fixed.
    pub(super) batch: Option<usize>,
    /// Name of the output with the scores.
    pub(super) output: String,
    pub(super) scores: ScoreKind,
    /// Number of scores for each image.
    pub(super) classes: usize,
    pub(super) task: Task,
}

/// A graph that cannot be served.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the messages describe them")]
pub enum UnsupportedGraph {
    #[error("it has {} inputs ({}); it must have one, the images", .0.len(), .0.join(", "))]
    Inputs(Vec<String>),
    #[error(
        "its input {input} has the shape {shape}; it must be [N, 3, H, W] or [N, H, W, 3] (if no dimension is 3, \
         set onnx.layout in the card to \"nchw\" or \"nhwc\")"
    )]
    InputShape { input: String, shape: String },
    #[error("its input {input} has elements of {found}; they must be float, float16 or uint8")]
    InputType { input: String, found: String },
    #[error(
        "it takes images of {found} pixels, but preprocess.input of the card is {card}; they must be equal"
    )]
    InputSize { found: String, card: String },
    #[error(
        "its input is uint8, so it normalizes the pixels itself; remove preprocess.mean, preprocess.std and \
         onnx.scale from the card"
    )]
    NormalizedUint8,
    #[error(
        "it has {} outputs ({}); set onnx.output in the card to the one with the scores",
        .0.len(), .0.join(", ")
    )]
    Outputs(Vec<String>),
    #[error("it has no output {wanted:?}, which onnx.output of the card names; it has {}", found.join(", "))]
    NoOutput { wanted: String, found: Vec<String> },
    #[error(
        "task of the card is \"single-label\", but {} for each of {classes} classes, which means several labels \
         for an image; set task = \"multi-label\", or remove the sigmoid from the end of the graph",
        if *by_card { "onnx.scores is \"sigmoid\"" } else { "the graph ends in a sigmoid" }
    )]
    NotSingleLabel { by_card: bool, classes: usize },
    #[error(
        "task of the card is \"multi-label\", but {}, which means one label for each image; remove task, or set \
         onnx.scores in the card to \"logits\" or \"sigmoid\" if that is what the scores are",
        if *by_card { "onnx.scores is \"probabilities\"" } else { "the graph ends in a softmax" }
    )]
    NotMultiLabel { by_card: bool },
    #[error(
        "its single score seems to be the softmax of one class, which is always 1; let the graph end in a \
         Sigmoid, or set onnx.scores in the card to \"sigmoid\" or \"logits\""
    )]
    OneProbability,
    #[error("its output {output} has the shape {shape}; it must be [N, classes]")]
    OutputShape { output: String, shape: String },
    #[error(
        "its output {output} has {scores} scores for each image, but the card has {labels} labels{}",
        if *scores == 1 { "; for a single score, the card must have the label of its class only" } else { "" }
    )]
    Labels { output: String, scores: usize, labels: usize },
    #[error("it uses operator set {0} of ONNX; it must be 8 or newer")]
    Opset(i64),
}

/// Checks that `graph` and `card` match.
pub(super) fn check(
    graph: &onnx::OnnxModel,
    card: &ModelCard,
    hints: &Hints,
) -> Result<GraphSignature, UnsupportedGraph> {
    let opset = graph.opset();
    if opset < OLDEST_OPSET {
        return Err(UnsupportedGraph::Opset(opset));
    }
    let input = only_input(graph)?;
    let element = element_of(input, hints)?;
    let Shape { layout, batch, size } = shape_of(input, hints)?;
    let wanted = card.preprocess.input;
    if size.iter().zip(wanted).any(|(found, wanted)| *found != Dim::Any && !found.is(wanted)) {
        let (found, card) = (shown(&size), format!("{wanted:?}"));
        return Err(UnsupportedGraph::InputSize { found, card });
    }
    let output = scores_output(graph, hints)?;
    let classes = card.labels.len();
    check_scores(output, classes)?;
    let scores = match hints.scores {
        Some(scores) => ScoreKind { scores, by: KindSource::Card },
        None => ScoreKind { scores: scores_of(graph, output.name()), by: KindSource::Graph },
    };
    let task = task_of(scores, hints, classes)?;
    Ok(GraphSignature {
        input: input.name().to_owned(),
        element,
        layout,
        batch,
        output: output.name().to_owned(),
        scores,
        classes,
        task,
    })
}

/// The card's task, or the default for scores of this kind.
fn task_of(kind: ScoreKind, hints: &Hints, classes: usize) -> Result<Task, UnsupportedGraph> {
    let by_card = kind.by == KindSource::Card;
    match (kind.scores, hints.task) {
        (ScoreMeaning::Probabilities, Some(Task::MultiLabel)) => {
            Err(UnsupportedGraph::NotMultiLabel { by_card })
        }
        (ScoreMeaning::Probabilities, _) if classes == 1 => Err(UnsupportedGraph::OneProbability),
        (ScoreMeaning::Sigmoid, Some(Task::SingleLabel)) if classes > 1 => {
            Err(UnsupportedGraph::NotSingleLabel { by_card, classes })
        }
        (ScoreMeaning::Sigmoid, None) if classes > 1 => Ok(Task::MultiLabel),
        (ScoreMeaning::Logits | ScoreMeaning::Probabilities | ScoreMeaning::Sigmoid, task) => {
            Ok(task.unwrap_or_default())
        }
    }
}

/// The one input that is not a constant with a default, as old files list them.
fn only_input(graph: &onnx::OnnxModel) -> Result<&ValueInfoProto, UnsupportedGraph> {
    let constants = &graph.graph().initializer;
    let is_constant =
        |input: &&ValueInfoProto| constants.iter().any(|it| it.name() == input.name());
    let inputs: Vec<_> = graph.graph().input.iter().filter(|input| !is_constant(input)).collect();
    match inputs[..] {
        [input] => Ok(input),
        _ => Err(UnsupportedGraph::Inputs(
            inputs.iter().map(|input| input.name().to_owned()).collect(),
        )),
    }
}

fn element_of(input: &ValueInfoProto, hints: &Hints) -> Result<DataType, UnsupportedGraph> {
    let number = input.tensor().map_or(0, type_proto::Tensor::elem_type);
    match DataType::try_from(number) {
        Ok(DataType::Uint8) if hints.normalized => Err(UnsupportedGraph::NormalizedUint8),
        Ok(element @ (DataType::Float | DataType::Float16 | DataType::Uint8)) => Ok(element),
        Ok(other) => {
            let found = format!("{other:?}").to_lowercase();
            Err(UnsupportedGraph::InputType { input: input.name().to_owned(), found })
        }
        Err(_) => {
            let found = format!("type {number}");
            Err(UnsupportedGraph::InputType { input: input.name().to_owned(), found })
        }
    }
}

/// One dimension.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dim {
    Size(usize),
    /// Known only when running.
    Any,
}

impl Dim {
    fn is(self, size: u32) -> bool {
        self == Self::Size(size as usize)
    }
}

struct Shape {
    layout: AxisOrder,
    batch: Option<usize>,
    /// Height and width.
    size: [Dim; 2],
}

fn shape_of(input: &ValueInfoProto, hints: &Hints) -> Result<Shape, UnsupportedGraph> {
    let dims = dims(input).unwrap_or_default();
    let refused =
        || UnsupportedGraph::InputShape { input: input.name().to_owned(), shape: shown(&dims) };
    let &[batch, second, third, fourth] = &dims[..] else { return Err(refused()) };
    let detected =
        if second.is(3) { Some(AxisOrder::Nchw) } else { fourth.is(3).then_some(AxisOrder::Nhwc) };
    let layout = hints.layout.or(detected).ok_or_else(refused)?;
    let (channels, size) = match layout {
        AxisOrder::Nchw => (second, [third, fourth]),
        AxisOrder::Nhwc => (fourth, [second, third]),
    };
    if !(channels.is(3) || channels == Dim::Any) {
        return Err(refused());
    }
    let batch = match batch {
        Dim::Any => None,
        Dim::Size(images) => Some(images),
    };
    Ok(Shape { layout, batch, size })
}

fn scores_output<'a>(
    graph: &'a onnx::OnnxModel,
    hints: &Hints,
) -> Result<&'a ValueInfoProto, UnsupportedGraph> {
    let outputs = &graph.graph().output;
    let names = || outputs.iter().map(|output| output.name().to_owned()).collect();
    match (&hints.output, &outputs[..]) {
        (Some(wanted), _) => outputs
            .iter()
            .find(|output| output.name() == wanted)
            .ok_or_else(|| UnsupportedGraph::NoOutput { wanted: wanted.clone(), found: names() }),
        (None, [output]) => Ok(output),
        (None, _) => Err(UnsupportedGraph::Outputs(names())),
    }
}

/// Checks that the shape of the scores is `[N, classes]`, possibly followed by ones. A shape that the file does not
/// state is checked on the first run.
fn check_scores(output: &ValueInfoProto, labels: usize) -> Result<(), UnsupportedGraph> {
    let Some(dims) = dims(output) else { return Ok(()) };
    let shape =
        || UnsupportedGraph::OutputShape { output: output.name().to_owned(), shape: shown(&dims) };
    let [_, scores, rest @ ..] = &dims[..] else {
        return if dims.len() == 1 && labels == 1 { Ok(()) } else { Err(shape()) };
    };
    if !rest.iter().all(|dim| dim.is(1)) {
        return Err(shape());
    }
    match *scores {
        Dim::Size(scores) if scores != labels => {
            Err(UnsupportedGraph::Labels { output: output.name().to_owned(), scores, labels })
        }
        Dim::Size(_) | Dim::Any => Ok(()),
    }
}

fn dims(value: &ValueInfoProto) -> Option<Vec<Dim>> {
    Some(value.dims()?.iter().map(|dim| dim.size().map_or(Dim::Any, Dim::Size)).collect())
}

fn shown(dims: &[Dim]) -> String {
    let shown = dims.iter().map(|dim| match dim {
        Dim::Size(size) => size.to_string(),
        Dim::Any => "?".to_owned(),
    });
    format!("[{}]", shown.collect::<Vec<_>>().join(", "))
}
