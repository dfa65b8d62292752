//! Rare but valid kinds of files, generated here, with the expected pixels.

use super::tests::{data, decoded};
use super::*;

fn pixels(bytes: &[u8]) -> Vec<[u8; 3]> {
    let image = decoded(bytes).unwrap();
    image.rgb().chunks_exact(3).map(|pixel| [pixel[0], pixel[1], pixel[2]]).collect()
}

fn greys(levels: &[u8]) -> Vec<[u8; 3]> {
    levels.iter().map(|&level| [level; 3]).collect()
}

fn unsupported(bytes: &[u8]) -> &'static str {
    match decoded(bytes) {
        Err(DecodeError::Unsupported { format }) => format,
        other => panic!("{other:?}"),
    }
}

/// A little-endian TIFF of one page: `tags` as numbers and values, and strips or tiles of data.
fn tiff_of(tags: &[(u16, &[u32])], pieces: &[&[u8]]) -> Vec<u8> {
    let mut file = b"II\x2A\0\0\0\0\0".to_vec();
    let mut offsets = Vec::new();
    for piece in pieces {
        offsets.push(u32::try_from(file.len()).unwrap());
        file.extend_from_slice(piece);
    }
    let lengths: Vec<u32> =
        pieces.iter().map(|piece| u32::try_from(piece.len()).unwrap()).collect();
    let tiled = tags.iter().any(|&(tag, _)| tag == 322);
    let mut all: Vec<(u16, &[u32])> = tags.to_vec();
    all.push((if tiled { 324 } else { 273 }, &offsets));
    all.push((if tiled { 325 } else { 279 }, &lengths));
    all.sort_by_key(|&(tag, _)| tag);
    let mut entries = u16::try_from(all.len()).unwrap().to_le_bytes().to_vec();
    for (tag, values) in all {
        entries.extend_from_slice(&tag.to_le_bytes());
        entries.extend_from_slice(&4_u16.to_le_bytes());
        entries.extend_from_slice(&u32::try_from(values.len()).unwrap().to_le_bytes());
        if let [value] = values {
            entries.extend_from_slice(&value.to_le_bytes());
        } else {
            entries.extend_from_slice(&u32::try_from(file.len()).unwrap().to_le_bytes());
            file.extend(values.iter().flat_map(|value| value.to_le_bytes()));
        }
    }
    let directory = u32::try_from(file.len()).unwrap();
    file[4..8].copy_from_slice(&directory.to_le_bytes());
    file.extend_from_slice(&entries);
    file.extend_from_slice(&[0; 4]);
    file
}

/// Tags of one strip of `size` pixels with `bits` per channel, and these numbers for compression and colours.
fn strip(size: [u32; 2], bits: u32, [coding, colors, channels]: [u32; 3], data: &[u8]) -> Vec<u8> {
    strip_with(size, bits, [coding, colors, channels], &[], data)
}

fn strip_with(
    [width, height]: [u32; 2],
    bits: u32,
    [coding, colors, channels]: [u32; 3],
    more: &[(u16, &[u32])],
    data: &[u8],
) -> Vec<u8> {
    let bits = vec![bits; channels as usize];
    let channels = [channels];
    let (width, height, coding, colors) = ([width], [height], [coding], [colors]);
    let tags: [(u16, &[u32]); 6] = [
        (256, &width),
        (257, &height),
        (258, &bits),
        (259, &coding),
        (262, &colors),
        (277, &channels),
    ];
    tiff_of(&[&tags, more].concat(), &[data])
}

#[test]
fn a_tiff_of_few_bits_is_scaled_to_all_levels_and_white_may_be_zero() {
    assert_eq!(pixels(&strip([4, 1], 1, [1, 1, 1], &[0b1010_0000])), greys(&[255, 0, 255, 0]));
    assert_eq!(pixels(&strip([4, 1], 1, [1, 0, 1], &[0b1010_0000])), greys(&[0, 255, 0, 255]));
    assert_eq!(pixels(&strip([4, 1], 2, [1, 1, 1], &[0b0001_1011])), greys(&[0, 85, 170, 255]));
    assert_eq!(pixels(&strip([3, 1], 4, [1, 1, 1], &[0x0F, 0x80])), greys(&[0, 255, 136]));
    assert_eq!(pixels(&strip([2, 1], 12, [1, 1, 1], &[0x80, 0xFF, 0xFF])), greys(&[128, 255]));
    assert_eq!(pixels(&strip([2, 1], 16, [1, 1, 1], &[1, 2, 3, 4])), greys(&[2, 4]));
    // The lowest bit first.
    let reversed = strip_with([4, 1], 2, [1, 1, 1], &[(266, &[2])], &[0b1101_1000]);
    assert_eq!(pixels(&reversed), greys(&[0, 85, 170, 255]));
    let reversed = strip_with([2, 1], 8, [1, 1, 1], &[(266, &[2])], &[0b1000_0000, 0b0000_1100]);
    assert_eq!(pixels(&reversed), greys(&[1, 48]));
    let reversed = strip_with([1, 1], 16, [1, 1, 1], &[(266, &[2])], &[0xFF, 0b1000_0000]);
    assert_eq!(pixels(&reversed), greys(&[1]));
}

