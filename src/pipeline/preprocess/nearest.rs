//! Resizing by taking single pixels, as Pillow does it (`Geometry.c`, `ImagingScaleAffine`).

use super::coefficients::Axis;

/// Takes the pixels of `rgb` that `rows` and `columns` want into `to`.
pub(super) fn resize(rgb: &[u8], [rows, columns]: [Axis; 2], to: &mut [u8]) {
    let line = columns.length * 3;
    for (y, to) in places(rows).zip(to.chunks_exact_mut(columns.wanted * 3)) {
        let row = &rgb[y * line..][..line];
        for (x, to) in places(columns).zip(to.as_chunks_mut::<3>().0) {
            to.copy_from_slice(&row[x * 3..][..3]);
        }
    }
}

/// By new pixel: which one it is. Steps are added up, as Pillow adds them.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "sides of pictures are far below 2^53"
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
