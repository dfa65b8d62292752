//! Roll-up: sums probabilities over WordNet's wider classes, such as "dog" for a hundred breeds.

use std::collections::{BTreeSet, HashMap};

use serde::Serialize;
use utoipa::ToSchema;

use super::Classification;
use crate::model::{ModelCard, Task, imagenet};

/// What the classes of a model are, by `WordNet`.
#[derive(Debug, Clone)]
pub struct Taxonomy {
    /// What there is to be, the classes' own synsets too.
    nodes: Vec<Node>,
    /// For each class its node and every one above it.
    above: Vec<Vec<usize>>,
    /// The nodes that nothing is above.
    roots: Vec<usize>,
}

#[derive(Debug, Clone)]
struct Node {
    id: String,
    label: String,
    /// The nodes right below it that have classes.
    children: Vec<usize>,
    /// How many classes are it.
    classes: usize,
}

/// What a picture shows, as far as it is sure.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct RollUp {
    /// What each rung's probability reaches.
    pub share: f64,
    /// From the most specific that reaches the share upwards; each has more classes than the last.
    pub path: Vec<Rung>,
}

/// A class, or what classes are.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Rung {
    /// Its name: a class's is that of the card.
    pub label: String,
    /// Its `WordNet` id, such as `n02084071`.
    pub wordnet_id: String,
    /// The sum over its classes, 0 to 1.
    pub probability: f64,
    /// How many of the model's classes it has.
    pub classes: usize,
}

/// A model whose classes cannot be rolled up.
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
    /// Several of its classes can be right, so that their probabilities have no sum.
    #[error(
        "rollup does not apply to {model}: it sums the probabilities of classes of which one is right, and \
         several classes of this model can be right for one image; leave rollup out"
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
    /// [`NoTaxonomy`] if several classes can be right for one image, or if their ids are unknown.
    pub fn of_model(card: &ModelCard) -> Result<Self, NoTaxonomy> {
        let model = || card.name.clone();
        match card.task {
            Task::MultiLabel => Err(NoTaxonomy::MultiLabel { model: model() }),
            Task::SingleLabel => {
                Self::of(card).ok_or_else(|| NoTaxonomy::Unknown { model: model() })
            }
        }
    }

    /// That of a card's classes; `None` where it lacks their ids or has others than ImageNet-1k's.
    #[must_use]
    pub fn of(card: &ModelCard) -> Option<Self> {
        if card.wordnet_ids.is_empty() {
            return None;
        }
        let synsets: HashMap<&str, imagenet::Synset> =
            imagenet::synsets().map(|synset| (synset.id, synset)).collect();
        let mut nodes: Vec<Node> = Vec::new();
        let mut places: HashMap<&str, usize> = HashMap::new();
        let mut above = Vec::with_capacity(card.labels.len());
        for id in &card.wordnet_ids {
            let line = line(id, &synsets)?;
            let line = line.into_iter().map(|synset| {
                *places.entry(synset.id).or_insert_with(|| {
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
        let roots = link(&mut nodes, &places, &synsets);
        Some(Self { nodes, above, roots })
    }

    /// The way down from the widest notion, always to the most probable, while `share` is reached.
    ///
    /// `probabilities` f32 `[classes]`. It ends where nothing right below reaches the share. A rung
    /// with as many classes as the one below it has the same ones, says nothing new and is left out.
    #[must_use]
    pub fn roll_up(&self, probabilities: &[f32], share: f64) -> RollUp {
        let mut sums = vec![0.0; self.nodes.len()];
        for (above, probability) in self.above.iter().zip(probabilities) {
            for &node in above {
                sums[node] += f64::from(*probability);
            }
        }
        let mut path: Vec<Rung> = Vec::new();
        let mut below = &self.roots;
        while let Some(&node) = below
            .iter()
            .filter(|&&node| sums[node] >= share)
            .max_by(|&&a, &&b| sums[a].total_cmp(&sums[b]).then(b.cmp(&a)))
        {
            let Node { id, label, children, classes } = &self.nodes[node];
            path.pop_if(|above| above.classes == *classes);
            path.push(Rung {
                label: label.clone(),
                wordnet_id: id.clone(),
                probability: sums[node].min(1.0), // rounded, a thousand classes may exceed it
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

/// A synset and every one above it, itself first and each once: some have several hypernyms.
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

/// Tells each node what is right below it; returns those that nothing is above.
fn link(
    nodes: &mut [Node],
    places: &HashMap<&str, usize>,
    synsets: &HashMap<&str, imagenet::Synset>,
) -> Vec<usize> {
    let mut roots = Vec::new();
    for node in 0..nodes.len() {
        let synset = synsets[nodes[node].id.as_str()];
        if synset.above().next().is_none() {
            roots.push(node);
        }
        for above in synset.above() {
            nodes[places[above]].children.push(node);
        }
    }
    roots
}

impl Classification {
    /// What its classes have in common.
    #[must_use]
    pub fn roll_up(&self, taxonomy: &Taxonomy, share: f64) -> RollUp {
        taxonomy.roll_up(&self.scores.probabilities, share)
    }
}

#[cfg(test)]
mod tests;
