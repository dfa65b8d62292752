//! Top-1, top-5 and the confusion matrix.

use serde::Serialize;

/// The result of classifying labelled images.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Number of images.
    pub images: usize,
    /// Number of images that could not be classified; they count as wrong.
    pub failed: usize,
    /// Number of images whose most probable class is the true one.
    pub correct: usize,
    /// Number of images whose true class is among the five most probable.
    pub among_five: usize,
    /// `confusion[truth][answer]`: number of images of class `truth` that were classified as `answer`.
    pub confusion: Vec<Vec<usize>>,
}

impl Report {
    /// An empty report.
    #[must_use]
    pub fn new(classes: usize) -> Self {
        let confusion = vec![vec![0; classes]; classes];
        Self { images: 0, failed: 0, correct: 0, among_five: 0, confusion }
    }

    /// Adds an image of class `truth` with its five most probable classes `answers`, best first. Empty
    /// `answers` mean that it could not be classified.
    pub fn add(&mut self, truth: usize, answers: &[usize]) {
        self.images += 1;
        match answers.first() {
            Some(&best) => self.confusion[truth][best] += 1,
            None => self.failed += 1,
        }
        self.correct += usize::from(answers.first() == Some(&truth));
        self.among_five += usize::from(answers.contains(&truth));
    }

    /// Share of images whose most probable class is the true one, 0 to 1.
    #[must_use]
    pub fn top1(&self) -> f64 {
        self.share(self.correct)
    }

    /// Share of images whose true class is among the five most probable, 0 to 1.
    #[must_use]
    pub fn top5(&self) -> f64 {
        self.share(self.among_five)
    }

    #[expect(clippy::cast_precision_loss, reason = "counts of images are far below 2^53")]
    fn share(&self, images: usize) -> f64 {
        images as f64 / self.images.max(1) as f64
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
        assert_eq!((report.correct, report.among_five), (2, 3));
        assert_eq!(report.confusion, [[1, 0, 0], [0, 0, 1], [0, 0, 1]]);
    }
}
