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

/// The reference images show inputs of these sizes. They do not depend on the rule for reductions.
const SCALES: [(u32, Reduction); 3] =
    [(72, Reduction::Half), (36, Reduction::Quarter), (18, Reduction::Eighth)];

/// The network's input of `side`, decoded at `most` if the coding allows it, and the scale of decoding.
fn seen(bytes: &[u8], side: u32, most: Reduction) -> Result<(Pixels, Reduction), DecodeError> {
    let preprocess = Preprocess { input: [side, side], ..Preprocess::default_for([224, 224]) };
    let header = decode::inspect(bytes, &Limits::default())?.reduced(most);
    Ok((
        preprocess.apply(&decode::decode(bytes, &header, decode::Watch::never())?),
        header.reduction(),
    ))
}

fn both(bytes: &[u8], side: u32, expected: Reduction) -> (Pixels, Pixels) {
    let (reduced, reduction) = seen(bytes, side, expected).unwrap();
    assert_eq!(reduction, expected);
    (reduced, seen(bytes, side, Reduction::None).unwrap().0)
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
        for (side, expected) in SCALES {
            let (ours, reduction) = seen(&jpeg, side, expected).unwrap();
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
            for (side, reduction) in SCALES {
                let (reduced, full) = both(&jpeg, side, reduction);
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
    encoded(&image)
}

fn encoded(image: &GrayImage) -> Vec<u8> {
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
            for (side, reduction) in SCALES {
                let (reduced, full) = both(&jpeg, side, reduction);
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
fn images_are_decoded_at_full_size_unless_they_are_large_jpegs_in_gray_or_ycc() {
    let reduction = |name: &str, preprocess: &Preprocess| {
        let header = decode::inspect(&data(name), &Limits::default()).unwrap();
        JpegScaling::On.plan(header, preprocess).reduction()
    };
    let tiny = Preprocess { input: [4, 4], ..Preprocess::default_for([224, 224]) };
    for name in ["cmyk.jpg", "ycck.jpg", "rgb-not-ycc.jpg", "rgb.png", "lossy.webp"] {
        let picture = data(&format!("pictures/{name}"));
        let header = decode::inspect(&picture, &Limits::default()).unwrap();
        assert_eq!(header.reduced(Reduction::Eighth).reduction(), Reduction::None, "{name}");
    }
    for name in ["progressive.jpg", "gray-progressive.jpg"] {
        let picture = data(&format!("pictures/{name}"));
        let header = decode::inspect(&picture, &Limits::default()).unwrap();
        assert_eq!(header.reduced(Reduction::Eighth).reduction(), Reduction::Eighth, "{name}");
    }
    assert_eq!(reduction("large/420.jpg", &tiny), Reduction::Eighth);
    let exact = Preprocess { interpolation: Interpolation::Nearest, ..tiny.clone() };
    assert_eq!(reduction("large/420.jpg", &exact), Reduction::None);
    assert_eq!(reduction("pictures/baseline.jpg", &tiny), Reduction::None, "225×150 pixels");
    assert_eq!(reduction("large/420.jpg", &Preprocess::default_for([224, 224])), Reduction::None);
    // 397 rows are at least 11 times 36 rows and 24 times 16 rows.
    let resized = |side| Preprocess { crop_ratio: 1.0, ..Preprocess::default_for([side, side]) };
    for (side, expected) in [(36, Reduction::Quarter), (16, Reduction::Eighth)] {
        assert_eq!(reduction("large/420.jpg", &resized(side)), expected);
        assert_ne!(reduction("large/420.jpg", &resized(side + 1)), expected);
    }
}

#[test]
fn photos_of_a_megapixel_are_reduced_to_at_least_twice_the_size_needed() {
    let jpeg = square(1200, 1000, [0, 0, 1]);
    let header = decode::inspect(&jpeg, &Limits::default()).unwrap();
    let reduction = |side| {
        let preprocess = Preprocess { crop_ratio: 1.0, ..Preprocess::default_for([side, side]) };
        JpegScaling::On.plan(header, &preprocess).reduction()
    };
    assert_eq!(reduction(251), Reduction::None);
    assert_eq!(reduction(250), Reduction::Half);
    assert_eq!(reduction(125), Reduction::Quarter);
    assert_eq!(reduction(62), Reduction::Eighth);
}

/// The largest difference at `side` between decoding as planned and at full size, in levels.
fn largest_difference(jpeg: &[u8], side: u32) -> u8 {
    let preprocess = Preprocess { crop_ratio: 1.0, ..Preprocess::default_for([side, side]) };
    let header = decode::inspect(jpeg, &Limits::default()).unwrap();
    let [planned, full] = [JpegScaling::On, JpegScaling::Off].map(|scaling| {
        let header = scaling.plan(header, &preprocess);
        preprocess.apply(&decode::decode(jpeg, &header, decode::Watch::never()).unwrap())
    });
    let pairs = planned.as_bytes().iter().zip(full.as_bytes());
    pairs.map(|(ours, theirs)| ours.abs_diff(*theirs)).max().unwrap()
}

/// Light on waves: rows of black and white dashes of random length.
#[test]
fn the_finest_pattern_is_within_eight_levels_of_decoding_at_full_size() {
    let mut random = 1_u64;
    let (mut rest, mut level) = (0, 0);
    let image = GrayImage::from_fn(500, 375, |_, _| {
        if rest == 0 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            rest = 1 + (random >> 33) % 4;
            level = if random >> 63 == 0 { 0 } else { 255 };
        }
        rest -= 1;
        Luma([level])
    });
    let jpeg = encoded(&image);
    for side in [15, 16, 20, 24, 28, 32, 34, 40, 48, 56, 64, 72, 80] {
        let difference = largest_difference(&jpeg, side);
        assert!(difference <= 8, "{difference} levels at {side}");
    }
}

/// Of the last reduced pixel, only an eighth or a quarter belongs to the image.
#[test]
fn a_line_at_the_edge_is_not_lost() {
    let image = GrayImage::from_fn(497, 600, |x, _| Luma([if x == 496 { 255 } else { 0 }]));
    let jpeg = encoded(&image);
    for side in [20, 40, 45] {
        let difference = largest_difference(&jpeg, side);
        assert!(difference <= 4, "{difference} levels at {side}");
    }
}

#[test]
fn a_scaled_image_reports_its_full_size_and_counts_its_scaled_size() {
    let jpeg = turned(&data("large/420.jpg"), 6);
    let preprocess = Preprocess { input: [31, 31], ..Preprocess::default_for([224, 224]) };
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
            for (side, reduction) in &SCALES[1..] {
                let answer = seen(cut, *side, *reduction);
                assert!(matches!(answer, Err(DecodeError::Truncated { .. })), "{name}: {answer:?}");
                let answer = seen(&ended, *side, *reduction);
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
            match seen(&bytes, 18, Reduction::Eighth) {
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
