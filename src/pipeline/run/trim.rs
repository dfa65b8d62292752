//! Configures glibc's heap: limits freed memory that it keeps, and returns memory to the system.

/// Fixes glibc's thresholds for `mmap` and for returning freed memory.
///
/// By default glibc raises them to 32 and 64 MiB when large allocations are freed, so that a server that has
/// decoded large images keeps hundreds of MiB of unused memory. With fixed thresholds the memory of a decoded
/// image of more than 1 MiB is returned as soon as it is freed. Does nothing with other allocators.
pub fn bound_heap() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        const MMAP_THRESHOLD: libc::c_int = 1 << 20;
        const TRIM_THRESHOLD: libc::c_int = 4 << 20;
        #[expect(unsafe_code, reason = "the allocator has no other way to be configured")]
        // SAFETY: mallopt only sets parameters of the allocator, and may be called at any time.
        unsafe {
            libc::mallopt(libc::M_MMAP_THRESHOLD, MMAP_THRESHOLD);
            libc::mallopt(libc::M_TRIM_THRESHOLD, TRIM_THRESHOLD);
        }
    }
}

/// Returns freed memory to the system: tens of MiB after a large model was loaded. Takes about as long as a
/// system call; does nothing with other allocators.
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
