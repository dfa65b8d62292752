//! Nearest-neighbour resizing, with the same result as Pillow (`Geometry.c`, `ImagingScaleAffine`).

use super::coefficients::Axis;

/// Resizes `rgb` into `to`, according to `rows` and `columns`.
pub(super) fn resize(rgb: &[u8], [rows, columns]: [Axis; 2], to: &mut [u8]) {
    let line = columns.length * 3;
    for (y, to) in places(rows).zip(to.chunks_exact_mut(columns.wanted * 3)) {
        let row = &rgb[y * line..][..line];
        for (x, to) in places(columns).zip(to.as_chunks_mut::<3>().0) {
            to.copy_from_slice(&row[x * 3..][..3]);
        }
    }
}

/// The source index of each resized pixel. Steps are added up, as in Pillow.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "sides of images are far below 2^53"
)]
fn places(axis: Axis) -> impl Iterator<Item = usize> {
    let [start, end] = axis.span;
    let step = (end - start) / axis.resized as f64;
    let steps = std::iter::successors(Some(start + step * 0.5), move |place| Some(place + step));
    steps
        .map(move |place| (place as usize).min(axis.length - 1))
        .skip(axis.first as usize)
        .take(axis.wanted)
}
