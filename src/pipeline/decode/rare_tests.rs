//! Rare but valid kinds of files, generated here, with the expected pixels; `tiff/tests.rs` has those of TIFF.

use super::tests::{data, decoded};
use super::*;

pub(super) fn pixels(bytes: &[u8]) -> Vec<[u8; 3]> {
    let image = decoded(bytes).unwrap();
    image.rgb().chunks_exact(3).map(|pixel| [pixel[0], pixel[1], pixel[2]]).collect()
}

pub(super) fn greys(levels: &[u8]) -> Vec<[u8; 3]> {
    levels.iter().map(|&level| [level; 3]).collect()
}

pub(super) fn unsupported(bytes: &[u8]) -> &'static str {
    match decoded(bytes) {
        Err(DecodeError::Unsupported { format }) => format,
        other => panic!("{other:?}"),
    }
}

/// A bitmap: its header with length, size and bits, then the rest of the header and what follows.
fn bitmap(header: &[u8], palette: &[u8], rows: &[u8]) -> Vec<u8> {
    let pixels = u32::try_from(14 + header.len() + palette.len()).unwrap();
    // The reserved bytes contain the hot spot of a cursor.
    let start = [&b"BM\0\0\0\0\x05\0\x07\0"[..], &pixels.to_le_bytes()].concat();
    [&start[..], header, palette, rows].concat()
}

/// Windows 3's header of 40 bytes, with `planes` where there should be 1.
fn info([width, height]: [i32; 2], planes: u16, bits: u16, compression: u32) -> Vec<u8> {
    let mut header = 40_u32.to_le_bytes().to_vec();
    header.extend_from_slice(&width.to_le_bytes());
    header.extend_from_slice(&height.to_le_bytes());
    header.extend_from_slice(&planes.to_le_bytes());
    header.extend_from_slice(&bits.to_le_bytes());
    header.extend_from_slice(&compression.to_le_bytes());
    header.extend_from_slice(&[0; 20]);
    header
}

const RED_AND_BLUE: [u8; 8] = [0, 0, 255, 0, 255, 0, 0, 0];

#[test]
fn bitmaps_of_os2_and_with_wrong_reserved_bytes_planes_and_offsets_are_decoded() {
    let expected = [[255, 0, 0], [0, 0, 255]];
    let old = [12, 0, 0, 0, 2, 0, 1, 0, 1, 0, 1, 0];
    let file = bitmap(&old, &[0, 0, 255, 255, 0, 0], &[0b0100_0000, 0, 0, 0]);
    assert_eq!(pixels(&file), expected);
    let many_planes = bitmap(&info([2, 1], 5, 1, 0), &RED_AND_BLUE, &[0b0100_0000, 0, 0, 0]);
    assert_eq!(pixels(&many_planes), expected);
    // 54 is the start of the palette.
    for offset in [0, 5, 54, 0xFFFF] {
        let mut wrong = many_planes.clone();
        wrong[10..14].copy_from_slice(&u32::to_le_bytes(offset));
        assert_eq!(pixels(&wrong), expected, "an offset of {offset}");
    }
    let mut long = info([2, 1], 1, 1, 0);
    long[0] = 64;
    long.extend_from_slice(&[0; 24]);
    assert_eq!(pixels(&bitmap(&long, &RED_AND_BLUE, &[0b0100_0000, 0, 0, 0])), expected);
}

#[test]
fn the_channels_of_a_bitmap_are_defined_by_its_masks() {
    let masks =
        |masks: [u32; 3]| masks.iter().flat_map(|mask| mask.to_le_bytes()).collect::<Vec<_>>();
    // Five bits each. Some programs treat the highest bit as alpha, but no browser does.
    let file =
        bitmap(&info([2, 1], 1, 16, 3), &masks([0x7C00, 0x03E0, 0x001F]), &[0xFF, 0x7F, 0, 0x7C]);
    assert_eq!(pixels(&file), [[255, 255, 255], [255, 0, 0]]);
    let file = bitmap(&info([1, 1], 1, 32, 3), &masks([0xFF, 0xFF00, 0xFF_0000]), &[1, 2, 3, 0]);
    assert_eq!(pixels(&file), [[1, 2, 3]]);
    assert_eq!(pixels(&bitmap(&info([1, 1], 1, 16, 0), &[], &[0, 0x7C, 0, 0])), [[255, 0, 0]]);
}

