//! Downloads through a network and onto a store with every fault there is.
//!
//! Runs are simulated: server, store and clock are the test's own, so two hundred downloads take
//! seconds and a seed gives the same run again (`SEED=17 cargo test -p llavaguard-store`).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::collections::BTreeMap;
use std::sync::Arc;

use common::{Faults, Random, World, model, target};
use llavaguard_store::{Options, StoreError, Target, download, download_unverified};

const CHUNK: usize = 1 << 20;
const URL: &str = "https://example.org/model.gguf";

fn options() -> Options {
    Options {
        stall_ms: 5_000.0,
        chunk_bytes: CHUNK as u64,
        ..Options::default()
    }
}

/// The seeds to run: `SEED` alone, or the first `count`.
fn seeds(count: u64) -> Vec<u64> {
    match std::env::var("SEED") {
        Ok(seed) => vec![seed.parse().unwrap()],
        Err(_) => (0..count).collect(),
    }
}

/// Faults of every kind, some of them, in different strengths.
fn faults(random: &mut Random) -> Faults {
    let strength = random.unit() * 0.5;
    let mut pick = || {
        if random.chance(0.6) {
            random.unit() * strength
        } else {
            0.0
        }
    };
    Faults {
        unreachable: pick(),
        cut: pick() * 2.0,
        wrong_bytes: pick(),
        wrong_length: pick(),
        stall: pick(),
        server_error: pick(),
        too_many: pick(),
        wrong_range: pick(),
        changed_validator: pick(),
        ignored_range: pick() * 0.1,
        changed_bytes: 0.0,
        no_ranges: random.chance(0.15),
        hidden_heads: random.chance(0.2),
        refused: None,
        slow_ms: 0.0,
    }
}

#[derive(Debug, Default)]
struct Tally {
    right: usize,
    errors: BTreeMap<&'static str, usize>,
    closed: usize,
    damaged: usize,
    faults: usize,
    requests: usize,
    served: u64,
    stored: u64,
}

#[test]
fn two_hundred_faulty_downloads_end_in_the_right_bytes_or_a_typed_error() {
    let bytes = model();
    let mut tally = Tally::default();
    for seed in seeds(200) {
        let mut random = Random(seed ^ 0x5eed);
        let split = [bytes.len(), 4 * CHUNK, 7 * CHUNK][random.below(3)];
        let target = target(&bytes, CHUNK, split);
        let world = World::serving(seed, &bytes, &target);
        *world.faults.borrow_mut() = faults(&mut random);
        if random.chance(0.1) {
            world.room.set(Some(random.below(2 * bytes.len()) as u64));
            world.room_known.set(random.chance(0.5));
        }
        let outside = &world;
        let result = sessions(&world, &mut random, &mut tally, || {
            download(&outside, &target, options())
        });
        let seen = world.seen.borrow();
        assert_eq!(
            seen.in_flight, 0,
            "seed {seed}: something is still being fetched"
        );
        tally.faults += seen.faults;
        tally.requests += seen.requests;
        tally.served += seen.served;
        tally.stored += world.written.get();
        drop(seen);
        match result {
            Ok(outcome) => {
                assert!(
                    *world.store.borrow() == bytes,
                    "seed {seed}: other bytes are stored"
                );
                assert!(outcome.verified && outcome.bytes == bytes.len() as u64);
                tally.right += 1;
            }
            Err(error) => {
                let known = [
                    "model.fetch_failed",
                    "model.wrong_bytes",
                    "store.quota_exceeded",
                ];
                assert!(known.contains(&error.code()), "seed {seed}: {error}");
                *tally.errors.entry(error.code()).or_default() += 1;
                // Whatever the error, everything noted as stored is right.
                world.faults.take();
                world.room.set(None);
                let again = world.finish(download(&&world, &target, options()));
                assert!(again.is_ok(), "seed {seed}: {again:?}");
                assert!(
                    *world.store.borrow() == bytes,
                    "seed {seed}: other bytes are stored"
                );
            }
        }
    }
    println!("{tally:?}");
    if std::env::var("SEED").is_err() {
        assert!(tally.right >= 120, "{tally:?}");
        assert!(
            tally.faults > 1_000 && tally.closed > 100 && tally.damaged > 50,
            "{tally:?}"
        );
    }
}

