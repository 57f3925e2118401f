//! A model that no manifest describes.

use std::cell::Cell;

use crate::chunk::{self, Failed, Held};
use crate::download::{Options, Outcome};
use crate::error::StoreError;
use crate::journal::Journal;
use crate::outside::{Outside, Range, Request};
use crate::progress::{Activity, Meter};
use crate::target::Target;
use crate::transfer::Transfer;

/// Times a model may change while it is fetched.
const MAX_CHANGES: u32 = 3;

/// Brings a model that nothing describes into the store, from one address.
///
/// It goes on where it broke off, too, as long as the server says by `ETag` or `Last-Modified` that the
/// file is still the same; where it has changed, or says nothing, it starts clean. A model that is
/// complete is used as it is while the server says it is the same, or cannot be reached. Chunks are
/// compared with what they were when they arrived, so a damaged store is found; whether what arrived was
/// right, nobody can tell.
///
/// # Errors
/// As of [`download()`].
pub async fn download_unverified<O: Outside>(
    outside: &O,
    url: &str,
    options: Options,
) -> Result<Outcome, StoreError> {
    let mut changes = 0;
    loop {
        match unverified_once(outside, url, options).await {
            Ok(outcome) => return Ok(outcome),
            Err(Failed::Changed) if changes < MAX_CHANGES => changes += 1,
            Err(Failed::Changed | Failed::NoRanges) => {
                return Err(StoreError::Changed {
                    url: url.to_owned(),
                });
            }
            Err(Failed::Fatal(error)) => return Err(error),
            Err(Failed::Transient { reason, .. }) => {
                return Err(StoreError::Network {
                    url: url.to_owned(),
                    reason,
                });
            }
        }
    }
}

async fn unverified_once<O: Outside>(
    outside: &O,
    url: &str,
    options: Options,
) -> Result<Outcome, Failed> {
    let saved = outside
        .journal()
        .await
        .map_err(|error| StoreError::storage(error, 0))?;
    let stored = saved.as_deref().and_then(Journal::read);
    // A target of one byte, to ask the server what there is.
    let unknown = Target {
        bytes: 1,
        chunk_bytes: options.chunk_bytes,
        digests: None,
        parts: vec![1],
        urls: vec![url.to_owned()],
    };
    let asking = Transfer::new(outside, &unknown, options, Journal::new(&unknown, None));
    let complete = stored.as_ref().is_some_and(Journal::complete);
    let head = match asking.ask(complete).await {
        Ok(head) => Some(head),
        // Nobody to ask: what was complete is used.
        Err(Failed::Transient { .. }) if complete => None,
        Err(failed) => return Err(failed),
    };
    let ranges = head.as_ref().is_none_or(|head| head.ranges);
    let journal = match (stored, head) {
        (Some(journal), None) => journal,
        (Some(journal), Some(head)) if head.is_of(&journal) => journal,
        (_, head) => {
            let Some((bytes, validator)) =
                head.and_then(|head| Some((head.bytes?, head.validator)))
            else {
                return asking.run_unsized().await;
            };
            let target = Target {
                bytes,
                parts: vec![bytes],
                ..unknown.clone()
            };
            Journal::new(&target, validator)
        }
    };
    let target = journal.target(url);
    let transfer = Transfer::new(outside, &target, options, journal);
    transfer.ranges.set(ranges);
    transfer.run(false).await
}

/// What a server says about a file.
#[derive(Debug)]
struct Head {
    bytes: Option<u64>,
    validator: Option<String>,
    ranges: bool,
}

impl Head {
    /// Whether a journal is about the very version of the file the server has.
    fn is_of(&self, journal: &Journal) -> bool {
        self.validator.is_some()
            && self.validator == journal.validator
            && self.bytes == Some(journal.bytes)
    }
}

impl<O: Outside> Transfer<'_, O> {
    /// Asks what the file is. `impatient`: whether one failure is enough.
    async fn ask(&self, impatient: bool) -> Result<Head, Failed> {
        let mut patience = self.patience(0);
        loop {
            let request = Request {
                part: 0,
                range: Some(Range { start: 0, end: 1 }),
                if_range: None,
            };
            let heard = Cell::new(self.outside.now_ms());
            let get = async { Ok(self.outside.get(&request).await?) };
            let asked = chunk::watched(self, &heard, get).await;
            let failed = match asked {
                Ok(response) => match (response.status, response.content_range) {
                    // What the whole is may be hidden from another origin.
                    (206, range) => {
                        let bytes = range.and_then(|(_, whole)| whole);
                        return Ok(Head {
                            bytes,
                            validator: response.validator,
                            ranges: bytes.is_some(),
                        });
                    }
                    (200, _) => {
                        return Ok(Head {
                            bytes: response.content_length,
                            validator: response.validator,
                            ranges: false,
                        });
                    }
                    (status, _) => {
                        chunk::refused(self.target.url(0), status, response.retry_after_ms)
                    }
                },
                Err(failed) => failed,
            };
            match failed {
                Failed::Transient {
                    reason,
                    retry_after_ms,
                } if !impatient => patience.pause(self, &reason, retry_after_ms).await?,
                failed => return Err(failed),
            }
        }
    }

    /// Fetches a file of unknown size; it cannot be taken up again.
    async fn run_unsized(&self) -> Result<Outcome, Failed> {
        self.ranges.set(false);
        let mut patience = self.patience(0);
        loop {
            let room = self.outside.clear().await;
            room.map_err(|error| self.storage(error))?;
            let heard = Cell::new(self.outside.now_ms());
            let result = chunk::watched(self, &heard, self.read_unsized(&heard)).await;
            match result {
                Ok(bytes) => {
                    return Ok(Outcome {
                        bytes,
                        verified: false,
                        reused: 0,
                        fetched: bytes,
                        repaired: 0,
                    });
                }
                Err(Failed::Transient {
                    reason,
                    retry_after_ms,
                }) => patience.pause(self, &reason, retry_after_ms).await?,
                Err(failed) => return Err(failed),
            }
        }
    }

    async fn read_unsized(&self, heard: &Cell<f64>) -> Result<u64, Failed> {
        let now = self.outside.now_ms();
        self.meter
            .replace(Meter::new(Activity::Download, 0, 0, now));
        let mut response = self.get_whole(0, heard).await?;
        let mut held = Held::default();
        let mut at = 0;
        loop {
            held.begin(self.options.chunk_bytes);
            let whole = held.fill(self, &mut response.body, heard, true).await?;
            if held.filled() > 0 {
                let write = self.outside.write(at, held.bytes()).await;
                write.map_err(|error| self.storage(error))?;
            }
            at += held.filled();
            if !whole {
                return Ok(at);
            }
        }
    }
}
