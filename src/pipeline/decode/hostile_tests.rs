//! Files made to cost more than they say, and files that are rare but right.

use super::tests::{data, decoded};
use super::*;

fn corrupt_cause(answer: Result<Image, DecodeError>) -> String {
    match answer {
        Err(DecodeError::Corrupt { cause, .. }) => cause,
        other => panic!("{other:?}"),
    }
}

fn unsupported(answer: Result<Image, DecodeError>) -> &'static str {
    match answer {
        Err(DecodeError::Unsupported { format }) => format,
        other => panic!("{other:?}"),
    }
}

/// Where `what` begins, which must be there.
fn place(bytes: &[u8], what: &[u8]) -> usize {
    bytes.windows(what.len()).position(|window| window == what).unwrap()
}

/// A PNG chunk; the checksum is left out where nobody looks at it.
fn chunk(kind: [u8; 4], body: &[u8]) -> Vec<u8> {
    [&u32::try_from(body.len()).unwrap().to_be_bytes(), &kind[..], body, &[0; 4]].concat()
}

#[test]
fn a_png_decoder_sees_no_profile_no_text_and_no_later_frames() {
    let whole = data("pictures/palette-transparent.png");
    // Behind the signature (8) and the header's chunk (25).
    let (start, rest) = whole.split_at(33);
    let described = [
        start,
        &chunk(*b"iCCP", b"profile\0\0 unpacked, this would be a gigabyte"),
        &chunk(*b"zTXt", b"Comment\0\0 and this too"),
        &chunk(*b"acTL", &[0; 8]),
        rest,
    ]
    .concat();
    assert_eq!(png::essential(&described), png::essential(&whole));
    assert!(png::header(&described).len() < 33 + 12 + 256 * 3 + 12 + 256 + 8 + 1);
    assert_eq!(decoded(&described).unwrap(), decoded(&whole).unwrap());
}

#[test]
fn a_webp_frame_larger_than_its_canvas_is_refused_before_it_has_memory() {
    for (name, signature) in [("lossy.webp", &b"\x9D\x01\x2A"[..]), ("alpha.webp", b"\x9D\x01\x2A")]
    {
        let mut lying = data(&format!("pictures/{name}"));
        let size = place(&lying, signature) + 3;
        let header = inspect(&lying, &Limits::default()).unwrap();
        lying[size..size + 4].copy_from_slice(&[0xFF, 0x3F, 0xFF, 0x3F]);
        let cause = corrupt_cause(decode(&lying, &header, Watch::never()));
        assert!(cause.contains("announces more"), "{name}: {cause}");
    }
}

#[test]
fn webp_metadata_longer_than_the_file_is_refused_before_it_has_memory() {
    let mut lying = data("pictures/orientation-6.webp");
    let length = place(&lying, b"EXIF") + 4;
    lying[length..length + 4].copy_from_slice(&[0xF0, 0xFF, 0xFF, 0xFF]);
    assert!(corrupt_cause(decoded(&lying)).contains("announces more"));
}

#[test]
fn a_tiff_tag_of_more_numbers_than_the_file_holds_is_refused_from_the_header() {
    for (name, entry) in
        [("raw.tif", &[0x11, 0x01, 0x04, 0x00][..]), ("big.tif", &[0x11, 0x01, 0x04, 0x00])]
    {
        let mut lying = data(&format!("pictures/{name}"));
        let count = place(&lying, entry) + 4;
        lying[count + 2] = 0x7F;
        assert!(corrupt_cause(decoded(&lying)).contains("tags announce"), "{name}");
    }
}

#[test]
fn a_picture_longer_than_any_jpeg_is_not_served() {
    let mut long = data("pictures/rgb.png");
    long[16..24].copy_from_slice(&[0, 1, 0, 0, 0, 0, 0, 1]);
    let checksum = crc32(&long[12..29]);
    long[29..33].copy_from_slice(&checksum.to_be_bytes());
    assert_eq!(unsupported(decoded(&long)), "an image longer than 65,535 pixels");
}

/// Of a PNG chunk, bit by bit (PNG specification, annex D).
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            if crc & 1 == 1 { (crc >> 1) ^ 0xEDB8_8320 } else { crc >> 1 }
        })
    })
}

