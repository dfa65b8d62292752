//! The queue with real workers and an engine that answers each image with its own number.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;
use crate::pipeline::preprocess::{Pixels, Preprocess};
use crate::pipeline::run::{Batch, Engine, Health, Output, Outputs, RunError, WorkerPlan, Workers};

/// A queue and what it needs, without a model.
struct House {
    queue: Queue,
    admission: Arc<Admission>,
    pace: Arc<Pace>,
    metrics: Arc<Metrics>,
}

impl House {
    fn new() -> Self {
        let metrics = Arc::new(Metrics::new());
        let pace = Arc::new(Pace::new(1, 1));
        let ceiling = Ceiling { images: 10_000, bytes: 1 << 30 };
        let admission = Admission::new(ceiling, Arc::clone(&pace), Arc::clone(&metrics));
        Self { queue: Queue::new(Arc::clone(&metrics)), admission, pace, metrics }
    }

    fn workers(&self, batch: BatchPlan, engines: Vec<Engine>) -> Workers {
        let plan = WorkerPlan {
            queue: self.queue.clone(),
            batch,
            preprocess: Preprocess { input: [1, 1], ..Preprocess::usual([32, 32]) },
            pace: Arc::clone(&self.pace),
            health: Arc::new(Health::default()),
            metrics: Arc::clone(&self.metrics),
        };
        Workers::start(&plan, engines).unwrap()
    }

    /// Queues the image whose only pixel spells `number`.
    fn submit(&self, number: u16, deadline: Deadline) -> Ticket {
        let [high, low] = number.to_be_bytes();
        let pixels = Pixels::from_raw([1, 1], vec![high, low, 0]).unwrap();
        let permit = self.admission.enter(Deadline::after(FOREVER)).unwrap();
        self.queue
            .submit(|reply| Job::new(pixels, RequestContext::local(deadline), permit, reply))
            .unwrap()
    }
}

const FOREVER: Duration = Duration::from_secs(3600);
const AT_ONCE: BatchPlan = BatchPlan { max_batch: 4, max_wait: Duration::ZERO, backlog: 1 };

fn numbers(batch: &Batch) -> Vec<u16> {
    batch.as_bytes().chunks(3).map(|pixel| u16::from_be_bytes([pixel[0], pixel[1]])).collect()
}

/// Answers each image with its own number.
#[expect(clippy::unnecessary_wraps, reason = "an engine may fail")]
fn echo(batch: &Batch) -> Result<Outputs, RunError> {
    let scores: Vec<f32> = numbers(batch).into_iter().map(f32::from).collect();
    let tensors = vec![(Output::Logits, scores.clone()), (Output::Probabilities, scores)];
    Ok(Outputs::new(batch.len(), tensors))
}

fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fate {
    Waits,
    Leaves,
    ComesLate,
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn every_waiting_request_gets_its_own_answer_and_nothing_is_left_over(
        fates in prop::collection::vec(
            prop_oneof![4 => Just(Fate::Waits), 1 => Just(Fate::Leaves), 1 => Just(Fate::ComesLate)],
            1..200,
        ),
        workers in 1..4_usize,
        max_batch in 1..9_usize,
        max_wait_ms in 0..3_u64,
        backlog in 1..9_usize,
    ) {
        let house = House::new();
        let plan = BatchPlan { max_batch, max_wait: Duration::from_millis(max_wait_ms), backlog };
        let engines = (0..workers).map(|_| Box::new(echo) as Engine).collect();
        let workers = house.workers(plan, engines);

        let tickets: Vec<_> = (0..).zip(&fates).filter_map(|(number, &fate)| {
            let deadline = match fate {
                Fate::ComesLate => Deadline { at: Instant::now(), limit: Duration::ZERO },
                Fate::Waits | Fate::Leaves => Deadline::after(FOREVER),
            };
            let ticket = house.submit(number, deadline);
            (fate != Fate::Leaves).then_some((number, fate, ticket))
        }).collect();
        for (number, fate, ticket) in tickets {
            match (fate, wait(ticket)) {
                (Fate::ComesLate, Err(JobError::Late)) => {}
                (Fate::Waits, Ok(answered)) => {
                    prop_assert_eq!(&answered.scores.logits, &[f32::from(number)]);
                    prop_assert!((1..=max_batch).contains(&answered.batch_size));
                }
                (_, other) => prop_assert!(false, "request {} ({:?}): {:?}", number, fate, other),
            }
        }
        house.queue.close();
        workers.join();
        prop_assert_eq!(house.admission.held(), (0, 0), "every permit is given back");
        prop_assert_eq!(house.queue.depth(), 0);
    }

    #[test]
    fn batches_leave_in_the_order_of_arrival(count in 1..100_u16, max_batch in 1..9_usize) {
        let house = House::new();
        let tickets: Vec<_> =
            (0..count).map(|number| house.submit(number, Deadline::after(FOREVER))).collect();
        house.queue.close();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let engine: Engine = Box::new({
            let seen = Arc::clone(&seen);
            move |batch| {
                seen.lock().unwrap().extend(numbers(batch));
                echo(batch)
            }
        });
        house.workers(BatchPlan { max_batch, ..AT_ONCE }, vec![engine]).join();
        prop_assert_eq!(&*seen.lock().unwrap(), &(0..count).collect::<Vec<_>>());
        drop(tickets);
    }
}

