//! All chunks of a model into a store.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;

use futures_util::future::{join, try_join_all};

use crate::chunk::{self, Failed, Held};
use crate::digest::Digest;
use crate::download::{Options, Outcome};
use crate::error::StoreError;
use crate::journal::Journal;
use crate::outside::{Outside, Range, StorageError};
use crate::progress::{Activity, Meter};
use crate::retry::Patience;
use crate::target::Target;

/// Bytes read from the store at once while it is verified.
const PIECE: usize = 1 << 20;

/// A model on its way into the store.
pub(crate) struct Transfer<'a, O> {
    pub outside: &'a O,
    pub target: &'a Target,
    pub options: Options,
    journal: RefCell<Journal>,
    missing: RefCell<VecDeque<usize>>,
    pub meter: RefCell<Meter>,
    /// Whether the server is believed to give ranges.
    pub ranges: Cell<bool>,
    arrived: Cell<u64>,
}

impl<'a, O: Outside> Transfer<'a, O> {
    pub fn new(outside: &'a O, target: &'a Target, options: Options, journal: Journal) -> Self {
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
    pub async fn run(&self, look_at_all: bool) -> Result<Outcome, Failed> {
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

    /// Writes a chunk that is whole, and verified where it can be.
    pub async fn store(&self, index: usize, digest: Digest, held: &Held) -> Result<(), StoreError> {
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

    pub fn storage(&self, error: StorageError) -> StoreError {
        StoreError::storage(error, self.needed())
    }

    pub fn noted(&self, index: usize) -> Option<Digest> {
        self.journal.borrow().chunks.get(index).copied().flatten()
    }

    fn note(&self, index: usize, digest: Option<Digest>) {
        if let Some(chunk) = self.journal.borrow_mut().chunks.get_mut(index) {
            *chunk = digest;
        }
    }

    /// Bytes of the chunks that are not stored.
    pub fn needed(&self) -> u64 {
        (0..self.target.chunks())
            .filter(|index| self.noted(*index).is_none())
            .map(|index| self.target.range(index))
            .map(|Range { start, end }| end - start)
            .sum()
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
    pub fn forget_partial(&self) {
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

    /// Bytes that have come by ranges, on all connections.
    pub fn arrived(&self) -> u64 {
        self.arrived.get()
    }

    /// Patience with the server of a file.
    pub fn patience(&self, part: usize) -> Patience {
        Patience::new(self.target.url(part), self.arrived())
    }
}
