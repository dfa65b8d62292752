//! Shares the machine's cores among models by weighted fair queueing: a batch on the CPU runs while its worker
//! holds a permit for each of its threads.
//!
//! There are as many permits as cores, for all models and sessions together, so batches of several models do
//! not compete for a core. Each model has a virtual time, which advances by the time that its batches take,
//! divided by its weight. If permits are scarce, the waiting model with the lowest virtual time gets the next
//! one: busy models share the cores by weight, and a rarely used model waits only for batches that are
//! already running. A version that was replaced and its successor share the time of one model, and the old
//! version's batches run first: its requests arrived earlier.

use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The permits of a process, one for each core.
#[derive(Debug)]
pub struct Cores {
    total: usize,
    state: Mutex<CoresState>,
    /// Signalled when permits become free or the order of waiting models changes.
    changed: Condvar,
}

#[derive(Debug)]
struct CoresState {
    free: usize,
    models: HashMap<u64, Usage>,
    /// Virtual time of the last batch; an idle model continues from here.
    now: Duration,
    next_id: u64,
}

/// One model's use of the cores.
#[derive(Debug, Default)]
struct Usage {
    virtual_time: Duration,
    waiting: usize,
    running: usize,
    /// Replaced versions whose batches run before those of this one.
    predecessors: Vec<u64>,
}

/// A model's access to the cores.
#[derive(Debug)]
pub struct CoreShare {
    cores: Arc<Cores>,
    id: u64,
    /// Permits that one batch needs: the threads of a session.
    permits: usize,
    weight: f64,
}

/// The permits of one batch, released when dropped.
#[derive(Debug)]
pub struct CorePermit<'a> {
    share: &'a CoreShare,
    /// How long its batch waited for other models. Waiting for replaced versions is not counted, because it
    /// ends soon and would raise predictions.
    pub waited: Duration,
    since: Instant,
}

impl Cores {
    /// `permits` single-threaded batches may run at the same time.
    #[must_use]
    pub fn new(permits: usize) -> Arc<Self> {
        let total = permits.max(1);
        let state =
            CoresState { free: total, models: HashMap::new(), now: Duration::ZERO, next_id: 0 };
        Arc::new(Self { total, state: Mutex::new(state), changed: Condvar::new() })
    }

    /// Access for a model whose sessions have `threads` threads; a weight of 2 gets twice the time of a
    /// weight of 1.
    #[must_use]
    pub fn share(self: &Arc<Self>, threads: usize, weight: f64) -> CoreShare {
        let mut state = self.lock();
        let id = state.next_id;
        state.next_id += 1;
        state.models.insert(id, Usage::default());
        drop(state);
        CoreShare { cores: Arc::clone(self), id, permits: threads.clamp(1, self.total), weight }
    }

    /// Releases the permits of a batch of `share`'s model that took `elapsed`.
    fn release(&self, share: &CoreShare, elapsed: Duration) {
        let CoreShare { id, permits, weight, .. } = share;
        let spent = elapsed.mul_f64(f64::from(u32::try_from(*permits).unwrap_or(1)) / weight);
        let mut state = self.lock();
        state.free += permits;
        if let Some(usage) = state.models.get_mut(id) {
            usage.running -= 1;
            usage.virtual_time += spent;
        }
        for successor in state.models.values_mut().filter(|usage| usage.predecessors.contains(id)) {
            successor.virtual_time += spent;
        }
        let waited_for = state.models.values().any(|usage| usage.waiting > 0);
        drop(state);
        if waited_for {
            self.changed.notify_all();
        }
    }

