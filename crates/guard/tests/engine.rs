//! The engine's promises: sessions, cancelling, valid answers.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::{TestImage, Watch, engine, engine_on, gpu};
use llavaguard_backend::{DType, Device, block_on};
use llavaguard_gpu::{Extras, Wanted};
use llavaguard_guard::{Assessment, Engine, Event, Rationale, Request, Sampling};
use llavaguard_policy::{Base, Detail, Mode, Policy, Rules};

fn request(policy: Policy, max_tokens: usize) -> Request {
    Request {
        policy,
        detail: Detail::High,
        rationale: Rationale::Write {
            sampling: Sampling::Greedy,
            max_tokens,
        },
    }
}

fn lenient() -> Policy {
    Policy::builder(Base::default())
        .mode("O6", Mode::NonViolating)
        .build()
        .unwrap()
}

fn assess<D: Device>(engine: &Engine<D>, image: &TestImage, request: &Request) -> Assessment {
    block_on(engine.assess(image.input(), request, &Watch::default())).unwrap()
}

/// Everything that must not depend on how the assessment was come by.
fn verdict_of(assessment: &Assessment) -> (String, Vec<u32>, String) {
    let probabilities = assessment.category_probabilities.iter();
    let bits = [assessment.unsafe_probability]
        .into_iter()
        .chain(probabilities.map(|category| category.probability))
        .map(f32::to_bits)
        .collect();
    let answer = format!("{:?} {}", assessment.rating, assessment.category.name);
    (
        answer,
        bits,
        assessment.rationale.clone().unwrap_or_default(),
    )
}

fn assert_category_probabilities_sum_to_one(assessment: &Assessment) {
    let sum: f32 = assessment
        .category_probabilities
        .iter()
        .map(|c| c.probability)
        .sum();
    assert!(
        (sum - 1.0).abs() < 1e-4,
        "category probabilities add up to {sum}"
    );
}

fn model() -> &'static str {
    "tied"
}

#[test]
fn a_sessions_second_policy_equals_a_fresh_run_to_the_last_bit() {
    for threads in [1, 2] {
        second_policies_equal_fresh_runs(&engine(model(), DType::Q8_0, threads));
    }
}

#[test]
fn so_it_does_on_a_gpu() {
    let plain = Wanted::Exactly(Extras::default());
    for (extras, quant) in [(plain, DType::Q8_0), (Wanted::Best, DType::Q4_0)] {
        second_policies_equal_fresh_runs(&engine_on(gpu(extras), model(), quant));
    }
}

fn second_policies_equal_fresh_runs<D: Device>(engine: &Engine<D>) {
    let image = TestImage::new(150, 70);
    let watch = Watch::default();
    let mut session = block_on(engine.open(image.input(), Detail::High, &watch)).unwrap();
    let policies = [Policy::default(), lenient(), Policy::default()];
    for policy in policies {
        let request = request(policy, 12);
        let again = block_on(engine.judge(&mut session, &request, &watch)).unwrap();
        assert_eq!(
            verdict_of(&again),
            verdict_of(&assess(engine, &image, &request))
        );
    }
}

#[test]
fn threads_do_not_change_a_bit() {
    let image = TestImage::new(97, 131);
    let request = request(Policy::default(), 8);
    let one = assess(&engine(model(), DType::Q4_0, 1), &image, &request);
    let two = assess(&engine(model(), DType::Q4_0, 2), &image, &request);
    assert_eq!(verdict_of(&one), verdict_of(&two));
}

#[test]
fn a_second_policy_runs_the_policy_alone() {
    let engine = engine(model(), DType::F32, 1);
    let image = TestImage::new(200, 200);
    let opening = Watch::default();
    let mut session = block_on(engine.open(image.input(), Detail::High, &opening)).unwrap();
    let judging = Watch::default();
    let request = Request {
        rationale: Rationale::None,
        ..request(lenient(), 1)
    };
    let first = block_on(engine.judge(&mut session, &request, &judging)).unwrap();
    let second = block_on(engine.judge(&mut session, &request, &Watch::default())).unwrap();
    assert!(first.timings_ms.vision > 0.0);
    assert_eq!(second.timings_ms.vision, 0.0);
    assert_eq!(verdict_of(&first), verdict_of(&second));
    let alone = Watch::default();
    block_on(engine.assess(image.input(), &request, &alone)).unwrap();
    assert_eq!(alone.seen.get(), opening.seen.get() + judging.seen.get());
}

