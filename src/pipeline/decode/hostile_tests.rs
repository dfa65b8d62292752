//! Malicious files, and rare but valid files.

use std::io::Cursor;

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

/// The offset of `what`, which must be present.
fn place(bytes: &[u8], what: &[u8]) -> usize {
    bytes.windows(what.len()).position(|window| window == what).unwrap()
}

/// A PNG chunk; the checksum is omitted if it is not checked.
fn chunk(kind: [u8; 4], body: &[u8]) -> Vec<u8> {
    [&u32::try_from(body.len()).unwrap().to_be_bytes(), &kind[..], body, &[0; 4]].concat()
}

#[test]
fn a_png_decoder_sees_no_profile_no_text_and_no_later_frames() {
    let whole = data("pictures/palette-transparent.png");
    // After the signature (8) and the header's chunk (25).
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
fn a_webp_frame_larger_than_its_canvas_is_rejected_before_memory_is_allocated() {
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
fn webp_metadata_longer_than_the_file_is_rejected_before_memory_is_allocated() {
    let mut lying = data("pictures/orientation-6.webp");
    let length = place(&lying, b"EXIF") + 4;
    lying[length..length + 4].copy_from_slice(&[0xF0, 0xFF, 0xFF, 0xFF]);
    assert!(corrupt_cause(decoded(&lying)).contains("announces more"));
}

#[test]
fn a_tiff_tag_longer_than_the_file_is_rejected_from_the_header() {
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
fn an_image_longer_than_any_jpeg_is_rejected() {
    let mut long = data("pictures/rgb.png");
    long[16..24].copy_from_slice(&[0, 1, 0, 0, 0, 0, 0, 1]);
    let checksum = crc32(&long[12..29]);
    long[29..33].copy_from_slice(&checksum.to_be_bytes());
    assert_eq!(unsupported(decoded(&long)), "an image longer than 65,535 pixels");
}

/// The checksum of a PNG chunk, computed bit by bit (PNG specification, annex D).
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            if crc & 1 == 1 { (crc >> 1) ^ 0xEDB8_8320 } else { crc >> 1 }
        })
    })
}

