//! All chunks of a model into a store.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;

use futures_util::future::{join, try_join_all};

use crate::chunk::{self, Failed, Held};
use crate::digest::Digest;
use crate::error::StoreError;
use crate::journal::Journal;
use crate::manifest::STANDARD_CHUNK_BYTES;
use crate::outside::{NetworkError, Outside, Range, Request, Response, StorageError};
use crate::progress::{Activity, Meter};
use crate::retry::{MAX_FRUITLESS, pause_ms};
use crate::target::Target;

/// Bytes read from the store at once while it is verified.
const PIECE: usize = 1 << 20;
/// Attempts at one chunk or file, however much each of them brought.
const MAX_ATTEMPTS: u32 = 200;
/// Times an unverified model may change while it is fetched.
const MAX_CHANGES: u32 = 3;

/// How to go about it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Options {
    /// Range requests at once; each holds one chunk in memory.
    pub connections: usize,
    /// Milliseconds without a byte after which a connection is given up.
    pub stall_ms: f64,
    /// Chunk size of models without a manifest, in bytes.
    pub chunk_bytes: u64,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            connections: 4,
            stall_ms: 20_000.0,
            chunk_bytes: STANDARD_CHUNK_BYTES,
        }
    }
}

/// What it took to have the model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Size of the model.
    pub bytes: u64,
    /// Whether every byte is what a manifest says.
    pub verified: bool,
    /// Bytes that were in the store already.
    pub reused: u64,
    /// Bytes that were fetched.
    pub fetched: u64,
    /// Chunks that were found damaged in the store and fetched again.
    pub repaired: usize,
}

/// Brings a model that a manifest describes into the store. When this returns, every chunk there was
/// compared with its digest.
///
/// What is in the store already is verified and kept. Chunks are written only once they are verified,
/// and each is there for good when the next begins, so an interruption of any kind costs what was in
/// flight: one chunk a connection. Dropping the future ends all transfers.
///
/// # Errors
/// See [`StoreError`]. What was stored stays, and the next call goes on from there.
pub async fn download<O: Outside>(
    outside: &O,
    target: &Target,
    options: Options,
) -> Result<Outcome, StoreError> {
    let storage = |error| StoreError::storage(error, target.bytes);
    let saved = outside.journal().await.map_err(storage)?;
    let journal = saved.as_deref().and_then(Journal::read);
    let (journal, look_at_all) = match journal.filter(|journal| journal.fits(target)) {
        Some(journal) => (journal, false),
        // Nothing was stored, or a crash damaged the journal: then the store itself tells.
        None => (Journal::new(target, None), saved.is_some()),
    };
    let transfer = Transfer::new(outside, target, options, journal);
    match transfer.run(look_at_all).await {
        Ok(outcome) => Ok(outcome),
        Err(Failed::Fatal(error)) => Err(error),
        Err(Failed::Transient { reason, .. }) => Err(StoreError::Network {
            url: target.url(0),
            reason,
        }),
        Err(Failed::Changed | Failed::NoRanges) => Err(StoreError::Changed { url: target.url(0) }),
    }
}

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

/// A model on its way into the store.
pub(crate) struct Transfer<'a, O> {
    pub outside: &'a O,
    pub target: &'a Target,
    pub options: Options,
    journal: RefCell<Journal>,
    missing: RefCell<VecDeque<usize>>,
    meter: RefCell<Meter>,
    /// Whether the server is believed to give ranges.
    ranges: Cell<bool>,
    /// Bytes that have come by ranges, on all connections.
    arrived: Cell<u64>,
}

impl<'a, O: Outside> Transfer<'a, O> {
    fn new(outside: &'a O, target: &'a Target, options: Options, journal: Journal) -> Self {
        let meter = Meter::new(Activity::Verify, 0, target.bytes, outside.now_ms());
        Transfer {
            outside,
            target,
            options,
            journal: RefCell::new(journal),
            missing: RefCell::default(),
            meter: RefCell::new(meter),
            ranges: Cell::new(true),
            arrived: Cell::new(0),
        }
    }

    /// Verifies what there is and fetches the rest. `look_at_all`: whether chunks the journal does not
    /// know may be there.
    async fn run(&self, look_at_all: bool) -> Result<Outcome, Failed> {
        let repaired = self.verify_stored(look_at_all).await?;
        let needed = self.needed();
        let reused = self.target.bytes - needed;
        if reused == 0 {
            let room = self.outside.clear().await;
            room.map_err(|error| self.storage(error))?;
            self.save().await?;
        }
        if needed > 0 {
            if let Some(free) = self.outside.free().await.filter(|free| *free < needed) {
                return Err(self
                    .storage(StorageError::Quota { free: Some(free) })
                    .into());
            }
            let now = self.outside.now_ms();
            let meter = Meter::new(Activity::Download, reused, self.target.bytes, now);
            self.outside.progress(&meter.report());
            self.meter.replace(meter);
            self.fetch_missing().await?;
            self.outside.progress(&self.meter.borrow().report());
        }
        Ok(Outcome {
            bytes: self.target.bytes,
            verified: self.target.digests.is_some(),
            reused,
            fetched: needed,
            repaired,
        })
    }