    /// Each update is complete before the lock is released, so the values are valid even if it is poisoned.
    fn lock(&self) -> MutexGuard<'_, CoresState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl CoreShare {
    /// Waits until a batch of this model may run.
    #[must_use]
    pub fn acquire(&self) -> CorePermit<'_> {
        let mut state = self.cores.lock();
        let now = state.now;
        let usage = state.models.entry(self.id).or_default();
        if usage.waiting + usage.running == 0 {
            usage.virtual_time = usage.virtual_time.max(now);
        }
        usage.waiting += 1;
        let mut waited = Duration::ZERO;
        while !(state.free >= self.permits && state.is_next(self.id)) {
            let (since, counts) = (Instant::now(), !state.has_predecessor(self.id));
            state = self.cores.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            if counts {
                waited += since.elapsed();
            }
        }
        state.free -= self.permits;
        let usage = state.models.entry(self.id).or_default();
        usage.waiting -= 1;
        usage.running += 1;
        let virtual_time = usage.virtual_time;
        state.now = state.now.max(virtual_time);
        let others_may_run = state.free > 0 && state.models.values().any(|usage| usage.waiting > 0);
        drop(state);
        if others_may_run {
            self.cores.changed.notify_all();
        }
        CorePermit { share: self, waited, since: Instant::now() }
    }

    /// Lets the batches of `replaced` run before those of this model, and counts their time as this model's.
    pub fn succeed(&self, replaced: &Self) {
        let mut state = self.cores.lock();
        if let Some(usage) = state.models.get_mut(&self.id).filter(|_| self.id != replaced.id) {
            usage.predecessors.push(replaced.id);
        }
    }

    /// Releases the permit of a batch that does not end, because its worker is stuck and was replaced. The worker
    /// has to call [`CorePermit::forget`] instead of dropping its permit.
    pub fn release_stuck(&self) {
        self.cores.release(self, Duration::ZERO);
    }

    /// Whether no other model has access to the cores.
    #[must_use]
    pub fn is_alone(&self) -> bool {
        self.cores.lock().models.len() == 1
    }

    /// Whether other models run or wait.
    #[must_use]
    pub fn is_contended(&self) -> bool {
        let state = self.cores.lock();
        state.models.iter().any(|(id, usage)| *id != self.id && usage.waiting + usage.running > 0)
    }
}

impl Drop for CoreShare {
    fn drop(&mut self) {
        let mut state = self.cores.lock();
        state.models.remove(&self.id);
        for usage in state.models.values_mut() {
            usage.predecessors.retain(|id| *id != self.id);
        }
    }
}

impl CorePermit<'_> {
    /// Drops a permit that was already released by [`CoreShare::release_stuck`].
    pub fn forget(self) {
        std::mem::forget(self);
    }
}

impl Drop for CorePermit<'_> {
    fn drop(&mut self) {
        self.share.cores.release(self.share, self.since.elapsed());
    }
}

impl CoresState {
    /// Whether a batch of the waiting model `id` may run next: no predecessor waits, and no other model that
    /// may run has a lower virtual time.
    fn is_next(&self, id: u64) -> bool {
        let own = self.models.get(&id).map_or(self.now, |usage| usage.virtual_time);
        let mut waiting = self.models.iter().filter(|(_, usage)| usage.waiting > 0);
        !self.waits_for_predecessor(id)
            && waiting.all(|(other, usage)| {
                (own, id) <= (usage.virtual_time, *other) || self.waits_for_predecessor(*other)
            })
    }

    fn waits_for_predecessor(&self, id: u64) -> bool {
        self.predecessors(id).any(|usage| usage.waiting > 0)
    }

    /// Whether a replaced version of the model `id` still has batches.
    fn has_predecessor(&self, id: u64) -> bool {
        self.predecessors(id).any(|usage| usage.waiting + usage.running > 0)
    }

