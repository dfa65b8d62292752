//! Weights and pixels by the formula in `tests/golden/seeded.py`, so that networks of a hundred megabytes can
//! be compared without a file.

use std::collections::BTreeMap;

use resnetd::graph::{Network, arch};
use resnetd::model::Preprocess;
use resnetd::model::{Model, ModelCard, Precision, Task};
use resnetd::weights::Weights;

/// A network of this architecture with weights by the formula.
pub(crate) fn model(architecture: &str, classes: usize, input: [u32; 2]) -> Model {
    model_of(architecture, classes, input, Task::SingleLabel)
}

/// The same for a task.
pub(crate) fn model_of(architecture: &str, classes: usize, input: [u32; 2], task: Task) -> Model {
    let network = Network::expand(arch::find(architecture).unwrap(), classes);
    let tensors = network.tensors().into_iter().map(|spec| {
        let values = tensor(&spec.name, &spec.shape);
        (spec.name, spec.shape, values)
    });
    let card = ModelCard {
        task,
        name: format!("seeded-{architecture}"),
        architecture: architecture.to_owned(),
        description: String::new(),
        license: String::new(),
        precision: Precision::Fp32,
        labels: (0..classes).map(|class| format!("class {class}")).collect(),
        wordnet_ids: Vec::new(),
        preprocess: Preprocess { input, ..Preprocess::default_for(network.architecture.input) },
        figures: Vec::new(),
        calibration: BTreeMap::new(),
        golden: Vec::new(),
    };
    Model::build(card, Weights::from_tensors(tensors)).unwrap()
}

/// `count` bytes of noise.
pub(crate) fn pixels(count: usize) -> Vec<u8> {
    bits("pixels", count).map(|bits| bits.to_be_bytes()[0]).collect()
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "the formula is in f64 with 24 random bits, rounded to f32"
)]
pub(crate) fn tensor(name: &str, shape: &[usize]) -> Vec<f32> {
    let fan_in: usize = shape[1..].iter().product();
    let value = |u: f64| match (shape.len(), name) {
        (2.., _) => (2.0 * u - 1.0) * (3.0 / fan_in as f64).sqrt(),
        (_, "fc.bias") => (2.0 * u - 1.0) * 0.1,
        _ if name.ends_with("running_var") || name.ends_with("weight") => 0.5 + u,
        _ => (2.0 * u - 1.0) * 0.2,
    };
    let unit = |bits: u64| (bits >> 40) as f64 / f64::from(1 << 24);
    bits(name, shape.iter().product()).map(|bits| value(unit(bits)) as f32).collect()
}

fn bits(name: &str, count: usize) -> impl Iterator<Item = u64> {
    let seed = fnv1a64(name);
    (0..count as u64).map(move |element| splitmix64(seed.wrapping_add(element)))
}

fn fnv1a64(text: &str) -> u64 {
    text.bytes().fold(0xCBF2_9CE4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3)
    })
}

fn splitmix64(seed: u64) -> u64 {
    let x = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}
