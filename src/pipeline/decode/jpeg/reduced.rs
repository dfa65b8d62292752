//! Decodes a baseline scan at 1/2, 1/4 or 1/8 of its size.
//!
//! Chroma that is stored at half the size of luma is decoded to the same size, with twice as many pixels per
//! block, so nothing is interpolated.

use image::RgbImage;

use super::super::{DecodeError, Reduction, Watch};
use super::bits::Bits;
use super::damaged;
use super::frame::{Component, Frame};
use super::frame_header::FrameHeader;
use super::huffman::{self, END_OF_BLOCK};
use super::idct::{self, Coefficients, Inverse};

/// The largest scaled size at which all components have the same size; smaller ones are possible
/// too.
pub(super) fn largest_scaled_size(frame: &FrameHeader) -> Option<Reduction> {
    // In a scan of one component, an MCU has one block.
    let sampling = if frame.count == 1 { &[[1, 1]] } else { frame.sampling() };
    let blocks: Vec<_> = sampling.iter().map(|blocks| blocks.map(usize::from)).collect();
    let fits = |reduction: &Reduction| {
        blocks.iter().all(|&own| {
            pixels(own, &blocks, *reduction).is_some_and(|pixels| idct::inverse(pixels).is_some())
        })
    };
    Reduction::SMALLER.into_iter().find(fits)
}

/// Height and width, in pixels, of a block of a component with `own` blocks in an MCU; `all` are those of all
/// components.
fn pixels(own: [usize; 2], all: &[[usize; 2]], reduction: Reduction) -> Option<[usize; 2]> {
    let side = 8 / reduction.divisor() as usize;
    let [down, across] = [0, 1].map(|way| {
        let most = all.iter().map(|blocks| blocks[way]).max().unwrap_or(1);
        most.is_multiple_of(own[way]).then_some(side * most / own[way])
    });
    Some([down?, across?])
}

/// Decodes at the size of `reduction`, which [`largest_scaled_size`] allows, without applying the
/// orientation.
///
/// Holds 6 bytes for each pixel, and less than 128 KiB.
///
/// # Errors
///
/// [`DecodeError::Corrupt`] if the data is not what this decoder expects, or truncated;
/// [`DecodeError::Stopped`].
pub(super) fn decode(
    bytes: &[u8],
    reduction: Reduction,
    watch: Watch<'_>,
) -> Result<RgbImage, DecodeError> {
    let frame = Frame::read(bytes).ok_or_else(|| damaged("its header changed"))?;
    let plan = Plan::new(&frame, reduction).ok_or_else(|| damaged("its header changed"))?;
    let [height, width] = plan.size;
    let mut rgb = vec![0; height * width * 3];
    let mut scan = Scan::new(&frame, &plan);
    for rows in rgb.chunks_mut(plan.band[0] * width * 3) {
        watch.check()?;
        scan.band()?;
        scan.paint(rows, width);
    }
    let side = |pixels: usize| u32::try_from(pixels).expect("JPEG's sides have 16 bits");
    Ok(RgbImage::from_raw(side(width), side(height), rgb).expect("three bytes for each pixel"))
}

/// The layout of MCUs and pixels.
#[derive(Debug)]
struct Plan {
    /// Height and width of the reduced image.
    size: [usize; 2],
    /// Number of MCUs in a row of MCUs.
    units: usize,
    /// Height and width of a row of MCUs, in pixels.
    band: [usize; 2],
    scaled: Vec<Scaled>,
}

/// How the blocks of a component are decoded.
#[derive(Debug)]
struct Scaled {
    /// Height and width of a block, in pixels.
    pixels: [usize; 2],
    inverse: Inverse,
    /// Factor of each coefficient, in zigzag order.
    factors: [f32; 64],
    /// Position of each coefficient, in zigzag order.
    places: [u8; 64],
    /// Index of the last coefficient that is needed, in zigzag order.
    last: usize,
}

