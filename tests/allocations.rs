//! Checks that a warm worker allocates nothing of an image's size.
#![expect(unsafe_code, reason = "the test needs a counting allocator")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use resnetd::model::Model;
use resnetd::model::Preprocess;
use resnetd::pipeline::Output;
use resnetd::pipeline::decode::{self, Limits};
use resnetd::pipeline::preprocess::Scratch;
use resnetd::pipeline::run::{Batch, InputShape, Library, Session, SessionPlan};

thread_local! {
    static ALLOCATIONS: Cell<Allocations> = const { Cell::new(Allocations { blocks: 0, bytes: 0, largest: 0 }) };
}

/// Allocations of one thread.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Allocations {
    blocks: usize,
    bytes: usize,
    largest: usize,
}

struct Counting;

#[global_allocator]
static COUNTING: Counting = Counting;

// SAFETY: the system's allocator does the work.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let Allocations { blocks, bytes, largest } = ALLOCATIONS.get();
        let size = layout.size();
        ALLOCATIONS.set(Allocations {
            blocks: blocks + 1,
            bytes: bytes + size,
            largest: largest.max(size),
        });
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(block, layout) }
    }
}

/// The allocations of `work` on this thread.
fn allocated(work: impl FnOnce()) -> Allocations {
    ALLOCATIONS.set(Allocations { blocks: 0, bytes: 0, largest: 0 });
    work();
    ALLOCATIONS.get()
}

#[test]
fn a_warm_worker_allocates_only_scores_and_small_buffers() {
    let photo = std::fs::read("tests/data/cat.jpg").unwrap();
    let limits = Limits { max_bytes: 1 << 20, max_pixels: 1 << 20, ..Limits::default() };
    let image =
        decode::decode(&photo, &decode::inspect(&photo, &limits).unwrap(), decode::Watch::never())
            .unwrap();
    let preprocess = Preprocess::default_for([224, 224]);
    let shape = InputShape::of(&preprocess);
    let (mut batch, mut scratch) = (Batch::with_capacity(shape, 4), Scratch::default());
    let mut fill = |batch: &mut Batch| {
        batch.clear();
        batch.fill(|slot| {
            preprocess.apply_into(&image, &mut scratch, slot);
            Ok::<_, std::convert::Infallible>(())
        })
    };
    let Ok(()) = fill(&mut batch);
    let prepared = allocated(|| {
        let Ok(()) = fill(&mut batch);
    });
    println!("preprocessing: {prepared:?}");
    assert!(prepared.bytes < shape.bytes() / 2, "{prepared:?}");

    let model = Model::open("cifar10-resnet20", None).unwrap();
    let library = Library::load(None).unwrap();
    let wanted = [Output::Logits, Output::Probabilities];
    let mut session =
        Session::open(&library, &model.onnx, SessionPlan::on_cpu(1), &wanted).unwrap();
    let batch = Batch::grey(InputShape::of(&model.card.preprocess), 4);
    session.run(&batch).unwrap();
    let mut outputs = None;
    let ran = allocated(|| outputs = Some(session.run(&batch).unwrap()));
    println!("a run: {ran:?}");
    let scores = 2 * batch.len() * model.card.labels.len() * size_of::<f32>();
    assert!(ran.bytes - scores < 2048, "{ran:?}, of which {scores} bytes are the scores");
    assert_eq!(outputs.unwrap().row(Output::Logits, 3).len(), model.card.labels.len());
}