/// Downloads again and again while the tab is closed at random moments and the store is damaged in
/// between, until one comes to its end.
fn sessions<F: Future<Output = Result<llavaguard_store::Outcome, StoreError>>>(
    world: &World,
    random: &mut Random,
    tally: &mut Tally,
    mut start: impl FnMut() -> F,
) -> Result<llavaguard_store::Outcome, StoreError> {
    let mut closings = random.below(6);
    loop {
        let closed_at = if closings == 0 {
            f64::INFINITY
        } else {
            world.now() + random.unit() * 3_000.0
        };
        closings = closings.saturating_sub(1);
        if let Some(result) = world.run(start(), closed_at) {
            return result;
        }
        tally.closed += 1;
        let size = world.store.borrow().len();
        if size > 0 && random.chance(0.4) {
            world.flip(random.below(8 * size));
            tally.damaged += 1;
        }
    }
}

#[test]
fn an_unverified_model_is_never_mixed_from_two_versions() {
    let bytes = model();
    let mut tally = Tally::default();
    for seed in seeds(100) {
        let mut random = Random(seed ^ 0x0bad_c0de);
        let world = World::new(seed, bytes.clone(), vec![bytes.len()]);
        let mut faults = faults(&mut random);
        // Without anything to compare with, bytes that are wrong on the way cannot be found out.
        (faults.wrong_bytes, faults.wrong_length, faults.hidden_heads) = (0.0, 0.0, false);
        faults.changed_bytes = if random.chance(0.5) { 0.02 } else { 0.0 };
        *world.faults.borrow_mut() = faults;
        let outside = &world;
        let result = sessions(&world, &mut random, &mut tally, || {
            download_unverified(&outside, URL, options())
        });
        match result {
            Ok(outcome) => {
                assert!(!outcome.verified);
                // It may have changed since it was fetched.
                let mut versions = world.versions.take();
                versions.push(world.bytes.take());
                let stored = world.store.take();
                assert!(
                    versions.iter().any(|version| **version == stored),
                    "seed {seed}: a mixture is stored"
                );
                tally.right += 1;
            }
            Err(error) => {
                let known = ["model.fetch_failed", "model.changed"];
                assert!(known.contains(&error.code()), "seed {seed}: {error}");
                *tally.errors.entry(error.code()).or_default() += 1;
            }
        }
    }
    println!("{tally:?}");
    assert!(tally.right >= seeds(60).len(), "{tally:?}");
}

fn clean(split: usize) -> (Vec<u8>, Target, World) {
    let bytes = model();
    let target = target(&bytes, CHUNK, split);
    let world = World::serving(1, &bytes, &target);
    (bytes, target, world)
}

#[test]
fn a_clean_download_asks_once_for_each_chunk_four_at_a_time() {
    for split in [usize::MAX >> 1, 4 * CHUNK] {
        let (bytes, target, world) = clean(split.min(model().len()));
        let outcome = world.finish(download(&&world, &target, options())).unwrap();
        let chunks = bytes.len().div_ceil(CHUNK);
        let seen = world.seen.borrow();
        assert_eq!((seen.requests, seen.served), (chunks, bytes.len() as u64));
        assert_eq!(seen.most_in_flight, 4);
        assert_eq!(
            (outcome.fetched, outcome.reused, outcome.repaired),
            (bytes.len() as u64, 0, 0)
        );
        assert!(*world.store.borrow() == bytes);

        let reports = world.reports.borrow();
        let last = reports.last().unwrap();
        assert_eq!(
            (last.done, last.total),
            (bytes.len() as u64, bytes.len() as u64)
        );
        assert!(reports.is_sorted_by_key(|report| report.done));
        assert!(
            reports
                .iter()
                .any(|report| report.rate > 0.0 && report.seconds_left.is_some())
        );
    }
}

#[test]
fn a_second_load_fetches_nothing() {
    let (bytes, target, world) = clean(model().len());
    world.finish(download(&&world, &target, options())).unwrap();
    world.seen.take();
    let again = world.finish(download(&&world, &target, options())).unwrap();
    assert_eq!((again.reused, again.fetched), (bytes.len() as u64, 0));
    assert_eq!(world.seen.borrow().requests, 0);
}