#[test]
fn the_error_names_12_bit_and_lossless_jpegs() {
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
fn an_orientation_after_the_pixels_of_a_png_is_used() {
    let image = decoded(&data("pictures/orientation-after.png")).unwrap();
    assert_eq!((image.width(), image.height()), (60, 90));
}

#[test]
fn the_memory_of_decoding_includes_the_pixels_and_the_upload() {
    let bytes = data("pictures/baseline.jpg");
    let header = inspect(&bytes, &Limits::default()).unwrap();
    // 225×150 in blocks of 16×16.
    let pixels = 240 * 160 * (3 + 8);
    assert_eq!(header.decoded_bytes(), pixels + 2 * bytes.len() as u64 + (128 << 10));
    assert!(Limits::default().largest_cost() > 50_000_000 * 16);
}

#[test]
fn damaged_images_of_every_format_cause_no_panic_and_stay_within_the_announced_memory() {
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
            // Headers are short but important: half of the damage is there.
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

/// A RIFF chunk, padded to an even length.
fn riff(kind: [u8; 4], body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).unwrap().to_le_bytes();
    let fill: &[u8] = if body.len().is_multiple_of(2) { &[] } else { &[0] };
    [&kind[..], &length, body, fill].concat()
}

#[test]
fn a_webp_of_nested_frames_is_rejected_at_any_depth() {
    // A frame of one pixel: position and size of zeros (sizes minus one), a duration, no flags.
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

/// Writes numbers as in VP8L, lowest bit first; prefix codes highest bit first.
#[derive(Default)]
struct Vp8l {
    bytes: Vec<u8>,
    bits: u32,
}

impl Vp8l {
    fn number(&mut self, number: u32, count: u32) {
        for bit in 0..count {
            if self.bits.is_multiple_of(8) {
                self.bytes.push(0);
            }
            *self.bytes.last_mut().unwrap() |= u8::from(number >> bit & 1 == 1) << (self.bits % 8);
            self.bits += 1;
        }
    }

    /// A prefix code with one symbol, which takes no bits in the data.
    fn only(&mut self, symbol: u32) {
        self.number(0b101, 3);
        self.number(symbol, 8);
    }
}

/// A WebP of 16×16 pixels whose first block uses the last of `groups` groups of codes.
fn webp_of_groups(groups: u32) -> Vec<u8> {
    let mut stream = Vp8l::default();
    stream.number(0x2F, 8);
    stream.number(15, 14);
    stream.number(15, 14);
    stream.number(0, 4);
    // No transform, no cache; groups for blocks of 4×4, whose image has no cache.
    stream.number(0b00_0100, 6);
    stream.number(0, 1);
    for level in [(groups - 1) & 0xFF, (groups - 1) >> 8, 0, 0, 0] {
        stream.only(level);
    }
    for _ in 0..groups * 5 {
        stream.only(0);
    }
    stream.number(0, 32);
    stream.number(0, 32);
    let body = [&b"WEBP"[..], &riff(*b"VP8L", &stream.bytes)].concat();
    riff(*b"RIFF", &body)
}

#[test]
fn a_webp_with_too_many_groups_of_codes_is_rejected_before_memory_is_allocated() {
    let few = webp_of_groups(200);
    let header = inspect(&few, &Limits::default()).unwrap();
    assert!(header.decoded_bytes() > 200 * 11_000, "tables are charged");
    assert_eq!(decode(&few, &header, Watch::never()).unwrap().rgb(), [0; 16 * 16 * 3]);
    let many = unsupported(decoded(&webp_of_groups(65_536)));
    assert_eq!(many, "a WebP with more than 4,096 groups of prefix codes");
}

/// A greyscale TIFF of `[width, height]` pixels, in strips of one row that share the same bytes.
fn tiff_of_equal_strips([width, height]: [u32; 2], coding: u32, strip: &[u8]) -> Vec<u8> {
    let mut file = b"II\x2A\0\0\0\0\0".to_vec();
    file.extend_from_slice(strip);
    let lists = u32::try_from(file.len()).unwrap();
    let length = u32::try_from(strip.len()).unwrap();
    (0..height).for_each(|_| file.extend_from_slice(&8_u32.to_le_bytes()));
    (0..height).for_each(|_| file.extend_from_slice(&length.to_le_bytes()));
    let directory = u32::try_from(file.len()).unwrap();
    file[4..8].copy_from_slice(&directory.to_le_bytes());
    let tags = [
        (256, 1, width),
        (257, 1, height),
        (258, 1, 8),
        (259, 1, coding),
        (262, 1, 1),
        (273, height, lists),
        (277, 1, 1),
        (278, 1, 1),
        (279, height, lists + 4 * height),
    ];
    file.extend_from_slice(&u16::try_from(tags.len()).unwrap().to_le_bytes());
    for (tag, count, value) in tags {
        file.extend_from_slice(&u16::to_le_bytes(tag));
        file.extend_from_slice(&[4, 0]);
        file.extend_from_slice(&count.to_le_bytes());
        file.extend_from_slice(&value.to_le_bytes());
    }
    file.extend_from_slice(&[0; 4]);
    file
}

#[test]
fn a_jpeg_inside_a_tiff_must_be_as_large_as_its_strip() {
    let photo = data("pictures/gray.jpg");
    let cause = corrupt_cause(decoded(&tiff_of_equal_strips([16, 4], 7, &photo)));
    assert_eq!(cause, "a JPEG inside is not as large as its strip or tile");
}

#[test]
fn strips_that_share_their_bytes_are_rejected_from_the_header() {
    let cause = corrupt_cause(decoded(&tiff_of_equal_strips([64, 400], 1, &[7; 4096])));
    assert_eq!(cause, "its pieces overlap");
}

/// Images of 4 megapixels and one colour, in as few bytes as possible.
fn large_and_cheap() -> Vec<(&'static str, Vec<u8>)> {
    let side = 2048_u32;
    let grey = image::GrayImage::new(side, side);
    let mut png = Cursor::new(Vec::new());
    grey.write_to(&mut png, image::ImageFormat::Png).unwrap();
    let encode = |order, bits| weezl::encode::Encoder::new(order, bits);
    let codes = encode(weezl::BitOrder::Lsb, 2).encode(&vec![0; 2048 * 2048]).unwrap();
    let mut gif = b"GIF89a\0\x08\0\x08\0\0\0,\0\0\0\0\0\x08\0\x08\0\x02".to_vec();
    for block in codes.chunks(255) {
        gif.push(u8::try_from(block.len()).unwrap());
        gif.extend_from_slice(block);
    }
    gif.extend_from_slice(b"\0;");
    let mut bmp =
        b"BM\0\0\0\0\0\0\0\0\x3E\0\0\0\x28\0\0\0\0\x08\0\0\0\x08\0\0\x01\0\x01\0".to_vec();
    bmp.resize(62 + 256 * 2048, 0);
    let tiff = tiff_of_equal_strips([2048, 2048], 32773, &[0x81, 0].repeat(16));
    let mut webp = Vp8l::default();
    webp.number(0x2F, 8);
    webp.number(side - 1, 14);
    webp.number(side - 1, 14);
    webp.number(0, 4);
    webp.number(0, 3);
    // Two levels of green, so that each pixel takes one bit.
    webp.number(0b0011, 3);
    webp.number(0, 1);
    webp.number(1, 8);
    (0..4).for_each(|_| webp.only(0));
    webp.bytes.resize(webp.bytes.len() + 2048 * 2048 / 8 + 8, 0);
    let webp = riff(*b"RIFF", &[&b"WEBP"[..], &riff(*b"VP8L", &webp.bytes)].concat());
    vec![("PNG", png.into_inner()), ("GIF", gif), ("BMP", bmp), ("TIFF", tiff), ("WebP", webp)]
}

#[test]
fn decoders_check_regularly_whether_to_stop() {
    for (name, bytes) in large_and_cheap() {
        let header =
            inspect(&bytes, &Limits::default()).unwrap_or_else(|error| panic!("{name}: {error}"));
        let asked = std::cell::Cell::new(0);
        let until = |last: u32| {
            asked.set(0);
            let ask = |_| {
                asked.set(asked.get() + 1);
                (asked.get() >= last).then_some(Stop::Late)
            };
            decode(&bytes, &header, Watch::new(&ask)).map(|image| image.rgb().len())
        };
        let whole = until(u32::MAX).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(whole, 2048 * 2048 * 3, "{name}");
        // Once for every 2^18 pixels; the image has 16 times as many.
        let questions = asked.get();
        assert!(questions >= 8, "{name} asks {questions} times");
        for last in 1..=8 {
            let stopped = until(last);
            assert!(matches!(stopped, Err(DecodeError::Stopped { stop: Stop::Late })), "{name}");
            assert_eq!(asked.get(), last, "{name} goes on");
        }
    }
}

#[test]
fn the_memory_of_decoding_to_rgb_is_little_more_than_the_pixels_and_their_copy() {
    for (name, bytes) in large_and_cheap() {
        let header = inspect(&bytes, &Limits::default()).unwrap();
        let pixels = 2048 * 2048;
        let most = pixels * 9 + 4 * bytes.len() as u64 + (2 << 20);
        assert!(header.decoded_bytes() <= most, "{name}: {}", header.decoded_bytes());
        assert!(header.decoded_bytes() >= pixels * 6, "{name}: {}", header.decoded_bytes());
    }
}

#[test]
fn a_decode_that_cannot_be_stopped_is_not_started_if_it_would_miss_the_deadline() {
    let mut grey = Vec::new();
    image::codecs::jpeg::JpegEncoder::new(&mut grey)
        .encode_image(&image::GrayImage::new(2048, 2048))
        .unwrap();
    let progressive = data("pictures/progressive.jpg");
    let named = [("grey JPEG", grey), ("progressive JPEG", progressive)];
    let cheap = large_and_cheap();
    for (name, bytes) in named.iter().chain(&cheap) {
        let header = inspect(bytes, &Limits::default()).unwrap();
        let left = header.decode_time().mul_f64(0.9);
        let ask = |announced| (announced > left).then_some(Stop::Late);
        let answer = decode(bytes, &header, Watch::new(&ask));
        let is_stopped = matches!(answer, Err(DecodeError::Stopped { stop: Stop::Late }));
        let at_once = name.ends_with("JPEG") || *name == "WebP";
        assert_eq!(is_stopped, at_once, "{name}: {answer:?}");
        let left = header.decode_time();
        let ask = |announced| (announced > left).then_some(Stop::Late);
        decode(bytes, &header, Watch::new(&ask)).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}