#[test]
fn a_tiff_with_a_palette_has_its_colours() {
    let palette: Vec<u32> =
        [0xFF00, 0, 0, 0x8000, 0, 0xFF00, 0, 0x4000, 0, 0, 0xFF00, 0x2000].to_vec();
    let file = strip_with([4, 1], 2, [1, 3, 1], &[(320, &palette)], &[0b0001_1011]);
    assert_eq!(pixels(&file), [[255, 0, 0], [0, 255, 0], [0, 0, 255], [128, 64, 32]]);
    // With opacity in a second channel, as ImageMagick writes it.
    let palette = [vec![0xFF00; 256], vec![0; 512]].concat();
    let tags: [(u16, &[u32]); 2] = [(320, &palette), (338, &[2])];
    let file = strip_with([3, 1], 8, [1, 3, 2], &tags, &[7, 255, 7, 0, 7, 128]);
    assert_eq!(pixels(&file), [[255, 0, 0], [255, 255, 255], [255, 127, 127]]);
}

#[test]
fn the_alpha_of_a_tiff_may_be_premultiplied() {
    let stored = [128, 0, 0, 128, 0, 0, 0, 0];
    let over_white =
        |kind: u32| pixels(&strip_with([2, 1], 8, [1, 2, 4], &[(338, &[kind])], &stored));
    assert_eq!(over_white(1), [[255, 127, 127], [255, 255, 255]]);
    assert_eq!(over_white(2), [[191, 127, 127], [255, 255, 255]]);
    assert_eq!(over_white(0), [[128, 0, 0], [0, 0, 0]]);
    let grey = strip_with([2, 1], 8, [1, 1, 2], &[(338, &[2])], &[10, 255, 10, 0]);
    assert_eq!(pixels(&grey), greys(&[10, 255]));
    let deep = [0, 0x80, 0, 0, 0, 0, 0, 0x80];
    let deep = strip_with([1, 1], 16, [1, 2, 4], &[(338, &[1])], &deep);
    assert_eq!(pixels(&deep), [[255, 127, 127]]);
}

#[test]
fn a_tiff_may_be_planar_in_strips_and_in_tiles() {
    let tags: [(u16, &[u32]); 7] = [
        (256, &[2]),
        (257, &[2]),
        (258, &[8, 8, 8]),
        (262, &[2]),
        (277, &[3]),
        (278, &[1]),
        (284, &[2]),
    ];
    let strips: [&[u8]; 6] = [&[1, 2], &[3, 4], &[11, 12], &[13, 14], &[21, 22], &[23, 24]];
    let expected = [[1, 11, 21], [2, 12, 22], [3, 13, 23], [4, 14, 24]];
    assert_eq!(pixels(&tiff_of(&tags, &strips)), expected);
    // The plane of a channel that is ignored may be empty.
    let mut with_unknown = tags;
    with_unknown[2] = (258, &[8, 8]);
    with_unknown[3] = (262, &[1]);
    with_unknown[4] = (277, &[2]);
    let ignored: [&[u8]; 4] = [&[1, 2], &[3, 4], &[], &[]];
    assert_eq!(pixels(&tiff_of(&with_unknown, &ignored)), greys(&[1, 2, 3, 4]));
    // 16 bits in tiles of 16×16, most of which are outside of the image.
    let tile = |first: u8| {
        let mut tile = vec![0; 16 * 16 * 2];
        for (index, at) in [0, 1, 16, 17].into_iter().enumerate() {
            tile[at * 2 + 1] = first + u8::try_from(index).unwrap();
        }
        tile
    };
    let tags: [(u16, &[u32]); 8] = [
        (256, &[2]),
        (257, &[2]),
        (258, &[16, 16, 16]),
        (262, &[2]),
        (277, &[3]),
        (284, &[2]),
        (322, &[16]),
        (323, &[16]),
    ];
    assert_eq!(pixels(&tiff_of(&tags, &[&tile(1), &tile(11), &tile(21)])), expected);
}

#[test]
fn the_horizontal_predictor_is_undone() {
    let lzw = |bytes: &[u8]| {
        weezl::encode::Encoder::with_tiff_size_switch(weezl::BitOrder::Msb, 8)
            .encode(bytes)
            .unwrap()
    };
    let file = strip_with([2, 1], 8, [5, 2, 3], &[(317, &[2])], &lzw(&[1, 2, 3, 4, 254, 6]));
    assert_eq!(pixels(&file), [[1, 2, 3], [5, 0, 9]]);
    let file = strip_with([2, 1], 16, [5, 1, 1], &[(317, &[2])], &lzw(&[0xFF, 1, 1, 1]));
    assert_eq!(pixels(&file), greys(&[1, 3]));
}

