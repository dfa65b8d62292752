//! What each stage of a request costs on one core, and what a large JPEG costs in several ways.
//!
//!     make bench-stages
//!
//! Prints figures and judges nothing. Photos are those of benches/photos.py. The ways take turns, so
//! that a machine that others use too is as slow for each of them.
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a program for the developers")]
#![expect(clippy::cast_precision_loss, reason = "counts of photos and pixels")]

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use divan::Bencher;
use fast_image_resize::images::{Image as Target, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};
use image::imageops;
use resnetd::model::Preprocess;
use resnetd::pipeline::Output;
use resnetd::pipeline::decode::{self, Image, Limits};
use resnetd::pipeline::preprocess::{Crop, JpegScaling, Pixels};
use resnetd::pipeline::queue::{
    Admission, BatchPlan, Deadline, Job, Memory, Queue, RequestContext, ServiceTimeEstimate, Stages,
};
use resnetd::pipeline::run::{Batch, Engine, Health, Outputs, WorkerPlan, Workers};
use resnetd::pipeline::topk;
use resnetd::telemetry::ModelMetrics;

/// Folders of photos by size.
const SIZES: [&str; 4] = ["224x224", "500x375", "1280x720", "12mp"];

fn main() {
    println!(
        "{:<58} {:>8} {:>9} {:>10} {:>5}",
        "decode + preprocess", "ms", "relative", "mean", "max"
    );
    for photos in ["1280x720", "12mp", "12mp-progressive"] {
        compare(photos, 9);
    }
    divan::main();
}

