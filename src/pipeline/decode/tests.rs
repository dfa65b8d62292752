//! Compares images of every format with Pillow, and checks the errors for other content.

use super::*;
use crate::model::Preprocess;

pub(super) fn data(name: &str) -> Vec<u8> {
    let path = format!("{}/tests/data/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

pub(super) fn decoded(bytes: &[u8]) -> Result<Image, DecodeError> {
    let limits = Limits::default();
    decode(bytes, &inspect(bytes, &limits)?, Watch::never())
}

fn is_truncated(answer: &Result<Image, DecodeError>) -> bool {
    matches!(answer, Err(DecodeError::Truncated { .. }))
}

/// Mean absolute difference of two byte slices of the same length.
#[expect(clippy::cast_precision_loss, reason = "both are far below 2^53")]
fn difference(ours: &[u8], theirs: &[u8]) -> f64 {
    assert_eq!(ours.len(), theirs.len());
    let sum: u64 = ours.iter().zip(theirs).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
    sum as f64 / ours.len() as f64
}

#[test]
fn all_formats_and_pixel_types_are_within_a_level_of_pillow() {
    let preprocess = Preprocess { input: [64, 64], ..Preprocess::default_for([224, 224]) };
    let folder = format!("{}/tests/data/pictures", env!("CARGO_MANIFEST_DIR"));
    let mut compared = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let image = decoded(&data(&format!("pictures/{name}")))
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        let reference = decoded(&data(&format!("references/{name}.png"))).unwrap();
        let difference = difference(preprocess.apply(&image).as_bytes(), reference.rgb());
        assert!(difference <= 1.0, "{name} differs from Pillow by {difference:.3} levels");
        compared += 1;
    }
    assert_eq!(compared, 64);
}

#[test]
fn truncated_files_are_rejected() {
    let folder = format!("{}/tests/data/pictures", env!("CARGO_MANIFEST_DIR"));
    for entry in std::fs::read_dir(folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let whole = data(&format!("pictures/{name}"));
        for percent in [25, 50, 75, 95] {
            let cut = &whole[..whole.len() * percent / 100];
            let answer = decoded(cut);
            // The second frame is not used, and is at most half of the file.
            let whole_enough = name == "animated.gif" && percent >= 50;
            let good = if whole_enough { answer.is_ok() } else { is_truncated(&answer) };
            assert!(good, "{name} cut at {percent} %: {answer:?}");
        }
    }
}

#[test]
fn an_end_marker_in_a_thumbnail_and_bytes_after_the_end_are_ignored() {
    let photo = data("cat.jpg");
    let mut with_garbage = photo.clone();
    with_garbage.extend_from_slice(b"trailing \xFF\xFF\x00 garbage");
    decoded(&with_garbage).unwrap();
    // An application segment that contains an end marker, like a thumbnail.
    let segment = [0xFF, 0xEA, 0x00, 0x04, 0xFF, 0xD9];
    let with_thumbnail = [&photo[..2], &segment, &photo[2..]].concat();
    decoded(&with_thumbnail).unwrap();
    let cut = &with_thumbnail[..with_thumbnail.len() / 2];
    assert!(matches!(decoded(cut), Err(DecodeError::Truncated { .. })));
}

#[test]
fn a_decompression_bomb_is_rejected_from_its_header() {
    let bomb = data("bomb-50k.png");
    // From the header alone: decoding it would take minutes and gigabytes.
    let refused = inspect(&bomb, &Limits::default()).unwrap_err();
    assert!(
        matches!(refused, DecodeError::TooManyPixels { pixels: 2_500_000_000, .. }),
        "{refused}"
    );
}

#[test]
fn a_header_with_a_wrong_size_is_an_error_and_takes_no_memory() {
    for name in ["rgb.png", "rgb.bmp", "still.gif", "lossy.webp", "raw.tif", "baseline.jpg"] {
        let whole = data(&format!("pictures/{name}"));
        for place in 0..whole.len().min(120) {
            let mut lying = whole.clone();
            lying[place] = 0x7F;
            let limits = Limits { max_pixels: 1_000_000, ..Limits::default() };
            if let Ok(header) = inspect(&lying, &limits) {
                assert!(header.decoded_bytes() <= limits.largest_cost());
                let _ = decode(&lying, &header, Watch::never());
            }
        }
    }
}

#[test]
fn the_error_names_content_that_is_not_an_image() {
    for (bytes, seen) in [
        (&b""[..], "an empty body"),
        (b"<!DOCTYPE html>", "an HTML page"),
        (br#"{"image": 1}"#, "JSON"),
        (b"data:image/png;base64,iVBOR", "a data: URL"),
        (b"https://example.com/cat.jpg", "a URL"),
        (b"hello", "text"),
        // The 64th byte is inside a character.
        ("é".repeat(40).as_bytes(), "text"),
        (b" /9j/4AAQSkZJRgABAQ", "base64 text; decode it first"),
        (&[0, 1, 2, 3, 4], "unknown bytes (00 01 02 03 …)"),
    ] {
        let error = decoded(bytes).unwrap_err();
        assert!(
            matches!(&error, DecodeError::NotAnImage { seen: found } if found == seen),
            "{error}"
        );
    }
    for (bytes, format) in [
        (&b"\0\0\0\x1cftypavif"[..], "an AVIF image"),
        (b"\0\0\0\x1cftypheic", "a HEIC image"),
        (b"%PDF-1.7", "a PDF"),
        (b"P6\n1 1\n255\n123", "a PNM image"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "an SVG drawing"),
    ] {
        let error = decoded(bytes).unwrap_err();
        assert!(
            matches!(&error, DecodeError::Unsupported { format: found } if *found == format),
            "{error}"
        );
    }
}

/// Rotating a large image takes as long as decoding some formats.
#[test]
fn the_watch_is_checked_before_and_after_an_image_is_rotated() {
    for ending in ["jpg", "png", "tif", "webp"] {
        let bytes = data(&format!("pictures/orientation-6.{ending}"));
        let header = inspect(&bytes, &Limits::default()).unwrap();
        let asked = std::cell::Cell::new(0);
        let until = |last: u32| {
            asked.set(0);
            let ask = |_| {
                asked.set(asked.get() + 1);
                (asked.get() >= last).then_some(Stop::Late)
            };
            decode(&bytes, &header, Watch::new(&ask))
        };
        assert!(until(u32::MAX).is_ok());
        let questions = asked.get();
        for last in [questions - 1, questions] {
            assert!(matches!(until(last), Err(DecodeError::Stopped { .. })), "{ending}");
        }
        let mut pixels = as_stored(&bytes, &header, Watch::never()).unwrap();
        pixels = image::imageops::rotate90(&pixels);
        assert_eq!(until(u32::MAX).unwrap().rgb(), pixels.as_raw().as_slice());
    }
}
