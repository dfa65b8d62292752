//! Detects the format of an upload from its content. The content type and the file name are ignored.

use super::{DecodeError, Format, bmp};

/// Detects the format from the first bytes.
pub(super) fn sniff(bytes: &[u8]) -> Result<Format, DecodeError> {
    match bytes {
        [0xFF, 0xD8, 0xFF, ..] => Ok(Format::Jpeg),
        [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1A, b'\n', ..] => Ok(Format::Png),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Ok(Format::WebP),
        [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => Ok(Format::Gif),
        _ if bmp::is_bitmap(bytes) => Ok(Format::Bmp),
        [b'I', b'I', 42 | 43, 0, ..] | [b'M', b'M', 0, 42 | 43, ..] => Ok(Format::Tiff),
        _ => Err(unserved(bytes)),
    }
}

/// The error for other content: an image of another format, or something that is often sent by mistake.
fn unserved(bytes: &[u8]) -> DecodeError {
    if let Some(format) = other_image(bytes) {
        return DecodeError::Unsupported { format };
    }
    let text = first_text(bytes, 64);
    let start = text.trim_start_matches('\u{FEFF}').trim_start();
    let lower = start.to_ascii_lowercase();
    let seen = match bytes {
        [] => "an empty body".to_owned(),
        _ if lower.starts_with("data:image/") => "a data: URL".to_owned(),
        _ if lower.starts_with("http:") || lower.starts_with("https:") => "a URL".to_owned(),
        _ if lower.starts_with("<!doctype html") || lower.starts_with("<html") => {
            "an HTML page".to_owned()
        }
        _ if start.starts_with(['{', '[']) => "JSON".to_owned(),
        _ if BASE64_OF_AN_IMAGE.iter().any(|code| start.starts_with(code)) => {
            "base64 text; decode it first".to_owned()
        }
        _ if !start.is_empty() && !text.contains('\0') => "text".to_owned(),
        _ => {
            let first: Vec<String> =
                bytes.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
            format!("unknown bytes ({} …)", first.join(" "))
        }
    };
    DecodeError::NotAnImage { seen }
}

/// The first characters of JPEG, PNG, WebP and GIF in base64.
const BASE64_OF_AN_IMAGE: [&str; 4] = ["/9j/", "iVBORw0KGgo", "UklGR", "R0lGOD"];

/// The first bytes, at most `length`, if they are text; the last character may be incomplete.
fn first_text(bytes: &[u8], length: usize) -> &str {
    let first = &bytes[..bytes.len().min(length)];
    match std::str::from_utf8(first) {
        Ok(text) => text,
        Err(cut) if cut.error_len().is_none() => {
            std::str::from_utf8(&first[..cut.valid_up_to()]).unwrap_or_default()
        }
        Err(_) => "",
    }
}

fn other_image(bytes: &[u8]) -> Option<&'static str> {
    let text = first_text(bytes, 512);
    match bytes {
        [_, _, _, _, b'f', b't', b'y', b'p', brand @ ..] => match brand.get(..4)? {
            b"avif" | b"avis" => Some("an AVIF image"),
            b"heic" | b"heix" | b"mif1" | b"msf1" | b"hevc" => Some("a HEIC image"),
            _ => Some("a video"),
        },
        [0xFF, 0x0A, ..] | [0, 0, 0, 0x0C, b'J', b'X', b'L', b' ', ..] => Some("a JPEG XL image"),
        [0, 0, 0, 0x0C, b'j', b'P', b' ', b' ', ..] => Some("a JPEG 2000 image"),
        [0, 0, 1, 0, ..] => Some("an icon"),
        [b'P', b'1'..=b'6', b' ' | b'\n' | b'\r' | b'\t', ..] => Some("a PNM image"),
        [b'D', b'D', b'S', b' ', ..] => Some("a DDS texture"),
        [b'%', b'P', b'D', b'F', ..] => Some("a PDF"),
        [b'8', b'B', b'P', b'S', ..] => Some("a Photoshop file"),
        _ if text.contains("<svg") => Some("an SVG drawing"),
        _ => None,
    }
}