#[test]
fn faxes_of_both_groups_and_both_bit_orders_are_decoded() {
    // Eight pixels: three white, two black, three white, in T.4's runs: 1000 11 1000.
    let row = greys(&[255, 255, 255, 0, 0, 255, 255, 255]);
    let runs = [0b1000_1110, 0b0000_0000];
    assert_eq!(pixels(&strip([8, 1], 1, [2, 0, 1], &runs)), row);
    // With an end-of-line code before each of two rows: 000000000001.
    let group3 = [0x00, 0x18, 0xE0, 0x00, 0x63, 0x80];
    assert_eq!(pixels(&strip([8, 2], 1, [3, 0, 1], &group3)), [&row[..], &row].concat());
    // Coded relative to the row above: horizontal 001, then white 3 and black 2; then three times vertical 0
    // (1).
    let group4 = [0b0011_0001, 0b1111_1000, 0b0000_0000, 0b1000_0000, 0b0000_1000];
    assert_eq!(pixels(&strip([8, 2], 1, [4, 0, 1], &group4)), [&row[..], &row].concat());
    // The first row begins with runs of no white and of no black pixels, and the second one passes them (0001).
    let code = "00100110101000011011100110001110001111000000000001000000000001";
    let byte = |digits: &[u8]| {
        digits.iter().fold(0, |byte, digit| byte << 1 | (digit - b'0')) << (8 - digits.len())
    };
    let empty_runs: Vec<u8> = code.as_bytes().chunks(8).map(byte).collect();
    let empty_runs = strip([8, 2], 1, [4, 0, 1], &empty_runs);
    assert_eq!(pixels(&empty_runs), [&row[..], &row].concat());
    let reversed: Vec<u8> = group4.iter().map(|byte| byte.reverse_bits()).collect();
    let reversed = strip_with([8, 2], 1, [4, 0, 1], &[(266, &[2])], &reversed);
    assert_eq!(pixels(&reversed), [&row[..], &row].concat());
    // The second row of group 3 in two dimensions: a 1 before runs, a 0 before differences.
    let mixed =
        [0b0000_0000, 0b0001_1100, 0b0111_0000, 0b0000_0000, 0b0010_1110, 0b0000_0000, 0b0001_1000];
    let mixed = strip_with([8, 2], 1, [3, 0, 1], &[(292, &[1])], &mixed);
    assert_eq!(pixels(&mixed), [&row[..], &row].concat());
}

#[test]
fn the_error_names_unsupported_kinds_of_tiff() {
    let small = |bits, coding, colors, channels| {
        unsupported(&strip([1, 1], bits, [coding, colors, channels], &[0; 64]))
    };
    assert_eq!(small(8, 6, 6, 3), "a TIFF with JPEG of the old kind (compression 6)");
    assert_eq!(small(32, 1, 1, 1), "a TIFF with 32 bits a channel");
    assert_eq!(small(8, 1, 8, 3), "a TIFF in CIE L*a*b*");
    assert_eq!(small(8, 50000, 2, 3), "a TIFF with Zstandard compression");
    let float = strip_with([1, 1], 32, [1, 1, 1], &[(339, &[3])], &[0; 4]);
    assert_eq!(unsupported(&float), "a TIFF of floating point pixels");
}

#[test]
fn a_jpeg_inside_a_tiff_may_be_inverted_and_must_not_be_progressive() {
    let jpeg = data("pictures/gray.jpg");
    let expected = pixels(&jpeg);
    assert_eq!(pixels(&strip([225, 150], 8, [7, 1, 1], &jpeg)), expected);
    let opposite: Vec<_> = expected.iter().map(|pixel| pixel.map(|level| 255 - level)).collect();
    assert_eq!(pixels(&strip([225, 150], 8, [7, 0, 1], &jpeg)), opposite);
    let jpeg = data("pictures/baseline.jpg");
    assert_eq!(pixels(&strip([225, 150], 8, [7, 6, 3], &jpeg)), pixels(&jpeg));
    let progressive = strip([90, 60], 8, [7, 1, 1], &data("pictures/gray-progressive.jpg"));
    assert_eq!(unsupported(&progressive), "a TIFF with a progressive JPEG inside");
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
    // Two pixels of colour 0, a jump of one right and one down, one of colour 1, and the end.
    let runs = [2, 0, 0, 2, 0, 1, 1, 1, 0, 1];
    let white = [255; 3];
    let file = |height| {
        bitmap(&info([3, height], 1, 8, 1), &[&RED_AND_BLUE[..], &[0; 254 * 4]].concat(), &runs)
    };
    let (red, blue) = ([255, 0, 0], [0, 0, 255]);
    assert_eq!(pixels(&file(-2)), [red, red, white, white, white, blue]);
    assert_eq!(pixels(&file(2)), [white, white, blue, red, red, white]);
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
    let mut bytes = vec![0; 73];
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
    let digits: String = exif.iter().map(|byte| format!("{byte:02x}")).collect();
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
