//! An index of the model's labels. With it, looking up a list of classes takes time proportional to the
//! list's length.

use std::collections::HashMap;

/// Number of labels that an error message has as examples.
const EXAMPLES: usize = 10;

/// Maps labels, exact and in lower case, to the first class of that name.
#[derive(Debug)]
pub struct ClassIndex {
    exact: HashMap<String, usize>,
    lower: HashMap<String, usize>,
    count: usize,
    examples: String,
}

impl ClassIndex {
    /// The index of `labels`.
    #[must_use]
    pub fn of(labels: &[String]) -> Self {
        let mut exact = HashMap::with_capacity(labels.len());
        let mut lower = HashMap::with_capacity(labels.len());
        for (class, label) in labels.iter().enumerate() {
            exact.entry(label.clone()).or_insert(class);
            lower.entry(label.to_lowercase()).or_insert(class);
        }
        let mut examples = labels.iter().take(EXAMPLES).cloned().collect::<Vec<_>>().join(", ");
        if labels.len() > EXAMPLES {
            examples.push_str(", …");
        }
        Self { exact, lower, count: labels.len(), examples }
    }

    /// Number of classes of the model.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count
    }

    /// Finds a class by its label (case-insensitively if there is no exact match) or by its index, `3` or
    /// `#3`.
    #[must_use]
    pub fn find(&self, typed: &str) -> Option<usize> {
        self.exact.get(typed).or_else(|| self.lower.get(&typed.to_lowercase())).copied().or_else(
            || {
                let index = typed.strip_prefix('#').unwrap_or(typed).parse().ok();
                index.filter(|index| *index < self.count)
            },
        )
    }

    /// The error for an unknown class, with examples of valid ones.
    #[must_use]
    pub fn no_such_class(&self, typed: &str) -> String {
        format!(
            "{typed:?} is not a class of this model; use a label ({}) or an index from 0 to {}",
            self.examples,
            self.count.saturating_sub(1)
        )
    }
}
