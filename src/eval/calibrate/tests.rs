use super::*;

/// Images whose classes are drawn from the softmax of logits, which are then multiplied by `too_sure`. So the
/// right temperature is `too_sure`.
fn drawn(count: usize, too_sure: f32, random: &mut fastrand::Rng) -> Vec<Labelled> {
    const CLASSES: usize = 10;
    let normal =
        |random: &mut fastrand::Rng| -> f32 { (0..12).map(|_| random.f32()).sum::<f32>() - 6.0 };
    (0..count)
        .map(|_| {
            let logits: Vec<f32> = (0..CLASSES).map(|_| 2.0 * normal(random)).collect();
            let mut left = random.f32();
            let truth = probabilities(&logits, 1.0)
                .iter()
                .position(|probability| {
                    left -= probability;
                    left <= 0.0
                })
                .unwrap_or(0);
            Labelled { logits: logits.iter().map(|logit| logit * too_sure).collect(), truth }
        })
        .collect()
}

fn evidence(images: Vec<Labelled>) -> Evidence {
    let mut evidence = Evidence::default();
    for (number, image) in images.into_iter().enumerate() {
        let parts = [Split::Temperature, Split::Measured, Split::Thresholds, Split::Measured];
        evidence.add(parts[number % 4], image);
    }
    evidence
}

#[test]
fn a_known_temperature_is_found_and_lowers_the_calibration_error() {
    let mut random = fastrand::Rng::with_seed(1);
    for too_sure in [0.5, 1.0, 2.5] {
        let fitted = evidence(drawn(40_000, too_sure, &mut random)).fit().unwrap();
        let off = fitted.temperature / f64::from(too_sure) - 1.0;
        assert!(off.abs() < 0.05, "{too_sure}: {}", fitted.temperature);
        assert!(fitted.ece[1] < 0.015, "{too_sure}: {:?}", fitted.ece);
        assert!(fitted.nll[1] <= fitted.nll[0] + 1e-3, "{too_sure}: {:?}", fitted.nll);
        if (too_sure - 1.0).abs() > 0.1 {
            assert!(fitted.ece[0] > 5.0 * fitted.ece[1], "{too_sure}: {:?}", fitted.ece);
        }
    }
}

#[test]
fn temperatures_near_the_fitted_one_have_a_lower_likelihood() {
    let images = drawn(2_000, 1.7, &mut fastrand::Rng::with_seed(2));
    let found = temperature(&images).unwrap();
    for other in [0.9, 0.99, 1.01, 1.1] {
        assert!(nll(&images, found) < nll(&images, found * other), "{found} times {other}");
    }
}

#[test]
fn images_without_a_best_temperature_are_an_error() {
    let image = |truth| Labelled { logits: vec![5.0, 0.0, -5.0], truth };
    assert_eq!(temperature(&vec![image(0); 20]), Err(NoTemperature::NeverWrong));
    assert_eq!(temperature(&vec![image(2); 20]), Err(NoTemperature::NothingKnown));
    // Three equal images of which one is right need an infinite temperature.
    let guesses: Vec<_> = (0..30).map(|number| image(number % 3)).collect();
    assert_eq!(temperature(&guesses), Err(NoTemperature::NothingKnown));
    let few = evidence(drawn(38, 1.0, &mut fastrand::Rng::with_seed(3))).fit();
    assert_eq!(few, Err(CannotFit::TooFew(Parts { temperature: 10, thresholds: 9, measured: 19 })));
}

/// Over many samples, the mean coverage on new images is at least the requested coverage, and at most
/// `1 / (n + 1)` more, from rounding up the rank (Angelopoulos and Bates 2021, theorem 1).
#[test]
fn coverage_holds_on_new_images_within_the_bound_for_a_finite_sample() {
    const SAMPLES: u32 = 400;
    let mut random = fastrand::Rng::with_seed(4);
    let scored = |count, random: &mut fastrand::Rng| -> Vec<(Vec<f32>, usize)> {
        let images = drawn(count, 1.6, random);
        images.iter().map(|image| (probabilities(&image.logits, 1.3), image.truth)).collect()
    };
    // Sets of the LAC method; `pipeline::prediction_sets` also adds the best class, which can only increase the
    // coverage.
    let new = scored(4_000, &mut random);
    let mut sums = [0.0; COVERAGES.len()];
    let mut promised = 0;
    for _ in 0..SAMPLES {
        let found = thresholds(&scored(59, &mut random));
        promised = found.len();
        for (sum, (_, threshold)) in sums.iter_mut().zip(found) {
            let held = new.iter().filter(|(scores, truth)| scores[*truth] >= threshold).count();
            *sum += f64::from(u32::try_from(held).unwrap()) / 4_000.0;
        }
    }
    assert_eq!(promised, COVERAGES.len() - 3, "59 of 60 is less than 0.985");
    for (coverage, sum) in COVERAGES.iter().zip(sums).take(promised) {
        let found = sum / f64::from(SAMPLES);
        // Four standard errors, of the new images and of the samples.
        let error = 4.0 * (coverage * (1.0 - coverage) * (1.0 / 4_000.0 + 1.0 / 24_000.0)).sqrt();
        assert!(found > coverage - error, "{coverage}: {found}");
        assert!(found < coverage + 1.0 / 60.0 + error, "{coverage}: {found}");
    }
}

#[test]
fn a_higher_coverage_gives_larger_sets() {
    let fitted = evidence(drawn(8_000, 2.0, &mut fastrand::Rng::with_seed(5))).fit().unwrap();
    assert_eq!(fitted.sets.len(), COVERAGES.len());
    assert!(fitted.sets.is_sorted_by(|a, b| {
        a.coverage < b.coverage
            && a.threshold >= b.threshold
            && a.found <= b.found
            && a.mean_size <= b.mean_size
    }));
    assert!(fitted.sets.iter().all(|set| set.mean_size >= 1.0 && set.mean_size <= 10.0));
}

#[test]
fn images_are_split_by_their_hash_and_half_are_for_measurement() {
    let parts: Vec<Split> = (0_u32..4_000).map(|image| Split::of(&image.to_le_bytes())).collect();
    let count = |part| parts.iter().filter(|found| **found == part).count();
    assert!(count(Split::Temperature).abs_diff(1_000) < 110);
    assert!(count(Split::Thresholds).abs_diff(1_000) < 110);
    assert!(count(Split::Measured).abs_diff(2_000) < 130);
    // `printf image | sha256sum` begins with 6105.
    assert_eq!(Split::of(b"image"), Split::Measured);
}