    /// Compares what is stored with what it should be and notes what is missing; gives the number of
    /// damaged chunks.
    async fn verify_stored(&self, look_at_all: bool) -> Result<usize, StoreError> {
        let mut repaired = 0;
        let (mut bytes, mut next) = (Vec::new(), Vec::new());
        let mut read = self.read_stored(0, look_at_all, &mut bytes).await?;
        for index in 0..self.target.chunks() {
            let noted = self.noted(index);
            let expected = self.target.digest(index).or(noted);
            // The next chunk is read while this one's digest is computed, where that goes on beside.
            let digest = async {
                match read {
                    true => Some(self.outside.digest(&bytes).await),
                    false => None,
                }
            };
            let reading = self.read_stored(index + 1, look_at_all, &mut next);
            let (found, next_read) = join(digest, reading).await;
            if found.is_some() && found == expected {
                self.note(index, found);
            } else {
                repaired += usize::from(noted.is_some());
                self.note(index, None);
                self.missing.borrow_mut().push_back(index);
            }
            read = next_read?;
            std::mem::swap(&mut bytes, &mut next);
        }
        Ok(repaired)
    }

    /// Reads a stored chunk into `bytes`; false where there is none, or nothing to compare it with.
    async fn read_stored(
        &self,
        index: usize,
        look_at_all: bool,
        bytes: &mut Vec<u8>,
    ) -> Result<bool, StoreError> {
        let noted = self.noted(index).is_some();
        let known = noted || (look_at_all && self.target.digest(index).is_some());
        if index >= self.target.chunks() || !known {
            return Ok(false);
        }
        let Range { start, end } = self.target.range(index);
        bytes.resize((end - start) as usize, 0);
        // Lets the caller's wish to stop come through.
        self.outside.sleep(0.0).await;
        for (at, piece) in (start..).step_by(PIECE).zip(bytes.chunks_mut(PIECE)) {
            self.check_cancelled()?;
            let read = self.outside.read(at, piece).await;
            // Bytes that cannot be read are as good as damaged: they are fetched again.
            if read != Ok(true) {
                return Ok(false);
            }
            self.count(piece.len() as u64);
        }
        Ok(true)
    }

    async fn fetch_missing(&self) -> Result<(), Failed> {
        if self.ranges.get() {
            let chunks = self.missing.borrow().len();
            let connections = self.options.connections.clamp(1, chunks.max(1));
            let all = try_join_all((0..connections).map(|_| self.connection())).await;
            match all {
                Ok(_) => return Ok(()),
                Err(Failed::NoRanges) => self.ranges.set(false),
                Err(failed) => return Err(failed),
            }
            self.forget_partial();
        }
        for part in 0..self.target.parts.len() {
            self.fetch_part(part).await?;
        }
        Ok(())
    }

    /// Fetches chunks one after the other until none is left.
    async fn connection(&self) -> Result<(), Failed> {
        let mut held = Held::default();
        loop {
            let Some(index) = self.missing.borrow_mut().pop_front() else {
                return Ok(());
            };
            let digest = chunk::fetch(self, index, &mut held).await?;
            self.store(index, digest, &held).await?;
        }
    }

    /// Fetches a file as a whole, from a server that gives no ranges, and stores what is missing of it.
    async fn fetch_part(&self, part: usize) -> Result<(), Failed> {
        let mut patience = self.patience(part);
        let mut held = Held::default();
        let mut wrong = 0;
        while self.next_missing(part).is_some() {
            let before = self.needed();
            let heard = Cell::new(self.outside.now_ms());
            let read = self.read_part(part, &mut held, &mut wrong, &heard);
            let result = chunk::watched(self, &heard, read).await;
            if self.needed() < before {
                patience.fruitful();
            }
            match result {
                Ok(()) => {}
                Err(Failed::Transient {
                    reason,
                    retry_after_ms,
                }) => {
                    self.forget_partial();
                    patience.pause(self, &reason, retry_after_ms).await?;
                }
                Err(failed) => return Err(failed),
            }
        }
        Ok(())
    }

