//! Roll-up: sums probabilities over WordNet's wider classes, such as "dog" for a hundred breeds.

use std::collections::{BTreeSet, HashMap};

use serde::Serialize;
use utoipa::ToSchema;

use super::Classification;
use crate::model::{ModelCard, Task, imagenet};

/// `WordNet` hypernyms of a model's classes.
#[derive(Debug, Clone)]
pub struct Taxonomy {
    /// All synsets: those of the classes, and their hypernyms.
    nodes: Vec<Node>,
    /// For each class, its node and all nodes above it.
    above: Vec<Vec<usize>>,
    /// The nodes without hypernyms.
    roots: Vec<usize>,
}

#[derive(Debug, Clone)]
struct Node {
    id: String,
    label: String,
    /// The nodes directly below it that have classes.
    children: Vec<usize>,
    /// Number of classes below it, including itself.
    classes: usize,
}

/// The narrowest synsets whose probability reaches a threshold.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct RollUp {
    /// The minimum probability of each entry.
    pub share: f64,
    /// From the most specific synset that reaches `share` upwards; each has more classes than the one before.
    pub path: Vec<RollUpEntry>,
}

/// One entry of a roll-up: a class or a hypernym of classes.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct RollUpEntry {
    /// Its name; for a class, that of the card.
    pub label: String,
    /// Its `WordNet` id, such as `n02084071`.
    pub wordnet_id: String,
    /// Sum of its classes' probabilities, 0 to 1.
    pub probability: f64,
    /// Number of the model's classes below it.
    pub classes: usize,
}

/// Why a model's classes cannot be rolled up.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoTaxonomy {
    /// The model's classes have no known `WordNet` ids.
    #[error(
        "the WordNet ids of the classes of {model} are unknown; a roll-up needs a card with the labels of \
         imagenet-1k, or with wordnet_ids of ImageNet-1k"
    )]
    Unknown {
        /// The model.
        model: String,
    },
    /// The network is multi-label, so sums of probabilities have no meaning.
    #[error(
        "rollup does not apply to {model}: it sums probabilities of classes that exclude each other, and this \
         model is multi-label; remove rollup"
    )]
    MultiLabel {
        /// The model.
        model: String,
    },
}

impl Taxonomy {
    /// The taxonomy of a model's classes.
    ///
    /// # Errors
    ///
    /// [`NoTaxonomy`] for a multi-label network, or if the ids are unknown.
    pub fn of_model(card: &ModelCard) -> Result<Self, NoTaxonomy> {
        let model = || card.name.clone();
        match card.task {
            Task::MultiLabel => Err(NoTaxonomy::MultiLabel { model: model() }),
            Task::SingleLabel => {
                Self::of(card).ok_or_else(|| NoTaxonomy::Unknown { model: model() })
            }
        }
    }

    /// The taxonomy of a card's classes; `None` if it has no ids, or ids that are not in the table.
    #[must_use]
    pub fn of(card: &ModelCard) -> Option<Self> {
        if card.wordnet_ids.is_empty() {
            return None;
        }
        let synsets: HashMap<&str, imagenet::Synset> =
            imagenet::synsets().map(|synset| (synset.id, synset)).collect();
        let mut nodes: Vec<Node> = Vec::new();
        let mut indices: HashMap<&str, usize> = HashMap::new();
        let mut above = Vec::with_capacity(card.labels.len());
        for id in &card.wordnet_ids {
            let line = line(id, &synsets)?;
            let line = line.into_iter().map(|synset| {
                *indices.entry(synset.id).or_insert_with(|| {
                    nodes.push(Node::new(&synset));
                    nodes.len() - 1
                })
            });
            above.push(line.collect::<Vec<_>>());
        }
        for line in &above {
            for &node in line {
                nodes[node].classes += 1;
            }
        }
        for (class, label) in card.labels.iter().enumerate() {
            nodes[above[class][0]].label.clone_from(label);
        }
        let roots = link(&mut nodes, &indices, &synsets);
        Some(Self { nodes, above, roots })
    }

    /// Descends from the widest synset, always to the most probable child, while the probability is at least
    /// `share`.
    ///
    /// `probabilities` is f32 `[classes]`. Stops when no child reaches `share`. An entry with as many classes
    /// as the one below it has the same classes, so it is omitted.
    #[must_use]
    pub fn roll_up(&self, probabilities: &[f32], share: f64) -> RollUp {
        let mut sums = vec![0.0; self.nodes.len()];
        for (above, probability) in self.above.iter().zip(probabilities) {
            for &node in above {
                sums[node] += f64::from(*probability);
            }
        }
        let mut path: Vec<RollUpEntry> = Vec::new();
        let mut below = &self.roots;
        while let Some(&node) = below
            .iter()
            .filter(|&&node| sums[node] >= share)
            .max_by(|&&a, &&b| sums[a].total_cmp(&sums[b]).then(b.cmp(&a)))
        {
            let Node { id, label, children, classes } = &self.nodes[node];
            path.pop_if(|above| above.classes == *classes);
            path.push(RollUpEntry {
                label: label.clone(),
                wordnet_id: id.clone(),
                probability: sums[node].min(1.0), // due to rounding, the sum may exceed 1
                classes: *classes,
            });
            below = children;
        }
        path.reverse();
        RollUp { share, path }
    }
}

impl Node {
    fn new(synset: &imagenet::Synset) -> Self {
        let (id, label) = (synset.id.to_owned(), synset.name.to_owned());
        Self { id, label, children: Vec::new(), classes: 0 }
    }
}

/// A synset followed by all its hypernyms, each once; some have several.
fn line(id: &str, synsets: &HashMap<&str, imagenet::Synset>) -> Option<Vec<imagenet::Synset>> {
    let mut line = vec![*synsets.get(id)?];
    let mut seen = BTreeSet::from([id]);
    let mut next = 0;
    while let Some(synset) = line.get(next).copied() {
        for above in synset.above() {
            if seen.insert(above) {
                line.push(*synsets.get(above)?);
            }
        }
        next += 1;
    }
    Some(line)
}

/// Sets the children of each node; returns the nodes without hypernyms.
fn link(
    nodes: &mut [Node],
    indices: &HashMap<&str, usize>,
    synsets: &HashMap<&str, imagenet::Synset>,
) -> Vec<usize> {
    let mut roots = Vec::new();
    for node in 0..nodes.len() {
        let synset = synsets[nodes[node].id.as_str()];
        if synset.above().next().is_none() {
            roots.push(node);
        }
        for above in synset.above() {
            nodes[indices[above]].children.push(node);
        }
    }
    roots
}

impl Classification {
    /// Rolls up the probabilities of the answer.
    #[must_use]
    pub fn roll_up(&self, taxonomy: &Taxonomy, share: f64) -> RollUp {
        taxonomy.roll_up(&self.scores.probabilities, share)
    }
}

#[cfg(test)]
mod tests;
