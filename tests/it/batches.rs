//! The scores of an image are bit-identical in every batch.

use resnetd::pipeline::Output;
use resnetd::pipeline::preprocess::Pixels;
use resnetd::pipeline::run::{Batch, InputShape, Session, SessionPlan};

use crate::support::{default_model, library, real_engines, seeded};

const EVERYTHING: [Output; 4] =
    [Output::Logits, Output::Probabilities, Output::Embedding, Output::FeatureMap];

fn session(onnx: &[u8], threads: usize) -> Session {
    let plan = SessionPlan::on_cpu(threads);
    Session::open(library(), onnx, plan, &EVERYTHING).unwrap()
}

/// `count` different images of noise.
fn images(shape: InputShape, count: usize) -> Vec<Pixels> {
    let size = [shape.height, shape.width].map(|side| u32::try_from(side).unwrap());
    let noise = seeded::pixels(count * shape.bytes());
    noise
        .chunks(shape.bytes())
        .map(|image| Pixels::from_raw(size, image.to_vec()).unwrap())
        .collect()
}

fn assert_same_bits(onnx: &[u8], shape: InputShape, threads: usize) {
    let mut session = session(onnx, threads);
    let images = images(shape, 32);
    let alone: Vec<_> = images
        .iter()
        .map(|image| {
            let mut batch = Batch::with_capacity(shape, 1);
            batch.push(image);
            session.run(&batch).unwrap()
        })
        .collect();
    for size in [2, 3, 4, 7, 8, 32] {
        for (first, group) in images.chunks(size).enumerate() {
            let mut batch = Batch::with_capacity(shape, size);
            for image in group {
                batch.push(image);
            }
            let together = session.run(&batch).unwrap();
            for slot in 0..group.len() {
                for output in EVERYTHING {
                    let bits = |row: &[f32]| row.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
                    assert_eq!(
                        bits(together.row(output, slot)),
                        bits(alone[first * size + slot].row(output, 0)),
                        "{} of slot {slot} in a batch of {size}, {threads} threads",
                        output.name(),
                    );
                }
            }
        }
    }
}

#[test]
fn the_default_model_has_bit_identical_scores_alone_and_in_a_batch_of_32() {
    let model = default_model();
    for threads in [1, 2] {
        assert_same_bits(&model.onnx, InputShape::of(&model.card.preprocess), threads);
    }
}

#[test]
fn a_bottleneck_network_has_bit_identical_scores_alone_and_in_a_batch_of_32() {
    // 64×64 keeps the test short; the kernels are the same for all sizes.
    let model = seeded::model("resnet50", 1000, [64, 64]);
    assert_same_bits(&model.onnx, InputShape { height: 64, width: 64 }, 1);
}

#[test]
fn sessions_with_shared_weights_have_bit_identical_scores() {
    let model = default_model();
    let shape = InputShape::of(&model.card.preprocess);
    let mut own = session(&model.onnx, 1);
    for mut engine in real_engines(&model, 4) {
        for image in images(shape, 8) {
            let mut batch = Batch::with_capacity(shape, 1);
            batch.push(&image);
            let (own, shared) = (own.run(&batch).unwrap(), engine(&batch).unwrap());
            assert_eq!(own.row(Output::Logits, 0), shared.row(Output::Logits, 0));
        }
    }
}

#[test]
fn unneeded_files_are_not_downloaded() {
    let model = default_model();
    let shape = InputShape::of(&model.card.preprocess);
    let plan = SessionPlan::on_cpu(1);
    let mut session = Session::open(library(), &model.onnx, plan, &[Output::Logits]).unwrap();
    let outputs = session.run(&Batch::grey(shape, 2)).unwrap();
    assert_eq!(outputs.row(Output::Logits, 1).len(), 10);
    assert!(outputs.row(Output::FeatureMap, 1).is_empty());
    let mut all = self::session(&model.onnx, 1);
    let outputs = all.run(&Batch::grey(shape, 2)).unwrap();
    assert_eq!(outputs.row(Output::Embedding, 0).len(), 64);
    assert_eq!(outputs.row(Output::FeatureMap, 0).len(), 64 * 8 * 8);
    let probabilities: f32 = outputs.row(Output::Probabilities, 0).iter().sum();
    assert!((probabilities - 1.0).abs() < 1e-6);
}

#[test]
fn a_session_with_bound_memory_has_bit_identical_scores() {
    let model = default_model();
    let shape = InputShape::of(&model.card.preprocess);
    let mut plain = session(&model.onnx, 1);
    let mut bound = [Session::bound, Session::bound_for_graphs]
        .map(|bound| bound(session(&model.onnx, 1)).unwrap());
    let images = images(shape, 8);
    // Sizes are repeated with other images, in buffers that were used before.
    for group in [&images[..3], &images[3..4], &images[4..7], &images[..3], &images[7..8]] {
        let mut batch = Batch::with_capacity(shape, group.len());
        for image in group {
            batch.push(image);
        }
        for bound in &mut bound {
            assert_eq!(bound.run(&batch).unwrap(), plain.run(&batch).unwrap());
        }
    }
}
