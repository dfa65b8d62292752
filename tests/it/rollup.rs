//! Roll-ups of ImageNet's classes.

use resnetd::model::{Model, ModelCard, imagenet};
use serde_json::Value;

use crate::support::{Options, TestServer, data, engines, resnetd, seeded};

const CARD: &str = r#"
    name = "photos"
    architecture = "resnet20"
    labels = "imagenet-1k"
    [preprocess]
    input = [32, 32]
    resize = "shorter-side"
    crop_ratio = 1.0
    interpolation = "bilinear"
    mean = [0.485, 0.456, 0.406]
    std = [0.229, 0.224, 0.225]
"#;

/// A network with seeded weights and ImageNet's classes.
fn model() -> Model {
    let seeded = seeded::model("resnet20", imagenet::CLASSES, [32, 32]);
    Model::of(ModelCard::from_toml(CARD).unwrap(), seeded.graph())
}

/// A server whose network returns these logits for every image.
fn constant_logits(logits: Vec<f32>) -> TestServer {
    let engines = Some(vec![engines::constant_logits(logits)]);
    TestServer::with(Options { model: model(), engines, ..Options::default() })
}

fn is(class: &str, wanted: &str) -> bool {
    let synset = imagenet::synsets().find(|synset| synset.id == class).unwrap();
    let mut above = synset.hypernyms.split(',').filter(|id| !id.is_empty());
    class == wanted || above.any(|above| is(above, wanted))
}

#[tokio::test]
async fn probability_spread_over_breeds_is_answered_as_a_dog() {
    let breed = |class: &String| is(class, "n02084071");
    let logits = imagenet::ids().iter().map(|id| if breed(id) { 6.0 } else { 0.0 }).collect();
    let server = constant_logits(logits);
    let photo = data("cat.jpg");
    let body =
        server.post("/classify?rollup=wordnet&share=0.6&top_k=3", photo.clone()).await.json();
    assert_eq!(body["predictions"].as_array().unwrap().len(), 3);
    let best = body["predictions"][0]["probability"].as_f64().unwrap();
    let dog = &body["rollup"]["path"][0];
    assert_eq!(dog["label"], "dog");
    assert_eq!(dog["wordnet_id"], "n02084071");
    assert_eq!(dog["classes"], 118);
    assert!((dog["probability"].as_f64().unwrap() - 118.0 * best).abs() < 1e-4, "{dog}");
    assert_eq!(body["rollup"]["share"], 0.6);
    let half = server.post("/classify?rollup=wordnet", photo.clone()).await.json();
    assert_eq!(half["rollup"]["share"], 0.5);
    assert_eq!(
        half["rollup"]["path"][0]["label"], "hunting dog",
        "63 of the breeds are hunting dogs, more than half"
    );
    let plain = server.classify(photo.clone()).await.json();
    assert!(plain.get("rollup").is_none(), "{plain}");

    let surer = server.post("/classify?rollup=wordnet&share=0.99", photo).await.json();
    let path = surer["rollup"]["path"].as_array().unwrap();
    assert_ne!(path[0]["label"], "dog");
    assert!(path.iter().all(|rung| rung["probability"].as_f64().unwrap() >= 0.99), "{path:?}");
    assert_eq!(path.last().unwrap()["label"], "entity");
}

#[test]
fn on_the_command_line_each_entry_is_the_sum_of_its_classes() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("photos.onnx");
    std::io::Write::write_all(&mut std::fs::File::create(&file).unwrap(), &model().onnx).unwrap();
    let classify = |more: &[&str]| {
        let common = ["classify", "tests/data/cat.jpg", "--model", file.to_str().unwrap()];
        resnetd(&[&common, more].concat())
    };
    let output = classify(&["--json", "-k", "1000", "--rollup", "wordnet", "--share", "0.3"]);
    assert!(output.status.success(), "{output:?}");
    let line: Value = serde_json::from_slice(&output.stdout).unwrap();
    let ids = imagenet::ids();
    let path = line["rollup"]["path"].as_array().unwrap();
    assert!(path.len() > 1, "{line}");
    for rung in path {
        let below = line["predictions"].as_array().unwrap().iter().filter(|class| {
            let index = usize::try_from(class["index"].as_u64().unwrap()).unwrap();
            is(&ids[index], rung["wordnet_id"].as_str().unwrap())
        });
        let probabilities: Vec<f64> =
            below.map(|class| class["probability"].as_f64().unwrap()).collect();
        assert_eq!(rung["classes"], probabilities.len(), "{rung}");
        let sum: f64 = probabilities.iter().sum();
        assert!((sum - rung["probability"].as_f64().unwrap()).abs() < 1e-5, "{rung}: {sum}");
    }
    let words = String::from_utf8(classify(&["--rollup", "wordnet"]).stdout).unwrap();
    assert!(words.contains("entity 100.00 %"), "{words}");
    let wrong = String::from_utf8(classify(&["--rollup", "wordnet", "--share", "0"]).stderr);
    assert!(wrong.as_ref().unwrap().contains("more than 0 and at most 1"), "{wrong:?}");
}

#[tokio::test]
async fn roll_up_is_an_error_for_other_classes_and_invalid_values() {
    let server = TestServer::start();
    let answer = server.post("/classify?rollup=wordnet", data("cat.jpg")).await;
    assert_eq!((answer.status, answer.reason()), (422, "not-offered".to_owned()));
    assert!(answer.json()["detail"].as_str().unwrap().contains("WordNet ids"), "{answer:?}");
    let output = resnetd(&["classify", "--rollup", "wordnet", "tests/data/cat.jpg"]);
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("imagenet-1k"), "{output:?}");

    let server = constant_logits(vec![0.0; imagenet::CLASSES]);
    let mut answers = Vec::new();
    for query in [
        "rollup=ontology",
        "share=0.5",
        "rollup=wordnet&share=0",
        "rollup=wordnet&share=most",
        "rollup=wordnet&rollup=wordnet",
        "rollup=wordnet&labels=tabby,beagle",
    ] {
        let answer = server.post(&format!("/classify?{query}"), data("cat.jpg")).await;
        assert_eq!((answer.status, &*answer.reason()), (422, "invalid-parameter"), "{query}");
        answers.push(format!("{query}\n    {}", answer.json()["detail"].as_str().unwrap()));
    }
    insta::assert_snapshot!("rollup_wrong", answers.join("\n"));
}