#[test]
fn a_jpeg_of_12_bits_or_without_loss_is_named() {
    let baseline = data("pictures/baseline.jpg");
    let frame = place(&baseline, &[0xFF, 0xC0]);
    let patched = |offset: usize, value: u8| {
        let mut bytes = baseline.clone();
        bytes[frame + offset] = value;
        unsupported(decoded(&bytes))
    };
    assert_eq!(patched(4, 12), "a JPEG with more than 8 bits a colour");
    assert_eq!(patched(1, 0xC3), "a lossless JPEG");
}

#[test]
fn an_orientation_behind_the_pixels_of_a_png_counts() {
    let image = decoded(&data("pictures/orientation-after.png")).unwrap();
    assert_eq!((image.width(), image.height()), (60, 90));
}

#[test]
fn what_decoding_may_hold_counts_the_pixels_and_the_upload() {
    let bytes = data("pictures/baseline.jpg");
    let header = inspect(&bytes, &Limits::default()).unwrap();
    // 225×150 in blocks of 16×16.
    let pixels = 240 * 160 * (3 + 8);
    assert_eq!(header.decoded_bytes(), pixels + 2 * bytes.len() as u64 + (128 << 10));
    assert!(Limits::default().largest_cost() > 50_000_000 * 16);
}

#[test]
fn damaged_pictures_of_every_kind_are_answered_and_cost_no_more_than_they_say() {
    let limits = Limits { max_pixels: 1_000_000, ..Limits::default() };
    let folder = format!("{}/tests/data/pictures", env!("CARGO_MANIFEST_DIR"));
    let mut random = 0x9E37_79B9_7F4A_7C15_u64;
    let mut next = || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        usize::try_from(random >> 33).unwrap()
    };
    for entry in std::fs::read_dir(folder).unwrap() {
        let whole = std::fs::read(entry.unwrap().path()).unwrap();
        for _ in 0..30 {
            let mut bytes = whole.clone();
            // Headers are short and matter most: half of the damage is there.
            let reach = if next() % 2 == 0 { bytes.len() } else { bytes.len().min(200) };
            let at = next() % reach;
            match next() % 4 {
                0 => bytes[at] ^= 1 << (next() % 8),
                1 => bytes[at] = 0xFF,
                2 => bytes.truncate(at),
                _ => drop(bytes.drain(at..(at + next() % 64).min(whole.len()))),
            }
            let Ok(header) = inspect(&bytes, &limits) else {
                continue;
            };
            assert!(header.decoded_bytes() <= limits.largest_cost());
            if let Ok(image) = decode(&bytes, &header, Watch::never()) {
                assert_eq!(
                    image.rgb().len() as u64,
                    u64::from(image.width()) * u64::from(image.height()) * 3
                );
            }
        }
    }
}

/// A RIFF chunk, filled up to an even length.
fn riff(kind: [u8; 4], body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).unwrap().to_le_bytes();
    let fill: &[u8] = if body.len().is_multiple_of(2) { &[] } else { &[0] };
    [&kind[..], &length, body, fill].concat()
}

#[test]
fn a_webp_of_frames_inside_frames_is_refused_however_deep() {
    // Of one pixel: a place and a size of zeros (each less one), a duration, no flags.
    let frame = [0; 16];
    let depth = 20_000;
    let innermost = riff(*b"VP8L", &[0x2F, 0, 0, 0, 0, 0, 0, 0]);
    let mut nested = Vec::new();
    for level in 0..depth {
        let inside = (depth - level) * 16 + (depth - level - 1) * 8 + innermost.len();
        nested.extend_from_slice(b"ANMF");
        nested.extend_from_slice(&u32::try_from(inside).unwrap().to_le_bytes());
        nested.extend_from_slice(&frame);
    }
    nested.extend_from_slice(&innermost);
    let canvas = riff(*b"VP8X", &[2, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    let animation = riff(*b"ANIM", &[0; 6]);
    let file = riff(*b"RIFF", &[&b"WEBP"[..], &canvas, &animation, &nested].concat());
    corrupt_cause(decoded(&file));
}