#[test]
fn it_stops_at_any_checkpoint_and_the_session_survives() {
    let engine = engine(model(), DType::F32, 1);
    let image = TestImage::new(80, 60);
    let request = request(Policy::default(), 3);
    let whole = Watch::default();
    let mut session = block_on(engine.open(image.input(), Detail::Low, &whole)).unwrap();
    let opened = whole.seen.get();
    // The first judgement enlarges the cache, since this tokeniser makes a token of every byte.
    block_on(engine.judge(&mut session, &request, &Watch::default())).unwrap();
    let expected = block_on(engine.judge(&mut session, &request, &whole)).unwrap();
    for stop in 0..whole.seen.get() {
        let watch = Watch::stopping_at(stop);
        if stop < opened {
            let error = block_on(engine.open(image.input(), Detail::Low, &watch))
                .err()
                .unwrap();
            assert!(error.is_cancelled(), "{error}");
            assert_eq!(
                watch.seen.get(),
                stop + 1,
                "nothing runs on after a cancellation"
            );
        } else {
            let watch = Watch::stopping_at(stop - opened);
            let error = block_on(engine.judge(&mut session, &request, &watch)).unwrap_err();
            assert_eq!(error.code(), "engine.cancelled");
            let again = block_on(engine.judge(&mut session, &request, &Watch::default())).unwrap();
            assert_eq!(verdict_of(&again), verdict_of(&expected));
        }
    }
}

#[test]
fn answers_are_valid_whatever_the_weights_say() {
    for (model, quant) in [(model(), DType::F32), ("untied", DType::Q4_0)] {
        let engine = engine(model, quant, 2);
        for (width, height) in [(1, 1), (300, 9), (56, 56), (31, 240)] {
            let image = TestImage::new(width, height);
            for seed in 0..3 {
                let sampling = Sampling::Nucleus {
                    temperature: 1.5,
                    top_p: 1.0,
                    seed,
                };
                let request = Request {
                    rationale: Rationale::Write {
                        sampling,
                        max_tokens: 24,
                    },
                    detail: Detail::Auto,
                    policy: lenient(),
                };
                let watch = Watch::default();
                let assessment = block_on(engine.assess(image.input(), &request, &watch)).unwrap();
                let json = serde_json::to_string(&assessment).unwrap();
                assert_eq!(
                    serde_json::from_str::<Assessment>(&json).unwrap(),
                    assessment
                );
                assert_category_probabilities_sum_to_one(&assessment);
                assert!((0.0..=1.0).contains(&assessment.unsafe_probability));
                let rated_unsafe = assessment.rating == llavaguard_policy::Rating::Unsafe;
                assert_eq!(rated_unsafe, assessment.unsafe_probability > 0.5);
                let streamed: String = watch
                    .events
                    .borrow()
                    .iter()
                    .filter_map(|event| match event {
                        Event::RationaleText(text) => Some(text.as_str()),
                        Event::Verdict { .. } => None,
                    })
                    .collect();
                // An unfinished character at the bound is replaced after the last event.
                assert!(assessment.rationale.unwrap().starts_with(&streamed));
            }
        }
    }
}

#[test]
fn policies_with_many_categories_are_answered_among_their_own() {
    let engine = engine(model(), DType::F32, 1);
    let mut builder = Policy::builder(Base::default());
    for id in ["O1", "O3"] {
        builder = builder.mode(id, Mode::Removed);
    }
    for number in 10..=25 {
        let rules = Rules::new().should_not(format!("Show thing number {number}."));
        builder = builder.add(&format!("O{number}"), format!("Thing {number}"), rules);
    }
    let policy = builder.build().unwrap();
    let ids: Vec<String> = policy
        .answer_categories()
        .into_iter()
        .map(|c| c.id)
        .collect();
    let request = Request {
        rationale: Rationale::None,
        ..request(policy, 1)
    };
    let assessment = assess(&engine, &TestImage::new(64, 64), &request);
    let found: Vec<String> = assessment
        .category_probabilities
        .iter()
        .map(|c| c.id.clone())
        .collect();
    assert_eq!(found, ids);
    assert!(ids.contains(&assessment.category.id));
    assert_category_probabilities_sum_to_one(&assessment);
    assert_eq!(assessment.rationale, None);
}

#[test]
fn options_out_of_range_are_refused() {
    let engine = engine(model(), DType::F32, 1);
    let image = TestImage::new(20, 20);
    let write = |sampling, max_tokens| Rationale::Write {
        sampling,
        max_tokens,
    };
    let hot = Sampling::Nucleus {
        temperature: f32::NAN,
        top_p: 0.9,
        seed: 1,
    };
    let none = Sampling::Nucleus {
        temperature: 1.0,
        top_p: 0.0,
        seed: 1,
    };
    for rationale in [
        write(Sampling::Greedy, 0),
        write(Sampling::Greedy, 1 << 20),
        write(hot, 5),
        write(none, 5),
    ] {
        let request = Request {
            rationale,
            ..Request::default()
        };
        let error =
            block_on(engine.assess(image.input(), &request, &Watch::default())).unwrap_err();
        assert_eq!(error.code(), "engine.bad_option");
    }
}