impl Plan {
    /// `None` if the components cannot be decoded to the same size.
    fn new(frame: &Frame, reduction: Reduction) -> Option<Self> {
        let divisor = reduction.divisor() as usize;
        let side = 8 / divisor;
        let blocks: Vec<_> = frame.components.iter().map(|component| component.blocks).collect();
        let most = [0, 1].map(|way| blocks.iter().map(|blocks| blocks[way]).max().unwrap_or(1));
        let scaled = frame
            .components
            .iter()
            .map(|component| Scaled::new(component, pixels(component.blocks, &blocks, reduction)?))
            .collect::<Option<_>>()?;
        let units = frame.size[1].div_ceil(8 * most[1]);
        let band = [side * most[0], side * most[1] * units];
        Some(Self { size: frame.size.map(|side| side.div_ceil(divisor)), units, band, scaled })
    }
}

impl Scaled {
    fn new(component: &Component, pixels: [usize; 2]) -> Option<Self> {
        let mut scaled = Self {
            pixels,
            inverse: idct::inverse(pixels)?,
            factors: [0.0; 64],
            places: [64; 64],
            last: 0,
        };
        for (k, natural) in ZIGZAG.into_iter().enumerate() {
            let [down, across] = [natural / 8, natural % 8].map(usize::from);
            if down < pixels[0] && across < pixels[1] {
                let quantum = f32::from(component.quantization[k]);
                scaled.factors[k] = quantum * idct::weight(down) * idct::weight(across);
                scaled.places[k] = (natural % 8) * 8 + natural / 8;
                scaled.last = k;
            }
        }
        Some(scaled)
    }
}

/// The state of decoding a scan.
struct Scan<'a> {
    frame: &'a Frame<'a>,
    plan: &'a Plan,
    bits: Bits<'a>,
    /// By component: the DC coefficient of the last block.
    last: Vec<i32>,
    /// By component: the pixels of a row of MCUs.
    bands: Vec<Vec<u8>>,
    coefficients: Coefficients,
    /// Number of decoded MCUs.
    done: usize,
}

impl<'a> Scan<'a> {
    fn new(frame: &'a Frame<'a>, plan: &'a Plan) -> Self {
        Self {
            frame,
            plan,
            bits: Bits::new(frame.data),
            last: vec![0; plan.scaled.len()],
            bands: vec![vec![0; plan.band[0] * plan.band[1]]; plan.scaled.len()],
            coefficients: [0.0; 128],
            done: 0,
        }
    }

    /// Decodes a row of MCUs.
    fn band(&mut self) -> Result<(), DecodeError> {
        for unit in 0..self.plan.units {
            let interval = self.frame.restart_interval;
            if interval > 0 && self.done > 0 && self.done.is_multiple_of(interval) {
                let number = (self.done / interval - 1) % 8;
                self.bits.restart(u8::try_from(number).expect("less than 8"))?;
                self.last.fill(0);
            }
            for component in 0..self.plan.scaled.len() {
                self.unit(unit, component)?;
            }
            self.bits.check()?;
            self.done += 1;
        }
        Ok(())
    }

    /// Decodes the blocks of a component in an MCU.
    fn unit(&mut self, unit: usize, component: usize) -> Result<(), DecodeError> {
        let Scaled { pixels, inverse, .. } = &self.plan.scaled[component];
        let [down, across] = self.frame.components[component].blocks;
        let stride = self.plan.band[1];
        for block in 0..down * across {
            let (y, x) = (block / across * pixels[0], (unit * across + block % across) * pixels[1]);
            let content = self.block(component)?;
            let to = &mut self.bands[component][y * stride + x..];
            match content {
                Content::Flat => {
                    let level = idct::pixel(self.coefficients[0]);
                    to.chunks_mut(stride)
                        .take(pixels[0])
                        .for_each(|row| row[..pixels[1]].fill(level));
                }
                Content::Varied => {
                    inverse(&self.coefficients, to, stride);
                    self.coefficients[..64].fill(0.0);
                }
            }
        }
        Ok(())
    }

