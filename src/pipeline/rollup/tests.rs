use super::*;

/// The synset of all dog breeds.
const DOG: &str = "n02084071";

fn imagenet_card() -> ModelCard {
    let card = r#"
        name = "photos"
        architecture = "resnet18"
        labels = "imagenet-1k"
        [preprocess]
        input = [224, 224]
        resize = "shorter-side"
        crop_ratio = 0.875
        interpolation = "bilinear"
        mean = [0.485, 0.456, 0.406]
        std = [0.229, 0.224, 0.225]
    "#;
    ModelCard::from_toml(card).unwrap()
}

fn taxonomy() -> Taxonomy {
    Taxonomy::of(&imagenet_card()).unwrap()
}

fn class(label: &str) -> usize {
    imagenet::labels().iter().position(|known| known == label).unwrap()
}

/// The classes below a synset, computed independently: follows hypernyms up from each class.
fn below(wanted: &str) -> Vec<usize> {
    let hypernyms: HashMap<_, _> =
        imagenet::synsets().map(|synset| (synset.id, synset.hypernyms)).collect();
    let ids = imagenet::ids();
    (0..ids.len()).filter(|&class| is(&ids[class], wanted, &hypernyms)).collect()
}

fn is(id: &str, wanted: &str, hypernyms: &HashMap<&str, &str>) -> bool {
    let mut above = hypernyms[id].split(',').filter(|id| !id.is_empty());
    id == wanted || above.any(|above| is(above, wanted, hypernyms))
}

/// Distributes `share` of the probability evenly over `classes`, and the rest evenly over all others.
fn spread(classes: &[usize], share: f32) -> Vec<f32> {
    #[expect(clippy::cast_precision_loss, reason = "at most a thousand classes")]
    let even = |share: f32, count: usize| share / count as f32;
    let rest = even(1.0 - share, imagenet::CLASSES - classes.len());
    let inside = even(share, classes.len());
    (0..imagenet::CLASSES)
        .map(|class| if classes.contains(&class) { inside } else { rest })
        .collect()
}

#[test]
fn probability_spread_over_118_breeds_sums_to_dog() {
    let breeds = below(DOG);
    assert_eq!(breeds.len(), 118);
    let rolled = taxonomy().roll_up(&spread(&breeds, 0.97), 0.6);
    let dog = &rolled.path[0];
    assert_eq!((&*dog.label, &*dog.wordnet_id, dog.classes), ("dog", DOG, 118));
    assert!((dog.probability - 0.97).abs() < 1e-4, "{dog:?}");

    let widest = rolled.path.last().unwrap();
    assert_eq!((&*widest.label, widest.classes), ("entity", 1000));
    assert!((widest.probability - 1.0).abs() < 1e-4, "{widest:?}");
    assert!(
        rolled
            .path
            .is_sorted_by(|a, b| { a.classes < b.classes && a.probability <= b.probability })
    );
    let labels: Vec<&str> = rolled.path.iter().map(|rung| &*rung.label).collect();
    assert!(labels.contains(&"mammal") && labels.contains(&"animal"), "{labels:?}");
}

#[test]
fn a_class_that_reaches_the_share_is_first_and_a_higher_share_gives_wider_classes() {
    let taxonomy = taxonomy();
    let tabby = class("tabby");
    let sure = taxonomy.roll_up(&spread(&[tabby], 0.9), 0.5);
    assert_eq!((&*sure.path[0].label, sure.path[0].classes), ("tabby", 1));

    let mut torn = vec![0.0; imagenet::CLASSES];
    for (label, probability) in [("tabby", 0.4), ("Persian cat", 0.35), ("lion", 0.25)] {
        torn[class(label)] = probability;
    }
    let first = |share: f64| taxonomy.roll_up(&torn, share).path[0].label.clone();
    assert_eq!(first(0.3), "tabby");
    assert_eq!(first(0.7), "domestic cat");
    assert_eq!(first(0.8), "feline");
    assert_eq!(taxonomy.roll_up(&torn, 1.0).path.last().unwrap().label, "entity");
}

#[test]
fn every_entry_reaches_the_share_and_no_child_of_the_first_does() {
    let taxonomy = taxonomy();
    let mut random = fastrand::Rng::with_seed(7);
    for _ in 0..200 {
        // A few large probabilities, as of a network that is unsure between some classes.
        let weights: Vec<f32> =
            (0..imagenet::CLASSES).map(|_| random.f32().powi(40) + 1e-6).collect();
        let sum: f32 = weights.iter().sum();
        let probabilities: Vec<f32> = weights.iter().map(|weight| weight / sum).collect();
        let share = 0.5 + 0.49 * random.f64();
        let found = taxonomy.roll_up(&probabilities, share);
        for rung in &found.path {
            let sum: f64 =
                below(&rung.wordnet_id).iter().map(|&class| f64::from(probabilities[class])).sum();
            assert!((sum - rung.probability).abs() < 1e-6 && sum >= share - 1e-6, "{rung:?}");
        }
        let lowest = &found.path[0];
        let children = imagenet::synsets()
            .filter(|synset| synset.hypernyms.split(',').any(|id| id == lowest.wordnet_id));
        for child in children {
            let sum: f64 =
                below(child.id).iter().map(|&class| f64::from(probabilities[class])).sum();
            assert!(sum < share, "{} reaches {share} below {lowest:?}", child.name);
        }
    }
}

#[test]
fn classes_have_the_cards_names_and_a_subset_of_the_classes_can_be_rolled_up() {
    let some = [class("tabby"), class("Persian cat"), class("beagle")];
    let full = imagenet_card();
    let card = ModelCard {
        labels: ["Tiger", "Percy", "Snoopy"].map(String::from).to_vec(),
        wordnet_ids: some.iter().map(|&class| full.wordnet_ids[class].clone()).collect(),
        ..full.clone()
    };
    let taxonomy = Taxonomy::of(&card).unwrap();
    let cats = taxonomy.roll_up(&[0.5, 0.4, 0.1], 0.8);
    assert_eq!((&*cats.path[0].label, cats.path[0].classes), ("domestic cat", 2));
    assert_eq!(taxonomy.roll_up(&[0.0, 0.1, 0.9], 0.8).path[0].label, "Snoopy");

    assert!(Taxonomy::of(&ModelCard { wordnet_ids: Vec::new(), ..card.clone() }).is_none());
    let strange = vec!["n00000000".to_owned(); 3];
    assert!(Taxonomy::of(&ModelCard { wordnet_ids: strange, ..card }).is_none());
}
