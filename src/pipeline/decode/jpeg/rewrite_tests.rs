//! Files that are rewritten have the pixels of libjpeg-turbo-rs, are rejected for the same damage, and can be stopped.

use std::cell::Cell;

use libjpeg_turbo_rs::{Encoder, PixelFormat, ScanScript, Subsampling};

use super::super::Stop;
use super::super::{DecodeError, Limits, Reduction, Watch};
use super::codes::{self, Codes};
use super::outline::Outline;
use super::{reduced, scans, whole};

/// An image with smooth parts, edges and noise; the numbers are those of a linear congruential generator.
fn samples(width: usize, height: usize, channels: usize) -> Vec<u8> {
    let mut random = 1_u32;
    let places = (0..height).flat_map(|y| (0..width).map(move |x| (y, x)));
    let pixel = |(y, x): (usize, usize)| {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let noise = if (x / 24 + y / 24) % 3 == 0 { random >> 27 } else { 0 };
        let edge = if x * 3 > y * 2 + 20 { 60 } else { 0 };
        (0..channels).map(move |channel| (x * (channel + 1) + y + edge + noise as usize) as u8)
    };
    places.flat_map(pixel).collect()
}

/// A progressive file whose scans are chosen by a number.
fn scripted(script: usize, components: u8) -> Vec<ScanScript> {
    let all: Vec<u8> = (0..components).collect();
    let scan = |components: &[u8], [ss, se, ah, al]: [u8; 4]| ScanScript {
        components: components.to_vec(),
        ss,
        se,
        ah,
        al,
    };
    let of_each = |numbers: [u8; 4]| {
        all.iter().map(move |component| scan(&[*component], numbers)).collect::<Vec<_>>()
    };
    match script {
        0 => [vec![scan(&all, [0, 0, 0, 0])], of_each([1, 63, 0, 0])].concat(),
        1 => [of_each([0, 0, 0, 0]), of_each([1, 5, 0, 0]), of_each([6, 63, 0, 0])].concat(),
        _ => {
            let mut scans = vec![scan(&all, [0, 0, 0, 3])];
            scans.extend((0..3).rev().map(|low| scan(&all, [0, 0, low + 1, low])));
            scans.extend(of_each([1, 63, 0, 3]));
            scans.extend((0..3).rev().flat_map(|low| of_each([1, 63, low + 1, low])));
            scans
        }
    }
}

/// Baseline and progressive files of all kinds, with a description of each.
fn files() -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    let samplings = [
        Subsampling::S444,
        Subsampling::S422,
        Subsampling::S420,
        Subsampling::S440,
        Subsampling::S411,
        Subsampling::S441,
        Subsampling::S410,
    ];
    for [width, height] in [[1, 1], [17, 9], [160, 120], [203, 131]] {
        for (format, channels) in
            [(PixelFormat::Rgb, 3), (PixelFormat::Grayscale, 1), (PixelFormat::Cmyk, 4)]
        {
            let pixels = samples(width, height, channels);
            for sampling in samplings {
                if channels != 3 && sampling != Subsampling::S444 {
                    continue;
                }
                for (kind, quality, restart) in [(0, 90, 0), (1, 60, 0), (2, 97, 5), (3, 75, 0)] {
                    // The encoder writes CMYK in one scan only.
                    let kind = if channels == 4 { 4 } else { kind };
                    let encoder = Encoder::new(&pixels, width, height, format);
                    let encoder = encoder.quality(quality).subsampling(sampling);
                    let encoder = encoder.restart_blocks(restart);
                    let encoder = match kind {
                        0 => encoder.progressive(true),
                        3 => encoder.optimize_huffman(true),
                        4 => encoder,
                        _ => encoder.progressive(true).scan_script(scripted(kind, channels as u8)),
                    };
                    let name = format!("{width}×{height}, {format:?}, {sampling:?}, kind {kind}");
                    files.push((name, encoder.encode().unwrap()));
                }
            }
        }
    }
    files
}

fn both_ways(bytes: &[u8]) -> Option<[Result<Vec<u8>, DecodeError>; 2]> {
    super::both_ways::both_ways(bytes, &Limits::default())
}

#[test]
fn a_rewritten_file_has_the_same_pixels() {
    for (name, bytes) in files() {
        let [at_once, rewritten] = both_ways(&bytes).expect(&name).map(Result::unwrap);
        assert!(at_once == rewritten, "{name}");
    }
}

/// The tables of [`Codes`], as a segment.
fn tables_of_codes() -> Vec<u8> {
    let tables = codes::tables();
    let length = u16::try_from(tables.len() + 2).unwrap().to_be_bytes();
    [&[0xFF, 0xC4], &length[..], &tables].concat()
}

