//! Ctrl-C (and SIGTERM): finish the layer, tidy up, leave with 130.

use std::process;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::failure::Failure;

/// Exit code of a program stopped by SIGINT, as shells give it.
pub const EXIT_CODE: u8 = 130;

static REQUESTED: AtomicBool = AtomicBool::new(false);
static BLOCKED: AtomicBool = AtomicBool::new(false);

/// Starts listening. A second Ctrl-C does not wait for anything.
pub fn listen() -> Result<(), Failure> {
    ctrlc::set_handler(|| {
        let again = REQUESTED.swap(true, Ordering::SeqCst);
        if again || BLOCKED.load(Ordering::SeqCst) {
            process::exit(EXIT_CODE.into());
        }
    })
    .map_err(|error| {
        Failure::new(
            "system.signal",
            format!("Ctrl-C cannot be handled: {error}"),
        )
    })
}

/// Whether the user wants to stop.
pub fn requested() -> bool {
    REQUESTED.load(Ordering::SeqCst)
}

/// Runs something that waits for the outside world and leaves nothing behind: Ctrl-C ends the
/// program at once, since nobody would look at the flag.
pub fn while_blocked<T>(wait: impl FnOnce() -> T) -> T {
    BLOCKED.store(true, Ordering::SeqCst);
    // It may have been pressed just before.
    if requested() {
        process::exit(EXIT_CODE.into());
    }
    let result = wait();
    BLOCKED.store(false, Ordering::SeqCst);
    result
}

/// Awaits something that waits for the outside world, as [`while_blocked`] does for what blocks.
pub async fn while_blocked_on<T>(wait: impl IntoFuture<Output = T>) -> T {
    BLOCKED.store(true, Ordering::SeqCst);
    if requested() {
        process::exit(EXIT_CODE.into());
    }
    let result = wait.await;
    BLOCKED.store(false, Ordering::SeqCst);
    result
}
