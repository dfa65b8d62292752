//! Admission of images and uploads, with the rejections counted.

use std::time::Duration;

use super::Pipeline;
use super::queue::{Origin, Permit, Rejected, RequestContext, Reservation};

impl Pipeline {
    /// Reserves `bytes` for the upload of a new request, before it is read.
    ///
    /// # Errors
    ///
    /// [`Rejected`] if the memory limit would be exceeded, or if the queue is full and no image of this client may displace
    /// another one.
    pub fn receive(&self, origin: &Origin, bytes: usize) -> Result<Reservation, Rejected> {
        self.counted(self.admission.receive(origin, bytes as u64))
    }

    /// Reserves `bytes` for data to be created or fetched.
    ///
    /// # Errors
    ///
    /// [`Rejected::Memory`] if the limit would be exceeded.
    pub fn reserve(&self, bytes: usize) -> Result<Reservation, Rejected> {
        self.counted(self.admission.reserve(bytes as u64))
    }

    fn counted(&self, reserved: Result<Reservation, Rejected>) -> Result<Reservation, Rejected> {
        reserved.inspect_err(|rejected| self.metrics.rejected(rejected.reason()))
    }

    /// Admits one image; if the queue is full, it may displace an image of a client with at
    /// least two more images, or a batch image.
    pub(super) fn admit(
        &self,
        context: &RequestContext,
        decode: Duration,
    ) -> Result<Permit, Rejected> {
        let full = match self.admission.enter(context, decode) {
            Err(full @ Rejected::QueueFull { .. }) => full,
            admitted => return admitted,
        };
        let Origin { client, priority, .. } = context.origin;
        let images = self.admission.images_of(client);
        if self.queue.displace(images, priority, full.retry_after()) {
            self.admission.enter(context, decode)
        } else {
            Err(full)
        }
    }
}
