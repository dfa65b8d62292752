//! Rare but valid kinds of TIFF, generated here, with the expected pixels.

use super::super::rare_tests::{greys, pixels, unsupported};
use super::super::tests::data;

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
