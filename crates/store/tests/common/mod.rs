//! A simulated world: a server with every fault there is, a store that can be damaged, a clock that
//! runs as fast as anything happens. The same seed gives the same run.
#![allow(dead_code, reason = "not every test file needs all of this")]

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use llavaguard_store::{
    Body, Digest, NetworkError, Outside, Progress, Range, Request, Response, StorageError, Target,
};

/// The demo model: a real file.
pub fn model() -> Vec<u8> {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../models/demo/llavaguard-demo-q8_0.gguf"
    );
    std::fs::read(path).unwrap()
}

/// What a manifest of `bytes` comes to, in files of `split` bytes.
pub fn target(bytes: &[u8], chunk: usize, split: usize) -> Target {
    let parts: Vec<u64> = bytes.chunks(split).map(|part| part.len() as u64).collect();
    Target {
        bytes: bytes.len() as u64,
        chunk_bytes: chunk as u64,
        digests: Some(bytes.chunks(chunk).map(Digest::of).collect()),
        urls: (0..parts.len())
            .map(|part| format!("https://example.org/model.gguf.{part}"))
            .collect(),
        parts,
    }
}

/// SplitMix64 (Steele, Lea, Flood 2014).
#[derive(Clone)]
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }

    pub fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    pub fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }
}

/// Faults, each with the probability that a request meets it.
#[derive(Debug, Clone, Default)]
pub struct Faults {
    /// No connection at all.
    pub unreachable: f64,
    /// The connection ends at a random byte, with an error or as if it were complete.
    pub cut: f64,
    /// One bit is another.
    pub wrong_bytes: f64,
    /// Fewer or more bytes than were asked for, with a head that says so.
    pub wrong_length: f64,
    /// From some byte on nothing comes.
    pub stall: f64,
    /// 500, 502, 503 or 504.
    pub server_error: f64,
    /// 429 with Retry-After.
    pub too_many: f64,
    /// A range from elsewhere.
    pub wrong_range: f64,
    /// The validator changes, the bytes do not.
    pub changed_validator: f64,
    /// This request's range is ignored.
    pub ignored_range: f64,
    /// The bytes themselves change, and the validator with them.
    pub changed_bytes: f64,
    /// The server never gives ranges.
    pub no_ranges: bool,
    /// Neither ETag nor Content-Range nor Content-Length can be seen, as from another origin.
    pub hidden_heads: bool,
    /// Ranges from this byte on are refused, this often.
    pub refused: Option<(u64, usize)>,
    /// Milliseconds more that each piece of a body takes.
    pub slow_ms: f64,
}

#[derive(Default)]
pub struct Seen {
    pub requests: usize,
    pub faults: usize,
    pub served: u64,
    pub in_flight: usize,
    pub most_in_flight: usize,
    pub statuses: Vec<u16>,
}

pub struct World {
    now: Cell<f64>,
    timers: RefCell<Vec<(f64, Waker)>>,
    pub random: RefCell<Random>,
    pub faults: RefCell<Faults>,
    /// What the server has now.
    pub bytes: RefCell<Arc<Vec<u8>>>,
    pub version: Cell<u32>,
    /// What it had before.
    pub versions: RefCell<Vec<Arc<Vec<u8>>>>,
    /// Sizes of the files it is in.
    pub parts: Vec<usize>,
    pub seen: RefCell<Seen>,
    pub store: RefCell<Vec<u8>>,
    pub journal: RefCell<Option<String>>,
    pub room: Cell<Option<u64>>,
    /// Whether the room can be asked for.
    pub room_known: Cell<bool>,
    /// Chunks that may be written: what they should be, from their first byte.
    pub allowed: RefCell<Option<Arc<Vec<u8>>>>,
    pub written: Cell<u64>,
    pub cancel_at: Cell<f64>,
    pub reports: RefCell<Vec<Progress>>,
}