#[test]
fn a_closed_tab_loses_at_most_one_chunk_a_connection() {
    for seed in 0..40 {
        let bytes = model();
        let target = target(&bytes, CHUNK, bytes.len());
        let world = World::serving(seed, &bytes, &target);
        let mut random = Random(seed);
        let mut closings = 0;
        loop {
            let closed_at = if closings == 10 {
                f64::INFINITY
            } else {
                world.now() + 20.0 + random.unit() * 100.0
            };
            if world
                .run(download(&&world, &target, options()), closed_at)
                .is_some()
            {
                break;
            }
            closings += 1;
        }
        let lost = world.seen.borrow().served - bytes.len() as u64;
        let bound = closings * options().connections * CHUNK;
        assert!(
            lost <= bound as u64,
            "seed {seed}: {lost} bytes in {closings} closings"
        );
        assert!(*world.store.borrow() == bytes);
    }
}

#[test]
fn a_cut_within_a_chunk_loses_nothing() {
    let (bytes, target, world) = clean(model().len());
    world.faults.borrow_mut().cut = 0.5;
    world.finish(download(&&world, &target, options())).unwrap();
    let seen = world.seen.borrow();
    assert!(seen.faults > 5, "{}", seen.faults);
    assert_eq!(seen.served, bytes.len() as u64);
}

#[test]
fn a_store_damaged_bit_by_bit_is_mended_chunk_by_chunk() {
    let (bytes, target, world) = clean(model().len());
    world.finish(download(&&world, &target, options())).unwrap();
    let mut random = Random(7);
    let mut bits: Vec<usize> = (0..100).map(|_| random.below(8 * bytes.len())).collect();
    // The ends of the file and of a chunk, and every bit of one byte.
    bits.extend([0, 8 * bytes.len() - 1, 8 * CHUNK - 1, 8 * CHUNK]);
    bits.extend(8 * 5_000_000..8 * 5_000_000 + 8);
    for bit in bits {
        world.flip(bit);
        world.seen.take();
        let outcome = world.finish(download(&&world, &target, options())).unwrap();
        let chunk = bit / 8 / CHUNK;
        let size = CHUNK.min(bytes.len() - chunk * CHUNK) as u64;
        assert_eq!((outcome.repaired, outcome.fetched), (1, size), "bit {bit}");
        assert_eq!(world.seen.borrow().served, size);
        assert!(*world.store.borrow() == bytes, "bit {bit}");
    }
}

#[test]
fn a_lost_or_damaged_journal_costs_no_byte() {
    for journal in [
        "",
        "{",
        "null",
        r#"{"version":1,"bytes":5,"chunk_bytes":0,"chunks":[]}"#,
    ] {
        let (bytes, target, world) = clean(model().len());
        world.finish(download(&&world, &target, options())).unwrap();
        *world.journal.borrow_mut() = Some(journal.to_owned());
        let outcome = world.finish(download(&&world, &target, options())).unwrap();
        assert_eq!(
            (outcome.reused, outcome.fetched),
            (bytes.len() as u64, 0),
            "{journal}"
        );
    }
}

#[test]
fn a_journal_that_lies_is_not_believed() {
    let (bytes, target, world) = clean(model().len());
    world.finish(download(&&world, &target, options())).unwrap();
    let other: Vec<u8> = bytes.iter().map(|byte| byte ^ 1).collect();
    *world.store.borrow_mut() = other;
    let outcome = world.finish(download(&&world, &target, options())).unwrap();
    assert_eq!(outcome.reused, 0);
    assert!(*world.store.borrow() == bytes);
}

#[test]
fn room_is_asked_for_before_anything_is_fetched() {
    let (bytes, target, world) = clean(model().len());
    world.room.set(Some(5_000_000));
    let error = world
        .finish(download(&&world, &target, options()))
        .unwrap_err();
    let needed = bytes.len() as u64;
    assert_eq!(
        error,
        StoreError::Quota {
            needed,
            free: Some(5_000_000)
        }
    );
    assert!(
        error.to_string().contains("5.0 MB") && error.to_string().contains("9.0 MB"),
        "{error}"
    );
    assert_eq!(world.seen.borrow().requests, 0);

    // Where it cannot be asked for, what did fit is kept.
    world.room_known.set(false);
    let error = world
        .finish(download(&&world, &target, options()))
        .unwrap_err();
    assert_eq!(error.code(), "store.quota_exceeded");
    world.room.set(None);
    let outcome = world.finish(download(&&world, &target, options())).unwrap();
    assert!(outcome.reused >= 3 * CHUNK as u64, "{outcome:?}");
}

