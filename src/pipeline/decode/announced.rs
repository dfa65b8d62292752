//! What a file's header says of its picture, before it is held against any limit.

/// How large a picture is, how it is stored, and what decoding it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Announced {
    /// Columns and rows, as stored.
    pub(super) size: [u32; 2],
    /// Channels and bits, such as `rgb8`.
    pub(super) color: String,
    /// The most bytes that decoding holds at once for each pixel.
    pub(super) per_pixel: u8,
    /// The most bytes that it holds beside these and the upload.
    pub(super) overhead: u64,
    /// How often decoding goes over the pixels.
    pub(super) passes: u32,
}

/// Tables and buffers of a decoder whose size does not depend on the picture.
pub(super) const TABLES: u64 = 128 << 10;

/// Bytes for each pixel of a decoder that writes RGB row by row: the picture, and its upright copy.
pub(super) const RGB_AND_COPY: u8 = 6;
