//! Decodes at 1/2, 1/4 or 1/8 of the size.

use image::RgbImage;

use super::super::{DecodeError, Reduction, Watch};
use super::blocks::{BlockPlace, BlockSource, Content, PlaneBlocks, ScanBlocks};
use super::idct::{self, Coefficients};
use super::outline::Outline;
use super::scaling::{ScaledComponent, ScalingPlan};
use super::scans::OnlyScan;
use super::tables::Quantization;
use super::{damaged, scans};

/// Decodes at the size of `reduction`, which [`largest_scaled_size`](super::scaling::largest_scaled_size) allows,
/// without applying the orientation.
///
/// Holds 6 bytes for each pixel, and less than 128 KiB; and unless the file is sequential with one scan, its
/// coefficients.
///
/// # Errors
///
/// [`DecodeError::Corrupt`] if the data is damaged or truncated; [`DecodeError::Stopped`].
pub(super) fn decode(
    bytes: &[u8],
    outline: &Outline,
    reduction: Reduction,
    watch: Watch<'_>,
) -> Result<RgbImage, DecodeError> {
    if outline.is_one_scan() {
        let scan = OnlyScan::read(bytes, &outline.frame)?;
        let plan = plan(outline, &scan.quantization, reduction)?;
        let blocks = ScanBlocks::new(scan).ok_or_else(|| damaged("its scan is incomplete"))?;
        Painter::new(&plan, blocks).paint(watch)
    } else {
        let planes = scans::read(bytes, &outline.frame, watch)?;
        let tables: Option<Vec<_>> = planes.iter().map(|plane| plane.quantization).collect();
        let plan = plan(outline, &tables.unwrap_or_default(), reduction)?;
        Painter::new(&plan, PlaneBlocks(&planes)).paint(watch)
    }
}

fn plan(
    outline: &Outline,
    quantization: &[Quantization],
    reduction: Reduction,
) -> Result<ScalingPlan, DecodeError> {
    ScalingPlan::new(&outline.frame, quantization, reduction)
        .ok_or_else(|| damaged("a quantization table is missing"))
}

/// Paints an image from its blocks, one row of MCUs at a time.
struct Painter<'a, S> {
    plan: &'a ScalingPlan,
    source: S,
    /// By component: the pixels of a row of MCUs.
    bands: Vec<Vec<u8>>,
    coefficients: Coefficients,
}

impl<'a, S: BlockSource> Painter<'a, S> {
    fn new(plan: &'a ScalingPlan, source: S) -> Self {
        Self {
            plan,
            source,
            bands: vec![vec![0; plan.band[0] * plan.band[1]]; plan.components.len()],
            coefficients: [0.0; 128],
        }
    }

    fn paint(mut self, watch: Watch<'_>) -> Result<RgbImage, DecodeError> {
        let [height, width] = self.plan.size;
        let mut rgb = vec![0; height * width * 3];
        for (row, lines) in rgb.chunks_mut(self.plan.band[0] * width * 3).enumerate() {
            watch.check()?;
            for column in 0..self.plan.mcus_in_row {
                self.mcu([row, column])?;
            }
            self.convert(lines, width);
        }
        let side = |pixels: usize| u32::try_from(pixels).expect("JPEG's sides have 16 bits");
        Ok(RgbImage::from_raw(side(width), side(height), rgb).expect("three bytes for each pixel"))
    }

    /// Decodes the MCU at this row and column.
    fn mcu(&mut self, [row, column]: [usize; 2]) -> Result<(), DecodeError> {
        self.source.start_mcu()?;
        for (component, scaled) in self.plan.components.iter().enumerate() {
            let ScaledComponent { in_mcu: [down, across], pixels, inverse, .. } = scaled;
            let stride = self.plan.band[1];
            for block in 0..down * across {
                let (y, x) = (block / across, column * across + block % across);
                let place = BlockPlace { component, row: row * down + y, column: x };
                let content = self.source.block(place, scaled, &mut self.coefficients)?;
                let to = &mut self.bands[component][y * pixels[0] * stride + x * pixels[1]..];
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
        }
        self.source.end_mcu()
    }

    /// Converts the band to RGB, and writes it as rows of an image of `width`.
    fn convert(&self, rows: &mut [u8], width: usize) {
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

/// ITU-T T.871, section 7, in 65,536ths.
#[inline]
fn rgb(luma: u8, blue: u8, red: u8) -> [u8; 3] {
    let luma = (i32::from(luma) << 16) + (1 << 15);
    let (blue, red) = (i32::from(blue) - 128, i32::from(red) - 128);
    let levels = [luma + 91_881 * red, luma - 22_554 * blue - 46_802 * red, luma + 116_130 * blue];
    levels.map(|level| u8::try_from((level >> 16).clamp(0, 255)).unwrap_or(u8::MAX))
}
