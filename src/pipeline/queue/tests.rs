//! Tests of the queue with real workers and an engine that returns each image's number as its score.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::in_flight::ImageLoad;
use super::*;
use crate::model::Preprocess;
use crate::pipeline::Output;
use crate::pipeline::preprocess::Pixels;
use crate::pipeline::run::{
    Batch, CoreShare, Cores, Engine, Engines, Health, Outputs, RunError, SpareEngine, WorkerPlan,
    Workers,
};

/// A queue with its dependencies, without a model.
struct TestQueue {
    queue: Queue,
    admission: Arc<Admission>,
    estimate: Arc<ServiceTimeEstimate>,
    metrics: Arc<ModelMetrics>,
}

impl TestQueue {
    fn new() -> Self {
        let metrics = ModelMetrics::unexported();
        let estimate = Arc::new(ServiceTimeEstimate::new(Stages::Shared { workers: 1 }));
        let memory = Memory::new(1 << 30, Arc::default());
        let admission = Admission::new(10_000, memory, Arc::clone(&estimate), Arc::clone(&metrics));
        Self { queue: Queue::new(1, Arc::clone(&metrics)), admission, estimate, metrics }
    }

    fn workers(&self, batch: BatchPlan, engines: Vec<Engine>) -> Workers {
        let plan = WorkerPlan {
            queue: self.queue.clone(),
            batch,
            preprocess: Preprocess { input: [1, 1], ..Preprocess::default_for([32, 32]) },
            estimate: Arc::clone(&self.estimate),
            stuck_after: FOREVER,
            cores: None,
            health: Arc::new(Health::default()),
            metrics: Arc::clone(&self.metrics),
        };
        Workers::start(&plan, engines).unwrap()
    }

    /// Queues the image whose only pixel encodes `number`.
    fn submit(&self, number: u16, deadline: Deadline) -> Ticket {
        let [high, low] = number.to_be_bytes();
        let pixels = Pixels::from_raw([1, 1], vec![high, low, 0]).unwrap();
        let context = RequestContext::local(Deadline::after(FOREVER));
        let permit = self.admission.enter(&context, Duration::ZERO).unwrap();
        let context = RequestContext { deadline, ..context };
        self.queue.submit(|reply| Job::new(pixels, context, permit, reply)).unwrap()
    }
}

const FOREVER: Duration = Duration::from_secs(3600);
const AT_ONCE: BatchPlan = BatchPlan { max_batch: 4, max_wait: Duration::ZERO, backlog: 1 };

fn numbers(batch: &Batch) -> Vec<u16> {
    batch.as_bytes().chunks(3).map(|pixel| u16::from_be_bytes([pixel[0], pixel[1]])).collect()
}

/// Returns each image's number as its score.
#[expect(clippy::unnecessary_wraps, reason = "an engine may fail")]
fn echo(batch: &Batch) -> Result<Outputs, RunError> {
    let scores: Vec<f32> = numbers(batch).into_iter().map(f32::from).collect();
    let tensors = vec![(Output::Logits, scores.clone()), (Output::Probabilities, scores)];
    Ok(Outputs::new(batch.len(), tensors))
}

fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

