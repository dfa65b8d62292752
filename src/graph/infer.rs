//! Detects the architecture of weights from the names and shapes of their tensors.

use std::collections::BTreeMap;

use super::arch::{self, VARIANTS};
use super::choices::{Activation, Architecture, Block, Family, FirstStage, Sampling, Stem, Stride};
use super::family;
use super::network::Network;
use crate::weights::{Finding, Framework, Weights, WeightsError, first_lines};

/// The detected row and number of classes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DetectedArchitecture {
    /// The row.
    pub architecture: &'static Architecture,
    /// Number of classes: the rows of the classifier's weights.
    pub classes: usize,
}

/// The architecture cannot be detected from the weights.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotInferred {
    /// Several networks have exactly these tensors.
    #[error(
        "the weights fit {}, which have the same tensors and compute different things\n\
         hint: set the architecture with --arch or in a card", .0.join(" and ")
    )]
    Ambiguous(Vec<&'static str>),
    /// No network has exactly these tensors, but one has most of them.
    #[error(
        "the weights fit no supported architecture; the closest is {closest}:\n{}",
        first_lines(findings)
    )]
    Unknown {
        /// The row with the fewest differences.
        closest: &'static str,
        /// The differences.
        findings: Vec<Finding>,
    },
    /// No network of the table has similar tensors.
    #[error(
        "the weights belong to no supported network{}; their first tensors are:\n{}\n\
         hint: export the network to ONNX, in Python: torch.onnx.export(model.eval(), torch.randn(1, 3, \
         224, 224), \"model.onnx\"), and write a card beside it, model.toml (docs/models.md shows one)",
        family.map(|family| format!(": they look like those of {family}")).unwrap_or_default(),
        first_tensors.join("\n")
    )]
    Foreign {
        /// The family that they seem to belong to.
        family: Option<&'static str>,
        /// Names and shapes of the first tensors.
        first_tensors: Vec<String>,
    },
}

/// Maximum number of tensors in an error message.
const NAMED: usize = 5;

/// The detected row, and other rows with the same tensors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Guess {
    /// The row.
    pub inferred: DetectedArchitecture,
    /// Less common rows that have the same tensors but compute something else.
    pub others: Vec<&'static str>,
}

/// The row whose network has exactly the tensors of `weights`, from a file or folder called `name`.
///
/// Strides and pools have no tensors, so several rows may fit. Then a name that begins with the name of one
/// of the rows decides (`resnet50-0676ba61.pth`, `resnetblur50-84f4748f.pth`). Otherwise the most common one
/// is used (see `is_most_common`). [`VARIANTS`] are not listed as others.
///
/// # Errors
///
/// [`NotInferred`]. Shortcuts of option A have no tensors either, so a plain network and one with option A (`plain20` and
/// `resnet20`) have the same tensors; neither is more common, so only the name can decide.
pub fn infer(weights: &Weights, name: &str) -> Result<Guess, NotInferred> {
    let fitting = fitting(weights);
    let others = |taken: &DetectedArchitecture| -> Vec<_> {
        let is_other =
            |it: &&DetectedArchitecture| it != &taken && !VARIANTS.contains(it.architecture);
        fitting.iter().filter(is_other).map(|inferred| inferred.architecture.name).collect()
    };
    if fitting.is_empty() {
        return Err(closest(weights));
    }
    if let Some(inferred) = named(&fitting, name) {
        return Ok(Guess { inferred, others: Vec::new() });
    }
    let framework = weights.framework();
    let is_most_common = |it: &&DetectedArchitecture| is_most_common(it.architecture, framework);
    let usual: Vec<_> = match &fitting[..] {
        [only] => vec![only],
        several => several.iter().filter(is_most_common).collect(),
    };
    match usual[..] {
        [one] => Ok(Guess { inferred: *one, others: others(one) }),
        _ => Err(NotInferred::Ambiguous(
            fitting.iter().map(|inferred| inferred.architecture.name).collect(),
        )),
    }
}

