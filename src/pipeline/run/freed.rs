//! Memory that loading has freed goes back to the system.

/// Gives what is free in the heap back, which the allocator would keep: after a large model is loaded, tens of MiB. Takes about as long as a system call; does nothing where the allocator is not glibc's.
pub fn give_back_freed() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    #[expect(unsafe_code, reason = "the allocator has no other way to be asked")]
    // SAFETY: glibc documents it as safe in threads; it touches nothing that is in use.
    unsafe {
        libc::malloc_trim(0);
    }
}
