//! One chunk: asked for, read, taken up again where it broke off.

use std::cell::Cell;
use std::pin::pin;

use futures_util::future::{Either, select};

use crate::digest::Digest;
use crate::error::StoreError;
use crate::outside::{Body, NetworkError, Outside, Range, Request, Response};
use crate::retry::{MAX_WRONG, worth_repeating};
use crate::transfer::Transfer;

/// Why an attempt did not bring what it was for.
pub(crate) enum Failed {
    /// Another attempt may.
    Transient {
        reason: String,
        retry_after_ms: Option<f64>,
    },
    /// The server gives whole files only.
    NoRanges,
    /// The server's file is another one than it was.
    Changed,
    /// No attempt will.
    Fatal(StoreError),
}

impl From<StoreError> for Failed {
    fn from(error: StoreError) -> Failed {
        Failed::Fatal(error)
    }
}

impl From<NetworkError> for Failed {
    fn from(NetworkError(reason): NetworkError) -> Failed {
        Failed::transient(reason)
    }
}

impl Failed {
    pub fn transient(reason: impl Into<String>) -> Failed {
        Failed::Transient {
            reason: reason.into(),
            retry_after_ms: None,
        }
    }
}

/// The chunk a connection is about: its bytes as far as they have come.
#[derive(Default)]
pub(crate) struct Held {
    bytes: Vec<u8>,
    filled: usize,
    /// The version of the server's file these bytes are of.
    validator: Option<String>,
}

impl Held {
    /// Makes room for the next chunk.
    pub fn begin(&mut self, bytes: u64) {
        self.bytes.resize(bytes as usize, 0);
        self.drop_bytes();
    }

    fn drop_bytes(&mut self) {
        self.filled = 0;
        self.validator = None;
    }

    pub fn filled(&self) -> u64 {
        self.filled as u64
    }

    /// The bytes that have come.
    pub fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.filled).unwrap_or_default()
    }

    /// Reads until the chunk is whole or the body at its end; gives whether it is whole.
    pub async fn fill<O: Outside>(
        &mut self,
        transfer: &Transfer<'_, O>,
        body: &mut O::Body,
        heard: &Cell<f64>,
        counts: bool,
    ) -> Result<bool, Failed> {
        while let Some(room) = self.bytes.get_mut(self.filled..)
            && !room.is_empty()
        {
            let read = body.read(room).await;
            transfer.check_cancelled()?;
            let read = read?;
            let Some(fresh) = room.get(..read).filter(|fresh| !fresh.is_empty()) else {
                return Ok(false);
            };
            self.filled += fresh.len();
            heard.set(transfer.outside.now_ms());
            if counts {
                transfer.count(read as u64);
            }
        }
        Ok(true)
    }
}

/// Fetches chunk `index` into `held`; on return its bytes are verified, where anything says what they
/// should be.
pub(crate) async fn fetch<O: Outside>(
    transfer: &Transfer<'_, O>,
    index: usize,
    held: &mut Held,
) -> Result<Digest, Failed> {
    let Range { start, end } = transfer.target.range(index);
    held.begin(end - start);
    let mut patience = transfer.patience(transfer.target.part_of(index).0);
    let mut wrong = 0;
    loop {
        let before = held.filled();
        let heard = Cell::new(transfer.outside.now_ms());
        let result = watched(transfer, &heard, attempt(transfer, index, held, &heard)).await;
        if held.filled() > before {
            patience.fruitful();
        }
        match result {
            Ok(()) => match check(transfer, index, held, &mut wrong).await? {
                Some(digest) => return Ok(digest),
                None => {
                    patience
                        .pause(transfer, "its bytes were wrong", None)
                        .await?
                }
            },
            // Of a file that nothing describes, bytes of two versions must not meet.
            Err(Failed::Changed) if transfer.target.digests.is_some() => {
                transfer.take_back(held.filled());
                held.drop_bytes();
                patience.pause(transfer, "it changed", None).await?;
            }
            Err(Failed::Transient {
                reason,
                retry_after_ms,
            }) => patience.pause(transfer, &reason, retry_after_ms).await?,
            Err(other) => return Err(other),
        }
    }
}

/// Compares a whole chunk with what it should be: its digest, or none where it has to be fetched again.
pub(crate) async fn check<O: Outside>(
    transfer: &Transfer<'_, O>,
    index: usize,
    held: &mut Held,
    wrong: &mut u32,
) -> Result<Option<Digest>, StoreError> {
    let found = transfer.outside.digest(held.bytes()).await;
    let Some(expected) = transfer
        .target
        .digest(index)
        .filter(|digest| *digest != found)
    else {
        return Ok(Some(found));
    };
    transfer.take_back(held.filled());
    held.drop_bytes();
    *wrong += 1;
    if *wrong < MAX_WRONG {
        return Ok(None);
    }
    let Range { start, end } = transfer.target.range(index);
    Err(StoreError::WrongBytes {
        url: transfer.target.url(transfer.target.part_of(index).0),
        chunk: index,
        start,
        end,
        expected: expected.to_string(),
        found: found.to_string(),
    })
}

