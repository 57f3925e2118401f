//! When to try again.

use crate::error::StoreError;
use crate::outside::{NetworkError, Outside};
use crate::transfer::Transfer;

/// Attempts in a row that bring not a single byte before the loader gives up.
const MAX_FRUITLESS: u32 = 7;
/// Attempts at one chunk or file, however much each of them brought.
const MAX_ATTEMPTS: u32 = 200;
/// Times a chunk may arrive with the wrong bytes.
pub(crate) const MAX_WRONG: u32 = 3;
/// First pause, in milliseconds; each further one is twice as long.
const FIRST_MS: f64 = 400.0;
/// Longest pause of our own choice, in milliseconds.
const LONGEST_MS: f64 = 20_000.0;
/// Longest pause a server may ask for, in milliseconds.
const LONGEST_ASKED_MS: f64 = 120_000.0;

/// Milliseconds to wait before attempt number `attempt` (1 for the first repetition): exponential
/// backoff with jitter, so that many tabs do not come back at once, and never less than the server
/// asked for.
pub(crate) fn pause_ms(attempt: u32, asked_ms: Option<f64>, random: f64) -> f64 {
    let doubled = FIRST_MS * 2_f64.powi(attempt.saturating_sub(1).min(16) as i32);
    let own = doubled.min(LONGEST_MS) * (0.5 + 0.5 * random);
    let asked = asked_ms.unwrap_or(0.0).clamp(0.0, LONGEST_ASKED_MS);
    own.max(asked)
}

/// Whether a later request may be answered otherwise: RFC 9110, sections 15.5 and 15.6, and 425, 429.
pub(crate) fn worth_repeating(status: u16) -> bool {
    matches!(status, 408 | 425 | 429 | 500..=599)
}

/// How often something was tried, and when it is enough.
pub(crate) struct Patience {
    url: String,
    /// Attempts in a row that brought nothing; pauses grow with them.
    row: u32,
    /// Those of them in which nothing came on any other connection either.
    fruitless: u32,
    attempts: u32,
    /// What had come on all connections when that was last looked at.
    arrived: u64,
}

impl Patience {
    /// With the server of a file at an address; `arrived` is what has come on all connections.
    pub fn new(url: String, arrived: u64) -> Patience {
        Patience {
            url,
            row: 0,
            fruitless: 0,
            attempts: 0,
            arrived,
        }
    }

    /// The last attempt brought something.
    pub fn fruitful(&mut self) {
        self.row = 0;
        self.fruitless = 0;
    }

    /// Waits before the next attempt, or gives up: a busy server that answers others is still there.
    pub async fn pause<O: Outside>(
        &mut self,
        transfer: &Transfer<'_, O>,
        reason: &str,
        asked_ms: Option<f64>,
    ) -> Result<(), StoreError> {
        let arrived = transfer.arrived();
        if self.arrived != arrived {
            (self.arrived, self.fruitless) = (arrived, 0);
        }
        self.row += 1;
        self.fruitless += 1;
        self.attempts += 1;
        if self.fruitless >= MAX_FRUITLESS || self.attempts >= MAX_ATTEMPTS {
            return Err(StoreError::from_network(
                &self.url,
                NetworkError(reason.to_owned()),
            ));
        }
        let outside = transfer.outside;
        let pause = pause_ms(self.row, asked_ms, outside.random());
        outside.sleep(pause).await;
        transfer.check_cancelled()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_bound_and_honour_the_server() {
        let longest = |attempt| pause_ms(attempt, None, 1.0);
        assert_eq!([1, 2, 3].map(longest), [400.0, 800.0, 1600.0]);
        assert_eq!(longest(50), LONGEST_MS);
        assert_eq!(pause_ms(1, None, 0.0), 200.0);
        assert_eq!(pause_ms(1, Some(5_000.0), 0.5), 5_000.0);
        assert_eq!(pause_ms(1, Some(1e9), 0.5), LONGEST_ASKED_MS);
        assert_eq!(pause_ms(1, Some(-3.0), 1.0), 400.0);
    }
}
