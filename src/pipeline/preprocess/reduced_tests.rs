//! Compares JPEGs decoded at reduced size with Pillow and with decoding at full size.

use std::io::Cursor;

use image::codecs::jpeg::JpegEncoder;
use image::{GrayImage, Luma};

use super::*;
use crate::pipeline::decode::{self, DecodeError, Limits, Reduction};

fn data(name: &str) -> Vec<u8> {
    let path = format!("{}/tests/data/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The network's input of `side`, and the scale at which the image was decoded.
fn seen(bytes: &[u8], side: u32, scaling: JpegScaling) -> Result<(Pixels, Reduction), DecodeError> {
    let preprocess = Preprocess { input: [side, side], ..Preprocess::default_for([224, 224]) };
    let header = scaling.plan(decode::inspect(bytes, &Limits::default())?, &preprocess);
    Ok((
        preprocess.apply(&decode::decode(bytes, &header, decode::Watch::never())?),
        header.reduction(),
    ))
}

fn both(bytes: &[u8], side: u32) -> (Pixels, Pixels) {
    let (reduced, reduction) = seen(bytes, side, JpegScaling::On).unwrap();
    assert_ne!(reduction, Reduction::None);
    (reduced, seen(bytes, side, JpegScaling::Off).unwrap().0)
}

#[expect(clippy::cast_precision_loss, reason = "a few thousand bytes")]
fn difference(ours: &[u8], theirs: &[u8]) -> f64 {
    assert_eq!(ours.len(), theirs.len());
    let sum: u64 = ours.iter().zip(theirs).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
    sum as f64 / ours.len() as f64
}

/// The file with an EXIF segment with this orientation.
fn turned(jpeg: &[u8], orientation: u8) -> Vec<u8> {
    let exif = [
        &b"\xFF\xE1\x00\x22Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0"[..],
        &[orientation, 0, 0, 0, 0, 0, 0],
    ]
    .concat();
    [&jpeg[..2], &exif, &jpeg[2..]].concat()
}

#[test]
fn reduced_images_are_within_a_level_of_pillow_with_all_samplings() {
    for name in ["444", "422", "420", "440", "411", "gray", "restart"] {
        let jpeg = data(&format!("large/{name}.jpg"));
        for (side, expected) in
            [(72, Reduction::Half), (36, Reduction::Quarter), (18, Reduction::Eighth)]
        {
            let (ours, reduction) = seen(&jpeg, side, JpegScaling::On).unwrap();
            // The chroma columns would have to be reduced to a quarter, but the image to a half.
            let full = name == "411" && expected == Reduction::Half;
            assert_eq!(reduction, if full { Reduction::None } else { expected }, "{name}");
            let reference = data(&format!("large/{name}-{side}.png"));
            let header = decode::inspect(&reference, &Limits::default()).unwrap();
            let reference = decode::decode(&reference, &header, decode::Watch::never()).unwrap();
            let difference = difference(ours.as_bytes(), reference.rgb());
            assert!(difference <= 1.0, "{name} at {side}: {difference:.3} levels from Pillow");
        }
    }
}

#[test]
fn a_photo_is_upright_at_every_scale() {
    for name in ["420", "422"] {
        let jpeg = data(&format!("large/{name}.jpg"));
        for orientation in 1..=8 {
            let jpeg = turned(&jpeg, orientation);
            for side in [72, 36, 18] {
                let (reduced, full) = both(&jpeg, side);
                let difference = difference(reduced.as_bytes(), full.as_bytes());
                assert!(difference <= 1.0, "{name}, {orientation}, {side}: {difference:.3} levels");
            }
        }
    }
}

/// A greyscale JPEG of a white square on black.
fn square(width: u32, height: u32, [left, top, side]: [u32; 3]) -> Vec<u8> {
    let is_in = |at: u32, first: u32| (first..first + side).contains(&at);
    let image = GrayImage::from_fn(width, height, |x, y| {
        Luma([if is_in(x, left) && is_in(y, top) { 255 } else { 0 }])
    });
    let mut jpeg = Cursor::new(Vec::new());
    image.write_with_encoder(JpegEncoder::new_with_quality(&mut jpeg, 95)).unwrap();
    jpeg.into_inner()
}

/// The centroid of bright pixels, in the input's pixels from the left and the top.
#[expect(clippy::cast_precision_loss, reason = "small numbers")]
fn middle(pixels: &Pixels, side: usize) -> [f64; 2] {
    let (mut sum, mut x, mut y) = (0.0, 0.0, 0.0);
    for (place, pixel) in pixels.as_bytes().as_chunks::<3>().0.iter().enumerate() {
        let level = f64::from(pixel[0]);
        sum += level;
        x += level * (place % side) as f64;
        y += level * (place / side) as f64;
    }
    [x / sum, y / sum]
}

#[test]
fn a_square_has_the_same_position_at_every_scale_and_orientation() {
    // All remainders of a division of a side by 8.
    for extra in 0..8 {
        let jpeg = square(601 + extra, 408 - extra, [250, 170, 50]);
        for orientation in 1..=8 {
            let jpeg = turned(&jpeg, orientation);
            for side in [72, 36, 18] {
                let (reduced, full) = both(&jpeg, side);
                let [reduced, full] = [reduced, full].map(|pixels| middle(&pixels, side as usize));
                for (reduced, full) in reduced.iter().zip(full) {
                    let off = (reduced - full).abs();
                    // The tolerance is half a pixel; ignoring a remainder gives a larger error.
                    assert!(off < 0.02, "+{extra}, {orientation}, {side}: {reduced} is not {full}");
                }
            }
        }
    }
}

#[test]
fn images_are_decoded_at_full_size_unless_they_are_large_baseline_jpegs() {
    let reduction = |name: &str, preprocess: &Preprocess| {
        let header = decode::inspect(&data(name), &Limits::default()).unwrap();
        JpegScaling::On.plan(header, preprocess).reduction()
    };
    let tiny = Preprocess { input: [4, 4], ..Preprocess::default_for([224, 224]) };
    for name in [
        "progressive.jpg",
        "gray-progressive.jpg",
        "cmyk.jpg",
        "ycck.jpg",
        "rgb-not-ycc.jpg",
        "rgb.png",
        "lossy.webp",
    ] {
        let picture = data(&format!("pictures/{name}"));
        let header = decode::inspect(&picture, &Limits::default()).unwrap();
        assert_eq!(header.reduced(Reduction::Eighth).reduction(), Reduction::None, "{name}");
    }
    assert_eq!(reduction("large/420.jpg", &tiny), Reduction::Eighth);
    let exact = Preprocess { interpolation: Interpolation::Nearest, ..tiny.clone() };
    assert_eq!(reduction("large/420.jpg", &exact), Reduction::None);
    assert_eq!(reduction("pictures/baseline.jpg", &tiny), Reduction::None, "225×150 pixels");
    assert_eq!(reduction("large/420.jpg", &Preprocess::default_for([224, 224])), Reduction::None);
    // 397 rows are less than 2.25 times 2 times 89 rows.
    let resized = |side| Preprocess { crop_ratio: 1.0, ..Preprocess::default_for([side, side]) };
    assert_eq!(reduction("large/420.jpg", &resized(89)), Reduction::None);
    assert_eq!(reduction("large/420.jpg", &resized(88)), Reduction::Half);
}

#[test]
fn a_scaled_image_reports_its_full_size_and_counts_its_scaled_size() {
    let jpeg = turned(&data("large/420.jpg"), 6);
    let preprocess = Preprocess { input: [36, 36], ..Preprocess::default_for([224, 224]) };
    let whole = decode::inspect(&jpeg, &Limits::default()).unwrap();
    let header = JpegScaling::On.plan(whole, &preprocess);
    let image = decode::decode(&jpeg, &header, decode::Watch::never()).unwrap();
    assert_eq!(image.full_size(), [593, 397]);
    assert_eq!([image.height(), image.width()], [149, 100]);
    let fixed = 2 * jpeg.len() as u64 + (128 << 10);
    assert_eq!(whole.decoded_bytes(), 608 * 400 * 11 + fixed);
    assert_eq!(header.decoded_bytes(), 160 * 112 * 11 + fixed);
}

#[test]
fn a_truncated_scan_is_rejected() {
    for name in ["420", "gray", "restart", "411"] {
        let whole = data(&format!("large/{name}.jpg"));
        for percent in [30, 50, 75, 95, 99] {
            let cut = &whole[..whole.len() * percent / 100];
            let ended = [cut, &[0xFF, 0xD9]].concat();
            for side in [36, 18] {
                let answer = seen(cut, side, JpegScaling::On);
                assert!(matches!(answer, Err(DecodeError::Truncated { .. })), "{name}: {answer:?}");
                let answer = seen(&ended, side, JpegScaling::On);
                assert!(matches!(answer, Err(DecodeError::Corrupt { .. })), "{name}: {answer:?}");
            }
        }
    }
}

#[test]
fn damaged_scans_and_headers_do_not_cause_a_panic() {
    let mut random = 0x9E37_79B9_7F4A_7C15_u64;
    let mut next = || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        usize::try_from(random >> 33).unwrap()
    };
    let (mut good, mut bad) = (0, 0);
    for name in ["444", "420", "411", "gray", "restart"] {
        let whole = data(&format!("large/{name}.jpg"));
        for _ in 0..400 {
            let mut bytes = whole.clone();
            // The tables are the first 630 bytes.
            let reach = if next() % 2 == 0 { bytes.len() } else { 630 };
            let at = next() % reach;
            match next() % 4 {
                0 => bytes[at] ^= 1 << (next() % 8),
                1 => bytes[at] = 0xFF,
                2 => bytes[at] = next().to_le_bytes()[0],
                _ => drop(bytes.drain(at..(at + next() % 64).min(whole.len()))),
            }
            match seen(&bytes, 18, JpegScaling::On) {
                Ok(_) => good += 1,
                Err(DecodeError::Corrupt { cause, .. }) => {
                    assert_ne!(cause, "its decoder failed", "{name}");
                    bad += 1;
                }
                Err(_) => bad += 1,
            }
        }
    }
    assert!(good > 100 && bad > 100, "{good} answered, {bad} refused");
}
