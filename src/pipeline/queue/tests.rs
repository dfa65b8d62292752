//! The queue with real workers and an engine that answers each image with its own number.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::held::ImageLoad;
use super::*;
use crate::model::Preprocess;
use crate::pipeline::Output;
use crate::pipeline::preprocess::Pixels;
use crate::pipeline::run::{
    Batch, Engine, Engines, Health, Outputs, RunError, SpareEngine, WorkerPlan, Workers,
};

/// A queue and what it needs, without a model.
struct House {
    queue: Queue,
    admission: Arc<Admission>,
    estimate: Arc<ServiceTimeEstimate>,
    metrics: Arc<ModelMetrics>,
}

impl House {
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
            preprocess: Preprocess { input: [1, 1], ..Preprocess::usual([32, 32]) },
            estimate: Arc::clone(&self.estimate),
            stuck_after: FOREVER,
            cores: None,
            health: Arc::new(Health::default()),
            metrics: Arc::clone(&self.metrics),
        };
        Workers::start(&plan, engines).unwrap()
    }

    /// Queues the image whose only pixel spells `number`.
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
        prop_assert_eq!(house.admission.images(), 0, "every permit is given back");
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
    assert_eq!(house.admission.images(), 5, "and gives its place back");
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
    assert_eq!(house.metrics.failed_batches.get(), 2);
    assert_eq!(house.metrics.not_finite.get(), 1);
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
    let house = House::new();
    let ticket = house.submit(7, Deadline::after(FOREVER));
    house.queue.close();
    let context = RequestContext::local(Deadline::after(FOREVER));
    let permit = house.admission.enter(&context, Duration::ZERO).unwrap();
    let pixels = Pixels::from_raw([1, 1], vec![0; 3]).unwrap();
    let refused = house.queue.submit(|reply| Job::new(pixels, context, permit, reply));
    assert!(matches!(refused, Err(Rejected::Draining)));
    let mut batch = house.queue.next_batch(AT_ONCE).unwrap();
    assert!(house.queue.next_batch(AT_ONCE).is_none());
    drop(batch.jobs.remove(0));
    assert!(matches!(wait(ticket), Err(JobError::Cancelled)), "a dropped job is not forgotten");
}

/// The image whose only pixel spells `number`, of `client`, whose decoding is announced to take `decode`.
fn submit_as(house: &House, client: ClientKey, number: u16, decode: Duration) -> Ticket {
    let origin = Origin { client, ..Origin::local() };
    let context = RequestContext { origin, deadline: Deadline::after(FOREVER) };
    let [high, low] = number.to_be_bytes();
    let pixels = Pixels::from_raw([1, 1], vec![high, low, 0]).unwrap();
    let permit = house.admission.enter(&context, decode).unwrap();
    house.queue.submit(|reply| Job::new(pixels, context, permit, reply)).unwrap()
}

/// The order in which one worker runs what is queued.
fn order(house: &House) -> Vec<u16> {
    house.queue.close();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let engine: Engine = Box::new({
        let seen = Arc::clone(&seen);
        move |batch| {
            seen.lock().unwrap().extend(numbers(batch));
            echo(batch)
        }
    });
    house.workers(BatchPlan { max_batch: 1, ..AT_ONCE }, vec![engine]).join();
    std::mem::take(&mut *seen.lock().unwrap())
}

const QUICK: Duration = Duration::from_millis(1);

#[test]
fn clients_are_served_in_turns_however_many_images_one_sends() {
    let house = House::new();
    let keys = ClientKeys::starting_at(1);
    let (many, one) = (keys.assign(), keys.assign());
    let flood: Vec<_> = (0..100).map(|number| submit_as(&house, many, number, QUICK)).collect();
    let single: Vec<_> = (500..503).map(|number| submit_as(&house, one, number, QUICK)).collect();
    let order = order(&house);
    assert_eq!(order[..6], [0, 500, 1, 501, 2, 502]);
    assert_eq!(order.len(), 103);
    drop((flood, single));
}

