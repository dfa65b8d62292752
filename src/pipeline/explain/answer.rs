//! From an image to its class activation maps and overlays.

use bytes::Bytes;

use super::{ClassMap, Explanation, Head, NotOffered, paint};
use crate::pipeline::Output;
use crate::pipeline::journey::ScoredImage;
use crate::pipeline::queue::{JobAnswer, RequestContext};
use crate::pipeline::{Classification, ClassifyError, ImageFacts, Pipeline, decode, png};

/// One image's scores, and where they come from.
#[derive(Debug, Clone, PartialEq)]
pub struct Explained {
    /// As without an explanation.
    pub classification: Classification,
    /// The maps.
    pub explanation: Explanation,
}

/// Which maps are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Maps<'a> {
    /// That of the most probable of these classes, or of all where there are none.
    BestOf(&'a [usize]),
    /// These, at least one.
    These(&'a [usize]),
}

impl Pipeline {
    /// Classifies, and makes `maps`.
    ///
    /// # Errors
    ///
    /// [`ClassifyError`]: as [`Pipeline::classify`], or that this model has no exact maps.
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

    /// The photo with the first of the explanation's maps over it, as a PNG of the photo's own size.
    ///
    /// The photo is decoded once more, under the same limits as the first time: that is cheaper
    /// than to hold its pixels while it waits for the network.
    ///
    /// # Errors
    ///
    /// [`ClassifyError`]: no memory for it now, or no time.
    ///
    /// # Panics
    ///
    /// Where the explanation has no map; [`Pipeline::explain`] makes at least one.
    pub async fn overlay(
        &self,
        upload: Bytes,
        explanation: Explanation,
        context: &RequestContext,
    ) -> Result<Bytes, ClassifyError> {
        let painting = async {
            let header = decode::inspect(&upload, &self.plan.limits)?;
            let permit = self.admission.reserve(0)?;
            self.decoders
                .run(context.deadline, permit, move |permit, watch, _| {
                    permit.grow(header.decoded_bytes())?;
                    let photo = decode::decode(&upload, &header, watch)?;
                    let size = [photo.height(), photo.width()];
                    let mut rgb = photo.into_rgb();
                    let map = explanation.maps.first().expect("at least one map");
                    paint::over(&mut rgb, size, map, &explanation);
                    let png = png::encode(&rgb, size)
                        .map_err(|error| ClassifyError::Prepare(error.to_string()))?;
                    Ok(png.into())
                })
                .await
        };
        self.until_deadline(context.deadline, painting).await
    }
}