/// One way from a file to the network's input.
type Way = (&'static str, fn(&[u8]) -> Vec<u8>);

const WAYS: [Way; 7] = [
    ("image crate, imageops Triangle, crop", plain),
    ("resnetd, --jpeg-scaling off", whole),
    ("resnetd, --jpeg-scaling on", reduced),
    ("libjpeg-turbo-rs at once, the same resize", at_once),
    ("jpeg-decoder at 1/2, fast_image_resize", |photo| of_jpeg_decoder(photo, 2)),
    ("jpeg-decoder at 1/4, fast_image_resize", |photo| of_jpeg_decoder(photo, 4)),
    ("jpeg-decoder at 1/8, fast_image_resize", |photo| of_jpeg_decoder(photo, 8)),
];

/// Medians of `rounds`, averaged over the photos; differences in levels from Pillow's answers.
fn compare(size: &str, rounds: usize) {
    let mut sums = [(0.0, 0.0, 0); WAYS.len()];
    let photos = photos(size);
    for (photo, reference) in photos.iter().zip(files(&format!("{size}-pillow"), "png")) {
        let reference = image::load_from_memory(&reference).unwrap().into_rgb8().into_raw();
        let mut times = [const { Vec::new() }; WAYS.len()];
        for _ in 0..rounds {
            for ((_, way), times) in WAYS.iter().zip(&mut times) {
                let started = Instant::now();
                divan::black_box(way(photo));
                times.push(started.elapsed().as_secs_f64() * 1e3);
            }
        }
        for (((_, way), times), sum) in WAYS.iter().zip(&mut times).zip(&mut sums) {
            times.sort_by(f64::total_cmp);
            let differences = way(photo).into_iter().zip(&reference).map(|(a, b)| a.abs_diff(*b));
            sum.0 += times[rounds / 2];
            sum.1 += differences.clone().map(f64::from).sum::<f64>() / reference.len() as f64;
            sum.2 = differences.max().unwrap().max(sum.2);
        }
    }
    for ((name, _), (time, mean, max)) in WAYS.iter().zip(sums) {
        let count = photos.len() as f64;
        println!(
            "{size:<16}  {name:<40} {:>8.1} {:>9.3} {:>10.2} {max:>5}",
            time / count,
            time / sums[0].0,
            mean / count,
        );
    }
}

fn imagenet() -> Preprocess {
    Preprocess::default_for([224, 224])
}

/// The usual code: no crop folded into the resize, no SIMD, all pixels.
fn plain(photo: &[u8]) -> Vec<u8> {
    let picture = image::load_from_memory(photo).unwrap().into_rgb8();
    let (width, height) = picture.dimensions();
    let (width, height) =
        if width <= height { (256, 256 * height / width) } else { (256 * width / height, 256) };
    let resized = imageops::resize(&picture, width, height, imageops::FilterType::Triangle);
    let (left, top) = ((width - 224) / 2, (height - 224) / 2);
    imageops::crop_imm(&resized, left, top, 224, 224).to_image().into_raw()
}

fn whole(photo: &[u8]) -> Vec<u8> {
    imagenet().apply(&decoded(photo, JpegScaling::Off)).as_bytes().to_vec()
}

fn reduced(photo: &[u8]) -> Vec<u8> {
    imagenet().apply(&decoded(photo, JpegScaling::On)).as_bytes().to_vec()
}

fn decoded(photo: &[u8], scaling: JpegScaling) -> Image {
    let header = decode::inspect(photo, &Limits::default()).unwrap();
    decode::decode(photo, &scaling.plan(header, &imagenet()), decode::Watch::never()).unwrap()
}

/// The crate that decodes at full size, used directly: such a decode cannot be stopped.
fn at_once(photo: &[u8]) -> Vec<u8> {
    let image = libjpeg_turbo_rs::decompress(photo).unwrap();
    let size = [image.width, image.height].map(|side| u32::try_from(side).unwrap());
    resized(&image.data, size, 1)
}

/// The crate that can scale.
fn of_jpeg_decoder(photo: &[u8], divisor: u16) -> Vec<u8> {
    let mut decoder = jpeg_decoder::Decoder::new(photo);
    decoder.read_info().unwrap();
    let info = decoder.info().unwrap();
    let side = |full: u16| full.div_ceil(divisor);
    let (width, height) = decoder.scale(side(info.width), side(info.height)).unwrap();
    let pixels = decoder.decode().unwrap();
    resized(&pixels, [width, height].map(u32::from), divisor)
}

/// Our crop and resize of an RGB image of `size` (columns, rows), which is decoded at 1 / `divisor`.
fn resized(pixels: &[u8], [width, height]: [u32; 2], divisor: u16) -> Vec<u8> {
    let full = [height, width].map(|side| side * u32::from(divisor));
    let Crop { left, top, width: columns, height: rows } = imagenet().crop(full);
    let [left, top, columns, rows] =
        [left, top, columns, rows].map(|length| length / f64::from(divisor));
    let source = ImageRef::new(width, height, pixels, PixelType::U8x3).unwrap();
    let mut target = Target::new(224, 224, PixelType::U8x3);
    let options = ResizeOptions::new()
        .resize_alg(ResizeAlg::Convolution(FilterType::Bilinear))
        .crop(left, top, columns, rows);
    Resizer::new().resize(&source, &mut target, &options).unwrap();
    target.into_vec()
}

#[divan::bench(args = SIZES)]
fn decode_reduced(bencher: Bencher, size: &str) {
    over(bencher, &photos(size), |photo| decoded(photo, JpegScaling::On));
}

#[divan::bench(args = SIZES)]
fn decode_whole(bencher: Bencher, size: &str) {
    over(bencher, &photos(size), |photo| decoded(photo, JpegScaling::Off));
}

#[divan::bench(args = SIZES)]
fn preprocess_reduced(bencher: Bencher, size: &str) {
    let images: Vec<_> = photos(size).iter().map(|photo| decoded(photo, JpegScaling::On)).collect();
    over(bencher, &images, |image| imagenet().apply(image));
}

#[divan::bench(args = SIZES)]
fn preprocess_whole(bencher: Bencher, size: &str) {
    let images: Vec<_> =
        photos(size).iter().map(|photo| decoded(photo, JpegScaling::Off)).collect();
    over(bencher, &images, |image| imagenet().apply(image));
}

/// One of `inputs` after the other.
fn over<T, O>(bencher: Bencher, inputs: &[T], work: impl Fn(&T) -> O) {
    let mut next = inputs.iter().cycle();
    bencher.with_inputs(move || next.next().unwrap()).bench_local_values(work);
}

/// The best five of a thousand classes, and their JSON.
#[divan::bench]
fn top_5_of_1000_as_json(bencher: Bencher) {
    let labels: Vec<String> = (0..1000).map(|class| format!("class {class}")).collect();
    let scores: Vec<f32> = (0..1000_u16).map(|class| f32::from(class * 379 % 1000) / 5e5).collect();
    bencher
        .bench(|| serde_json::to_vec(&topk::top_k(divan::black_box(&scores), &labels, 5)).unwrap());
}

/// From a caller's thread to a worker's and back, with an engine that does nothing.
#[divan::bench]
fn queue_and_back(bencher: Bencher) {
    let metrics = ModelMetrics::unexported();
    let estimate = Arc::new(ServiceTimeEstimate::new(Stages::Shared { workers: 1 }));
    let memory = Memory::new(1 << 20, Arc::default());
    let admission = Admission::new(16, memory, Arc::clone(&estimate), Arc::clone(&metrics));
    let queue = Queue::new(1, Arc::clone(&metrics));
    let plan = WorkerPlan {
        queue: queue.clone(),
        batch: BatchPlan { max_batch: 4, max_wait: Duration::ZERO, backlog: 1 },
        preprocess: Preprocess::default_for([32, 32]),
        estimate,
        stuck_after: Duration::from_secs(60),
        cores: None,
        health: Arc::new(Health::default()),
        metrics,
    };
    let engine: Engine = Box::new(|batch: &Batch| {
        let scores = vec![0.1; 10 * batch.len()];
        let tensors = vec![(Output::Logits, scores.clone()), (Output::Probabilities, scores)];
        Ok(Outputs::new(batch.len(), tensors))
    });
    let workers = Workers::start(&plan, vec![engine]).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    bencher.bench_local(|| {
        let pixels = Pixels::from_raw([32, 32], vec![128; 32 * 32 * 3]).unwrap();
        let context = RequestContext::local(Deadline::after(Duration::from_secs(3600)));
        let permit = admission.enter(&context, Duration::ZERO).unwrap();
        let ticket = queue.submit(|reply| Job::new(pixels, context, permit, reply)).unwrap();
        runtime.block_on(ticket).unwrap()
    });
    queue.close();
    workers.join();
}

fn photos(size: &str) -> Vec<Vec<u8>> {
    files(size, "jpg")
}

/// The files of a folder beside the build, in the order of their names.
fn files(folder: &str, kind: &str) -> Vec<Vec<u8>> {
    let program = std::env::current_exe().unwrap();
    let folder = program.ancestors().nth(3).unwrap().join("photos").join(folder);
    let entries = std::fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}; run `make bench-stages`", folder.display()));
    let mut paths: Vec<PathBuf> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|found| found == kind))
        .collect();
    paths.sort();
    paths.iter().map(|path| std::fs::read(path).unwrap()).collect()
}