#[test]
fn a_replaced_file_is_an_error_that_names_the_chunk_and_is_never_stored() {
    let (bytes, target, world) = clean(model().len());
    let mut other = bytes.clone();
    other[3 * CHUNK + 17] ^= 1;
    *world.bytes.borrow_mut() = Arc::new(other);
    let error = world
        .finish(download(&&world, &target, options()))
        .unwrap_err();
    let StoreError::WrongBytes {
        chunk, start, end, ..
    } = &error
    else {
        panic!("{error}");
    };
    assert_eq!((*chunk, *start, *end), (3, 3 << 20, 4 << 20));
    // The store checks every write; nothing of that chunk arrived there.
    assert!(
        world
            .store
            .borrow()
            .get(3 << 20..4 << 20)
            .is_none_or(|bytes| bytes.iter().all(|byte| *byte == 0))
    );
}

#[test]
fn a_file_of_another_size_is_an_error() {
    let (bytes, target, world) = clean(model().len());
    *world.bytes.borrow_mut() = Arc::new(bytes[..9_000_000].to_vec());
    let error = world
        .finish(download(&&world, &target, options()))
        .unwrap_err();
    assert_eq!(error.code(), "model.wrong_size");
}

#[test]
fn what_the_server_does_not_have_is_not_asked_for_again() {
    let (_, mut target, _) = clean(model().len());
    target.parts = vec![target.bytes - CHUNK as u64, CHUNK as u64];
    target.urls.push("https://example.org/none".to_owned());
    let mut world = World::serving(1, &model(), &target);
    world.parts.truncate(1);
    let error = world
        .finish(download(&&world, &target, options()))
        .unwrap_err();
    assert!(
        matches!(error, StoreError::Refused { status: 404, .. }),
        "{error}"
    );
    assert_eq!(
        world
            .seen
            .borrow()
            .statuses
            .iter()
            .filter(|status| **status == 404)
            .count(),
        1
    );
}

#[test]
fn a_server_that_asks_to_wait_is_waited_for() {
    let (_, target, world) = clean(model().len());
    world.faults.borrow_mut().too_many = 1.0;
    let error = world
        .finish(download(&&world, &target, options()))
        .unwrap_err();
    assert!(error.to_string().contains("429"), "{error}");
    // Six pauses of three seconds or more before it is given up.
    assert!(world.now() >= 18_000.0, "{}", world.now());
}

/// Of the connections of one download that is refused some bytes again and again, how often they were
/// asked for.
fn refusals(world: &World) -> usize {
    let seen = world.seen.borrow();
    seen.statuses
        .iter()
        .filter(|status| **status == 503)
        .count()
}

#[test]
fn a_server_that_answers_others_is_not_given_up() {
    // Two seconds for each piece: the other chunks take until long after the seventh refusal.
    let (bytes, target, world) = clean(model().len());
    *world.faults.borrow_mut() = Faults {
        refused: Some((0, 8)),
        slow_ms: 2_000.0,
        ..Faults::default()
    };
    world.finish(download(&&world, &target, options())).unwrap();
    assert_eq!(refusals(&world), 8);
    assert!(*world.store.borrow() == bytes);
}

#[test]
fn what_is_refused_for_ever_is_given_up_once_nothing_else_comes() {
    let (_, target, world) = clean(model().len());
    *world.faults.borrow_mut() = Faults {
        refused: Some((0, usize::MAX)),
        slow_ms: 2_000.0,
        ..Faults::default()
    };
    let error = world
        .finish(download(&&world, &target, options()))
        .unwrap_err();
    assert!(error.to_string().contains("503"), "{error}");
    // Pauses kept growing although others went on, and the last row is the usual one.
    assert!((9..30).contains(&refusals(&world)), "{}", refusals(&world));
    let (mut stored, wanted) = (world.store.take(), model());
    stored[..CHUNK].copy_from_slice(&wanted[..CHUNK]);
    assert!(stored == wanted, "the rest was not brought to its end");
}

