//! Computes class activation maps and overlays of an image.

use bytes::Bytes;

use super::{ClassMap, Explanation, Head, overlay};
use crate::pipeline::NotOffered;
use crate::pipeline::Output;
use crate::pipeline::classify::ScoredImage;
use crate::pipeline::queue::{JobAnswer, RequestContext};
use crate::pipeline::{Classification, ClassifyError, ImageFacts, Pipeline, decode, png};

/// One image's scores, and where they come from.
#[derive(Debug, Clone, PartialEq)]
pub struct Explained {
    /// The same as without an explanation.
    pub classification: Classification,
    /// The maps.
    pub explanation: Explanation,
}

/// The classes for which maps are computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Maps<'a> {
    /// The most probable one of these classes, or of all classes if this is empty.
    BestOf(&'a [usize]),
    /// These classes, at least one.
    These(&'a [usize]),
}

impl Pipeline {
    /// Classifies the image and computes `maps`.
    ///
    /// # Errors
    ///
    /// [`ClassifyError`]: as [`Pipeline::classify`], or if this model supports no exact maps.
    pub async fn explain(
        &self,
        upload: Bytes,
        maps: Maps<'_>,
        context: &RequestContext,
    ) -> Result<Explained, ClassifyError> {
        let head = self.capabilities.head()?;
        let scoring = self.score(upload, context, Some(Output::FeatureMap));
        let ScoredImage { answered, image, timings } =
            self.until_deadline(context.deadline, scoring).await?;
        let explanation = self.explanation(head, &answered, image, maps)?;
        let classification = self.classification(answered.scores, image, timings);
        Ok(Explained { classification, explanation })
    }

    fn explanation(
        &self,
        head: &Head,
        answered: &JobAnswer,
        image: ImageFacts,
        maps: Maps<'_>,
    ) -> Result<Explanation, NotOffered> {
        let JobAnswer { scores, extra, .. } = answered;
        let features = extra.as_ref().ok_or(NotOffered::NoFeatureMap)?;
        let map = |class: usize| {
            ClassMap::new(head, features, scores, class, &self.card.labels[class])
                .ok_or(NotOffered::OtherHead)
        };
        let strong = map(scores.best_of(&[]))?.strongest();
        let crop = self.card.preprocess.crop(image.size());
        let maps = match maps {
            Maps::BestOf(classes) => vec![map(scores.best_of(classes))?],
            Maps::These(classes) => classes.iter().copied().map(map).collect::<Result<_, _>>()?,
        };
        Ok(Explanation { crop, strong, maps })
    }

    /// Draws the first of the explanation's maps over the image; a PNG of the image's own size.
    ///
    /// The image is decoded a second time, under the same limits: that is cheaper than keeping its pixels in
    /// memory while it waits for the network.
    ///
    /// # Errors
    ///
    /// [`ClassifyError`] if memory or time is insufficient.
    ///
    /// # Panics
    ///
    /// If the explanation has no map; [`Pipeline::explain`] computes at least one.
    pub async fn overlay(
        &self,
        upload: Bytes,
        explanation: Explanation,
        context: &RequestContext,
    ) -> Result<Bytes, ClassifyError> {
        let drawing = async {
            let header = decode::inspect(&upload, &self.plan.limits)?;
            let permit = self.admission.reserve(0)?;
            self.decoders
                .run(context.deadline, permit, move |permit, watch, _| {
                    permit.grow(header.decoded_bytes())?;
                    let photo = decode::decode(&upload, &header, watch)?;
                    let size = [photo.height(), photo.width()];
                    let mut rgb = photo.into_rgb();
                    let map = explanation.maps.first().expect("at least one map");
                    overlay::draw(&mut rgb, size, map, &explanation);
                    let png = png::encode(&rgb, size)
                        .map_err(|error| ClassifyError::Prepare(error.to_string()))?;
                    Ok(png.into())
                })
                .await
        };
        self.until_deadline(context.deadline, drawing).await
    }
}