impl World {
    pub fn new(seed: u64, bytes: Vec<u8>, parts: Vec<usize>) -> World {
        World {
            now: Cell::new(0.0),
            timers: RefCell::default(),
            random: RefCell::new(Random(seed)),
            faults: RefCell::default(),
            bytes: RefCell::new(Arc::new(bytes)),
            version: Cell::new(1),
            versions: RefCell::default(),
            parts,
            seen: RefCell::default(),
            store: RefCell::default(),
            journal: RefCell::default(),
            room: Cell::new(None),
            room_known: Cell::new(true),
            allowed: RefCell::default(),
            written: Cell::new(0),
            cancel_at: Cell::new(f64::INFINITY),
            reports: RefCell::default(),
        }
    }

    /// A server whose files are those of a target.
    pub fn serving(seed: u64, bytes: &[u8], target: &Target) -> World {
        let parts = target.parts.iter().map(|part| *part as usize).collect();
        let world = World::new(seed, bytes.to_vec(), parts);
        *world.allowed.borrow_mut() = Some(Arc::new(bytes.to_vec()));
        world
    }

    pub fn now(&self) -> f64 {
        self.now.get()
    }

    /// Runs a future to its end, or to the moment at which the tab is closed: then none.
    pub fn run<T>(&self, future: impl Future<Output = T>, closed_at: f64) -> Option<T> {
        let mut future = pin!(future);
        let flag = Arc::new(Flag::default());
        let waker = Waker::from(Arc::clone(&flag));
        loop {
            flag.0.store(false, Ordering::Relaxed);
            if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
                return Some(output);
            }
            if flag.0.load(Ordering::Relaxed) {
                continue;
            }
            let mut timers = self.timers.borrow_mut();
            let next = timers
                .iter()
                .map(|(at, _)| *at)
                .fold(f64::INFINITY, f64::min);
            assert!(next.is_finite(), "everything waits for nothing");
            if next > closed_at {
                timers.clear();
                return None;
            }
            self.now.set(self.now.get().max(next));
            let due: Vec<Waker> = timers
                .extract_if(.., |(at, _)| *at <= next)
                .map(|(_, waker)| waker)
                .collect();
            drop(timers);
            due.into_iter().for_each(Waker::wake);
        }
    }

    pub fn finish<T>(&self, future: impl Future<Output = T>) -> T {
        self.run(future, f64::INFINITY).unwrap()
    }

    fn wait(&self, milliseconds: f64) -> Sleep<'_> {
        Sleep {
            world: self,
            until: self.now.get() + milliseconds.max(0.01),
        }
    }

    fn chance(&self, probability: f64) -> bool {
        let hit = self.random.borrow_mut().chance(probability);
        self.seen.borrow_mut().faults += usize::from(hit);
        hit
    }

    fn below(&self, bound: usize) -> usize {
        self.random.borrow_mut().below(bound)
    }

    fn response(
        &self,
        status: u16,
        bytes: Vec<u8>,
        content_range: Option<(u64, Option<u64>)>,
    ) -> Response<SimBody<'_>> {
        let mut seen = self.seen.borrow_mut();
        seen.in_flight += 1;
        seen.most_in_flight = seen.most_in_flight.max(seen.in_flight);
        seen.statuses.push(status);
        drop(seen);
        let hidden = self.faults.borrow().hidden_heads;
        Response {
            status,
            validator: (!hidden).then(|| format!("\"v{}\"", self.version.get())),
            content_range: content_range.filter(|_| !hidden),
            content_length: (!hidden).then_some(bytes.len() as u64),
            retry_after_ms: None,
            body: SimBody {
                world: self,
                end: End::Complete,
                stop: bytes.len(),
                bytes,
                at: 0,
            },
        }
    }

    /// Changes one bit of what is stored.
    pub fn flip(&self, bit: usize) {
        self.store.borrow_mut()[bit / 8] ^= 1 << (bit % 8);
    }
}

#[derive(Default)]
struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

