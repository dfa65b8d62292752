//! ImageNet-1k's classes and their hypernyms, from `WordNet` 3.0.

/// Name that a card may have instead of the labels.
pub const NAME: &str = "imagenet-1k";

/// Number of classes.
pub const CLASSES: usize = 1000;

/// One line for each class in the order of the networks' outputs, followed by their hypernyms.
const TABLE: &str = include_str!("../../models/imagenet-1k/classes.tsv");

/// A synset: a class or a hypernym of classes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Synset {
    /// Its id, such as `n02123045`.
    pub id: &'static str,
    /// Its name, such as `tabby`. Class names are unique.
    pub name: &'static str,
    /// The ids of its hypernyms, separated by commas.
    pub hypernyms: &'static str,
}

impl Synset {
    /// The ids of its hypernyms.
    pub fn above(&self) -> impl Iterator<Item = &'static str> + use<> {
        self.hypernyms.split(',').filter(|id| !id.is_empty())
    }
}

/// Every synset, the classes first.
///
/// # Panics
///
/// Never: the table in the program has three columns.
pub fn synsets() -> impl Iterator<Item = Synset> {
    TABLE.lines().map(|line| {
        let mut fields = line.split('\t');
        let mut field = || fields.next().expect("the table has three columns");
        Synset { id: field(), name: field(), hypernyms: field() }
    })
}

/// The classes, in the order of the networks' outputs.
pub fn classes() -> impl Iterator<Item = Synset> {
    synsets().take(CLASSES)
}

/// The classes' names.
#[must_use]
pub fn labels() -> Vec<String> {
    classes().map(|class| class.name.to_owned()).collect()
}

/// The classes' `WordNet` ids.
#[must_use]
pub fn ids() -> Vec<String> {
    classes().map(|class| class.id.to_owned()).collect()
}

/// Whether `labels` are these classes in this order: by name, with or without synonyms after a comma (`tench,
/// Tinca tinca`), or by id.
///
/// Nine of ten names must match, because published lists contain corrections.
#[must_use]
pub fn are_named_by(labels: &[String]) -> bool {
    let same = |(class, label): &(Synset, &String)| {
        let name = label.split(',').next().unwrap_or_default();
        class.id == *label || class.name.split(" (").next() == Some(name)
    };
    labels.len() == CLASSES && classes().zip(labels).filter(same).count() >= CLASSES * 9 / 10
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn classes_are_in_the_order_of_the_networks_and_all_hypernyms_are_listed() {
        let class = |index: usize| classes().nth(index).unwrap();
        assert_eq!((class(0).id, class(0).name), ("n01440764", "tench"));
        assert_eq!((class(281).id, class(281).name), ("n02123045", "tabby"));
        assert_eq!((class(999).id, class(999).name), ("n15075141", "toilet tissue"));

        let ids: HashSet<_> = synsets().map(|synset| synset.id).collect();
        assert_eq!(ids.len(), synsets().count());
        let hypernyms = synsets().flat_map(|synset| synset.hypernyms.split(','));
        assert!(hypernyms.filter(|id| !id.is_empty()).all(|id| ids.contains(id)));
        assert_eq!(labels().iter().collect::<HashSet<_>>().len(), CLASSES);
    }

    #[test]
    fn common_variants_of_the_class_names_are_accepted() {
        let mut labels: Vec<_> = labels().iter().map(|name| format!("{name}, synonym")).collect();
        assert!(are_named_by(&labels) && are_named_by(&ids()));
        labels.rotate_left(1);
        assert!(!are_named_by(&labels));
        assert!(!are_named_by(&labels[..10]));
    }
}