    async fn read_part(
        &self,
        part: usize,
        held: &mut Held,
        wrong: &mut u32,
        heard: &Cell<f64>,
    ) -> Result<(), Failed> {
        let mut response = self.get_whole(part, heard).await?;
        if let Some(found) = response.content_length
            && Some(&found) != self.target.parts.get(part)
        {
            return Err(self.another_size(part, found));
        }
        let known = self.validator();
        if known.is_some() && response.validator.is_some() && known != response.validator {
            return Err(Failed::Changed);
        }
        for index in self.target.chunks_of(part) {
            if self.next_missing(part).is_none() {
                break;
            }
            let Range { start, end } = self.target.range(index);
            let is_missing = self.noted(index).is_none();
            held.begin(end - start);
            if !held
                .fill(self, &mut response.body, heard, is_missing)
                .await?
            {
                return Err(Failed::transient("the connection ended early"));
            }
            if !is_missing {
                continue;
            }
            match chunk::check(self, index, held, wrong).await? {
                Some(digest) => self.store(index, digest, held).await?,
                None => {
                    return Err(Failed::transient("its bytes were wrong"));
                }
            }
        }
        Ok(())
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

    async fn get_whole(&self, part: usize, heard: &Cell<f64>) -> Result<Response<O::Body>, Failed> {
        let request = Request {
            part,
            range: None,
            if_range: None,
        };
        let response = self.outside.get(&request).await?;
        heard.set(self.outside.now_ms());
        match response.status {
            200 => Ok(response),
            status => Err(chunk::refused(
                self.target.url(part),
                status,
                response.retry_after_ms,
            )),
        }
    }

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

    /// Writes a chunk that is whole, and verified where it can be.
    async fn store(&self, index: usize, digest: Digest, held: &Held) -> Result<(), StoreError> {
        let start = self.target.range(index).start;
        let write = self.outside.write(start, held.bytes()).await;
        write.map_err(|error| self.storage(error))?;
        self.note(index, Some(digest));
        self.save().await
    }

    async fn save(&self) -> Result<(), StoreError> {
        let text = self.journal.borrow().write();
        let saved = self.outside.save_journal(&text).await;
        saved.map_err(|error| self.storage(error))
    }

    fn storage(&self, error: StorageError) -> StoreError {
        StoreError::storage(error, self.needed())
    }

    fn noted(&self, index: usize) -> Option<Digest> {
        self.journal.borrow().chunks.get(index).copied().flatten()
    }

    fn note(&self, index: usize, digest: Option<Digest>) {
        if let Some(chunk) = self.journal.borrow_mut().chunks.get_mut(index) {
            *chunk = digest;
        }
    }

    /// Bytes of the chunks that are not stored.
    fn needed(&self) -> u64 {
        (0..self.target.chunks())
            .filter(|index| self.noted(*index).is_none())
            .map(|index| self.target.range(index))
            .map(|Range { start, end }| end - start)
            .sum()
    }

    fn next_missing(&self, part: usize) -> Option<usize> {
        self.target
            .chunks_of(part)
            .find(|index| self.noted(*index).is_none())
    }

    fn another_size(&self, part: usize, found: u64) -> Failed {
        match &self.target.digests {
            None => Failed::Changed,
            Some(_) => Failed::Fatal(StoreError::WrongSize {
                url: self.target.url(part),
                expected: self.target.parts.get(part).copied().unwrap_or_default(),
                found,
            }),
        }
    }

    /// The version of the server's file all chunks have to be of, where nothing else says what they
    /// should be.
    pub fn validator(&self) -> Option<String> {
        match self.target.digests {
            None => self.journal.borrow().validator.clone(),
            Some(_) => None,
        }
    }

    pub fn count(&self, bytes: u64) {
        // What comes of a whole file is lost where it breaks off, so it is no reason to go on.
        if self.ranges.get() {
            self.arrived.set(self.arrived.get() + bytes);
        }
        let report = self.meter.borrow_mut().add(bytes, self.outside.now_ms());
        if let Some(report) = report {
            self.outside.progress(&report);
        }
    }

    pub fn take_back(&self, bytes: u64) {
        self.meter.borrow_mut().take_back(bytes);
    }

    /// Takes chunks that have not arrived whole out of the count.
    fn forget_partial(&self) {
        let now = self.outside.now_ms();
        let done = self.target.bytes - self.needed();
        self.meter
            .replace(Meter::new(Activity::Download, done, self.target.bytes, now));
    }

    pub fn check_cancelled(&self) -> Result<(), StoreError> {
        if self.outside.cancelled() {
            Err(StoreError::Cancelled)
        } else {
            Ok(())
        }
    }

    /// Patience with the server of a file.
    pub fn patience(&self, part: usize) -> Patience {
        Patience {
            url: self.target.url(part),
            row: 0,
            fruitless: 0,
            attempts: 0,
            arrived: self.arrived.get(),
        }
    }
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
        let arrived = transfer.arrived.get();
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
