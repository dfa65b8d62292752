//! The frame header: size, components, coding.

use super::super::DecodeError;
use super::damaged;
use super::segments::Segment;

/// The coding of a frame's coefficients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum JpegCoding {
    /// Huffman codes, block by block.
    Sequential,
    /// Huffman codes, in several scans.
    Progressive,
    /// Arithmetic codes, block by block.
    Arithmetic,
}

/// The content of a frame header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FrameHeader {
    /// Columns and rows.
    pub(super) size: [u32; 2],
    pub(super) coding: JpegCoding,
    /// Number of components: 1, 3 or 4.
    pub(super) count: u8,
    ids: [u8; 4],
    /// For each component, blocks in an MCU, vertically and horizontally.
    sampling: [[u8; 2]; 4],
    quantization_indices: [u8; 4],
}

/// The blocks of a component, vertically and horizontally.
#[derive(Debug, Clone, Copy)]
pub(super) struct BlockLayout {
    /// Blocks in an MCU.
    pub(super) in_mcu: [usize; 2],
    /// Blocks that contain pixels. A scan of this component alone has only these.
    pub(super) used: [usize; 2],
    /// All blocks, with those that complete the last MCUs.
    pub(super) stored: [usize; 2],
}

impl FrameHeader {
    /// Reads the header; unsupported kinds are errors.
    pub(super) fn read(segment: &Segment) -> Result<Self, DecodeError> {
        let &[precision, h1, h0, w1, w0, count, ref kinds @ ..] = segment.body else {
            return Err(damaged("its frame header is short"));
        };
        let coding = coding(segment.marker, precision)
            .map_err(|format| DecodeError::Unsupported { format })?;
        let size = [[w1, w0], [h1, h0]].map(|side| u32::from(u16::from_be_bytes(side)));
        if size[1] == 0 {
            let format = "a JPEG that tells its height behind its data (DNL)";
            return Err(DecodeError::Unsupported { format });
        }
        if !matches!(count, 1 | 3 | 4) {
            return Err(DecodeError::Unsupported {
                format: "a JPEG of two, or more than four, colours",
            });
        }
        let (kinds, rest) = kinds.as_chunks::<3>();
        if kinds.len() != usize::from(count) || !rest.is_empty() {
            return Err(damaged("its frame header has a wrong length"));
        }
        let (mut ids, mut sampling, mut quantization_indices) = ([0; 4], [[0; 2]; 4], [0; 4]);
        for (place, [id, blocks, quantization]) in kinds.iter().enumerate() {
            ids[place] = *id;
            quantization_indices[place] = *quantization;
            sampling[place] = [blocks & 15, blocks >> 4];
            if !sampling[place].iter().all(|side| (1..=4).contains(side)) {
                return Err(damaged("a colour's sampling is not 1 to 4"));
            }
        }
        Ok(Self { size, coding, count, ids, sampling, quantization_indices })
    }

    /// The ids of its components.
    pub(super) fn ids(&self) -> &[u8] {
        &self.ids[..usize::from(self.count)]
    }

    /// For each component, blocks in an MCU, vertically and horizontally.
    pub(super) fn sampling(&self) -> &[[u8; 2]] {
        &self.sampling[..usize::from(self.count)]
    }

    /// For each component, the layout of its blocks.
    pub(super) fn layouts(&self) -> Vec<BlockLayout> {
        // A file of one component has MCUs of one block, whatever its sampling says.
        let sampling = if self.count == 1 { &[[1, 1]] } else { self.sampling() };
        let most = [0, 1]
            .map(|way| sampling.iter().map(|blocks| usize::from(blocks[way])).max().unwrap_or(1));
        let [width, height] = self.size.map(|side| side as usize);
        let layout = |blocks: &[u8; 2]| {
            let in_mcu = blocks.map(usize::from);
            let size = [height, width];
            BlockLayout {
                in_mcu,
                used: [0, 1].map(|way| (size[way] * in_mcu[way]).div_ceil(8 * most[way])),
                stored: [0, 1].map(|way| size[way].div_ceil(8 * most[way]) * in_mcu[way]),
            }
        };
        sampling.iter().map(layout).collect()
    }

    /// For each component, the index of its quantization table.
    pub(super) fn quantization_indices(&self) -> &[u8] {
        &self.quantization_indices[..usize::from(self.count)]
    }

    /// Whether the sampling of four components is one that CMYK and YCCK files have: the second and the third component have
    /// the same sampling factors, and the first and the fourth are not subsampled. libjpeg-turbo-rs assumes this; with half
    /// the rows but all columns it gives other pixels than libjpeg.
    pub(super) fn is_usual_cmyk(&self) -> bool {
        let [first, second, third, last] = self.sampling() else { return false };
        first == last
            && second == third
            && [[1, 1], [1, 2], [1, 4], [2, 2]]
                .iter()
                .any(|ratios| (0..2).all(|way| second[way] * ratios[way] == first[way]))
    }

    /// Whether no component has more samples than the first one; the decoder rejects other files.
    pub(super) fn has_luma_in_full(&self) -> bool {
        let [luma, colour @ ..] = self.sampling() else { return true };
        colour.iter().all(|blocks| blocks[0] <= luma[0] && blocks[1] <= luma[1])
    }

    /// Number of samples of all components, with those that complete the last MCUs.
    pub(super) fn samples(&self) -> u64 {
        let samples = |layout: &BlockLayout| {
            64 * layout.stored.map(|side| side as u64).iter().product::<u64>()
        };
        self.layouts().iter().map(samples).sum()
    }

    /// Maximum memory of decoding at full size, without the upload, tables, and the memory of `coefficients`.
    pub(super) fn working_bytes(&self, coefficients: u64) -> u64 {
        let most = [0, 1].map(|way| {
            self.sampling().iter().map(|blocks| 8 * u32::from(blocks[1 - way])).max().unwrap_or(8)
        });
        let area: u64 = [0, 1]
            .map(|way| u64::from(self.size[way].next_multiple_of(most[way])))
            .iter()
            .product();
        let (planes, count) = (self.samples(), u64::from(self.count));
        // Then the upsampled components, and the pixels.
        let painting = if count == 1 { area } else { area * (2 + count) };
        let converting = area * (count + 3);
        (planes + coefficients.max(painting)).max(converting)
    }
}

/// The coding of a supported kind of frame; the error names unsupported ones.
fn coding(marker: u8, precision: u8) -> Result<JpegCoding, &'static str> {
    match (marker, precision) {
        (0xC0 | 0xC1, 8) => Ok(JpegCoding::Sequential),
        (0xC2, 8) => Ok(JpegCoding::Progressive),
        (0xC9, 8) => Ok(JpegCoding::Arithmetic),
        // No program writes this kind, and the decoder fails on some files.
        (0xCA, _) => Err("a progressive JPEG with arithmetic coding"),
        (0xC3 | 0xCB, _) => Err("a lossless JPEG"),
        (0xC0..=0xC2 | 0xC9, _) => Err("a JPEG with more than 8 bits a colour"),
        _ => Err("a JPEG of a rare kind"),
    }
}