struct Sleep<'a> {
    world: &'a World,
    until: f64,
}

impl Future for Sleep<'_> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.world.now.get() >= self.until {
            return Poll::Ready(());
        }
        let timer = (self.until, context.waker().clone());
        self.world.timers.borrow_mut().push(timer);
        Poll::Pending
    }
}

enum End {
    Complete,
    Error,
    Stall,
}

pub struct SimBody<'a> {
    world: &'a World,
    bytes: Vec<u8>,
    at: usize,
    /// Where `end` happens.
    stop: usize,
    end: End,
}

impl Drop for SimBody<'_> {
    fn drop(&mut self) {
        self.world.seen.borrow_mut().in_flight -= 1;
    }
}

impl Body for SimBody<'_> {
    async fn read(&mut self, buf: &mut [u8]) -> Result<usize, NetworkError> {
        let world = self.world;
        let (latency, size) = {
            let mut random = world.random.borrow_mut();
            (random.unit() * 20.0, 1 + random.below(300_000))
        };
        let latency = latency + world.faults.borrow().slow_ms;
        world.wait(latency).await;
        if self.at == self.stop {
            match self.end {
                End::Complete => return Ok(0),
                End::Error => return Err(NetworkError("the connection was reset".to_owned())),
                End::Stall => {
                    world.wait(1e12).await;
                    return Err(NetworkError("the connection timed out".to_owned()));
                }
            }
        }
        let size = size.min(buf.len()).min(self.stop - self.at);
        buf[..size].copy_from_slice(&self.bytes[self.at..][..size]);
        self.at += size;
        world.seen.borrow_mut().served += size as u64;
        Ok(size)
    }
}

impl<'w> Outside for &'w World {
    type Body = SimBody<'w>;