/// The row of `fitting` with whose name `name` begins, not followed by a letter or digit.
fn named(fitting: &[DetectedArchitecture], name: &str) -> Option<DetectedArchitecture> {
    let begins = |inferred: &&DetectedArchitecture| {
        let rest = name.strip_prefix(inferred.architecture.name);
        rest.is_some_and(|rest| !rest.starts_with(char::is_alphanumeric))
    };
    let longest = |inferred: &&DetectedArchitecture| inferred.architecture.name.len();
    fitting.iter().filter(begins).max_by_key(longest).copied()
}

/// Whether this row is not rarer than others with its tensors, for weights trained in `framework`: strided convolutions
/// instead of pools and blur, the stride of a bottleneck on its 3×3 convolution, a stem for CIFAR without max pool, `ReLU`, and a first
/// stage that keeps height and width unless the block is basic. Rows
/// with the same tensors for which it holds are ambiguous.
fn is_most_common(row: &Architecture, framework: Framework) -> bool {
    match row.family {
        Family::Residual(choices) => {
            choices.sampling == Sampling::Strided
                && choices.block != Block::Bottleneck(Stride::On1x1)
                && choices.stem != Stem::Conv3x3MaxPool
                && choices.activation == Activation::Relu
                // Of basic blocks, one that halves has a projection, and so tensors of its own.
                && (choices.first_stage == FirstStage::Kept || choices.block == Block::Basic)
        }
        Family::Vgg(_) => true,
        Family::Inverted(choices) => choices.framework == framework,
    }
}

/// Every row whose network has exactly the tensors of `weights`, in the order of the table.
#[must_use]
pub fn fitting(weights: &Weights) -> Vec<DetectedArchitecture> {
    let found: BTreeMap<&str, &[usize]> = weights
        .iter()
        .filter(|(name, _)| !name.ends_with(".num_batches_tracked"))
        .map(|(name, tensor)| (name, tensor.shape()))
        .collect();
    let fits = |inferred: &DetectedArchitecture| {
        let wanted = Network::expand(inferred.architecture, inferred.classes).tensors();
        wanted.len() == found.len()
            && wanted.iter().all(|spec| found.get(spec.name.as_str()) == Some(&&spec.shape[..]))
    };
    candidates(weights).filter(fits).collect()
}

/// The number of classes of weights of `architecture`: the length of the classifier's bias.
#[must_use]
pub fn classes(architecture: &Architecture, weights: &Weights) -> Option<usize> {
    let bias = Network::expand(architecture, architecture.classes).tensors().pop()?.name;
    weights.iter().find(|(name, _)| *name == bias)?.1.shape().first().copied()
}

fn candidates(weights: &Weights) -> impl Iterator<Item = DetectedArchitecture> {
    arch::all().map(|architecture| {
        let classes = classes(architecture, weights).unwrap_or(architecture.classes);
        DetectedArchitecture { architecture, classes }
    })
}

fn closest(weights: &Weights) -> NotInferred {
    let differences = candidates(weights).map(|DetectedArchitecture { architecture, classes }| {
        let network = Network::expand(architecture, classes);
        let findings = match weights.clone().check(&network.tensors()) {
            Err(WeightsError::Misfit { findings }) => findings,
            Ok(_) | Err(_) => Vec::new(),
        };
        (architecture.name, findings)
    });
    let (closest, findings) =
        differences.min_by_key(|(_, findings)| findings.len()).expect("the table has rows");
    let missing = findings.iter().filter(|it| matches!(it, Finding::Missing { .. })).count();
    let needed = arch::find(closest).map_or(0, |row| Network::expand(row, 1).tensors().len());
    if 2 * missing <= needed {
        return NotInferred::Unknown { closest, findings };
    }
    let tensors = weights.iter().filter(|(name, _)| !name.ends_with(".num_batches_tracked"));
    let shown = tensors.take(NAMED).map(|(name, tensor)| format!("{name} {:?}", tensor.shape()));
    let names: Vec<&str> = weights.iter().map(|(name, _)| name).collect();
    NotInferred::Foreign { family: family::of(&names), first_tensors: shown.collect() }
}