#[test]
fn a_baseline_file_with_a_scan_for_each_component_has_the_pixels_of_one_with_one_scan() {
    let pixels = samples(90, 70, 3);
    let encoder = Encoder::new(&pixels, 90, 70, PixelFormat::Rgb).subsampling(Subsampling::S420);
    let one_scan = encoder.encode().unwrap();
    let outline = Outline::read(&one_scan, &Limits::default()).unwrap();
    let planes = scans::read(&one_scan, &outline.frame, Watch::never()).unwrap();
    let scan = one_scan.windows(2).position(|pair| pair == [0xFF, 0xDA]).unwrap();
    let mut file = one_scan[..scan].to_vec();
    file.extend(tables_of_codes());
    for (plane, id) in planes.iter().zip(outline.frame.ids()) {
        file.extend([0xFF, 0xDA, 0, 8, 1, *id, 0, 0, 63, 0]);
        let (mut codes, mut last_dc) = (Codes::in_buffer(Vec::new()), 0);
        for row in plane.blocks.chunks(plane.layout.stored[1]).take(plane.layout.used[0]) {
            row[..plane.layout.used[1]]
                .iter()
                .for_each(|block| codes.add_block(block, &mut last_dc));
        }
        codes.align();
        file.extend(codes.bytes);
    }
    file.extend([0xFF, 0xD9]);
    let [expected, _] = both_ways(&one_scan).unwrap().map(Result::unwrap);
    for found in both_ways(&file).unwrap() {
        assert!(found.unwrap() == expected);
    }
}

/// Found by fuzzing: libjpeg-turbo-rs rejects it, and libjpeg does not.
#[test]
fn the_components_of_a_scan_may_be_in_any_order() {
    let pixels = samples(90, 70, 3);
    let encoder = Encoder::new(&pixels, 90, 70, PixelFormat::Rgb).subsampling(Subsampling::S444);
    let one_scan = encoder.encode().unwrap();
    let outline = Outline::read(&one_scan, &Limits::default()).unwrap();
    let planes = scans::read(&one_scan, &outline.frame, Watch::never()).unwrap();
    let scan = one_scan.windows(2).position(|pair| pair == [0xFF, 0xDA]).unwrap();
    let mut file = one_scan[..scan].to_vec();
    file.extend(tables_of_codes());
    file.extend([0xFF, 0xDA, 0, 12, 3, 2, 0, 3, 0, 1, 0, 0, 63, 0]);
    let (mut codes, mut last_dc) = (Codes::in_buffer(Vec::new()), [0; 3]);
    for block in 0..planes[0].blocks.len() {
        for component in [1, 2, 0] {
            codes.add_block(&planes[component].blocks[block], &mut last_dc[component]);
        }
    }
    codes.align();
    file.extend(codes.bytes);
    file.extend([0xFF, 0xD9]);
    let decoded = |bytes: &[u8]| {
        let outline = Outline::read(bytes, &Limits::default()).unwrap();
        whole::decode(bytes, &outline, Watch::never()).unwrap()
    };
    assert!(decoded(&file) == decoded(&one_scan));
}

#[test]
fn the_scans_of_a_file_do_not_affect_its_pixels_at_reduced_size() {
    for (format, channels) in [(PixelFormat::Rgb, 3), (PixelFormat::Grayscale, 1)] {
        let pixels = samples(203, 131, channels);
        for sampling in [Subsampling::S444, Subsampling::S420, Subsampling::S422] {
            let encoder = || Encoder::new(&pixels, 203, 131, format).subsampling(sampling);
            let decoded = |bytes: &[u8], part: Reduction| {
                let outline = Outline::read(bytes, &Limits::default()).unwrap();
                reduced::decode(bytes, &outline, part, Watch::never()).unwrap()
            };
            let one_scan = encoder().encode().unwrap();
            for script in 0..3 {
                let scans = scripted(script, channels as u8);
                let several = encoder().progressive(true).scan_script(scans).encode().unwrap();
                for part in Reduction::SMALLER {
                    let same = decoded(&one_scan, part) == decoded(&several, part);
                    assert!(same, "{format:?}, {sampling:?}, script {script}, {part:?}");
                }
            }
        }
    }
}

