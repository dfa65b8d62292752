//! Writes planes of coefficients as a sequential file with one scan, which libjpeg-turbo-rs decodes in parts, so that
//! the decode of any file with Huffman codes and all coefficients can be stopped. The coefficients are the same, and therefore the pixels.
//!
//! The file is read while it is written, one row of MCUs at a time. Every row ends with a restart marker: without
//! one, the decoder needs bytes of the next row, and decodes a row twice when they arrive.

use std::io::{self, Read};

use super::codes::{self, Codes};
use super::coefficients::CoefficientPlane;
use super::frame_header::FrameHeader;
use super::segments::{
    ADOBE, END_OF_IMAGE, EXTENDED_FRAME, HUFFMAN_TABLES, JFIF, QUANTIZATION_TABLES,
    RESTART_INTERVAL, START_OF_IMAGE, START_OF_SCAN, Segments,
};

/// A sequential file that is written while it is read.
#[derive(Debug)]
pub(super) struct Rewritten {
    planes: Vec<CoefficientPlane>,
    /// Rows and columns of MCUs.
    mcus: [usize; 2],
    /// Number of rows that were written.
    rows: usize,
    written: Vec<u8>,
    /// Number of written bytes that were read.
    read: usize,
}

impl Rewritten {
    /// The file `bytes`, which has this frame header and these coefficients. `None` if a quantization table is
    /// missing.
    pub(super) fn new(
        bytes: &[u8],
        frame: &FrameHeader,
        planes: Vec<CoefficientPlane>,
    ) -> Option<Self> {
        let first = planes.first()?;
        let layout = first.layout;
        let mcus = [0, 1].map(|way| layout.stored[way] / layout.in_mcu[way]);
        let written = header(bytes, frame, &planes, mcus[1])?;
        Some(Self { planes, mcus, rows: 0, written, read: 0 })
    }

    fn write_row(&mut self) {
        let mut codes = Codes::in_buffer(std::mem::take(&mut self.written));
        let mut last_dc = [0; 4];
        for column in 0..self.mcus[1] {
            for (plane, last_dc) in self.planes.iter().zip(&mut last_dc) {
                let [down, across] = plane.layout.in_mcu;
                for y in 0..down {
                    let start = plane.index(self.rows * down + y, column * across);
                    for block in &plane.blocks[start..start + across] {
                        codes.add_block(block, last_dc);
                    }
                }
            }
            if self.planes.len() == 1 {
                (0..2).for_each(|_| codes.add_empty_block());
            }
        }
        codes.align();
        self.written = codes.bytes;
        let restart = 0xD0 + u8::try_from(self.rows % 8).expect("less than 8");
        self.rows += 1;
        let is_last = self.rows == self.mcus[0];
        self.written.extend([0xFF, if is_last { END_OF_IMAGE } else { restart }]);
        if is_last {
            // The decoder keeps its reader while it converts colours.
            self.planes = Vec::new();
        }
    }
}

impl Read for Rewritten {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.read == self.written.len() {
            if self.rows == self.mcus[0] {
                return Ok(0);
            }
            self.read = 0;
            self.write_row();
        }
        let read = (&self.written[self.read..]).read(buffer)?;
        self.read += read;
        Ok(read)
    }
}

/// The segments before the data. Gray becomes luma with chroma of 0: the decoder reads a file of one component only
/// as a whole.
fn header(
    bytes: &[u8],
    frame: &FrameHeader,
    planes: &[CoefficientPlane],
    mcus_in_row: usize,
) -> Option<Vec<u8>> {
    let is_gray = planes.len() == 1;
    let mut file = vec![0xFF, START_OF_IMAGE];
    if !is_gray {
        // They say which colours the components are.
        for segment in Segments::new(bytes).take_while(|segment| segment.marker != START_OF_SCAN) {
            if matches!(segment.marker, JFIF | ADOBE) {
                add_segment(&mut file, segment.marker, segment.body);
            }
        }
    }
    for (index, plane) in (0x10..).zip(planes) {
        let mut body = vec![index];
        body.extend(plane.quantization?.iter().flat_map(|quantum| quantum.to_be_bytes()));
        add_segment(&mut file, QUANTIZATION_TABLES, &body);
    }
    let components = if is_gray { 3 } else { frame.count };
    let [width, height] = frame.size.map(|side| u16::try_from(side).ok().map(u16::to_be_bytes));
    let mut start = [&[8][..], &height?, &width?, &[components]].concat();
    let mut scan = vec![components];
    for component in 0..components {
        let index = usize::from(component);
        let id = if is_gray { component + 1 } else { *frame.ids().get(index)? };
        let [down, across] = if is_gray { [1, 1] } else { *frame.sampling().get(index)? };
        let table = if is_gray { 0 } else { component };
        start.extend([id, across << 4 | down, table]);
        scan.extend([id, 0]);
    }
    scan.extend([0, 63, 0]);
    add_segment(&mut file, EXTENDED_FRAME, &start);
    add_segment(&mut file, HUFFMAN_TABLES, &codes::tables());
    add_segment(&mut file, RESTART_INTERVAL, &u16::try_from(mcus_in_row).ok()?.to_be_bytes());
    add_segment(&mut file, START_OF_SCAN, &scan);
    Some(file)
}

fn add_segment(file: &mut Vec<u8>, marker: u8, body: &[u8]) {
    let length = u16::try_from(body.len() + 2).expect("segments have 16-bit lengths");
    file.extend([0xFF, marker]);
    file.extend(length.to_be_bytes());
    file.extend(body);
}