    fn predecessors(&self, id: u64) -> impl Iterator<Item = &Usage> {
        let ids = self.models.get(&id).into_iter().flat_map(|usage| &usage.predecessors);
        ids.filter_map(|id| self.models.get(id))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;

    use super::*;

    #[test]
    fn no_more_batches_run_than_there_are_cores() {
        let cores = Cores::new(2);
        let (running, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let shares: Vec<_> = (0..5).map(|_| cores.share(1, 1.0)).collect();
        thread::scope(|scope| {
            for share in &shares {
                scope.spawn(|| {
                    for _ in 0..50 {
                        let _permit = share.acquire();
                        let now = running.fetch_add(1, Ordering::SeqCst) + 1;
                        most.fetch_max(now, Ordering::SeqCst);
                        thread::yield_now();
                        running.fetch_sub(1, Ordering::SeqCst);
                    }
                });
            }
        });
        assert_eq!(most.load(Ordering::SeqCst), 2);
    }

    /// The order in which models get permits, if each batch of a model takes `spent`.
    fn order(cores: &Arc<Cores>, shares: &[(&CoreShare, Duration)], batches: usize) -> Vec<u64> {
        let mut state = cores.lock();
        for (share, _) in shares {
            state.models.get_mut(&share.id).unwrap().waiting = 1;
        }
        let mut order = Vec::new();
        for _ in 0..batches {
            let (share, spent) = shares.iter().find(|(share, _)| state.is_next(share.id)).unwrap();
            order.push(share.id);
            let usage = state.models.get_mut(&share.id).unwrap();
            usage.virtual_time += spent.div_f64(share.weight);
        }
        order
    }

    #[test]
    fn busy_models_share_the_time_by_weight_not_by_number_of_batches() {
        let cores = Cores::new(1);
        let (slow, quick, heavy) = (cores.share(1, 1.0), cores.share(1, 1.0), cores.share(1, 2.0));
        let ms = Duration::from_millis;
        let order = order(&cores, &[(&slow, ms(40)), (&quick, ms(10)), (&heavy, ms(10))], 130);
        let batches = |share: &CoreShare| order.iter().filter(|&&id| id == share.id).count();
        assert!((9..=12).contains(&batches(&slow)), "{}", batches(&slow));
        assert!((37..=44).contains(&batches(&quick)), "{}", batches(&quick));
        assert!((74..=84).contains(&batches(&heavy)), "{}", batches(&heavy));
    }

    #[test]
    fn a_model_that_was_idle_is_next_but_does_not_catch_up() {
        let cores = Cores::new(1);
        let (busy, idle) = (cores.share(1, 1.0), cores.share(1, 1.0));
        cores.lock().models.get_mut(&busy.id).unwrap().virtual_time = Duration::from_secs(100);
        cores.lock().now = Duration::from_secs(99);
        drop(idle.acquire());
        let state = cores.lock();
        assert!(state.models[&idle.id].virtual_time >= Duration::from_secs(99));
        assert!(state.models[&idle.id].virtual_time < Duration::from_secs(100));
    }

    #[test]
    fn a_replaced_version_runs_first_and_shares_the_time_of_its_successor() {
        let cores = Cores::new(1);
        let [old, new, other] = [0; 3].map(|_| cores.share(1, 1.0));
        new.succeed(&old);
        {
            let mut state = cores.lock();
            for (share, virtual_time) in [(&old, 30), (&new, 10), (&other, 20)] {
                let usage = state.models.get_mut(&share.id).unwrap();
                (usage.waiting, usage.virtual_time) = (1, Duration::from_secs(virtual_time));
            }
            assert!(!state.is_next(new.id), "the old version has not finished");
            assert!(state.is_next(other.id), "other models keep their share");
            state.models.get_mut(&other.id).unwrap().virtual_time = Duration::from_secs(40);
            assert!(state.is_next(old.id));
            state.models.get_mut(&old.id).unwrap().running = 1;
            state.free -= 1;
        }
        cores.release(&old, Duration::from_secs(5));
        assert_eq!(cores.lock().models[&new.id].virtual_time, Duration::from_secs(15));
        drop(old);
        let state = cores.lock();
        assert!(state.is_next(new.id), "the old version has ended");
        assert_eq!(state.models[&new.id].predecessors, [0_u64; 0]);
    }

    #[test]
    fn waiting_for_a_replaced_version_is_not_counted() {
        let cores = Cores::new(1);
        let [old, new, other] = [0; 3].map(|_| cores.share(1, 1.0));
        new.succeed(&old);
        let waited = |share: &CoreShare, running: &CoreShare| {
            let permit = running.acquire();
            thread::scope(|scope| {
                let waiting = scope.spawn(|| share.acquire().waited);
                while cores.lock().models[&share.id].waiting == 0 {
                    thread::yield_now();
                }
                drop(permit);
                waiting.join().unwrap()
            })
        };
        assert_eq!(waited(&new, &old), Duration::ZERO);
        assert_ne!(waited(&other, &old), Duration::ZERO);
    }

    #[test]
    fn the_permit_of_a_stuck_batch_is_released_once() {
        let cores = Cores::new(1);
        let [stuck, other] = [0; 2].map(|_| cores.share(1, 1.0));
        let permit = stuck.acquire();
        stuck.release_stuck();
        drop(other.acquire());
        permit.forget();
        assert_eq!(cores.lock().free, 1);
        assert!(!other.is_contended());
    }

    #[test]
    fn a_batch_of_more_threads_than_cores_runs_alone() {
        let cores = Cores::new(2);
        let wide = cores.share(8, 1.0);
        assert!(wide.is_alone());
        drop(wide.acquire());
        assert!(!wide.is_contended());
        let other = cores.share(1, 1.0);
        assert!(!wide.is_alone());
        drop(other);
        assert!(wide.is_alone());
    }
}
