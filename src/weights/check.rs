//! Compares the tensors of a file with those that a network needs, and lists all differences.

use std::collections::BTreeMap;
use std::fmt;

use super::{DataType, Tensor, TensorSpec, Weights, WeightsError};

/// Maximum number of findings in an error message.
const SHOWN: usize = 8;

/// Weights with exactly the required tensors, of the right shapes and with finite elements.
#[derive(Debug, Clone)]
pub struct CheckedWeights {
    tensors: BTreeMap<String, Tensor>,
}

/// A problem with one tensor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// The network needs it, but the weights do not contain it.
    Missing {
        /// Its name.
        name: String,
        /// The shape it should have.
        expected: Vec<usize>,
    },
    /// The weights contain it, but the network does not need it.
    Unexpected {
        /// Its name.
        name: String,
        /// The shape it has.
        found: Vec<usize>,
    },
    /// Its shape differs from the one that the network needs.
    Misshapen {
        /// Its name.
        name: String,
        /// The shape it should have.
        expected: Vec<usize>,
        /// The shape it has.
        found: Vec<usize>,
    },
    /// Its elements are not floating point numbers of 16, 32 or 64 bits.
    NotFloat {
        /// Its name.
        name: String,
        /// The type of its elements.
        found: DataType,
    },
    /// Some of its elements are infinite or not a number.
    NonFinite {
        /// Its name.
        name: String,
        /// Their number.
        count: usize,
    },
    /// It is a variance and has negative elements.
    NegativeVariance {
        /// Its name.
        name: String,
        /// Their number.
        count: usize,
    },
}

impl Weights {
    /// Checks that these are exactly the tensors of `specs`.
    ///
    /// `*.num_batches_tracked`, which training frameworks store and inference does not need, is allowed.
    ///
    /// # Errors
    ///
    /// [`WeightsError::Misfit`] with every finding.
    pub fn check(mut self, specs: &[TensorSpec]) -> Result<CheckedWeights, WeightsError> {
        self.tensors.retain(|name, _| !name.ends_with(".num_batches_tracked"));

        let mut tensors = BTreeMap::new();
        let mut findings = Vec::new();
        for spec in specs {
            match self.tensors.remove(&spec.name) {
                Some(tensor) => {
                    findings.extend(misfit(spec, &tensor));
                    tensors.insert(spec.name.clone(), tensor);
                }
                None => findings.push(Finding::Missing {
                    name: spec.name.clone(),
                    expected: spec.shape.clone(),
                }),
            }
        }
        let unexpected = self.tensors.into_iter();
        findings.extend(
            unexpected
                .map(|(name, Tensor { shape: found, .. })| Finding::Unexpected { name, found }),
        );

        if findings.is_empty() {
            Ok(CheckedWeights { tensors })
        } else {
            Err(WeightsError::Misfit { findings })
        }
    }
}

impl CheckedWeights {
    /// Appends a row of zeros to the tensor `name`.
    ///
    /// # Panics
    ///
    /// If the tensor was not among the required ones.
    #[must_use]
    pub fn with_zero_row(mut self, name: &str) -> Self {
        let mut values = self.values(name);
        let tensor = self.tensors.get_mut(name).expect("the tensor is among the requested ones");
        let mut shape = tensor.shape.clone();
        values.resize(values.len() + shape[1..].iter().product::<usize>(), 0.0);
        shape[0] += 1;
        *tensor = Tensor::from_values(shape, &values);
        self
    }

    /// A tensor's elements as float32, row-major.
    ///
    /// # Panics
    ///
    /// If the tensor was not among the required ones.
    #[must_use]
    pub fn values(&self, name: &str) -> Vec<f32> {
        let tensor = self.tensors.get(name).expect("the tensor is among the requested ones");
        tensor.values().expect("checked to be floating point")
    }
}

/// The problem of an existing tensor, if it has one.
fn misfit(spec: &TensorSpec, tensor: &Tensor) -> Option<Finding> {
    let name = spec.name.clone();
    if tensor.shape() != spec.shape {
        let (expected, found) = (spec.shape.clone(), tensor.shape.clone());
        return Some(Finding::Misshapen { name, expected, found });
    }
    let Some(values) = tensor.values() else {
        return Some(Finding::NotFloat { name, found: tensor.data_type });
    };
    match values.iter().filter(|value| !value.is_finite()).count() {
        0 if name.ends_with(".running_var") => {
            let count = values.iter().filter(|&&value| value < 0.0).count();
            (count > 0).then_some(Finding::NegativeVariance { name, count })
        }
        0 => None,
        count => Some(Finding::NonFinite { name, count }),
    }
}

/// The first findings, one per line, and the number of the others.
pub(crate) fn first_lines(findings: &[Finding]) -> String {
    let mut lines: Vec<_> = findings.iter().take(SHOWN).map(ToString::to_string).collect();
    if findings.len() > SHOWN {
        lines.push(format!("and {} more", findings.len() - SHOWN));
    }
    lines.join("\n")
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { name, expected } => write!(f, "missing {name}, expected {expected:?}"),
            Self::Unexpected { name, found } => write!(f, "unexpected {name}, found {found:?}"),
            Self::Misshapen { name, expected, found } => {
                write!(f, "misshapen {name}, expected {expected:?}, found {found:?}")
            }
            Self::NotFloat { name, found } => {
                write!(
                    f,
                    "not floating point {name}, found {found}, expected F16, BF16, F32 or F64"
                )
            }
            Self::NonFinite { name, count } => {
                let are = are(*count);
                write!(
                    f,
                    "non-finite {name}, {count} of its elements {are} infinite or not a number"
                )
            }
            Self::NegativeVariance { name, count } => {
                let are = are(*count);
                let why = "which no variance is";
                write!(f, "negative {name}, {count} of its elements {are} below zero, {why}")
            }
        }
    }
}

fn are(count: usize) -> &'static str {
    if count == 1 { "is" } else { "are" }
}
