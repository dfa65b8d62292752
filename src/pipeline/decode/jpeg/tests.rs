//! Damage is treated equally at every size; rare but valid files.

use libjpeg_turbo_rs::{Encoder, PixelFormat, Subsampling, compress, compress_arithmetic};

use super::super::{DecodeError, Header, Image, Limits, Reduction, Watch, decode, inspect};

const SIDES: [usize; 2] = [160, 120];

/// An image with details everywhere.
fn rgb() -> Vec<u8> {
    let [width, height] = SIDES;
    let mut random = 0x9E37_79B9_7F4A_7C15_u64;
    let mut levels = Vec::with_capacity(width * height * 3);
    for place in 0..width * height {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let base = [place % width, place / width, place % 97].map(|level| level as u64);
        levels.extend(base.map(|level| (level + random % 32).to_le_bytes()[0]));
    }
    levels
}

fn baseline() -> Vec<u8> {
    compress(&rgb(), SIDES[0], SIDES[1], PixelFormat::Rgb, 80, Subsampling::S420).unwrap()
}

fn progressive() -> Vec<u8> {
    let pixels = rgb();
    let encoder = Encoder::new(&pixels, SIDES[0], SIDES[1], PixelFormat::Rgb);
    encoder.quality(80).subsampling(Subsampling::S420).progressive(true).encode().unwrap()
}

fn restarting() -> Vec<u8> {
    let pixels = rgb();
    let encoder = Encoder::new(&pixels, SIDES[0], SIDES[1], PixelFormat::Rgb);
    encoder.quality(80).subsampling(Subsampling::S422).restart_blocks(4).encode().unwrap()
}

fn decoded(bytes: &[u8], part: Reduction) -> Result<(Image, Header), DecodeError> {
    let header = inspect(bytes, &Limits::default())?.reduced(part);
    Ok((decode(bytes, &header, Watch::never())?, header))
}

/// Whether it is decoded, which must not depend on the size.
fn is_answered(bytes: &[u8], what: &str) -> bool {
    let [whole, quarter] =
        [Reduction::None, Reduction::Quarter].map(|part| decoded(bytes, part).is_ok());
    assert_eq!(whole, quarter, "{what}: answered at one size and refused at another");
    whole
}

#[test]
fn a_truncated_image_is_rejected_at_every_size() {
    for (name, whole) in
        [("baseline", baseline()), ("progressive", progressive()), ("restarting", restarting())]
    {
        assert!(is_answered(&whole, name));
        for percent in 0..100 {
            let cut = &whole[..whole.len() * percent / 100];
            assert!(!is_answered(cut, name), "{name} cut at {percent} %");
            let ended = [cut, &[0xFF, 0xD9]].concat();
            assert!(!is_answered(&ended, name), "{name} cut at {percent} % and ended");
        }
    }
}

#[test]
fn damage_is_treated_equally_at_every_size() {
    for (name, whole) in
        [("baseline", baseline()), ("progressive", progressive()), ("restarting", restarting())]
    {
        for percent in 25..99 {
            let at = whole.len() * percent / 100;
            let with = |piece: &[u8]| [&whole[..at], piece, &whole[at..]].concat();
            let what = |damage: &str| format!("{name}, {damage} at {percent} %");
            is_answered(&with(&[0xFF, 0xFF]), &what("FF FF"));
            is_answered(&with(&[0; 64]), &what("zeros"));
            // A scan whose last blocks are complete does not need the rest of its data.
            for marker in [[0xFF, 0xC4], [0xFF, 0xD3]] {
                let answered = is_answered(&with(&marker), &what("a marker"));
                assert!(!answered || name == "progressive", "{}", what("a marker"));
            }
            let mut zeroed = whole.clone();
            let end = whole.len().min(at + 40);
            zeroed[at..end].fill(0);
            is_answered(&zeroed, &what("zeroed"));
            let gap = [&whole[..at], &whole[whole.len().min(at + 200)..]].concat();
            is_answered(&gap, &what("a gap"));
        }
    }
}