/// The fate of a request.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fate {
    Waits,
    Leaves,
    ComesLate,
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn every_waiting_request_gets_its_own_answer_and_all_permits_are_released(
        fates in prop::collection::vec(
            prop_oneof![4 => Just(Fate::Waits), 1 => Just(Fate::Leaves), 1 => Just(Fate::ComesLate)],
            1..200,
        ),
        workers in 1..4_usize,
        max_batch in 1..9_usize,
        max_wait_ms in 0..3_u64,
        backlog in 1..9_usize,
    ) {
        let test = TestQueue::new();
        let plan = BatchPlan { max_batch, max_wait: Duration::from_millis(max_wait_ms), backlog };
        let engines = (0..workers).map(|_| Box::new(echo) as Engine).collect();
        let workers = test.workers(plan, engines);

        let tickets: Vec<_> = (0..).zip(&fates).filter_map(|(number, &fate)| {
            let deadline = match fate {
                Fate::ComesLate => Deadline { at: Instant::now(), limit: Duration::ZERO },
                Fate::Waits | Fate::Leaves => Deadline::after(FOREVER),
            };
            let ticket = test.submit(number, deadline);
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
        test.queue.close();
        workers.join();
        prop_assert_eq!(test.admission.images(), 0, "every permit is released");
        prop_assert_eq!(test.queue.depth(), 0);
    }

    #[test]
    fn batches_are_taken_in_the_order_of_arrival(count in 1..100_u16, max_batch in 1..9_usize) {
        let test = TestQueue::new();
        let tickets: Vec<_> =
            (0..count).map(|number| test.submit(number, Deadline::after(FOREVER))).collect();
        test.queue.close();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let engine: Engine = Box::new({
            let seen = Arc::clone(&seen);
            move |batch| {
                seen.lock().unwrap().extend(numbers(batch));
                echo(batch)
            }
        });
        test.workers(BatchPlan { max_batch, ..AT_ONCE }, vec![engine]).join();
        prop_assert_eq!(&*seen.lock().unwrap(), &(0..count).collect::<Vec<_>>());
        drop(tickets);
    }
}

#[test]
fn an_abandoned_request_is_counted_and_never_run() {
    let test = TestQueue::new();
    let tickets = (0..10).map(|number| test.submit(number, Deadline::after(FOREVER)));
    let (staying, leaving): (Vec<_>, Vec<_>) =
        tickets.enumerate().partition(|(number, _)| number % 2 == 0);
    drop(leaving);
    assert_eq!(test.queue.depth(), 5, "it is removed from the queue immediately");
    assert_eq!(test.admission.images(), 5, "and its permit is released");
    test.queue.close();
    let seen = Arc::new(Mutex::new(HashSet::new()));
    let engine: Engine = Box::new({
        let seen = Arc::clone(&seen);
        move |batch| {
            seen.lock().unwrap().extend(numbers(batch));
            echo(batch)
        }
    });
    test.workers(AT_ONCE, vec![engine]).join();
    assert_eq!(*seen.lock().unwrap(), HashSet::from([0, 2, 4, 6, 8]));
    assert_eq!(test.metrics.abandoned.get(), 5);
    drop(staying);
}

#[test]
fn a_panic_or_failed_run_answers_its_own_batch_and_the_worker_continues() {
    let test = TestQueue::new();
    let one_by_one = BatchPlan { max_batch: 1, ..AT_ONCE };
    let engine: Engine = Box::new(|batch| match numbers(batch)[0] {
        1 => panic!("one"),
        2 => Err(RunError::Runtime("two".to_owned())),
        3 => Ok(Outputs::new(1, vec![(Output::Logits, vec![f32::NAN])])),
        _ => echo(batch),
    });
    let workers = test.workers(one_by_one, vec![engine]);
    let answers: Vec<_> =
        (0..5).map(|number| wait(test.submit(number, Deadline::after(FOREVER)))).collect();
    assert!(answers[0].is_ok());
    assert!(matches!(&answers[1], Err(JobError::Panicked(words)) if words == "one"));
    assert!(matches!(&answers[2], Err(JobError::Runtime(words)) if words == "two"));
    assert!(matches!(&answers[3], Err(JobError::NotFinite)));
    assert!(answers[4].is_ok());
    test.queue.close();
    workers.join();
    assert_eq!(test.metrics.failed_batches.get(), 2);
    assert_eq!(test.metrics.not_finite.get(), 1);
}

#[test]
fn with_a_max_wait_a_full_batch_is_taken_before_the_time_is_over() {
    let test = TestQueue::new();
    let patient = BatchPlan { max_batch: 2, max_wait: FOREVER, backlog: 1 };
    let workers = test.workers(patient, vec![Box::new(echo)]);
    let tickets = [1, 2].map(|number| test.submit(number, Deadline::after(FOREVER)));
    for ticket in tickets {
        assert_eq!(wait(ticket).unwrap().batch_size, 2);
    }
    test.queue.close();
    workers.join();
}

#[test]
fn with_a_backlog_batches_have_one_image_until_many_wait() {
    let sizes = |waiting| {
        let test = TestQueue::new();
        let tickets: Vec<_> =
            (0..waiting).map(|number| test.submit(number, Deadline::after(FOREVER))).collect();
        test.queue.close();
        let plan = BatchPlan { backlog: 4, ..AT_ONCE };
        let batches = std::iter::from_fn(|| test.queue.next_batch(plan));
        let sizes: Vec<_> = batches.map(|batch| batch.jobs.len()).collect();
        drop(tickets);
        sizes
    };
    assert_eq!(sizes(7), [1; 7]);
    assert_eq!(sizes(9), [2, 1, 1, 1, 1, 1, 1, 1]);
    assert_eq!(sizes(20), [4, 4, 3, 2, 1, 1, 1, 1, 1, 1, 1]);
}

#[test]
fn a_closed_queue_is_drained_and_accepts_no_jobs() {
    let test = TestQueue::new();
    let ticket = test.submit(7, Deadline::after(FOREVER));
    test.queue.close();
    let context = RequestContext::local(Deadline::after(FOREVER));
    let permit = test.admission.enter(&context, Duration::ZERO).unwrap();
    let pixels = Pixels::from_raw([1, 1], vec![0; 3]).unwrap();
    let refused = test.queue.submit(|reply| Job::new(pixels, context, permit, reply));
    assert!(matches!(refused, Err(Rejected::Draining)));
    let mut batch = test.queue.next_batch(AT_ONCE).unwrap();
    assert!(test.queue.next_batch(AT_ONCE).is_none());
    drop(batch.jobs.remove(0));
    assert!(matches!(wait(ticket), Err(JobError::Cancelled)), "a dropped job is answered");
}

/// The image whose only pixel encodes `number`, from `client`, with predicted decode time `decode`.
fn submit_as(test: &TestQueue, client: ClientKey, number: u16, decode: Duration) -> Ticket {
    let origin = Origin { client, ..Origin::local() };
    let context = RequestContext { origin, deadline: Deadline::after(FOREVER) };
    let [high, low] = number.to_be_bytes();
    let pixels = Pixels::from_raw([1, 1], vec![high, low, 0]).unwrap();
    let permit = test.admission.enter(&context, decode).unwrap();
    test.queue.submit(|reply| Job::new(pixels, context, permit, reply)).unwrap()
}

/// The order in which one worker runs the queued images.
fn order(test: &TestQueue) -> Vec<u16> {
    test.queue.close();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let engine: Engine = Box::new({
        let seen = Arc::clone(&seen);
        move |batch| {
            seen.lock().unwrap().extend(numbers(batch));
            echo(batch)
        }
    });
    test.workers(BatchPlan { max_batch: 1, ..AT_ONCE }, vec![engine]).join();
    std::mem::take(&mut *seen.lock().unwrap())
}

const QUICK: Duration = Duration::from_millis(1);

#[test]
fn clients_alternate_regardless_of_how_many_images_one_sends() {
    let test = TestQueue::new();
    let keys = ClientKeys::starting_at(1);
    let (many, one) = (keys.assign(), keys.assign());
    let flood: Vec<_> = (0..100).map(|number| submit_as(&test, many, number, QUICK)).collect();
    let single: Vec<_> = (500..503).map(|number| submit_as(&test, one, number, QUICK)).collect();
    let order = order(&test);
    assert_eq!(order[..6], [0, 500, 1, 501, 2, 502]);
    assert_eq!(order.len(), 103);
    drop((flood, single));
}

#[test]
fn a_client_is_not_charged_for_images_that_were_not_run() {
    let test = TestQueue::new();
    let keys = ClientKeys::starting_at(1);
    let (left, stays) = (keys.assign(), keys.assign());
    let abandoned: Vec<_> = (0..50).map(|number| submit_as(&test, left, number, QUICK)).collect();
    let queued: Vec<_> = (100..110).map(|number| submit_as(&test, stays, number, QUICK)).collect();
    drop(abandoned);
    let back = submit_as(&test, left, 900, QUICK);
    let order = order(&test);
    assert!(order[..2].contains(&900), "{order:?}");
    drop((queued, back));
}

#[test]
fn a_client_with_costly_images_gets_the_same_time_and_so_fewer_turns() {
    let test = TestQueue::new();
    let keys = ClientKeys::starting_at(1);
    let (costly, cheap) = (keys.assign(), keys.assign());
    let mut tickets: Vec<_> =
        (0..4).map(|number| submit_as(&test, costly, number, 10 * QUICK)).collect();
    tickets.extend((100..130).map(|number| submit_as(&test, cheap, number, QUICK)));
    let order = order(&test);
    let cheap_before =
        |costly| order.iter().take_while(|&&n| n != costly).filter(|&&n| n >= 100).count();
    assert!((9..=11).contains(&cheap_before(0)), "{order:?}");
    assert!((18..=22).contains(&cheap_before(1)), "{order:?}");
    drop(tickets);
}

/// One client's share of the workers' time beside [`COSTLY_CLIENTS`] others, relative to a fair share.
///
/// The client always has `queued` images. Each of the others sends one costly image, and is then replaced by
/// a new client. A second worker takes an image before the client reacts to an answer, so a client that sends
/// one image at a time has none queued for half of the time.
fn share_next_to_new_clients(queued: usize, costs: &[Duration]) -> f64 {
    let test = TestQueue::new();
    let keys = ClientKeys::starting_at(1);
    let stays = keys.assign();
    let mut costs = costs.iter().cycle();
    let mut costly = || submit_as(&test, keys.assign(), 1, *costs.next().unwrap());
    let cheap = || submit_as(&test, stays, 0, QUICK);
    let mut tickets: Vec<_> = (0..COSTLY_CLIENTS).map(|_| costly()).collect();
    tickets.extend((0..queued).map(|_| cheap()));
    let (mut own, mut all, mut answered) = (Duration::ZERO, Duration::ZERO, 0);
    for _ in 0..4000 {
        let batch = test.queue.next_batch(BatchPlan { max_batch: 1, ..AT_ONCE }).unwrap();
        let ImageLoad { client, service_time, .. } = batch.jobs[0].caller().share();
        all += service_time;
        tickets.extend((0..std::mem::take(&mut answered)).map(|_| cheap()));
        if client == stays {
            own += service_time;
            answered += 1;
        } else {
            tickets.push(costly());
        }
    }
    own.as_secs_f64() / all.as_secs_f64() * f64::from(COSTLY_CLIENTS + 1)
}

const COSTLY_CLIENTS: u32 = 40;

#[test]
fn a_lasting_client_gets_its_share_next_to_new_clients_with_costly_images() {
    for costs in [&[40 * QUICK][..], &[20 * QUICK, 70 * QUICK, 45 * QUICK]] {
        for (queued, expected) in [(1, 0.4..0.8), (2, 0.8..1.2), (20, 0.8..1.2)] {
            let share = share_next_to_new_clients(queued, costs);
            assert!(expected.contains(&share), "{queued} images, {costs:?}: {share}");
        }
    }
}

#[test]
fn a_slow_image_does_not_occupy_all_workers() {
    let metrics = ModelMetrics::unexported();
    let test = TestQueue { queue: Queue::new(2, metrics), ..TestQueue::new() };
    let keys = ClientKeys::starting_at(1);
    let slow = Duration::from_secs(1);
    let tickets: Vec<_> =
        (0..3).map(|number| submit_as(&test, keys.assign(), number, slow)).collect();
    let first = test.queue.next_batch(AT_ONCE).unwrap();
    assert_eq!(first.jobs.len(), 1, "a slow image is a batch of its own");
    let quick = submit_as(&test, keys.assign(), 7, QUICK);
    let second = test.queue.next_batch(AT_ONCE).unwrap();
    assert!(
        second.slow.is_none(),
        "the other worker takes the quick one, although it arrived last"
    );
    drop(first);
    let third = test.queue.next_batch(AT_ONCE).unwrap();
    assert!(third.slow.is_some(), "and then the next slow one may be taken");
    drop((tickets, quick));
}

#[test]
fn a_client_without_images_displaces_one_with_many() {
    let test = TestQueue::new();
    let keys = ClientKeys::starting_at(1);
    let (many, one) = (keys.assign(), keys.assign());
    let flood: Vec<_> = (0..3).map(|number| submit_as(&test, many, number, QUICK)).collect();
    let single = submit_as(&test, one, 500, QUICK);
    assert!(test.queue.displace(0, Priority::Interactive, QUICK));
    assert!(test.queue.displace(0, Priority::Interactive, QUICK));
    assert!(!test.queue.displace(0, Priority::Interactive, QUICK), "now each has one");
    assert_eq!(order(&test), [0, 500]);
    let answers: Vec<_> = flood.into_iter().map(wait).collect();
    assert!(answers[0].is_ok());
    assert!(matches!(answers[1], Err(JobError::Displaced { .. })));
    assert!(matches!(answers[2], Err(JobError::Displaced { .. })));
    assert!(wait(single).is_ok());
}

/// The image whose only pixel encodes `number`, with this `priority`.
fn submit_in(test: &TestQueue, priority: Priority, number: u16) -> Ticket {
    let origin = Origin { priority, ..Origin::local() };
    let context = RequestContext { origin, deadline: Deadline::after(FOREVER) };
    let [high, low] = number.to_be_bytes();
    let pixels = Pixels::from_raw([1, 1], vec![high, low, 0]).unwrap();
    let permit = test.admission.enter(&context, QUICK).unwrap();
    test.queue.submit(|reply| Job::new(pixels, context, permit, reply)).unwrap()
}

#[test]
fn batch_images_wait_for_interactive_ones_except_for_one_turn_of_sixteen() {
    let test = TestQueue::new();
    let batch: Vec<_> = (0..10).map(|n| submit_in(&test, Priority::Batch, n)).collect();
    let interactive: Vec<_> =
        (100..140).map(|n| submit_in(&test, Priority::Interactive, n)).collect();
    let order = order(&test);
    let places: Vec<_> = (0..order.len()).filter(|&place| order[place] < 100).collect();
    assert_eq!(places[..2], [15, 31], "{order:?}");
    assert_eq!(places[2..], [42, 43, 44, 45, 46, 47, 48, 49], "then only batch images are left");
    assert!(order.iter().filter(|&&n| n < 100).is_sorted(), "{order:?}");
    drop((batch, interactive));
    let waits = |priority: Priority| test.metrics.queue_wait(priority.word()).get_sample_count();
    assert_eq!(Priority::ALL.map(waits), [40, 10]);
}

#[test]
fn an_interactive_image_displaces_a_batch_image_and_no_batch_image_an_interactive_one() {
    let test = TestQueue::new();
    let batch = submit_in(&test, Priority::Batch, 1);
    let interactive: Vec<_> =
        (100..104).map(|n| submit_in(&test, Priority::Interactive, n)).collect();
    assert!(!test.queue.displace(0, Priority::Batch, QUICK), "there is only one batch image");
    assert!(test.queue.displace(9, Priority::Interactive, QUICK));
    assert!(matches!(wait(batch), Err(JobError::Displaced { .. })));
    assert!(!test.queue.displace(9, Priority::Interactive, QUICK), "no client has more than 9");
    drop(interactive);
}

/// An engine that waits in its first run until it is released.
fn hanging_engine() -> (Engine, impl FnOnce()) {
    let stuck = Arc::new((Mutex::new(true), std::sync::Condvar::new()));
    let engine: Engine = Box::new({
        let stuck = Arc::clone(&stuck);
        move |batch| {
            let held = stuck.0.lock().unwrap();
            drop(stuck.1.wait_while(held, |stuck| *stuck).unwrap());
            echo(batch)
        }
    });
    let release = move || {
        *stuck.0.lock().unwrap() = false;
        stuck.1.notify_all();
    };
    (engine, release)
}

/// The plan of workers that share one core, on which a batch is stuck after 20 ms.
fn soon_stuck(test: &TestQueue, cores: &Arc<CoreShare>, health: &Arc<Health>) -> WorkerPlan {
    WorkerPlan {
        queue: test.queue.clone(),
        batch: BatchPlan { max_batch: 1, ..AT_ONCE },
        preprocess: Preprocess { input: [1, 1], ..Preprocess::default_for([32, 32]) },
        estimate: Arc::clone(&test.estimate),
        stuck_after: Duration::from_millis(20),
        cores: Some(Arc::clone(cores)),
        health: Arc::clone(health),
        metrics: Arc::clone(&test.metrics),
    }
}

#[test]
fn a_stuck_worker_is_reported_and_replaced() {
    let test = TestQueue::new();
    let (hanging, release) = hanging_engine();
    let (may_open, opened) = std::sync::mpsc::channel::<()>();
    let opened = Mutex::new(opened);
    let (cores, health) = (Arc::new(Cores::new(1).share(1, 1.0)), Arc::new(Health::default()));
    let plan = soon_stuck(&test, &cores, &health);
    let spare: SpareEngine = Box::new(move || {
        opened.lock().unwrap().recv().map_err(|error| error.to_string())?;
        Ok(Box::new(echo) as Engine)
    });
    let engines = Engines { ready: vec![hanging], spare: Some(spare) };
    let workers = Workers::start(&plan, engines).unwrap();
    let first = test.submit(1, Deadline::after(FOREVER));
    let second = test.submit(2, Deadline::after(FOREVER));
    while health.why_not().is_none() {
        std::thread::sleep(QUICK);
    }
    may_open.send(()).unwrap();
    assert_eq!(wait(second).unwrap().scores.logits, [2.0], "the replacement serves the queue");
    while health.why_not().is_some() {
        std::thread::sleep(QUICK);
    }
    assert_eq!(test.metrics.worker_replacements.get(), 1);
    release();
    assert_eq!(wait(first).unwrap().scores.logits, [1.0], "its answer is not lost either");
    test.queue.close();
    workers.join();
}

#[test]
fn a_worker_that_is_stuck_at_the_end_gives_its_core_back() {
    let test = TestQueue::new();
    let (hanging, release) = hanging_engine();
    let cores = Cores::new(1);
    let (own, other) = (Arc::new(cores.share(1, 1.0)), cores.share(1, 1.0));
    let plan = soon_stuck(&test, &own, &Arc::default());
    let workers = Workers::start(&plan, vec![hanging]).unwrap();
    let first = test.submit(1, Deadline::after(FOREVER));
    while test.queue.depth() > 0 {
        std::thread::sleep(QUICK);
    }
    test.queue.close();
    workers.join();
    drop(other.acquire());
    release();
    assert_eq!(wait(first).unwrap().scores.logits, [1.0], "its answer is not lost");
}
