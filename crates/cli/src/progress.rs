//! Progress bars, cancellation and the clock the engine is given.

use std::future::{Future, ready};
use std::pin::Pin;
use std::time::Instant;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use llavaguard_backend::{Cancelled, Control, Stage};
use llavaguard_guard::Watcher;

use crate::{interrupt, output};

/// A bar on standard error where that is a terminal, and nothing anywhere else.
pub struct Progress {
    bar: ProgressBar,
    start: Instant,
}

impl Progress {
    /// A bar that appears with the first step reported.
    pub fn new() -> Progress {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        let template = "{prefix:>10} {bar:30} {percent:>3}% {elapsed} {wide_msg}";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        // Hidden until it is reset.
        bar.finish_and_clear();
        Progress {
            bar,
            start: Instant::now(),
        }
    }

    /// Says what the next steps are about, e.g. a file's name.
    pub fn about(&self, what: &str) {
        self.bar.set_message(output::printable(what));
    }

    /// Shows that `done` of `total` steps of something are behind us.
    pub fn steps(&self, doing: &'static str, done: u64, total: u64) {
        if self.bar.prefix() != doing {
            self.bar.set_prefix(doing);
            self.bar.reset();
        }
        self.bar.set_length(total);
        self.bar.set_position(done);
    }

    /// Takes the bar off the terminal, so that a result can be printed in its place.
    pub fn clear(&self) {
        self.bar.finish_and_clear();
        self.bar.set_prefix("");
    }
}

impl Control for Progress {
    fn checkpoint(&self) -> Pin<Box<dyn Future<Output = Result<(), Cancelled>> + '_>> {
        Box::pin(ready(if interrupt::requested() {
            Err(Cancelled)
        } else {
            Ok(())
        }))
    }

    fn progress(&self, stage: Stage, done: usize, total: usize) {
        let doing = match stage {
            Stage::Load => "loading",
            Stage::Vision => "looking",
            Stage::Prefill => "reading",
            Stage::Decode => "answering",
        };
        self.steps(doing, done as u64, total as u64);
    }
}

impl Watcher for Progress {
    fn now_ms(&self) -> f64 {
        self.start.elapsed().as_secs_f64() * 1e3
    }
}