/// Found by fuzzing: libjpeg-turbo-rs read a length after the marker FF 01, which has none.
#[test]
fn bytes_between_segments_are_skipped_at_every_size() {
    for (name, whole) in
        [("baseline", baseline()), ("progressive", progressive()), ("restarting", restarting())]
    {
        let pixels = decoded(&whole, Reduction::None).unwrap().0;
        let segments = whole.windows(2).enumerate().filter(|(_, pair)| match pair {
            [0xFF, marker] => matches!(marker, 0xC0 | 0xC2 | 0xC4 | 0xDA | 0xDB | 0xD9),
            _ => false,
        });
        for (at, _) in segments {
            for junk in [&b"\xFF\x01gOOO"[..], b"junk", b"\xFF\xFF\xFF"] {
                let with = [&whole[..at], junk, &whole[at..]].concat();
                // Some of these markers follow the data of a scan, where letters are codes.
                if is_answered(&with, name) {
                    let same = decoded(&with, Reduction::None).unwrap().0;
                    assert!(same.rgb() == pixels.rgb(), "{name}, {junk:?} at {at}");
                }
            }
        }
        let frame = whole.windows(2).position(|pair| pair[0] == 0xFF && pair[1] & 0xFD == 0xC0);
        let (before, after) = whole.split_at(frame.unwrap());
        assert!(is_answered(&[before, b"\xFF\x01gOOO", after].concat(), name), "{name}");
    }
}

/// Found by fuzzing: libjpeg-turbo-rs parsed the rest of a long restart interval as segments. libjpeg also
/// rejects such lengths (`JERR_BAD_LENGTH`).
#[test]
fn segments_of_a_wrong_length_are_rejected_at_every_size() {
    let whole = restarting();
    for marker in [0xC0, 0xC4, 0xDA, 0xDB, 0xDD] {
        let start = whole.windows(2).position(|pair| pair == [0xFF, marker]).unwrap();
        let length = usize::from(u16::from_be_bytes([whole[start + 2], whole[start + 3]]));
        for longer in [1, 3, 20] {
            let mut with = whole[..start + 2].to_vec();
            with.extend(u16::try_from(length + longer).unwrap().to_be_bytes());
            with.extend(&whole[start + 4..start + 2 + length]);
            with.extend(vec![0; longer]);
            with.extend(&whole[start + 2 + length..]);
            assert!(!is_answered(&with, "a longer segment"), "{marker:X}, {longer} bytes more");
        }
    }
}

#[test]
fn arithmetic_and_huffman_codes_give_the_same_pixels() {
    let [width, height] = SIDES;
    let (format, sampling) = (PixelFormat::Rgb, Subsampling::S420);
    let arithmetic = compress_arithmetic(&rgb(), width, height, format, 80, sampling).unwrap();
    let (ours, _) = decoded(&arithmetic, Reduction::None).unwrap();
    assert_eq!(ours.rgb(), decoded(&baseline(), Reduction::None).unwrap().0.rgb());

    // The same as a progressive file, which the decoder fails on: found by fuzzing.
    let mut progressive = arithmetic;
    let frame = progressive.windows(2).position(|pair| pair == [0xFF, 0xC9]).unwrap();
    progressive[frame + 1] = 0xCA;
    let refused = decoded(&progressive, Reduction::None);
    assert!(matches!(refused, Err(DecodeError::Unsupported { .. })), "{:?}", refused.err());
}

#[test]
fn an_unknown_transform_of_adobe_is_ycc_at_every_size() {
    let whole = baseline();
    let adobe = b"\xFF\xEE\0\x0EAdobe\0\x64\0\0\0\0\x03";
    let marked = [&whole[..2], adobe, &whole[2..]].concat();
    for part in [Reduction::None, Reduction::Quarter] {
        let [(plain, header), (marked, same)] =
            [&whole, &marked].map(|bytes| decoded(bytes, part).unwrap());
        assert_eq!(header.reduction(), same.reduction());
        assert_eq!(plain.rgb(), marked.rgb());
    }
}

