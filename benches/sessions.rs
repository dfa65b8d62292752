//! The memory of a further session, the cost of outputs that are not fetched, and the gain of this program's kernels.
//!
//!     cargo bench --bench sessions
//!
//! Prints figures; nothing fails. Memory is measured in separate processes, times in turns.
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a program for the developers")]

use std::collections::BTreeMap;
use std::process::Command;
use std::time::Instant;

use resnetd::device::Device;
use resnetd::graph::{Network, arch};
use resnetd::model::Preprocess;
use resnetd::model::{self, Model, ModelCard, Precision, Task};
use resnetd::onnx;
use resnetd::pipeline::Output;
use resnetd::pipeline::run::{
    Batch, InputShape, Library, LoadPriority, Session, SessionPlan, SessionsPlan, open_sessions,
};
use resnetd::quantize::{Ranges, quantize};
use resnetd::weights::Weights;

const CLASSES: [Output; 2] = [Output::Logits, Output::Probabilities];
const ONE_THREAD: SessionPlan = SessionPlan::on_cpu(1);

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, how, count] = &arguments[..]
        && let Ok(count) = count.parse()
    {
        println!("{:.0}", resident_mib(how, count));
        return;
    }
    memory();
    let library = Library::load(None).unwrap();
    weights(&library, &constant("resnet50"), 20);
    kernels(&library, &constant("efficientnet_lite0"), 200);
    kernels(&library, &constant("resnet50"), 20);
    binding(&library, &Model::open(model::DEFAULT, None).unwrap(), 400);
    binding(&library, &constant("resnet18"), 40);
    outputs(&library, &Model::open(model::DEFAULT, None).unwrap(), 400);
    outputs(&library, &constant("resnet18"), 40);
}

/// Resident memory of 1 to 3 sessions of ResNet-50, each with its own weights or all with one copy.
fn memory() {
    println!("ResNet-50, resident MiB    1 session   2 sessions   3 sessions");
    for how in ["own", "shared"] {
        let measured: Vec<String> = (1..=3)
            .map(|count| {
                let program = std::env::current_exe().unwrap();
                let output = Command::new(program).args([how, &count.to_string()]).output();
                String::from_utf8(output.unwrap().stdout).unwrap().trim().to_owned()
            })
            .collect();
        println!("{how:<24} {:>11} {:>12} {:>12}", measured[0], measured[1], measured[2]);
    }
}

fn resident_mib(how: &str, count: usize) -> f64 {
    let library = Library::load(None).unwrap();
    let model = constant("resnet50");
    let input = InputShape::of(&model.card.preprocess);
    let _sessions: Vec<_> = if how == "own" {
        let open = || Session::open(&library, &model.onnx, ONE_THREAD, &CLASSES).unwrap();
        let mut sessions: Vec<_> = (0..count).map(|_| open()).collect();
        for session in &mut sessions {
            session.run(&Batch::grey(input, 1)).unwrap();
        }
        sessions.into_iter().map(|session| Box::new(session) as Box<dyn Send>).collect()
    } else {
        let plan = SessionsPlan { sessions: count, ..on_cpu(input) };
        let warm = open_sessions(&library, &model.onnx, plan, LoadPriority::Alone).unwrap();
        warm.engines.into_iter().map(|engine| Box::new(engine) as Box<dyn Send>).collect()
    };
    drop(model);
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<f64>().unwrap() / 1024.0
}

/// The time of a run with weights of the session's own and with shared ones.
fn weights(library: &Library, model: &Model, runs: usize) {
    let input = InputShape::of(&model.card.preprocess);
    let mut own = Session::open(library, &model.onnx, ONE_THREAD, &CLASSES).unwrap();
    let plan = SessionsPlan { sessions: 2, ..on_cpu(input) };
    let mut shared =
        open_sessions(library, &model.onnx, plan, LoadPriority::Alone).unwrap().engines.remove(0);
    let batch = Batch::grey(input, 1);
    let [own, shared] = in_turns(
        runs,
        [&mut || drop(own.run(&batch).unwrap()), &mut || drop(shared(&batch).unwrap())],
    );
    println!(
        "{}: {own:.3} ms with own weights, {shared:.3} ms with shared ones, ratio {:.3}",
        model.card.name,
        shared / own
    );
}

