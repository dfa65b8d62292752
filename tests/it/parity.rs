//! Logits compared with PyTorch's, for seeded weights with non-trivial batch norm statistics and for the
//! trained default model. The references and their scripts are in `tests/golden`.

use std::time::Duration;

use bytes::Bytes;
use resnetd::eval::{Dataset, Example};
use resnetd::model::Model;
use resnetd::pipeline::Output;
use resnetd::pipeline::preprocess::Pixels;
use resnetd::pipeline::queue::{Deadline, RequestContext};
use resnetd::pipeline::run::{Batch, InputShape, Session, SessionPlan};
use serde::Deserialize;

use crate::support::{TestServer, data, default_model, library, seeded};

/// The largest difference, relative to the largest logit.
const TOLERANCE: f64 = 1e-4;

#[derive(Deserialize)]
pub(crate) struct Golden {
    classes: usize,
    input: [u32; 2],
    logits: Vec<Vec<f64>>,
    embedding_first8: Vec<Vec<f64>>,
}

fn assert_parity(architecture: &str, golden: &str) {
    let golden: Golden = serde_json::from_str(golden).unwrap();
    let model = seeded::model(architecture, golden.classes, golden.input);
    assert_golden(&model, &golden, architecture);
}

/// Compares `model`'s logits for noise with the golden ones of the training framework.
pub(crate) fn assert_golden(model: &Model, golden: &Golden, architecture: &str) {
    let plan = SessionPlan::on_cpu(2);
    let wanted = [Output::Logits, Output::Embedding];
    let mut session = Session::open(library(), &model.onnx, plan, &wanted).unwrap();
    let shape = InputShape::of(&model.card.preprocess);
    let mut batch = Batch::with_capacity(shape, golden.logits.len());
    for image in seeded::pixels(golden.logits.len() * shape.bytes()).chunks(shape.bytes()) {
        batch.push(&Pixels::from_raw(golden.input, image.to_vec()).unwrap());
    }
    let outputs = session.run(&batch).unwrap();
    for (image, logits) in golden.logits.iter().enumerate() {
        assert_close(outputs.row(Output::Logits, image), logits, architecture);
        let embedding = &outputs.row(Output::Embedding, image)[..8];
        assert_close(embedding, &golden.embedding_first8[image], architecture);
    }
}

fn assert_close(ours: &[f32], theirs: &[f64], what: &str) {
    assert_eq!(ours.len(), theirs.len());
    let largest = theirs.iter().fold(0.0_f64, |largest, value| largest.max(value.abs()));
    for (index, (ours, theirs)) in ours.iter().zip(theirs).enumerate() {
        let difference = (f64::from(*ours) - theirs).abs() / largest;
        assert!(difference <= TOLERANCE, "{what} [{index}]: {ours} is not {theirs}");
    }
}

#[test]
fn resnet18_answers_as_torchvision_does() {
    assert_parity("resnet18", include_str!("../golden/resnet18.json"));
}

#[test]
fn resnet50_answers_as_torchvision_does() {
    assert_parity("resnet50", include_str!("../golden/resnet50.json"));
}

#[test]
fn resnet50_with_the_papers_stride_answers_as_pytorch_does() {
    assert_parity("resnet50-v1", include_str!("../golden/resnet50-v1.json"));
}

/// One test for each network: its name, and that of its golden file.
macro_rules! parity {
    ($($test:ident: $name:literal),+ $(,)?) => {$(
        #[test]
        fn $test() {
            assert_parity($name, include_str!(concat!("../golden/", $name, ".json")));
        }
    )+};
}