    /// Reads a block's coefficients.
    #[inline]
    #[expect(clippy::cast_precision_loss, reason = "what is not exact is cut at black or white")]
    fn block(&mut self, component: usize) -> Result<Content, DecodeError> {
        let Component { dc, ac, .. } = &self.frame.components[component];
        let Scaled { factors, places, last, .. } = &self.plan.scaled[component];
        let bits = &mut self.bits;
        let ahead = bits.peek();
        let symbol = dc.read(ahead);
        if symbol.code == 0 {
            return Err(damaged("its data has a code that its tables have not"));
        }
        bits.skip(symbol.both.into());
        let level = &mut self.last[component];
        *level = level.wrapping_add(huffman::value(ahead << symbol.code, symbol.size));
        self.coefficients[0] = *level as f32 * factors[0];

        let (mut k, mut content) = (0, Content::Flat);
        while k < *last {
            let ahead = bits.peek();
            let symbol = ac.read(ahead);
            bits.skip(symbol.both.into());
            k += usize::from(symbol.advance);
            let Some(place) = places.get(k) else { return content.checked(k) };
            if symbol.size > 0 {
                let value = huffman::value(ahead << symbol.code, symbol.size);
                self.coefficients[usize::from(place & 127)] = value as f32 * factors[k];
                content = Content::Varied;
            } else if symbol.code == 0 {
                return Err(damaged("its data has a code that its tables have not"));
            }
        }
        // The remaining coefficients are not needed at this size.
        while k < 63 {
            let symbol = ac.read(bits.peek());
            bits.skip(symbol.both.into());
            if symbol.code == 0 {
                return Err(damaged("its data has a code that its tables have not"));
            }
            k += usize::from(symbol.advance);
        }
        content.checked(k)
    }

    /// Converts the band to RGB, and writes it as rows of an image of `width`.
    fn paint(&self, rows: &mut [u8], width: usize) {
        let lines = |component: usize| self.bands[component].chunks_exact(self.plan.band[1]);
        let rows = rows.chunks_exact_mut(width * 3).map(|row| row.as_chunks_mut::<3>().0);
        if self.bands.len() == 1 {
            for (row, gray) in rows.zip(lines(0)) {
                row.iter_mut().zip(gray).for_each(|(to, gray)| *to = [*gray; 3]);
            }
            return;
        }
        for (row, (luma, (blue, red))) in rows.zip(lines(0).zip(lines(1).zip(lines(2)))) {
            for (to, (luma, (blue, red))) in
                row.iter_mut().zip(luma.iter().zip(blue.iter().zip(red)))
            {
                *to = rgb(*luma, *blue, *red);
            }
        }
    }
}

/// The content of a block.
#[derive(Debug, Clone, Copy)]
enum Content {
    /// Only the DC coefficient is not 0.
    Flat,
    /// Other coefficients are not 0.
    Varied,
}

impl Content {
    /// Checks that a block ends with its last coefficient or with the end-of-block code.
    #[inline]
    fn checked(self, k: usize) -> Result<Self, DecodeError> {
        if k == 63 || k >= usize::from(END_OF_BLOCK) {
            Ok(self)
        } else {
            Err(damaged("a block has more than 64 coefficients"))
        }
    }
}

/// ITU-T T.871, section 7, in 65,536ths.
#[inline]
fn rgb(luma: u8, blue: u8, red: u8) -> [u8; 3] {
    let luma = (i32::from(luma) << 16) + (1 << 15);
    let (blue, red) = (i32::from(blue) - 128, i32::from(red) - 128);
    let levels = [luma + 91_881 * red, luma - 22_554 * blue - 46_802 * red, luma + 116_130 * blue];
    levels.map(|level| u8::try_from((level >> 16).clamp(0, 255)).unwrap_or(u8::MAX))
}

/// Positions in a block, `8 · row + column`, in the order in which they are stored (T.81, figure 5).
#[rustfmt::skip]
const ZIGZAG: [u8; 64] = [
     0,  1,  8, 16,  9,  2,  3, 10,
    17, 24, 32, 25, 18, 11,  4,  5,
    12, 19, 26, 33, 40, 48, 41, 34,
    27, 20, 13,  6,  7, 14, 21, 28,
    35, 42, 49, 56, 57, 50, 43, 36,
    29, 22, 15, 23, 30, 37, 44, 51,
    58, 59, 52, 45, 38, 31, 39, 46,
    53, 60, 61, 54, 47, 55, 62, 63,
];
