//! The priority of loading a model relative to the batches of models that answer requests.

use std::panic::resume_unwind;
use std::thread;

use super::CoreShare;

/// The priority of loading a model.
#[derive(Debug, Clone, Copy)]
pub enum LoadPriority<'a> {
    /// Normal: no other model uses the cores, or the model runs on a GPU.
    Alone,
    /// That of a batch: each run waits for a permit, and other work has normal priority. For a model that a
    /// request waits for.
    AsBatch(&'a CoreShare),
    /// Low: all work takes the time that other threads leave, except opening sessions of several threads. Runs do not wait for permits: a permit would take
    /// a core from requests for as long as a batch takes.
    Background,
}

impl LoadPriority<'_> {
    /// Runs one batch of the new model.
    pub fn run<T: Send>(self, batch: impl FnOnce() -> T + Send) -> T {
        match self {
            Self::Alone => batch(),
            Self::AsBatch(share) => {
                let _permit = share.acquire();
                batch()
            }
            Self::Background => at_low_priority(batch),
        }
    }

    /// Does work that is not a batch, such as optimising a graph. Threads that `work` starts
    /// may have low priority, so it must not start any that outlive it.
    pub fn build<T: Send>(self, work: impl FnOnce() -> T + Send) -> T {
        match self {
            Self::Alone | Self::AsBatch(_) => work(),
            Self::Background => at_low_priority(work),
        }
    }
}

/// Calls `work` on a separate thread, because a thread cannot raise its priority again.
fn at_low_priority<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| {
        let working = scope.spawn(|| {
            lower_priority();
            work()
        });
        working.join().unwrap_or_else(|panic| resume_unwind(panic))
    })
}

/// Nice value of threads that load models: next to busy threads they get a tenth of a core.
#[cfg(target_os = "linux")]
const NICE: libc::c_int = 10;

/// Lowers the priority of this thread. Does nothing on systems other than Linux, where the priority belongs
/// to the process.
fn lower_priority() {
    #[cfg(target_os = "linux")]
    #[expect(unsafe_code, reason = "the standard library cannot set thread priorities")]
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
    fn a_run_acquires_and_releases_a_permit_unless_it_has_low_priority() {
        let cores = Cores::new(1);
        let (loading, serving) = (cores.share(1, 1.0), cores.share(1, 1.0));
        assert!(LoadPriority::AsBatch(&loading).run(|| serving.is_contended()));
        assert!(!serving.is_contended());
        assert!(!LoadPriority::Background.run(|| serving.is_contended()));
        drop(serving.acquire());
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn low_priority_ends_with_the_work() {
        #[expect(unsafe_code, reason = "the standard library cannot set thread priorities")]
        // SAFETY: the call takes numbers only.
        let nice = || unsafe { libc::getpriority(libc::PRIO_PROCESS, 0) };
        let cores = Cores::new(1);
        let share = cores.share(1, 1.0);
        let before = nice();
        for found in [LoadPriority::Background.build(nice), LoadPriority::Background.run(nice)] {
            assert_eq!(found, NICE.max(before));
        }
        assert_eq!(LoadPriority::AsBatch(&share).build(nice), before);
        assert_eq!(nice(), before);
    }
}
