//! Which row of the table a set of weights was trained for, told from names and shapes.

use std::collections::BTreeMap;

use super::arch::{ARCHITECTURES, Architecture};
use super::network::Network;
use crate::weights::{Finding, Weights, WeightsError};

/// A row and the number of classes that weights have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Inferred {
    /// The row.
    pub architecture: &'static Architecture,
    /// Rows of its classifier.
    pub classes: usize,
}

/// Weights that do not say what network they are of.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotInferred {
    /// Several networks have exactly these tensors.
    #[error(
        "the weights fit {}, which have the same tensors and compute different things\n\
         hint: say which one they were trained as, with --arch or in a card", .0.join(" and ")
    )]
    Ambiguous(Vec<&'static str>),
    /// No network of the table has them.
    #[error(
        "the weights fit no architecture that there is; {closest} comes closest:\n{}",
        first(findings)
    )]
    Unknown {
        /// The row with the fewest differences.
        closest: &'static str,
        /// Them.
        findings: Vec<Finding>,
    },
}

/// More differences than this do not help.
const SHOWN: usize = 8;

/// The one row whose network has exactly the tensors of `weights`.
///
/// # Errors
///
/// [`NotInferred`]. Stride has no tensors, so a bottleneck network may be the paper's or
/// torchvision's (v1.5); nor have the shortcuts of option A, so a plain CIFAR net may be a residual
/// one.
pub fn infer(weights: &Weights) -> Result<Inferred, NotInferred> {
    let fitting = fitting(weights);
    match fitting[..] {
        [one] => Ok(one),
        [] => Err(closest(weights)),
        _ => {
            let names = fitting.iter().map(|inferred| inferred.architecture.name).collect();
            Err(NotInferred::Ambiguous(names))
        }
    }
}

/// Every row whose network has exactly the tensors of `weights`, in the order of the table.
#[must_use]
pub fn fitting(weights: &Weights) -> Vec<Inferred> {
    let found: BTreeMap<&str, &[usize]> = weights
        .iter()
        .filter(|(name, _)| !name.ends_with(".num_batches_tracked"))
        .map(|(name, tensor)| (name, tensor.shape()))
        .collect();
    let fits = |inferred: &Inferred| {
        let wanted = Network::expand(inferred.architecture, inferred.classes).tensors();
        wanted.len() == found.len()
            && wanted.iter().all(|spec| found.get(spec.name.as_str()) == Some(&&spec.shape[..]))
    };
    candidates(weights).filter(fits).collect()
}

/// How many classes weights of `architecture` tell apart: the length of the classifier's bias.
#[must_use]
pub fn classes(architecture: &Architecture, weights: &Weights) -> Option<usize> {
    let bias = Network::expand(architecture, architecture.classes).tensors().pop()?.name;
    weights.iter().find(|(name, _)| *name == bias)?.1.shape().first().copied()
}

fn candidates(weights: &Weights) -> impl Iterator<Item = Inferred> {
    ARCHITECTURES.iter().map(|architecture| {
        let classes = classes(architecture, weights).unwrap_or(architecture.classes);
        Inferred { architecture, classes }
    })
}

fn closest(weights: &Weights) -> NotInferred {
    let differences = candidates(weights).map(|Inferred { architecture, classes }| {
        let network = Network::expand(architecture, classes);
        let findings = match weights.clone().check(&network.tensors()) {
            Err(WeightsError::Misfit { findings }) => findings,
            Ok(_) | Err(_) => Vec::new(),
        };
        (architecture.name, findings)
    });
    let (closest, findings) =
        differences.min_by_key(|(_, findings)| findings.len()).expect("the table has rows");
    NotInferred::Unknown { closest, findings }
}

fn first(findings: &[Finding]) -> String {
    let mut lines: Vec<_> = findings.iter().take(SHOWN).map(ToString::to_string).collect();
    if findings.len() > SHOWN {
        lines.push(format!("and {} more", findings.len() - SHOWN));
    }
    lines.join("\n")
}