/// Asks for what is missing of a chunk, and reads it.
async fn attempt<O: Outside>(
    transfer: &Transfer<'_, O>,
    index: usize,
    held: &mut Held,
    heard: &Cell<f64>,
) -> Result<(), Failed> {
    let (part, first) = transfer.target.part_of(index);
    let chunk = transfer.target.range(index);
    let wanted = Range {
        start: chunk.start + held.filled() - first,
        end: chunk.end - first,
    };
    let known = held.validator.clone().or_else(|| transfer.validator());
    let mut response = transfer
        .outside
        .get(&Request {
            part,
            range: Some(wanted),
            if_range: known.clone(),
        })
        .await?;
    heard.set(transfer.outside.now_ms());
    transfer.check_cancelled()?;
    accept(transfer, part, wanted, known.as_deref(), &response)?;
    if held.filled == 0 {
        held.validator = response.validator.take();
    }
    if held.fill(transfer, &mut response.body, heard, true).await? {
        return Ok(());
    }
    Err(Failed::transient("the connection ended early"))
}

/// Whether a response's head is the beginning of what was asked for.
fn accept<O: Outside>(
    transfer: &Transfer<'_, O>,
    part: usize,
    wanted: Range,
    known: Option<&str>,
    response: &Response<O::Body>,
) -> Result<(), Failed> {
    let bytes = transfer.target.parts.get(part).copied().unwrap_or_default();
    let is_another =
        known.is_some() && response.validator.is_some() && known != response.validator.as_deref();
    let check_size = |found: u64| {
        if found == bytes {
            return Ok(());
        }
        if transfer.target.digests.is_none() {
            return Err(Failed::Changed);
        }
        Err(Failed::Fatal(StoreError::WrongSize {
            url: transfer.target.url(part),
            expected: bytes,
            found,
        }))
    };
    match response.status {
        206 => {
            if let Some((start, whole)) = response.content_range {
                whole.map_or(Ok(()), check_size)?;
                if start != wanted.start {
                    return Err(Failed::transient(format!(
                        "the server sent bytes from {start} on, not from {}",
                        wanted.start
                    )));
                }
            }
            if is_another {
                Err(Failed::Changed)
            } else {
                Ok(())
            }
        }
        200 if is_another => Err(Failed::Changed),
        200 => {
            response.content_length.map_or(Ok(()), check_size)?;
            if wanted
                == (Range {
                    start: 0,
                    end: bytes,
                })
            {
                Ok(())
            } else {
                Err(Failed::NoRanges)
            }
        }
        // The range lies outside the file: `Content-Range: bytes */1234` says how long it is.
        416 => {
            if let Some((_, Some(whole))) = response.content_range {
                check_size(whole)?;
            }
            Err(Failed::transient("the server knows no such range"))
        }
        status => Err(refused(
            transfer.target.url(part),
            status,
            response.retry_after_ms,
        )),
    }
}

/// What a status that brings no bytes means.
pub(crate) fn refused(url: String, status: u16, retry_after_ms: Option<f64>) -> Failed {
    if worth_repeating(status) {
        Failed::Transient {
            reason: format!("the server said {status}"),
            retry_after_ms,
        }
    } else {
        Failed::Fatal(StoreError::Refused { url, status })
    }
}

/// Runs an attempt and ends it where nothing is heard for too long; `heard` is the time something was,
/// kept by the attempt.
pub(crate) async fn watched<O: Outside, T>(
    transfer: &Transfer<'_, O>,
    heard: &Cell<f64>,
    attempt: impl Future<Output = Result<T, Failed>>,
) -> Result<T, Failed> {
    transfer.check_cancelled()?;
    let stall_ms = transfer.options.stall_ms;
    let stalled = async {
        loop {
            transfer.outside.sleep(stall_ms / 4.0).await;
            if let Err(cancelled) = transfer.check_cancelled() {
                return cancelled.into();
            }
            if transfer.outside.now_ms() - heard.get() >= stall_ms {
                let seconds = stall_ms / 1e3;
                return Failed::transient(format!("nothing came for {seconds:.0} seconds"));
            }
        }
    };
    match select(pin!(attempt), pin!(stalled)).await {
        Either::Left((result, _)) => {
            // A failure that the caller brought about is none of the network's.
            transfer.check_cancelled()?;
            result
        }
        Either::Right((failed, _)) => Err(failed),
    }
}