#[test]
fn too_many_scans_are_rejected_from_the_header() {
    let whole = progressive();
    let header = inspect(&whole, &Limits::default()).unwrap();
    assert_eq!(header.scans(), 10);
    let scan = whole.windows(2).rposition(|pair| pair == [0xFF, 0xDA]).unwrap();
    let last = &whole[scan..whole.len() - 2];
    let many = [&whole[..scan], &last.repeat(60), &[0xFF, 0xD9][..]].concat();
    let refused = inspect(&many, &Limits::default()).unwrap_err();
    assert!(refused.to_string().contains("more than 64 scans"), "{refused}");
}

/// The decoder takes the third component's sampling for the second one, and panics or gives other pixels where they
/// differ. With half the rows (0x12) its pixels are up to 25 levels from libjpeg's.
#[test]
fn cmyk_with_a_rare_sampling_is_rejected_with_a_reason() {
    let of = |sampling: [u8; 4]| {
        let [a, b, c, d] = sampling;
        let frame = [8, 0, 8, 0, 8, 4, 1, a, 0, 2, b, 0, 3, c, 0, 4, d, 0];
        let scan = b"\xFF\xDA\0\x0E\x04\x01\0\x02\0\x03\0\x04\0\0\x3F\0\0";
        let file = [b"\xFF\xD8\xFF\xC0\0\x14", &frame[..], scan, b"\xFF\xD9"].concat();
        inspect(&file, &Limits::default())
    };
    for usual in [[0x11; 4], [0x22; 4], [0x21, 0x11, 0x11, 0x21], [0x22, 0x11, 0x11, 0x22]] {
        assert!(of(usual).is_ok(), "{usual:?}");
    }
    for rare in [
        [0x11, 0x11, 0x22, 0x11],
        [0x22, 0x11, 0x22, 0x22],
        [0x22, 0x22, 0x11, 0x22],
        [0x22, 0x12, 0x21, 0x22],
        [0x22, 0x11, 0x11, 0x11],
        [0x12, 0x11, 0x11, 0x12],
    ] {
        let refused = of(rare);
        assert!(matches!(refused, Err(DecodeError::Unsupported { .. })), "{rare:?}: {refused:?}");
    }
}

/// Found by fuzzing: libjpeg-turbo-rs used the last table. libjpeg uses that of a component's first scan.
#[test]
fn quantization_tables_after_the_first_scan_of_their_components_have_no_effect() {
    for (name, whole) in [("baseline", baseline()), ("progressive", progressive())] {
        let table = [&b"\xFF\xDB\0\x43\0"[..], &[9; 64]].concat();
        let end = whole.len() - 2;
        let scan = whole.windows(2).rposition(|pair| pair == [0xFF, 0xDA]).unwrap();
        for at in if name == "progressive" { vec![scan, end] } else { vec![end] } {
            let changed = [&whole[..at], &table, &whole[at..]].concat();
            let parts =
                if name == "progressive" { Reduction::SMALLER } else { [Reduction::Half; 3] };
            for part in [Reduction::None].into_iter().chain(parts) {
                let [expected, found] = [&whole, &changed].map(|file| decoded(file, part).unwrap());
                assert!(expected.0.rgb() == found.0.rgb(), "{name} at {at}, {part:?}");
            }
        }
    }
}

/// Found by fuzzing: libjpeg-turbo-rs used the tables of a later segment. libjpeg does not allow that.
#[test]
fn quantization_tables_that_come_too_late_are_missing() {
    let whole = progressive();
    let table = whole.windows(2).position(|pair| pair == [0xFF, 0xDB]).unwrap();
    let length = usize::from(u16::from_be_bytes([whole[table + 2], whole[table + 3]]));
    let (tables, rest) = whole[table..].split_at(2 + length);
    let late = [&whole[..table], &rest[..rest.len() - 2], tables, &[0xFF, 0xD9]].concat();
    assert!(!is_answered(&late, "a table after all scans"));
}