#[test]
fn runs_of_a_bitmap_may_jump_and_may_be_top_down() {
    // Two pixels of colour 1, a jump to the next row, one of colour 1, and the end. Others have colour 0.
    let runs = [2, 1, 0, 2, 0, 1, 1, 1, 0, 1];
    let file = |height| {
        bitmap(&info([3, height], 1, 8, 1), &[&RED_AND_BLUE[..], &[0; 254 * 4]].concat(), &runs)
    };
    let (red, blue) = ([255, 0, 0], [0, 0, 255]);
    assert_eq!(pixels(&file(-2)), [blue, blue, red, red, red, blue]);
    assert_eq!(pixels(&file(2)), [red, red, blue, blue, blue, red]);
    let text = decoded(b"BM, as they say, is how a letter may begin").unwrap_err();
    assert!(matches!(text, DecodeError::NotAnImage { .. }), "{text}");
}

/// A GIF with a canvas, a global palette of two colours and a frame of one palette index.
fn gif_of(canvas: [u8; 2], palette: &[u8], frame: [u8; 4], transparent: Option<u8>) -> Vec<u8> {
    let flags = if palette.is_empty() { 0 } else { 0x80 };
    let mut file = b"GIF89a".to_vec();
    file.extend_from_slice(&[canvas[0], 0, canvas[1], 0, flags, 0, 0]);
    file.extend_from_slice(palette);
    if let Some(number) = transparent {
        file.extend_from_slice(&[b'!', 0xF9, 4, 1, 0, 0, number, 0]);
    }
    let [left, top, width, height] = frame;
    file.extend_from_slice(&[b',', left, 0, top, 0, width, 0, height, 0, 0, 2]);
    let numbers = vec![1; usize::from(width) * usize::from(height)];
    let codes = weezl::encode::Encoder::new(weezl::BitOrder::Lsb, 2).encode(&numbers).unwrap();
    file.push(u8::try_from(codes.len()).unwrap());
    file.extend_from_slice(&codes);
    file.extend_from_slice(&[0, b';']);
    file
}

#[test]
fn a_gifs_frame_may_be_smaller_or_larger_than_its_canvas() {
    let palette = [9, 8, 7, 1, 2, 3];
    let (ground, frame, white) = ([9, 8, 7], [1, 2, 3], [255; 3]);
    let smaller = gif_of([2, 2], &palette, [1, 1, 1, 1], None);
    assert_eq!(pixels(&smaller), [ground, ground, ground, frame]);
    let over_nothing = gif_of([2, 2], &palette, [1, 1, 1, 1], Some(0));
    assert_eq!(pixels(&over_nothing), [white, white, white, frame]);
    let larger = gif_of([1, 1], &palette, [1, 0, 2, 1], None);
    assert_eq!(pixels(&larger), [ground, frame, frame]);
    assert_eq!(pixels(&gif_of([2, 1], &[], [0, 0, 2, 1], None)), greys(&[1, 1]));
}

#[test]
fn the_codes_of_a_gif_may_clear_their_table_before_every_pixel() {
    let palette = [9, 8, 7, 1, 2, 3];
    let mut file = gif_of([8, 8], &palette, [0, 0, 8, 8], None);
    // The codes of three bits: twice 4, which clears the table, and 1; at the end, 5.
    let codes = [4, 4, 1].repeat(64).into_iter().chain([5]);
    let mut bytes = [0; 73];
    for (index, code) in codes.enumerate() {
        for bit in (0..3).filter(|bit| code >> bit & 1 == 1) {
            bytes[(index * 3 + bit) / 8] |= 1 << ((index * 3 + bit) % 8);
        }
    }
    file.truncate(13 + palette.len() + 10 + 1);
    file.extend_from_slice(&[&[73], &bytes[..], &[0, b';']].concat());
    assert_eq!(pixels(&file), [[1, 2, 3]; 64]);
}