#[test]
fn a_single_connection_that_only_meets_refusals_is_given_up_after_a_row() {
    let (_, target, world) = clean(model().len());
    world.faults.borrow_mut().refused = Some((0, usize::MAX));
    let options = Options {
        connections: 1,
        ..options()
    };
    world
        .finish(download(&&world, &target, options))
        .unwrap_err();
    assert_eq!(refusals(&world), 7);
}

#[test]
fn a_stalled_connection_is_given_up_and_asked_again() {
    let (bytes, target, world) = clean(model().len());
    world.faults.borrow_mut().stall = 0.3;
    world.finish(download(&&world, &target, options())).unwrap();
    assert!(*world.store.borrow() == bytes);
    // It went on where it stopped, and no stall took longer than its limit and the look at it.
    assert_eq!(world.seen.borrow().served, bytes.len() as u64);

    let (_, target, world) = clean(model().len());
    world.faults.borrow_mut().stall = 1.0;
    world.faults.borrow_mut().no_ranges = true;
    let error = world
        .finish(download(&&world, &target, options()))
        .unwrap_err();
    assert!(error.to_string().contains("5 seconds"), "{error}");
}

#[test]
fn a_stop_is_heeded_at_every_moment_and_leaves_nothing_running() {
    let (_, target, world) = clean(model().len());
    world.finish(download(&&world, &target, options())).unwrap();
    let whole = world.now();
    for step in 0..60 {
        let (bytes, target, world) = clean(model().len());
        world.faults.borrow_mut().server_error = 0.2;
        let at = whole * f64::from(step) / 60.0;
        world.cancel_at.set(at);
        let result = world.finish(download(&&world, &target, options()));
        assert_eq!(result, Err(StoreError::Cancelled), "at {at}");
        assert_eq!(world.seen.borrow().in_flight, 0);
        assert!(
            world.now() < at + options().stall_ms,
            "at {at}: {}",
            world.now()
        );
        world.cancel_at.set(f64::INFINITY);
        world.finish(download(&&world, &target, options())).unwrap();
        assert!(*world.store.borrow() == bytes);
    }
}

#[test]
fn an_unverified_model_is_taken_up_again_and_used_offline() {
    let bytes = model();
    let world = World::new(3, bytes.clone(), vec![bytes.len()]);
    let outside = &world;
    let load = || download_unverified(&outside, URL, options());
    assert!(world.run(load(), 150.0).is_none());
    let outcome = world.finish(load()).unwrap();
    assert!(outcome.reused >= CHUNK as u64, "{outcome:?}");
    assert!(!outcome.verified && *world.store.borrow() == bytes);

    // The same version is not fetched again, damage is found, and without a network it is still there.
    world.flip(8 * 2_000_000);
    let outcome = world.finish(load()).unwrap();
    assert_eq!((outcome.repaired, outcome.fetched), (1, CHUNK as u64));
    world.faults.borrow_mut().unreachable = 1.0;
    let outcome = world.finish(load()).unwrap();
    assert_eq!((outcome.reused, outcome.fetched), (bytes.len() as u64, 0));
    world.faults.take();

    // Another version starts clean.
    let other: Vec<u8> = bytes.iter().rev().copied().collect();
    *world.bytes.borrow_mut() = Arc::new(other.clone());
    world.version.set(2);
    let outcome = world.finish(load()).unwrap();
    assert_eq!(outcome.reused, 0);
    assert!(*world.store.borrow() == other);
}

#[test]
fn an_unverified_model_whose_size_is_not_told_arrives_whole() {
    let bytes = model();
    let world = World::new(4, bytes.clone(), vec![bytes.len()]);
    world.faults.borrow_mut().hidden_heads = true;
    let outcome = world
        .finish(download_unverified(&&world, URL, options()))
        .unwrap();
    assert_eq!(outcome.bytes, bytes.len() as u64);
    assert!(*world.store.borrow() == bytes);
}