/// libjpeg does not allow them either.
#[test]
fn invalid_huffman_tables_are_rejected_at_every_size() {
    let whole = baseline();
    let table = |kind: u8, counts: [u8; 16], symbols: &[u8]| {
        let length = u8::try_from(19 + symbols.len()).unwrap();
        let segment = [&[0xFF, 0xC4, 0, length, kind], &counts[..], symbols].concat();
        let scan = whole.windows(2).position(|pair| pair == [0xFF, 0xDA]).unwrap();
        [&whole[..scan], &segment, &whole[scan..]].concat()
    };
    let counts = |first: u8, second: u8| {
        let mut counts = [0; 16];
        counts[..2].copy_from_slice(&[first, second]);
        counts
    };
    assert!(is_answered(&table(0x13, counts(1, 1), &[0, 1]), "0 and 10"));
    for (kind, counts, symbols, what) in [
        (0x13, counts(1, 2), &[0, 1, 2][..], "a code of ones only"),
        (0x13, counts(2, 1), &[0, 1, 2], "more codes than there are"),
        (0x03, counts(1, 0), &[16], "a difference of 16 bits"),
        (0x14, counts(1, 0), &[0], "a fifth table"),
        (0x23, counts(1, 0), &[0], "a third class"),
    ] {
        assert!(!is_answered(&table(kind, counts, symbols), what), "{what}");
    }
}

/// Found by fuzzing: where the first scan is cut short, libjpeg-turbo-rs took the second one.
#[test]
fn a_sequential_file_with_a_second_scan_of_a_component_is_rejected() {
    let whole = baseline();
    let scan = whole.windows(2).position(|pair| pair == [0xFF, 0xDA]).unwrap();
    let end = whole.len() - 2;
    for first_end in [end, end - 200] {
        let twice = [&whole[..first_end], &whole[scan..]].concat();
        let refused = inspect(&twice, &Limits::default()).unwrap_err();
        assert!(refused.to_string().contains("a colour is in two scans"), "{refused}");
    }
}

/// Found by fuzzing: decoded at reduced size only. Pillow reads such files, but no program writes them.
#[test]
fn chroma_with_more_samples_than_luma_is_rejected_with_a_reason() {
    let mut file = baseline();
    let frame = file.windows(2).position(|pair| pair == [0xFF, 0xC0]).unwrap();
    let sampling = |place: usize| frame + 11 + 3 * place;
    for (place, blocks) in [(0, 0x21), (1, 0x11), (2, 0x41)] {
        file[sampling(place)] = blocks;
    }
    let refused = inspect(&file, &Limits::default());
    assert!(matches!(refused, Err(DecodeError::Unsupported { .. })), "{refused:?}");
}

#[test]
fn predicted_time_grows_with_the_bytes_and_most_with_arithmetic_coding() {
    let [width, height] = SIDES;
    let arithmetic =
        compress_arithmetic(&rgb(), width, height, PixelFormat::Rgb, 80, Subsampling::S420)
            .unwrap();
    let time = |bytes: &[u8]| inspect(bytes, &Limits::default()).unwrap().decode_time();
    assert!(time(&arithmetic) > 5 * time(&baseline()));
    assert!(time(&progressive()) > time(&baseline()));
    // EXIF and bytes after the end are not decoded.
    let exif = [b"\xFF\xE1\xFF\xFFExif\0\0".to_vec(), vec![0; 65_527]].concat();
    let whole = baseline();
    let larger = [&whole[..2], &exif, &whole[2..], &exif].concat();
    assert_eq!(time(&larger), time(&whole));
}

/// Almost any bytes are valid arithmetic code, so damage changes pixels. Pillow 13.0 decoded the expected ones.
#[test]
fn damaged_arithmetic_code_is_decoded_as_in_pillow() {
    let path = format!("{}/tests/data/cat.jpg", env!("CARGO_MANIFEST_DIR"));
    let mut jpeg = std::fs::read(path).unwrap();
    let frame = jpeg.windows(2).position(|marker| marker == [0xFF, 0xC0]).unwrap();
    jpeg[frame + 1] = 0xC9; // the same Huffman codes, declared as arithmetic ones
    let (image, _) = decoded(&jpeg, Reduction::None).unwrap();
    let pixel = |x: usize| {
        let place = (150 * image.width() as usize + x) * 3;
        [0, 1, 2].map(|channel| image.rgb()[place + channel])
    };
    let pillow = [[247, 0, 255], [249, 0, 255], [244, 0, 255], [251, 0, 255]];
    assert_eq!([0, 100, 200, 450].map(pixel), pillow);
}
