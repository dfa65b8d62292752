//! RLE4 and RLE8: decodes palette indices row by row.

use super::super::DecodeError;
use super::FORMAT;

/// The rows of a run-length encoded bitmap, in the order of the file.
pub(super) struct Runs<'a> {
    data: &'a [u8],
    at: usize,
    row: Vec<u8>,
    x: usize,
    /// Rows that a jump has skipped, before the current one continues.
    skipped: usize,
    /// Column at which the next row begins, after a jump.
    column: usize,
    coding: RunCoding,
    ended: bool,
}

/// The run-length encoding of a bitmap with 4 or 8 bits per pixel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RunCoding {
    /// Each byte holds the colours of two pixels.
    Rle4,
    /// Each byte holds the colour of one pixel.
    Rle8,
}

/// The result of a step.
enum Step {
    Within,
    RowEnds,
}

impl<'a> Runs<'a> {
    pub(super) fn new(data: &'a [u8], size: [u32; 2], coding: RunCoding) -> Self {
        let row = vec![0; size[0] as usize];
        Self { data, at: 0, row, x: 0, skipped: 0, column: 0, coding, ended: false }
    }

    /// The next row. Pixels that no run covers have index 0, as in Pillow: encoders skip pixels of the background.
    ///
    /// # Errors
    ///
    /// [`DecodeError::Truncated`] if the file ends within a row.
    pub(super) fn next_row(&mut self) -> Result<&[u8], DecodeError> {
        self.row.fill(0);
        if self.skipped > 0 {
            self.skipped -= 1;
            return Ok(&self.row);
        }
        self.x = std::mem::take(&mut self.column);
        while !self.ended {
            if let Step::RowEnds = self.step().ok_or(DecodeError::Truncated { format: FORMAT })? {
                break;
            }
        }
        Ok(&self.row)
    }

    /// Decodes a run, or a code that begins with 0; `None` at the end of the file.
    fn step(&mut self) -> Option<Step> {
        let &[first, second] = self.data.get(self.at..)?.first_chunk()?;
        self.at += 2;
        match (first, second) {
            (0, 0) => return Some(Step::RowEnds),
            (0, 1) => self.ended = true,
            (0, 2) => {
                let &[right, down] = self.data.get(self.at..)?.first_chunk()?;
                self.at += 2;
                let x = self.x.saturating_add(usize::from(right));
                if down > 0 {
                    (self.skipped, self.column) = (usize::from(down) - 1, x);
                    return Some(Step::RowEnds);
                }
                self.x = x;
            }
            (0, count) => {
                let count = usize::from(count);
                let length = match self.coding {
                    RunCoding::Rle4 => count.div_ceil(2),
                    RunCoding::Rle8 => count,
                };
                let numbers = self.data.get(self.at..self.at + length)?;
                // Each begins at an even offset.
                self.at += length.next_multiple_of(2);
                for index in 0..count {
                    self.put(match self.coding {
                        RunCoding::Rle4 => half(numbers[index / 2], index),
                        RunCoding::Rle8 => numbers[index],
                    });
                }
            }
            (count, number) => {
                for index in 0..usize::from(count) {
                    self.put(match self.coding {
                        RunCoding::Rle4 => half(number, index),
                        RunCoding::Rle8 => number,
                    });
                }
            }
        }
        Some(Step::Within)
    }

    /// Sets the next pixel; pixels beyond the row are ignored.
    fn put(&mut self, number: u8) {
        if let Some(pixel) = self.row.get_mut(self.x) {
            *pixel = number;
        }
        self.x += 1;
    }
}

/// The half of `byte` for the pixel at `index`; the high half comes first.
fn half(byte: u8, index: usize) -> u8 {
    if index.is_multiple_of(2) { byte >> 4 } else { byte & 0x0F }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(data: &[u8], size: [u32; 2], coding: RunCoding) -> Vec<Vec<u8>> {
        let mut runs = Runs::new(data, size, coding);
        (0..size[1]).map(|_| runs.next_row().unwrap().to_vec()).collect()
    }

    #[test]
    fn runs_literals_and_jumps_fill_the_rows() {
        let data = [2, 7, 0, 0, 0, 3, 1, 2, 3, 0, 0, 0, 0, 2, 1, 1, 1, 9, 0, 1];
        let expected = [vec![7, 7, 0], vec![1, 2, 3], vec![0; 3], vec![0, 9, 0], vec![0; 3]];
        assert_eq!(rows(&data, [3, 5], RunCoding::Rle8), expected);
        assert_eq!(rows(&[3, 0x12, 0, 1], [3, 1], RunCoding::Rle4), [[1, 2, 1]]);
    }

    #[test]
    fn a_file_that_ends_inside_a_row_is_truncated() {
        let mut runs = Runs::new(&[2, 7], [3, 1], RunCoding::Rle8);
        assert!(matches!(runs.next_row(), Err(DecodeError::Truncated { .. })));
    }
}
