//! How far it is.

/// What is being done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activity {
    /// Stored chunks are compared with their digests.
    Verify,
    /// Missing chunks are fetched.
    Download,
}

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Progress {
    /// What is being done.
    pub activity: Activity,
    /// Bytes that are done, those of earlier times included.
    pub done: u64,
    /// Bytes in all; 0 where that is not known.
    pub total: u64,
    /// Bytes a second over the last seconds; 0 where too little has come to tell.
    pub rate: f64,
    /// Seconds left at this rate, where both are known.
    pub seconds_left: Option<f64>,
}

/// Time constant of the rate's average, in milliseconds.
const MEMORY_MS: f64 = 4_000.0;
/// Shortest time between two reports, in milliseconds.
const REPORT_MS: f64 = 100.0;

/// Measures a rate and says when it is time to report.
pub(crate) struct Meter {
    activity: Activity,
    total: u64,
    done: u64,
    /// Bytes since `since`.
    fresh: u64,
    since: f64,
    started: f64,
    rate: f64,
}

impl Meter {
    pub fn new(activity: Activity, done: u64, total: u64, now: f64) -> Meter {
        Meter {
            activity,
            total,
            done,
            fresh: 0,
            since: now,
            started: now,
            rate: 0.0,
        }
    }

    /// Counts bytes; gives a report where one is due.
    pub fn add(&mut self, bytes: u64, now: f64) -> Option<Progress> {
        self.done += bytes;
        self.fresh += bytes;
        let elapsed = now - self.since;
        if elapsed < REPORT_MS {
            return None;
        }
        let current = self.fresh as f64 / elapsed * 1e3;
        // A moving average that is the plain average while it is young.
        let span = (now - self.started).min(MEMORY_MS).max(elapsed);
        let weight = elapsed / span;
        self.rate += weight * (current - self.rate);
        (self.fresh, self.since) = (0, now);
        Some(self.report())
    }

    /// Takes back bytes that turned out to be worthless.
    pub fn take_back(&mut self, bytes: u64) {
        self.done = self.done.saturating_sub(bytes);
    }

    pub fn report(&self) -> Progress {
        let left = self.total.saturating_sub(self.done) as f64;
        Progress {
            activity: self.activity,
            done: self.done,
            total: self.total,
            rate: self.rate,
            seconds_left: (self.rate > 0.0 && self.total > 0).then(|| left / self.rate),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steady_rate_is_found_and_a_change_followed() {
        let mut meter = Meter::new(Activity::Download, 1_000, 11_000_000, 50.0);
        let mut last = None;
        for step in 1..=20 {
            last = meter.add(50_000, 50.0 + 50.0 * f64::from(step)).or(last);
        }
        let report = last.unwrap();
        assert_eq!((report.done, report.total), (1_001_000, 11_000_000));
        assert!((report.rate - 1e6).abs() < 1.0, "{report:?}");
        assert!(
            (report.seconds_left.unwrap() - 9.999).abs() < 1e-2,
            "{report:?}"
        );
        for step in 1..=200 {
            last = meter.add(5_000, 1_050.0 + 100.0 * f64::from(step)).or(last);
        }
        assert!((last.unwrap().rate - 5e4).abs() < 1e4, "{last:?}");
    }
}
