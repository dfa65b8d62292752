//! Compares resizing and cropping with Pillow.

use super::*;
use crate::pipeline::decode::{self, Limits};

fn image(name: &str) -> Image {
    let path = format!("{}/tests/data/{name}", env!("CARGO_MANIFEST_DIR"));
    let bytes = std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    decode::decode(
        &bytes,
        &decode::inspect(&bytes, &Limits::default()).unwrap(),
        decode::Watch::never(),
    )
    .unwrap()
}

#[expect(clippy::cast_precision_loss, reason = "a few thousand bytes")]
fn assert_close(preprocess: &Preprocess, file: &str, reference: &str) {
    let ours = preprocess.apply(&image(file));
    let reference = image(&format!("references/{reference}.png"));
    assert_eq!([reference.height(), reference.width()], preprocess.input);
    let differences: Vec<u8> =
        ours.as_bytes().iter().zip(reference.rgb()).map(|(a, b)| a.abs_diff(*b)).collect();
    let mean = differences.iter().map(|&d| f64::from(d)).sum::<f64>() / differences.len() as f64;
    assert!(mean <= 1.0, "{mean:.3} levels from Pillow with {preprocess:?}");
}

#[test]
fn every_filter_is_within_a_level_of_pillow() {
    for (interpolation, reference) in [
        (Interpolation::Nearest, "cat-nearest"),
        (Interpolation::Bilinear, "cat-bilinear"),
        (Interpolation::Bicubic, "cat-bicubic"),
        (Interpolation::Lanczos, "cat-lanczos"),
    ] {
        let preprocess = Preprocess { interpolation, ..Preprocess::default_for([32, 32]) };
        assert_close(&preprocess, "cat.jpg", reference);
    }
}

#[test]
fn a_crop_and_an_exact_resize_are_within_a_level_of_pillow() {
    assert_close(&Preprocess::default_for([224, 224]), "cat.jpg", "cat-224");
    let exact = Preprocess {
        input: [48, 80],
        resize: Resize::Exact,
        crop_ratio: 1.0,
        interpolation: Interpolation::Bicubic,
        ..Preprocess::default_for([224, 224])
    };
    assert_close(&exact, "cat.jpg", "cat-exact");
}

#[test]
fn an_image_of_the_right_size_is_unchanged() {
    let cat = image("cifar10-cat.png");
    assert_eq!(Preprocess::default_for([32, 32]).apply(&cat).as_bytes(), cat.rgb());
}

#[test]
fn the_crop_is_that_of_torchvision() {
    // (height, width) of the image, then left, top, width and height of the box.
    for (size, expected) in [
        ([256, 256], [16.0, 16.0, 224.0, 224.0]),
        ([512, 1024], [288.0, 32.0, 448.0, 448.0]),
        ([300, 200], [12.5, 62.5, 175.0, 175.0]),
        ([1, 10_000], [1_279_888.0 / 256.0, 16.0 / 256.0, 0.875, 0.875]),
    ] {
        let Crop { left, top, width, height } = Preprocess::default_for([224, 224]).crop(size);
        for (ours, theirs) in [left, top, width, height].into_iter().zip(expected) {
            assert!((ours - theirs).abs() < 1e-3, "{size:?}: {ours} is not {theirs}");
        }
    }
}

#[test]
fn unsupported_preprocessing_is_an_error_with_the_valid_values() {
    let usual = Preprocess::default_for([224, 224]);
    for (wrong, words) in [
        (Preprocess { input: [0, 224], ..usual.clone() }, "must be 1 to 4096"),
        (Preprocess { crop_ratio: 0.0, ..usual.clone() }, "at most 1"),
        (Preprocess { crop_ratio: f64::NAN, ..usual.clone() }, "at most 1"),
        (Preprocess { std: [0.2, 0.0, 0.2], ..usual.clone() }, "std must be positive"),
        (Preprocess { mean: [123.7, 116.3, 103.5], ..usual }, "from 0 to 1"),
    ] {
        let error = wrong.validate().unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
}
