//! How loading a model shares the cores with models that answer requests.

use std::panic::resume_unwind;
use std::thread;

use super::CoreShare;

/// Whether a load waits for the models that answer requests.
#[derive(Debug, Clone, Copy)]
pub enum Pace<'a> {
    /// It does not: no model serves yet.
    Alone,
    /// Each run waits for a turn on the cores, as batches do; everything else runs at normal priority. For a
    /// model that a request waits for.
    InTurns(&'a CoreShare),
    /// The same, and everything else runs at low priority.
    Background(&'a CoreShare),
}

impl Pace<'_> {
    /// Runs one batch of the new model when the cores have a turn for it.
    pub fn run<T>(self, batch: impl FnOnce() -> T) -> T {
        match self {
            Self::Alone => batch(),
            Self::InTurns(share) | Self::Background(share) => {
                let _turn = share.turn();
                batch()
            }
        }
    }

    /// Does work that cannot be divided into turns, such as optimising a graph. At low priority it is done on a
    /// thread of its own, because a thread cannot raise its priority again. Threads that the work starts keep the
    /// low priority, so it must not start any that outlive it.
    pub fn build<T: Send>(self, work: impl FnOnce() -> T + Send) -> T {
        match self {
            Self::Alone | Self::InTurns(_) => work(),
            Self::Background(_) => thread::scope(|scope| {
                let working = scope.spawn(|| {
                    lower_priority();
                    work()
                });
                working.join().unwrap_or_else(|panic| resume_unwind(panic))
            }),
        }
    }
}

/// The nice value of threads that load: beside busy threads they get a tenth of a core.
#[cfg(target_os = "linux")]
const NICE: libc::c_int = 10;

/// Lowers the priority of this thread. Has no effect on other systems than Linux, where the priority is that of
/// the process.
fn lower_priority() {
    #[cfg(target_os = "linux")]
    #[expect(unsafe_code, reason = "the standard library has no priorities of threads")]
    // SAFETY: the calls take numbers only; on Linux, 0 is the calling thread.
    unsafe {
        let nice = libc::getpriority(libc::PRIO_PROCESS, 0).max(NICE);
        libc::setpriority(libc::PRIO_PROCESS, 0, nice);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::run::Cores;

    #[test]
    fn a_run_takes_a_turn_and_gives_it_back() {
        let cores = Cores::new(1);
        let (loading, serving) = (cores.share(1, 1.0), cores.share(1, 1.0));
        assert!(Pace::Background(&loading).run(|| serving.is_contended()));
        assert!(!serving.is_contended());
        drop(serving.turn());
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn low_priority_ends_with_the_work() {
        #[expect(unsafe_code, reason = "the standard library has no priorities of threads")]
        // SAFETY: the call takes numbers only.
        let nice = || unsafe { libc::getpriority(libc::PRIO_PROCESS, 0) };
        let cores = Cores::new(1);
        let share = cores.share(1, 1.0);
        let before = nice();
        assert_eq!(Pace::Background(&share).build(nice), NICE.max(before));
        assert_eq!(Pace::InTurns(&share).build(nice), before);
        assert_eq!(nice(), before);
    }
}
