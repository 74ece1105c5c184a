//! Keeps the C library's allocator from hoarding.
//!
//! Promises: on Linux with glibc the program runs with two malloc arenas, unless `MALLOC_ARENA_MAX` says otherwise (docs/adr/0007).
//! Never: fails a start because of it.

/// Starts the program anew, as the same process, with the allocator's limit in its environment: glibc reads it once, before main.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub(crate) fn limit() {
    use std::os::unix::process::CommandExt;

    const NAME: &str = "MALLOC_ARENA_MAX";
    if std::env::var_os(NAME).is_some() {
        return;
    }
    if let Ok(program) = std::env::current_exe() {
        // Returns only if it failed; then the program goes on with more memory than it needs.
        let _failed = std::process::Command::new(program).args(std::env::args_os().skip(1)).env(NAME, "2").exec();
    }
}

/// Other C libraries need no limit.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub(crate) fn limit() {}
