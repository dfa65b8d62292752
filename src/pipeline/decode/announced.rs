//! Properties of an image from the header of its file, before limits are checked.

/// Size, storage and decoding memory of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Announced {
    /// Columns and rows, as stored.
    pub(super) size: [u32; 2],
    /// Channels and bits, such as `rgb8`.
    pub(super) color: String,
    /// Maximum memory of decoding, in bytes for each pixel.
    pub(super) per_pixel: u8,
    /// Maximum memory in addition to that and to the upload, in bytes.
    pub(super) overhead: u64,
    /// Number of passes of the decoder over the pixels.
    pub(super) passes: u32,
}

/// Size of a decoder's tables and buffers that do not depend on the image.
pub(super) const TABLES: u64 = 128 << 10;

/// Bytes per pixel of a decoder that writes RGB row by row: for the image, and for its upright copy.
pub(super) const RGB_AND_COPY: u8 = 6;
