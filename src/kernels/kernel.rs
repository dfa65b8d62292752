//! A convolution, prepared for the processor.

use super::{Extent, Geometry, ImageBytes, Mismatch, QLinearConv};
#[cfg(target_arch = "x86_64")]
use super::{depthwise::Depthwise, few_channels::FewChannels, pointwise::Pointwise, vnni::Vnni};

/// A convolution with its constants in the form that the fastest code for this processor reads.
#[derive(Debug)]
pub struct ConvolutionKernel {
    geometry: Geometry,
    form: Form,
}

#[derive(Debug)]
enum Form {
    Portable(QLinearConv),
    #[cfg(target_arch = "x86_64")]
    Depthwise(Depthwise),
    #[cfg(target_arch = "x86_64")]
    FewChannels(FewChannels),
    #[cfg(target_arch = "x86_64")]
    Pointwise(Pointwise),
}

impl ConvolutionKernel {
    /// Whether this processor has fast code for any convolution.
    #[must_use]
    pub fn is_available() -> bool {
        Form::is_available()
    }

    /// Whether this processor has fast code for a convolution of this shape.
    #[must_use]
    pub fn is_fast(geometry: &Geometry) -> bool {
        Form::is_fast(geometry)
    }

    /// Prepares a convolution. Without small scales ([`super::Constants::has_small_scales`]) it runs in portable code.
    #[must_use]
    pub fn new(convolution: QLinearConv) -> Self {
        Self { geometry: *convolution.geometry(), form: Form::of(convolution) }
    }

    /// The same in portable code, which is slow.
    #[must_use]
    pub const fn portable(convolution: QLinearConv) -> Self {
        Self { geometry: *convolution.geometry(), form: Form::Portable(convolution) }
    }

    /// The shape of the convolution.
    #[must_use]
    pub const fn geometry(&self) -> &Geometry {
        &self.geometry
    }

    /// Computes rows of the output, beginning with row `first`: uint8 `[rows, columns, outputs]`.
    ///
    /// # Errors
    ///
    /// [`Mismatch`] if the sizes do not fit together.
    pub fn rows(
        &self,
        image: ImageBytes<'_>,
        first: usize,
        rows: &mut [u8],
    ) -> Result<(), Mismatch> {
        let geometry = &self.geometry;
        let Extent { rows: height, columns: width } = image.size;
        let output = geometry.output(image.size)?;
        if image.bytes.len() != height * width * geometry.inputs || width == 0 {
            return Err(Mismatch::Image);
        }
        let row = output.columns * geometry.outputs;
        if !rows.len().is_multiple_of(row) || first + rows.len() / row > output.rows {
            return Err(Mismatch::Output);
        }
        match &self.form {
            Form::Portable(convolution) => convolution.rows(image, first, rows),
            #[cfg(target_arch = "x86_64")]
            Form::Depthwise(form) => form.rows(image, first, rows),
            #[cfg(target_arch = "x86_64")]
            Form::FewChannels(form) => form.rows(image, first, rows),
            #[cfg(target_arch = "x86_64")]
            Form::Pointwise(form) => form.rows(image, first, rows),
        }
        Ok(())
    }
}

#[cfg(target_arch = "x86_64")]
impl Form {
    fn is_available() -> bool {
        Vnni::detect().is_some()
    }

    fn is_fast(geometry: &Geometry) -> bool {
        let fits = [Depthwise::fits, FewChannels::fits, Pointwise::fits];
        Self::is_available() && fits.iter().any(|fits| fits(geometry))
    }

    fn of(convolution: QLinearConv) -> Self {
        let geometry = convolution.geometry();
        match Vnni::detect() {
            Some(_) if !convolution.constants().has_small_scales() => Self::Portable(convolution),
            Some(vnni) if Depthwise::fits(geometry) => {
                Self::Depthwise(Depthwise::new(&convolution, vnni))
            }
            Some(vnni) if FewChannels::fits(geometry) => {
                Self::FewChannels(FewChannels::new(&convolution, vnni))
            }
            Some(vnni) if Pointwise::fits(geometry) => {
                Self::Pointwise(Pointwise::new(&convolution, vnni))
            }
            Some(_) | None => Self::Portable(convolution),
        }
    }
}

#[cfg(not(target_arch = "x86_64"))]
impl Form {
    const fn is_available() -> bool {
        false
    }

    const fn is_fast(_: &Geometry) -> bool {
        false
    }

    const fn of(convolution: QLinearConv) -> Self {
        Self::Portable(convolution)
    }
}
