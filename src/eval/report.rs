//! Top-1, top-5 and the confusion of classes.

use serde::Serialize;

/// What came of classifying labelled images.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// Images classified.
    pub images: usize,
    /// Images that could not be classified; they count as wrong.
    pub failed: usize,
    /// Share of images whose most probable class is the true one, 0 to 1.
    pub top1: f64,
    /// Share whose true class is among the five most probable, 0 to 1.
    pub top5: f64,
    /// `confusion[truth][answer]`: how often images of one class were taken for another.
    pub confusion: Vec<Vec<usize>>,
}

impl Report {
    /// Nothing measured yet.
    #[must_use]
    pub fn new(classes: usize) -> Self {
        Self {
            images: 0,
            failed: 0,
            top1: 0.0,
            top5: 0.0,
            confusion: vec![vec![0; classes]; classes],
        }
    }

    /// One image of class `truth`, whose five most probable classes are `answers`, best first.
    /// No answers: it could not be classified.
    pub fn add(&mut self, truth: usize, answers: &[usize]) {
        match answers.first() {
            Some(&best) => self.confusion[truth][best] += 1,
            None => self.failed += 1,
        }
        self.images += 1;
        #[expect(clippy::cast_precision_loss, reason = "counts of images are far below 2^53")]
        let weight = 1.0 / self.images as f64;
        // Means as they grow: each new image moves them by its share.
        let hit = |yes: bool| if yes { 1.0 } else { 0.0 };
        self.top1 += (hit(answers.first() == Some(&truth)) - self.top1) * weight;
        self.top5 += (hit(answers.contains(&truth)) - self.top5) * weight;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_that_failed_counts_as_wrong() {
        let mut report = Report::new(3);
        report.add(0, &[0, 1]);
        report.add(1, &[2, 1]);
        report.add(2, &[]);
        report.add(2, &[2]);
        assert_eq!((report.images, report.failed), (4, 1));
        assert_eq!((report.top1, report.top5), (0.5, 0.75));
        assert_eq!(report.confusion, [[1, 0, 0], [0, 0, 1], [0, 0, 1]]);
    }
}
