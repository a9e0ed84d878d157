//! The `halidom` binary: everything is in the library.

/// Returns freed memory sooner and fragments less than the system's allocator under many concurrent photo bodies.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    halidom::cli::main()
}