/// The time of a run in int8 with ONNX Runtime's convolutions only, and with this program's.
fn kernels(library: &Library, model: &Model, runs: usize) {
    let input = InputShape::of(&model.card.preprocess);
    let onnx = quantize(&model.graph(), &Ranges::new()).to_bytes();
    let mut theirs = Session::open(library, &onnx, ONE_THREAD, &CLASSES).unwrap();
    let mut own = open_sessions(library, &onnx, on_cpu(input), LoadPriority::Alone)
        .unwrap()
        .engines
        .remove(0);
    let batch = Batch::grey(input, 1);
    let [theirs, own] = in_turns(
        runs,
        [&mut || drop(theirs.run(&batch).unwrap()), &mut || drop(own(&batch).unwrap())],
    );
    println!(
        "{} in int8: {theirs:.3} ms with ONNX Runtime's convolutions, {own:.3} ms with this program's, ratio {:.3}",
        model.card.name,
        own / theirs
    );
}

/// One session on the CPU, for images of `input`, one at a time.
fn on_cpu(input: InputShape) -> SessionsPlan {
    let device = Device::Cpu;
    let [cuda_graphs, int8_kernels] = [false, true];
    SessionsPlan { device, sessions: 1, threads: 1, cuda_graphs, int8_kernels, input, max_batch: 1 }
}

/// The time of a run on a batch in ordinary memory, and with input and outputs bound to memory of ONNX Runtime
/// (`IoBinding`), as on a GPU.
fn binding(library: &Library, model: &Model, runs: usize) {
    let open = || Session::open(library, &model.onnx, ONE_THREAD, &CLASSES).unwrap();
    for images in [1, 8] {
        let (mut plain, mut bound) = (open(), open().bound().unwrap());
        let batch = Batch::grey(InputShape::of(&model.card.preprocess), images);
        let [plain, bound] = in_turns(
            runs,
            [&mut || drop(plain.run(&batch).unwrap()), &mut || drop(bound.run(&batch).unwrap())],
        );
        println!(
            "{}: {plain:.3} ms for a batch of {images} as it lies there, {bound:.3} ms with everything bound, ratio {:.3}",
            model.card.name,
            bound / plain
        );
    }
}

/// The time of a run that fetches the classes against one that fetches the feature map too, and
/// against the same graph with no other outputs than the classes: medians, in turns.
fn outputs(library: &Library, model: &Model, runs: usize) {
    let names = CLASSES.map(Output::name);
    let only_classes =
        onnx::OnnxModel::from_bytes(model.onnx.clone()).unwrap().keep_outputs(&names);
    let open = |bytes: &[u8]| Session::open(library, bytes, ONE_THREAD, &CLASSES).unwrap();
    let (mut all, mut two) = (open(&model.onnx), open(&only_classes.to_bytes()));
    let batch = Batch::grey(InputShape::of(&model.card.preprocess), 1);
    let mut with_map = Batch::grey(InputShape::of(&model.card.preprocess), 1);
    with_map.want(Output::FeatureMap);
    let mut another = open(&model.onnx);
    let [plain, mapped] = in_turns(
        runs,
        [&mut || drop(all.run(&batch).unwrap()), &mut || drop(another.run(&with_map).unwrap())],
    );
    println!(
        "{}: {plain:.3} ms for the classes, {mapped:.3} ms with the feature map, ratio {:.3}",
        model.card.name,
        mapped / plain
    );
    let [all, two] = in_turns(
        runs,
        [&mut || drop(all.run(&batch).unwrap()), &mut || drop(two.run(&batch).unwrap())],
    );
    println!(
        "{}: {all:.3} ms with four outputs in the graph, {two:.3} ms with two, ratio {:.3}",
        model.card.name,
        all / two
    );
}

/// Milliseconds of each of two programs, run in turns: medians.
fn in_turns(runs: usize, mut programs: [&mut dyn FnMut(); 2]) -> [f64; 2] {
    let mut times = [Vec::new(), Vec::new()];
    for _ in 0..runs {
        for (program, times) in programs.iter_mut().zip(&mut times) {
            let started = Instant::now();
            program();
            times.push(started.elapsed());
        }
    }
    times.map(|mut times| {
        times.sort();
        times[times.len() / 2].as_secs_f64() * 1e3
    })
}

/// A network whose weights are all alike: as large and as fast as any.
fn constant(name: &str) -> Model {
    let row = arch::find(name).unwrap();
    let tensors = Network::expand(row, row.classes).tensors().into_iter().map(|spec| {
        let count = spec.shape.iter().product();
        (spec.name, spec.shape, vec![0.01; count])
    });
    let card = ModelCard {
        name: name.to_owned(),
        architecture: name.to_owned(),
        description: String::new(),
        license: String::new(),
        precision: Precision::Fp32,
        task: Task::default(),
        labels: (0..row.classes).map(|class| class.to_string()).collect(),
        preprocess: Preprocess::default_for(row.input),
        wordnet_ids: Vec::new(),
        figures: Vec::new(),
        calibration: BTreeMap::new(),
        golden: Vec::new(),
    };
    Model::build(card, Weights::from_tensors(tensors)).unwrap()
}