#[test]
fn damage_gives_the_same_pixels_or_an_error_both_ways() {
    let mut random = 7_u32;
    let mut next = move |below: usize| {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (random >> 8) as usize % below
    };
    let (mut answered, mut refused) = (0, 0);
    for (name, whole) in files().iter().filter(|(name, _)| name.starts_with("17×9")) {
        for round in 0..200 {
            let mut bytes = whole[..whole.len() - 2].to_vec();
            for _ in 0..=next(2) {
                // After the start of the image, which makes it a JPEG.
                let at = 2 + next(bytes.len().max(3) - 2);
                match round % 3 {
                    0 if at < bytes.len() => bytes[at] ^= 1 << next(8),
                    1 if at < bytes.len() => bytes[at] = next(256) as u8,
                    _ => bytes.truncate(at),
                }
            }
            bytes.extend([0xFF, 0xD9]);
            let Some([at_once, rewritten]) = both_ways(&bytes) else { continue };
            let same = match (&at_once, &rewritten) {
                (Ok(expected), Ok(found)) => expected == found,
                (Err(_), Err(_)) => true,
                _ => false,
            };
            let words = [at_once.as_ref().err(), rewritten.as_ref().err()];
            assert!(same, "{name}, round {round}: {words:?}");
            *(if at_once.is_ok() { &mut answered } else { &mut refused }) += 1;
        }
    }
    assert!(answered > 100 && refused > 100, "{answered} answered, {refused} refused");
}

#[test]
fn a_rewritten_file_can_be_stopped_at_every_check() {
    let pixels = samples(203, 131, 3);
    let encoder = Encoder::new(&pixels, 203, 131, PixelFormat::Rgb).progressive(true);
    let bytes = encoder.encode().unwrap();
    let outline = Outline::read(&bytes, &Limits::default()).unwrap();
    let stopped_after = |count: u32| {
        let checks = Cell::new(0);
        let ask = |_| {
            checks.set(checks.get() + 1);
            (checks.get() > count).then_some(Stop::Abandoned)
        };
        let result = whole::rewritten(&bytes, &outline, Watch::new(&ask));
        (result, checks.get())
    };
    let (finished, all) = stopped_after(u32::MAX);
    finished.unwrap();
    assert!(all > 60, "a check for each row of blocks: {all}");
    for count in 0..all {
        let (result, _) = stopped_after(count);
        let stopped = matches!(result, Err(DecodeError::Stopped { stop: Stop::Abandoned }));
        assert!(stopped, "after {count} checks");
    }
}

/// Its decode would take long, and libjpeg-turbo-rs would decode it as a whole.
#[test]
fn a_large_progressive_file_is_rewritten() {
    let [width, height] = [4300, 4000];
    let pixels = vec![90; width * height * 3];
    let encoder = Encoder::new(&pixels, width, height, PixelFormat::Rgb).progressive(true);
    let bytes = encoder.encode().unwrap();
    let outline = Outline::read(&bytes, &Limits::default()).unwrap();
    let checks = Cell::new(0);
    let ask = |_| {
        checks.set(checks.get() + 1);
        None
    };
    let image = whole::decode(&bytes, &outline, Watch::new(&ask)).unwrap();
    assert!(image.pixels().all(|pixel| pixel.0.iter().all(|level| level.abs_diff(90) <= 1)));
    assert!(checks.get() > 10 * height / 16, "{} checks", checks.get());
}

#[test]
fn a_large_file_whose_decode_cannot_be_stopped_is_rejected_with_a_reason() {
    let of = |width, height| {
        let pixels = samples(width, height, 3);
        let encoder = Encoder::new(&pixels, width, height, PixelFormat::Rgb).arithmetic(true);
        let mut file = encoder.quality(95).encode().unwrap();
        // Data that belongs to the scan, and is never decoded.
        let end = file.len() - 2;
        file.splice(end..end, vec![0; 700_000]);
        Outline::read(&file, &Limits::default()).map(|_| ())
    };
    of(64, 64).unwrap();
    let refused = of(2000, 1500).unwrap_err();
    assert!(refused.to_string().contains("a large JPEG with arithmetic coding"), "{refused}");
    // A progressive file that contains of its chroma only the mean of each block.
    let of = |width, height| {
        let pixels = samples(width, height, 3);
        let script = scripted(0, 3).into_iter().take(2).collect();
        let encoder = Encoder::new(&pixels, width, height, PixelFormat::Rgb);
        let file = encoder.progressive(true).scan_script(script).quality(97).encode().unwrap();
        Outline::read(&file, &Limits::default()).map(|_| ())
    };
    of(64, 64).unwrap();
    let refused = of(4500, 4000).unwrap_err();
    assert!(refused.to_string().contains("omits coefficients of chroma"), "{refused}");
}