    async fn get(&self, request: &Request) -> Result<Response<SimBody<'w>>, NetworkError> {
        let world: &'w World = self;
        let faults = world.faults.borrow().clone();
        world.seen.borrow_mut().requests += 1;
        let latency = world.random.borrow_mut().unit() * 40.0;
        world.wait(latency).await;
        if world.chance(faults.unreachable) {
            return Err(NetworkError("no route to the host".to_owned()));
        }
        if world.chance(faults.server_error) {
            let status = [500, 502, 503, 504][world.below(4)];
            return Ok(world.response(status, b"sorry".to_vec(), None));
        }
        if world.chance(faults.too_many) {
            let mut response = world.response(429, Vec::new(), None);
            response.retry_after_ms = Some(3_000.0);
            return Ok(response);
        }
        if let Some((first, times)) = faults.refused
            && request.range.is_some_and(|range| range.start == first)
            && times > 0
        {
            world.faults.borrow_mut().refused = Some((first, times - 1));
            return Ok(world.response(503, Vec::new(), None));
        }
        if world.chance(faults.changed_validator) {
            world.version.set(world.version.get() + 1);
        }
        if world.chance(faults.changed_bytes) {
            let mut bytes = world.bytes.borrow().to_vec();
            let at = world.below(bytes.len());
            bytes[at] ^= 0x40;
            let before = world.bytes.replace(Arc::new(bytes));
            world.versions.borrow_mut().push(before);
            world.version.set(world.version.get() + 1);
        }
        let Some(size) = world.parts.get(request.part).copied() else {
            return Ok(world.response(404, Vec::new(), None));
        };
        let first: usize = world.parts.iter().take(request.part).sum();
        let all = Arc::clone(&world.bytes.borrow());
        let file = &all[first..][..size.min(all.len() - first)];
        let version = format!("\"v{}\"", world.version.get());
        let same = request
            .if_range
            .as_ref()
            .is_none_or(|validator| *validator == version);
        let ranged = request
            .range
            .filter(|_| !faults.no_ranges && same && !world.chance(faults.ignored_range));
        let (status, mut bytes, content_range) = match ranged {
            Some(Range { start, end }) => {
                let mut start = start as usize;
                if start >= file.len() {
                    let unsatisfied = Some((0, Some(file.len() as u64)));
                    return Ok(world.response(416, Vec::new(), unsatisfied));
                }
                let mut end = (end as usize).min(file.len());
                if world.chance(faults.wrong_range) {
                    start = world.below(end);
                }
                if world.chance(faults.wrong_length) {
                    end = start + 1 + world.below(file.len() - start);
                }
                let content_range = (start as u64, Some(file.len() as u64));
                (206, file[start..end].to_vec(), Some(content_range))
            }
            None => (200, file.to_vec(), None),
        };
        if world.chance(faults.wrong_bytes) {
            let at = world.below(bytes.len());
            bytes[at] ^= 1 << world.below(8);
        }
        let mut response = world.response(status, bytes, content_range);
        let stop = world.below(response.body.bytes.len());
        if world.chance(faults.cut) {
            response.body.stop = stop;
            let loud = world.random.borrow_mut().chance(0.5);
            response.body.end = if loud { End::Error } else { End::Complete };
        } else if world.chance(faults.stall) {
            response.body.stop = stop;
            response.body.end = End::Stall;
        }
        Ok(response)
    }

    async fn read(&self, offset: u64, buf: &mut [u8]) -> Result<bool, StorageError> {
        let store = self.store.borrow();
        let Some(bytes) = store.get(offset as usize..offset as usize + buf.len()) else {
            return Ok(false);
        };
        buf.copy_from_slice(bytes);
        Ok(true)
    }

    async fn write(&self, offset: u64, bytes: &[u8]) -> Result<(), StorageError> {
        let at = offset as usize;
        if let Some(allowed) = &*self.allowed.borrow() {
            let right = &allowed[at..][..bytes.len()];
            assert!(
                bytes == right,
                "bytes that are not the model's are stored at {at}"
            );
        }
        let end = at + bytes.len();
        let before = self.store.borrow().len();
        if let Some(room) = self.room.get()
            && end.max(before) as u64 > room
        {
            return Err(StorageError::Quota { free: None });
        }
        if before < end {
            self.store.borrow_mut().resize(end, 0);
        }
        // A tab closed now leaves half a chunk behind.
        let half = bytes.len() / 2;
        self.store.borrow_mut()[at..][..half].copy_from_slice(&bytes[..half]);
        self.wait(1.0).await;
        self.store.borrow_mut()[at + half..][..bytes.len() - half].copy_from_slice(&bytes[half..]);
        self.written.set(self.written.get() + bytes.len() as u64);
        Ok(())
    }

    async fn clear(&self) -> Result<(), StorageError> {
        self.store.borrow_mut().clear();
        *self.journal.borrow_mut() = None;
        Ok(())
    }

    async fn free(&self) -> Option<u64> {
        let room = self.room.get().filter(|_| self.room_known.get())?;
        Some(room.saturating_sub(self.store.borrow().len() as u64))
    }

    async fn journal(&self) -> Result<Option<String>, StorageError> {
        Ok(self.journal.borrow().clone())
    }

    async fn save_journal(&self, journal: &str) -> Result<(), StorageError> {
        // A tab closed now leaves half a journal behind.
        *self.journal.borrow_mut() = Some(journal[..journal.len() / 2].to_owned());
        self.wait(0.2).await;
        *self.journal.borrow_mut() = Some(journal.to_owned());
        Ok(())
    }

    fn now_ms(&self) -> f64 {
        self.now.get()
    }

    async fn sleep(&self, milliseconds: f64) {
        self.wait(milliseconds).await;
    }

    fn random(&self) -> f64 {
        self.random.borrow_mut().unit()
    }

    fn cancelled(&self) -> bool {
        self.now.get() >= self.cancel_at.get()
    }

    fn progress(&self, progress: &Progress) {
        self.reports.borrow_mut().push(*progress);
    }
}