#[test]
fn an_exif_block_with_a_prefix_and_an_xmp_packet_orient_a_webp_and_a_png() {
    let riff = |kind: &[u8], body: &[u8]| {
        let fill: &[u8] = if body.len().is_multiple_of(2) { &[] } else { &[0] };
        [kind, &u32::try_from(body.len()).unwrap().to_le_bytes(), body, fill].concat()
    };
    let plain = data("pictures/lossy.webp");
    let image = decoded(&plain).unwrap();
    let exif = b"Exif\0\0MM\0\x2A\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0";
    let xmp = b"<rdf:Description tiff:Orientation=\"6\"/>";
    for (kind, body) in [(b"EXIF", &exif[..]), (b"XMP ", xmp)] {
        let sides = [image.width() - 1, image.height() - 1].map(u32::to_le_bytes);
        let canvas = [&[0x0C, 0, 0, 0][..], &sides[0][..3], &sides[1][..3]].concat();
        let chunks =
            [&b"WEBP"[..], &riff(b"VP8X", &canvas), &plain[12..], &riff(kind, body)].concat();
        let turned = decoded(&riff(b"RIFF", &chunks)).unwrap();
        assert_eq!((turned.width(), turned.height()), (image.height(), image.width()));
    }
    let plain = data("pictures/rgb.png");
    let size = decoded(&plain).map(|image| (image.height(), image.width())).unwrap();
    let xmp = [&b"XML:com.adobe.xmp\0\0\0\0\0"[..], xmp].concat();
    let digits = crate::digest::hex(exif);
    let text = format!("\nexif\n      {}\n{digits}\n", exif.len());
    let mut packed = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut packed, text.as_bytes()).unwrap();
    let text = [&b"Raw profile type exif\0"[..], text.as_bytes()].concat();
    let packed = [&b"Raw profile type exif\0\0"[..], &packed.finish().unwrap()].concat();
    let chunks =
        [(b"eXIf", &exif[..]), (b"iTXt", &xmp), (b"tEXt", &text[..]), (b"zTXt", &packed[..])];
    for (kind, body) in chunks {
        let length = u32::try_from(body.len()).unwrap().to_be_bytes();
        let chunk = [&length[..], kind, body, &[0; 4]].concat();
        let turned = decoded(&[&plain[..33], &chunk, &plain[33..]].concat()).unwrap();
        assert_eq!((turned.width(), turned.height()), size);
    }
}

#[test]
fn the_error_names_apples_png_and_wrong_checksums_of_metadata_are_ignored() {
    let plain = data("pictures/rgb.png");
    let apple = [
        &plain[..8],
        &[0, 0, 0, 4],
        b"CgBI",
        &[0x50, 0, 0x20, 0x02, 0x2B, 0xD5, 0xB3, 0x7F],
        &plain[8..],
    ];
    assert_eq!(unsupported(&apple.concat()), "a CgBI PNG, Apple's own variant");
    let described =
        [&plain[..33], &[0, 0, 0, 2], b"tEXt", b"a\0", &[1, 2, 3, 4], &plain[33..]].concat();
    assert_eq!(decoded(&described).unwrap(), decoded(&plain).unwrap());
}

#[test]
fn a_webp_that_does_not_announce_its_alpha_is_opaque() {
    let mut file = data("pictures/alpha.webp");
    assert_eq!((&file[12..16], file[20] & 0x10), (&b"VP8X"[..], 0x10));
    let color =
        |file: &[u8]| stored(file, &inspect(file, &Limits::default()).unwrap()).unwrap().color;
    assert_eq!(color(&file), "rgba8");
    let transparent = decoded(&file).unwrap();
    file[20] &= !0x10;
    assert_eq!(color(&file), "rgb8");
    assert!(decoded(&file).unwrap() != transparent);
}
