//! Converts pixels to RGB with 8 bits, composited over white.

/// Converts a row of pixels of `channels` bytes each: grey, grey and alpha, RGB, or RGBA.
pub(super) fn from_row(row: &[u8], channels: usize, rgb: &mut [u8]) {
    let pixels = rgb.chunks_exact_mut(3);
    match channels {
        1 => pixels.zip(row).for_each(|(to, &grey)| to.fill(grey)),
        2 => {
            pixels.zip(row.chunks_exact(2)).for_each(|(to, from)| to.fill(blend(from[0], from[1])));
        }
        3 => {
            let length = row.len().min(rgb.len());
            rgb[..length].copy_from_slice(&row[..length]);
        }
        _ => pixels.zip(row.chunks_exact(channels.max(4))).for_each(|(to, from)| {
            to.copy_from_slice(&[0, 1, 2].map(|channel| blend(from[channel], from[3])));
        }),
    }
}

/// `color · α + white · (1 − α)`, rounded to the nearest.
pub(super) fn blend(color: u8, alpha: u8) -> u8 {
    let (color, alpha) = (u32::from(color), u32::from(alpha));
    u8::try_from((color * alpha + 255 * (255 - alpha) + 127) / 255).unwrap_or(u8::MAX)
}

/// The same for premultiplied alpha.
pub(super) fn blend_associated(color: u8, alpha: u8) -> u8 {
    color.saturating_add(255 - alpha)
}

/// CMYK as Pillow converts it: `(255 − ink) · (255 − black)`.
pub(super) fn from_cmyk([cyan, magenta, yellow, black]: [u8; 4]) -> [u8; 3] {
    [cyan, magenta, yellow].map(|ink| {
        // MULDIV255 of Pillow, which rounds to the nearest.
        let product = u32::from(255 - black) * u32::from(ink) + 128;
        let covered = ((product >> 8) + product) >> 8;
        let light = u32::from(255 - black).saturating_sub(covered);
        u8::try_from(light).unwrap_or(u8::MAX)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_composited_over_white() {
        assert_eq!(
            [blend(10, 255), blend(10, 0), blend(0, 128), blend(255, 77)],
            [10, 255, 127, 255]
        );
        assert_eq!([blend_associated(128, 128), blend_associated(0, 128)], [255, 127]);
    }

    #[test]
    fn rows_with_any_number_of_channels_are_converted() {
        let mut rgb = [0; 6];
        from_row(&[1, 2], 1, &mut rgb);
        assert_eq!(rgb, [1, 1, 1, 2, 2, 2]);
        from_row(&[1, 255, 2, 0], 2, &mut rgb);
        assert_eq!(rgb, [1, 1, 1, 255, 255, 255]);
        from_row(&[1, 2, 3, 255, 9, 9, 9, 0], 4, &mut rgb);
        assert_eq!(rgb, [1, 2, 3, 255, 255, 255]);
    }

    #[test]
    fn cmyk_is_converted_without_a_profile() {
        assert_eq!(from_cmyk([0, 0, 0, 0]), [255, 255, 255]);
        assert_eq!(from_cmyk([255, 0, 128, 0]), [0, 255, 127]);
        assert_eq!(from_cmyk([0, 0, 0, 255]), [0, 0, 0]);
    }
}
