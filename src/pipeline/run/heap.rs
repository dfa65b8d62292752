//! Configures glibc's heap: limits freed memory that it keeps, and returns memory to the system.

/// Fixes the sizes from which glibc maps an allocation by itself and from which it returns freed memory, and limits
/// its arenas to the number of cores.
///
/// glibc raises both as large allocations are freed, up to 32 and 64 MiB, so that a server that has once
/// decoded large pictures keeps hundreds of MiB of holes. With fixed sizes a decoded picture of over a
/// megabyte is returned as soon as it is freed. By default there are eight arenas for each core; each reload of a
/// model would leave holes in those of its threads. Does nothing where the allocator is not glibc's.
pub fn bound_heap() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        const MAPPED_FROM: libc::c_int = 1 << 20;
        const KEPT_AT_THE_TOP: libc::c_int = 4 << 20;
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let arenas = libc::c_int::try_from(cores).unwrap_or(libc::c_int::MAX);
        #[expect(unsafe_code, reason = "the allocator has no other way to be configured")]
        // SAFETY: mallopt only sets parameters of the allocator, and may be called at any time.
        unsafe {
            libc::mallopt(libc::M_MMAP_THRESHOLD, MAPPED_FROM);
            libc::mallopt(libc::M_TRIM_THRESHOLD, KEPT_AT_THE_TOP);
            libc::mallopt(libc::M_ARENA_MAX, arenas);
        }
    }
}

/// Returns freed memory to the system: tens of MiB after a large model was loaded. Locks all arenas of the
/// heap while it runs; does nothing with other allocators.
pub fn trim_heap() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    #[expect(unsafe_code, reason = "the allocator has no other interface for this")]
    // SAFETY: glibc documents it as safe in threads; it touches nothing that is in use.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// This process's resident memory in bytes; `None` on systems without `/proc`.
#[must_use]
pub fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kibibytes << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn resident_memory_includes_used_memory() {
        let before = resident().unwrap();
        let used = std::hint::black_box(vec![1_u8; 64 << 20]);
        let after = resident().unwrap();
        assert!(after > before + (32 << 20), "{before} {after}");
        drop(used);
    }
}
