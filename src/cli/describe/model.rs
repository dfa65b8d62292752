//! `resnetd describe` for a model: prints its card, and the layers or operators of its graph.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Result;

use super::super::{fetch, output};
use super::{DescribeArgs, layers, thousands};
use crate::graph::arch;
use crate::model::{
    Calibration, Model, ModelCard, ModelError, Precision, Task, is_embedded, starter,
};
use crate::model::{Preprocess, Resize};
use crate::onnx::{self, proto};

/// Maximum number of labels in the output.
const SHOWN_LABELS: usize = 10;

/// Whether `name` is a model rather than an architecture.
pub(super) fn is_model(name: &str) -> bool {
    let is_known = is_embedded(name) || name == starter::NAME || Path::new(name).exists();
    is_known || name.contains('/') || fetch::is_file_name(name)
}

/// Prints the model `name`.
pub(super) fn describe(name: &str, args: &DescribeArgs) -> Result<()> {
    let opened = fetch::model(name, &args.hub)?;
    let model = match Model::open(&opened, args.arch.as_deref()) {
        Ok(model) => model,
        Err(ModelError::NoCard { path, card }) => {
            let graph = onnx::OnnxModel::from_bytes(bytes::Bytes::from(std::fs::read(&path)?))?;
            output::line(format!(
                "{}: an ONNX file without a card; docs/models.md shows the card {}, which resnetd \
                 needs to serve it",
                path.display(),
                card.display()
            ));
            graph_of(&graph);
            return Ok(());
        }
        Err(error) => return Err(error.into()),
    };
    card(&model);
    match arch::find(&model.card.architecture) {
        Ok(row) => layers(row, model.card.labels.len(), args),
        Err(_) => graph_of(&model.graph()),
    }
    Ok(())
}

fn card(model: &Model) {
    let ModelCard { name, architecture, description, license, precision, task, labels, .. } =
        model.card.as_ref();
    output::line(name);
    let mut table = output::table(&[]);
    let mut row = |key: &str, value: String| {
        if !value.is_empty() {
            table.add_row([key.to_owned(), value]);
        }
    };
    row("description", description.clone());
    row("architecture", architecture.clone());
    row("task", if *task == Task::MultiLabel { task.to_string() } else { String::new() });
    row("classes", classes(labels));
    row("input", input(&model.card.preprocess));
    row("precision", precision.to_string());
    for (precision, calibration) in &model.card.calibration {
        row("calibration", calibrated(*precision, calibration));
    }
    for figure in &model.card.figures {
        row(&figure.metric, format!("{} ({})", figure.value, figure.dataset));
    }
    row("license", license.clone());
    row("graph", format!("{} as ONNX", bytesize::ByteSize(model.onnx.len() as u64)));
    row("digest", model.graph_digest());
    output::show(&table);
    output::line("");
}

fn classes(labels: &[String]) -> String {
    let shown = labels.iter().take(SHOWN_LABELS).map(String::as_str).collect::<Vec<_>>().join(", ");
    let more = if labels.len() > SHOWN_LABELS { ", …" } else { "" };
    format!("{}: {shown}{more}", labels.len())
}

fn input(preprocess: &Preprocess) -> String {
    let [height, width] = preprocess.input;
    let resize = match preprocess.resize {
        Resize::ShorterSide => "shorter side resized, centre cropped",
        Resize::Exact => "resized to the exact size",
    };
    let filter = format!("{:?}", preprocess.interpolation).to_lowercase();
    let ratio = preprocess.crop_ratio;
    format!("{height}×{width}; {resize}, crop ratio {ratio}, {filter}")
}

fn calibrated(precision: Precision, calibration: &Calibration) -> String {
    let Calibration { temperature, ece_before, ece_after, dataset, .. } = calibration;
    format!(
        "{precision}: temperature {temperature:.3}, expected calibration error {ece_before:.4} before and \
         {ece_after:.4} after ({dataset})"
    )
}

/// Prints inputs, outputs, parameters and operators of a graph that is not in the table of architectures.
fn graph_of(model: &onnx::OnnxModel) {
    let proto::GraphProto { node, initializer, .. } = model.graph();
    let mut operators: BTreeMap<&str, usize> = BTreeMap::new();
    for node in node {
        *operators.entry(node.op_type()).or_default() += 1;
    }
    let mut operators: Vec<_> = operators.into_iter().collect();
    operators.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let elements = |tensor: &proto::TensorProto| {
        tensor.dims.iter().map(|size| u64::try_from(*size).unwrap_or(0)).product::<u64>()
    };
    let constants = initializer.iter().map(elements).sum();
    let mut table = output::table(&["operator", "nodes"]);
    for (operator, count) in operators {
        table.add_row([operator.to_owned(), count.to_string()]);
    }
    output::show(&table);
    let names = |names: &mut dyn Iterator<Item = &str>| names.collect::<Vec<_>>().join(", ");
    output::line(format!(
        "\n{} nodes, {} values in constants, inputs: {}, outputs: {}, opset {}, IR version {}",
        node.len(),
        thousands(constants),
        names(&mut model.inputs()),
        names(&mut model.outputs()),
        model.opset(),
        model.ir_version(),
    ));
}