#[test]
fn a_request_whose_client_left_is_never_run_and_is_counted() {
    let house = House::new();
    let tickets = (0..10).map(|number| house.submit(number, Deadline::after(FOREVER)));
    let (staying, leaving): (Vec<_>, Vec<_>) =
        tickets.enumerate().partition(|(number, _)| number % 2 == 0);
    drop(leaving);
    assert_eq!(house.queue.depth(), 5, "it leaves the queue at once");
    assert_eq!(house.admission.held().0, 5, "and gives its place back");
    house.queue.close();
    let seen = Arc::new(Mutex::new(HashSet::new()));
    let engine: Engine = Box::new({
        let seen = Arc::clone(&seen);
        move |batch| {
            seen.lock().unwrap().extend(numbers(batch));
            echo(batch)
        }
    });
    house.workers(AT_ONCE, vec![engine]).join();
    assert_eq!(*seen.lock().unwrap(), HashSet::from([0, 2, 4, 6, 8]));
    assert_eq!(house.metrics.abandoned.get(), 5);
    drop(staying);
}

#[test]
fn a_panic_and_a_failed_run_answer_their_own_batch_and_the_worker_lives_on() {
    let house = House::new();
    let one_by_one = BatchPlan { max_batch: 1, ..AT_ONCE };
    let engine: Engine = Box::new(|batch| match numbers(batch)[0] {
        1 => panic!("one"),
        2 => Err(RunError::Runtime("two".to_owned())),
        3 => Ok(Outputs::new(1, vec![(Output::Logits, vec![f32::NAN])])),
        _ => echo(batch),
    });
    let workers = house.workers(one_by_one, vec![engine]);
    let answers: Vec<_> =
        (0..5).map(|number| wait(house.submit(number, Deadline::after(FOREVER)))).collect();
    assert!(answers[0].is_ok());
    assert!(matches!(&answers[1], Err(JobError::Panicked(words)) if words == "one"));
    assert!(matches!(&answers[2], Err(JobError::Runtime(words)) if words == "two"));
    assert!(matches!(&answers[3], Err(JobError::NotFinite)));
    assert!(answers[4].is_ok());
    house.queue.close();
    workers.join();
    assert_eq!(house.metrics.failed_batches.get(), 3);
}

#[test]
fn with_a_max_wait_a_full_batch_leaves_before_the_time_is_over() {
    let house = House::new();
    let patient = BatchPlan { max_batch: 2, max_wait: FOREVER, backlog: 1 };
    let workers = house.workers(patient, vec![Box::new(echo)]);
    let tickets = [1, 2].map(|number| house.submit(number, Deadline::after(FOREVER)));
    for ticket in tickets {
        assert_eq!(wait(ticket).unwrap().batch_size, 2);
    }
    house.queue.close();
    workers.join();
}

#[test]
fn with_a_backlog_batches_are_of_one_image_until_many_wait() {
    let sizes = |waiting| {
        let house = House::new();
        let tickets: Vec<_> =
            (0..waiting).map(|number| house.submit(number, Deadline::after(FOREVER))).collect();
        house.queue.close();
        let plan = BatchPlan { backlog: 4, ..AT_ONCE };
        let batches = std::iter::from_fn(|| house.queue.next_batch(plan));
        let sizes: Vec<_> = batches.map(|batch| batch.len()).collect();
        drop(tickets);
        sizes
    };
    assert_eq!(sizes(7), [1; 7]);
    assert_eq!(sizes(9), [2, 1, 1, 1, 1, 1, 1, 1]);
    assert_eq!(sizes(20), [4, 4, 3, 2, 1, 1, 1, 1, 1, 1, 1]);
}

#[test]
fn a_closed_queue_hands_out_what_it_holds_and_takes_nothing_more() {
    let house = House::new();
    let ticket = house.submit(7, Deadline::after(FOREVER));
    house.queue.close();
    let permit = house.admission.enter(Deadline::after(FOREVER)).unwrap();
    let pixels = Pixels::from_raw([1, 1], vec![0; 3]).unwrap();
    let refused = house.queue.submit(|reply| {
        Job::new(pixels, RequestContext::local(Deadline::after(FOREVER)), permit, reply)
    });
    assert!(matches!(refused, Err(Rejected::Draining)));
    let mut batch = house.queue.next_batch(AT_ONCE).unwrap();
    assert!(house.queue.next_batch(AT_ONCE).is_none());
    drop(batch.remove(0));
    assert!(matches!(wait(ticket), Err(JobError::Cancelled)), "a dropped job is not forgotten");
}