parity! {
    resnet34_answers_as_torchvision_does: "resnet34",
    resnet101_answers_as_torchvision_does: "resnet101",
    resnet152_answers_as_torchvision_does: "resnet152",
    wide_resnet50_2_answers_as_torchvision_does: "wide_resnet50_2",
    wide_resnet101_2_answers_as_torchvision_does: "wide_resnet101_2",
    resnext50_32x4d_answers_as_torchvision_does: "resnext50_32x4d",
    resnext101_32x8d_answers_as_torchvision_does: "resnext101_32x8d",
    resnext101_64x4d_answers_as_torchvision_does: "resnext101_64x4d",
    resnet18d_answers_as_timm_does: "resnet18d",
    resnet50d_answers_as_timm_does: "resnet50d",
    resnet10t_answers_as_timm_does: "resnet10t",
    resnet14t_answers_as_timm_does: "resnet14t",
    seresnet18_answers_as_timm_does: "seresnet18",
    seresnet50_answers_as_timm_does: "seresnet50",
    seresnext50_answers_as_timm_does: "seresnext50_32x4d",
    seresnext26d_answers_as_timm_does: "seresnext26d_32x4d",
    seresnetaa50_answers_as_timm_does: "seresnetaa50d",
    resnext50d_answers_as_timm_does: "resnext50d_32x4d",
    resnet50c_answers_as_timm_does: "resnet50c",
    resnet50s_answers_as_timm_does: "resnet50s",
    ecaresnet26t_answers_as_timm_does: "ecaresnet26t",
    ecaresnet50d_answers_as_timm_does: "ecaresnet50d",
    resnetrs50_answers_as_timm_does: "resnetrs50",
    resnetaa34d_answers_as_timm_does: "resnetaa34d",
    resnetaa50_answers_as_timm_does: "resnetaa50",
    resnetblur18_answers_as_timm_does: "resnetblur18",
    resnetblur50d_answers_as_timm_does: "resnetblur50d",
    resnet50_with_group_norm_answers_as_timm_does: "resnet50_gn",
    resnet50_of_the_second_version_answers_as_timm_does: "resnetv2_50",
    resnet20_with_option_b_answers_as_pytorch_does: "resnet20-b",
    resnet18_for_cifar_answers_as_pytorch_does: "resnet18-cifar",
    resnet18_for_cifar_with_a_pool_answers_as_pytorch_does: "resnet18-cifar-maxpool",
    vgg11_answers_as_torchvision_does_for_a_map_that_its_pool_enlarges: "vgg11",
    vgg16_with_batch_norm_answers_as_torchvision_does: "vgg16_bn",
    mobilenet_v2_answers_as_torchvision_does: "mobilenet_v2",
    efficientnet_lite0_answers_as_timm_does: "efficientnet_lite0",
    efficientnet_lite0_of_tensorflow_answers_as_timm_does: "tf_efficientnet_lite0",
    plain18_answers_as_pytorch_does: "plain18",
    plain20_answers_as_pytorch_does: "plain20",
    resnet34_with_option_a_answers_as_pytorch_does: "resnet34-a",
    resnet34_with_option_c_answers_as_pytorch_does: "resnet34-c",
}

#[test]
fn resnet20_answers_as_pytorch_does() {
    assert_parity("resnet20", include_str!("../golden/resnet20.json"));
}

#[derive(Deserialize)]
struct Trained {
    logits: Vec<Vec<f64>>,
}

/// All logits of the default model for an upload, through the whole pipeline.
async fn trained_logits(server: &TestServer, upload: Bytes) -> Vec<f32> {
    let deadline = Deadline::after(Duration::from_secs(60));
    let context = RequestContext::local(deadline);
    server.model.pipeline.classify(upload, &context).await.unwrap().scores.logits
}

/// PyTorch's logits for the images of the sample, in its order, and the sample.
fn sample() -> Vec<(Example, Vec<f64>)> {
    let golden: Trained =
        serde_json::from_str(include_str!("../golden/cifar10-resnet56.json")).unwrap();
    let labels = default_model().card.labels.clone();
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/cifar10-sample.parquet");
    let examples = Dataset::open(path.as_ref(), &labels).unwrap().examples(&labels).unwrap();
    let pairs: Vec<_> = examples.map(Result::unwrap).zip(golden.logits).collect();
    assert_eq!(pairs.len(), 100);
    pairs
}

#[tokio::test]
async fn the_trained_model_has_pytorchs_logits_for_png_files() {
    let server = TestServer::start();
    let sample = sample();
    for (class, name) in [(0, "airplane"), (3, "cat"), (8, "ship")] {
        let png = data(&format!("cifar10-{name}.png"));
        let (_, logits) = sample.iter().find(|(example, _)| example.truth == class).unwrap();
        assert_close(&trained_logits(&server, png.into()).await, logits, name);
    }
}

#[tokio::test]
async fn the_trained_model_has_pytorchs_logits_for_jpegs_except_for_decoder_rounding() {
    let server = TestServer::start();
    let (mut agree, mut differences) = (0, Vec::new());
    for (Example { bytes, .. }, theirs) in sample() {
        let ours = trained_logits(&server, bytes).await;
        let best = |scores: &[f64]| (0..10).max_by(|&a, &b| scores[a].total_cmp(&scores[b]));
        let ours: Vec<f64> = ours.into_iter().map(f64::from).collect();
        agree += usize::from(best(&ours) == best(&theirs));
        let largest = theirs.iter().fold(0.0_f64, |largest, value| largest.max(value.abs()));
        differences.extend(ours.iter().zip(&theirs).map(|(a, b)| (a - b).abs() / largest));
    }
    let mean = differences.iter().sum::<f64>() / 1000.0; // 100 images, 10 logits
    assert!(agree >= 98, "the same class for {agree} of 100");
    assert!(mean < 0.02, "logits differ by {mean:.4} of the largest");
}