#[test]
fn a_client_of_costly_images_gets_the_same_time_and_so_fewer_turns() {
    let house = House::new();
    let keys = ClientKeys::starting_at(1);
    let (costly, cheap) = (keys.assign(), keys.assign());
    let mut tickets: Vec<_> =
        (0..4).map(|number| submit_as(&house, costly, number, 10 * QUICK)).collect();
    tickets.extend((100..130).map(|number| submit_as(&house, cheap, number, QUICK)));
    let order = order(&house);
    let cheap_before =
        |costly| order.iter().take_while(|&&n| n != costly).filter(|&&n| n >= 100).count();
    assert!((9..=11).contains(&cheap_before(0)), "{order:?}");
    assert!((18..=22).contains(&cheap_before(1)), "{order:?}");
    drop(tickets);
}

/// What one client gets beside [`COSTLY_CLIENTS`] others, in shares of the time that are its own.
///
/// The client always has `queued` images. Each of the others sends one costly image, and a new client takes its place.
/// A second worker takes an image before the client reacts to an answer, so a client that sends one image at a time has
/// none queued for half of the time.
fn share_beside_new_clients(queued: usize, costs: &[Duration]) -> f64 {
    let house = House::new();
    let keys = ClientKeys::starting_at(1);
    let stays = keys.assign();
    let mut costs = costs.iter().cycle();
    let mut costly = || submit_as(&house, keys.assign(), 1, *costs.next().unwrap());
    let cheap = || submit_as(&house, stays, 0, QUICK);
    let mut tickets: Vec<_> = (0..COSTLY_CLIENTS).map(|_| costly()).collect();
    tickets.extend((0..queued).map(|_| cheap()));
    let (mut own, mut all, mut answered) = (Duration::ZERO, Duration::ZERO, 0);
    for _ in 0..4000 {
        let batch = house.queue.next_batch(BatchPlan { max_batch: 1, ..AT_ONCE }).unwrap();
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
fn a_client_that_stays_gets_its_share_beside_new_clients_with_costly_images() {
    for costs in [&[40 * QUICK][..], &[20 * QUICK, 70 * QUICK, 45 * QUICK]] {
        for (queued, expected) in [(1, 0.4..0.8), (2, 0.8..1.2), (20, 0.8..1.2)] {
            let share = share_beside_new_clients(queued, costs);
            assert!(expected.contains(&share), "{queued} images, {costs:?}: {share}");
        }
    }
}

#[test]
fn a_slow_image_leaves_a_worker_for_the_others() {
    let metrics = ModelMetrics::unexported();
    let house = House { queue: Queue::new(2, metrics), ..House::new() };
    let keys = ClientKeys::starting_at(1);
    let slow = Duration::from_secs(1);
    let tickets: Vec<_> =
        (0..3).map(|number| submit_as(&house, keys.assign(), number, slow)).collect();
    let first = house.queue.next_batch(AT_ONCE).unwrap();
    assert_eq!(first.jobs.len(), 1, "a slow image is a batch of its own");
    let quick = submit_as(&house, keys.assign(), 7, QUICK);
    let second = house.queue.next_batch(AT_ONCE).unwrap();
    assert!(second.slow.is_none(), "the other worker gets the quick one, though it came last");
    drop(first);
    let third = house.queue.next_batch(AT_ONCE).unwrap();
    assert!(third.slow.is_some(), "and then the next slow one may be taken");
    drop((tickets, quick));
}

#[test]
fn a_client_without_images_displaces_one_with_many() {
    let house = House::new();
    let keys = ClientKeys::starting_at(1);
    let (many, one) = (keys.assign(), keys.assign());
    let flood: Vec<_> = (0..3).map(|number| submit_as(&house, many, number, QUICK)).collect();
    let single = submit_as(&house, one, 500, QUICK);
    assert!(house.queue.displace(0, Priority::Interactive, QUICK));
    assert!(house.queue.displace(0, Priority::Interactive, QUICK));
    assert!(!house.queue.displace(0, Priority::Interactive, QUICK), "now each has one");
    assert_eq!(order(&house), [0, 500]);
    let answers: Vec<_> = flood.into_iter().map(wait).collect();
    assert!(answers[0].is_ok());
    assert!(matches!(answers[1], Err(JobError::Displaced { .. })));
    assert!(matches!(answers[2], Err(JobError::Displaced { .. })));
    assert!(wait(single).is_ok());
}

/// The image whose only pixel spells `number`, of the class `priority`.
fn submit_in(house: &House, priority: Priority, number: u16) -> Ticket {
    let origin = Origin { priority, ..Origin::local() };
    let context = RequestContext { origin, deadline: Deadline::after(FOREVER) };
    let [high, low] = number.to_be_bytes();
    let pixels = Pixels::from_raw([1, 1], vec![high, low, 0]).unwrap();
    let permit = house.admission.enter(&context, QUICK).unwrap();
    house.queue.submit(|reply| Job::new(pixels, context, permit, reply)).unwrap()
}

#[test]
fn batch_images_wait_for_interactive_ones_but_for_one_turn_of_sixteen() {
    let house = House::new();
    let batch: Vec<_> = (0..10).map(|n| submit_in(&house, Priority::Batch, n)).collect();
    let interactive: Vec<_> =
        (100..140).map(|n| submit_in(&house, Priority::Interactive, n)).collect();
    let order = order(&house);
    let places: Vec<_> = (0..order.len()).filter(|&place| order[place] < 100).collect();
    assert_eq!(places[..2], [15, 31], "{order:?}");
    assert_eq!(places[2..], [42, 43, 44, 45, 46, 47, 48, 49], "then only batch images are left");
    assert!(order.iter().filter(|&&n| n < 100).is_sorted(), "{order:?}");
    drop((batch, interactive));
    let waits = |priority: Priority| house.metrics.queue_wait(priority.word()).get_sample_count();
    assert_eq!(Priority::ALL.map(waits), [40, 10]);
}

#[test]
fn an_interactive_image_displaces_a_batch_image_and_no_batch_image_an_interactive_one() {
    let house = House::new();
    let batch = submit_in(&house, Priority::Batch, 1);
    let interactive: Vec<_> =
        (100..104).map(|n| submit_in(&house, Priority::Interactive, n)).collect();
    assert!(!house.queue.displace(0, Priority::Batch, QUICK), "there is one batch image only");
    assert!(house.queue.displace(9, Priority::Interactive, QUICK));
    assert!(matches!(wait(batch), Err(JobError::Displaced { .. })));
    assert!(!house.queue.displace(9, Priority::Interactive, QUICK), "no client has more than 9");
    drop(interactive);
}

#[test]
fn a_stuck_worker_is_reported_and_replaced() {
    let house = House::new();
    let stuck = Arc::new((Mutex::new(true), std::sync::Condvar::new()));
    let hanging: Engine = Box::new({
        let stuck = Arc::clone(&stuck);
        move |batch| {
            let held = stuck.0.lock().unwrap();
            drop(stuck.1.wait_while(held, |stuck| *stuck).unwrap());
            echo(batch)
        }
    });
    let (may_open, opened) = std::sync::mpsc::channel::<()>();
    let opened = Mutex::new(opened);
    let health = Arc::new(Health::default());
    let plan = WorkerPlan {
        queue: house.queue.clone(),
        batch: BatchPlan { max_batch: 1, ..AT_ONCE },
        preprocess: Preprocess { input: [1, 1], ..Preprocess::usual([32, 32]) },
        estimate: Arc::clone(&house.estimate),
        stuck_after: Duration::from_millis(20),
        cores: None,
        health: Arc::clone(&health),
        metrics: Arc::clone(&house.metrics),
    };
    let spare: SpareEngine = Box::new(move || {
        opened.lock().unwrap().recv().map_err(|error| error.to_string())?;
        Ok(Box::new(echo) as Engine)
    });
    let engines = Engines { ready: vec![hanging], spare: Some(spare) };
    let workers = Workers::start(&plan, engines).unwrap();
    let first = house.submit(1, Deadline::after(FOREVER));
    let second = house.submit(2, Deadline::after(FOREVER));
    while health.why_not().is_none() {
        std::thread::sleep(QUICK);
    }
    may_open.send(()).unwrap();
    assert_eq!(wait(second).unwrap().scores.logits, [2.0], "the replacement serves the queue");
    while health.why_not().is_some() {
        std::thread::sleep(QUICK);
    }
    assert_eq!(house.metrics.worker_replacements.get(), 1);
    *stuck.0.lock().unwrap() = false;
    stuck.1.notify_all();
    assert_eq!(wait(first).unwrap().scores.logits, [1.0], "its answer is not lost either");
    house.queue.close();
    workers.join();
}
