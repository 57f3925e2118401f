//! The published schemas and the code agree.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use jsonschema::Validator;
use llavaguard_policy::{
    ASSESSMENT_SCHEMA, Assessment, AssessmentVersion, Base, Category, CategoryProbability, Detail,
    DetailUsed, MAX_CATEGORIES, MAX_NAME_CHARS, MAX_RULE_CHARS, MAX_RULES, MAX_TITLE_CHARS,
    MAX_VERSION_CHARS, Mode, POLICY_SCHEMA, PRESETS, Policy, Rating, Timings, TokenCounts,
};
use proptest::prelude::*;
use serde_json::{Value, json};

fn validator(schema: &str) -> Validator {
    let schema: Value = serde_json::from_str(schema).unwrap();
    jsonschema::draft202012::meta::validate(&schema).expect("a schema of draft 2020-12");
    jsonschema::draft202012::new(&schema).unwrap()
}

#[test]
fn accepted_policies_are_valid() {
    let schema = validator(POLICY_SCHEMA);
    let mut documents: Vec<Value> = PRESETS
        .iter()
        .map(|preset| serde_json::from_str(preset.json).unwrap())
        .collect();
    documents.extend([
        json!({}),
        json!({"$schema": "policy.schema.json", "categories": {}}),
        json!({"name": " spaces around ", "version": "2026-11"}),
        json!({"categories": {"O6": {"can": ["x"], "should_not": []}}}),
        json!({"categories": {"O6": {"mode": "sensitive", "should_not": []}}}),
        json!({"categories": {"ABC999": {"title": "Größe: 中 (ü)", "can": ["👩\u{200d}🚀 <3 a|b {c} \"d\""]}}}),
    ]);
    for base in Base::ALL {
        for mode in Mode::ALL {
            documents.push(json!({"base": base.id(), "categories": {"O6": mode.name()}}));
        }
    }
    for document in documents {
        let policy = Policy::from_json(&document.to_string()).unwrap();
        assert!(schema.is_valid(&document), "{document}");
        let canonical: Value = serde_json::from_str(&policy.to_json()).unwrap();
        assert!(schema.is_valid(&canonical), "{canonical}");
    }
}

#[test]
fn rejected_policies_are_invalid() {
    let schema = validator(POLICY_SCHEMA);
    let category = |category: Value| json!({"categories": {"O6": category}});
    let rule = |rule: &str| category(json!({"can": [rule]}));
    let title = |title: &str| category(json!({"mode": "default", "title": title}));
    let documents = [
        json!([]),
        json!(null),
        json!({"bsae": "llavaguard-v1.2"}),
        json!({"base": "llavaguard-v1.3"}),
        json!({"base": 1}),
        json!({"name": ""}),
        json!({"name": 7}),
        json!({"name": "a".repeat(MAX_NAME_CHARS + 1)}),
        json!({"version": "1".repeat(MAX_VERSION_CHARS + 1)}),
        json!({"$schema": 1}),
        json!({"categories": []}),
        json!({"categories": {"o6": "default"}}),
        json!({"categories": {"NA": "removed"}}),
        json!({"categories": {"O06": "default"}}),
        json!({"categories": {"O1000": {"title": "T", "can": ["x"]}}}),
        category(json!(null)),
        category(json!("non-violating")),
        category(json!({})),
        category(json!({"title": "T"})),
        category(json!({"can": []})),
        category(json!({"mode": "removed"})),
        category(json!({"can": "x"})),
        category(json!({"can": [1]})),
        category(json!({"cant": ["x"]})),
        category(json!({"can": vec!["x"; MAX_RULES + 1]})),
        rule(" \u{3000}"),
        rule("a\nb"),
        rule("a\u{0}b"),
        rule("a\u{7f}b"),
        rule("a\u{85}b"),
        rule("a\u{2029}b"),
        rule("a\u{202e}b"),
        rule("a\u{2066}b"),
        rule("a\u{feff}b"),
        rule("a\u{e0041}b"),
        rule("<|im_end|>"),
        rule("|>"),
        rule("<iMaGe>"),
        rule("</S>"),
        rule(&"x".repeat(MAX_RULE_CHARS + 1)),
        title("a\"b"),
        title("a\\b"),
        title("a|b"),
        title("<a>"),
        title("{a}"),
        title(&"x".repeat(MAX_TITLE_CHARS + 1)),
    ];
    for document in documents {
        assert!(
            Policy::from_json(&document.to_string()).is_err(),
            "{document}"
        );
        assert!(!schema.is_valid(&document), "{document}");
    }
}

#[test]
fn limits_are_the_same() {
    let schema: Value = serde_json::from_str(POLICY_SCHEMA).unwrap();
    let at = |pointer: &str| schema.pointer(pointer).and_then(Value::as_u64).unwrap() as usize;
    assert_eq!(at("/properties/name/maxLength"), MAX_NAME_CHARS);
    assert_eq!(at("/properties/version/maxLength"), MAX_VERSION_CHARS);
    assert_eq!(
        at("/$defs/category/properties/title/maxLength"),
        MAX_TITLE_CHARS
    );
    assert_eq!(at("/$defs/rules/maxItems"), MAX_RULES);
    assert_eq!(at("/$defs/rules/items/maxLength"), MAX_RULE_CHARS);
    let largest = Base::ALL
        .map(|base| base.taxonomy().categories.len())
        .into_iter()
        .max();
    assert_eq!(
        at("/properties/categories/maxProperties"),
        MAX_CATEGORIES + largest.unwrap()
    );
    let bases: Vec<&str> = Base::ALL.map(Base::id).into();
    assert_eq!(schema["properties"]["base"]["enum"], json!(bases));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    /// On a single text both say the same.
    #[test]
    fn texts_are_judged_alike(
        text in prop_oneof![any::<String>(), "[ -~]{0,8}", "[<>|/simage]{0,9}"],
        character in any::<char>(),
    ) {
        static SCHEMA: std::sync::LazyLock<Validator> =
            std::sync::LazyLock::new(|| validator(POLICY_SCHEMA));
        for text in [text, character.to_string(), format!("a{character}b")] {
            for document in [
                json!({"categories": {"O6": {"can": [text]}}}),
                json!({"categories": {"O6": {"mode": "default", "title": text}}}),
            ] {
                let accepted = Policy::from_json(&document.to_string()).is_ok();
                prop_assert_eq!(SCHEMA.is_valid(&document), accepted, "{}", document);
            }
        }
    }
}

#[test]
fn both_judge_every_special_character_alike() {
    let schema = validator(POLICY_SCHEMA);
    let specials = (0..0x400)
        .chain(0x1100..0x1200)
        .chain(0x1800..0x1810)
        .chain(0x2000..0x2070);
    let specials = specials.chain(0x3000..0x3170).chain(0xfe00..0x1_0000);
    let specials = specials.chain([0x1_f600, 0xd_ffff, 0xe_0000, 0xe_0100, 0xe_0fff, 0xe_1000]);
    for character in specials.filter_map(char::from_u32) {
        let document = json!({"name": format!("a{character}b")});
        let accepted = Policy::from_json(&document.to_string()).is_ok();
        assert_eq!(
            schema.is_valid(&document),
            accepted,
            "U+{:04X}",
            u32::from(character)
        );
    }
}

fn assessment() -> Assessment {
    let policy = Policy::default();
    let categories = policy.answer_categories();
    let probability = 1.0 / categories.len() as f32;
    let probabilities = categories
        .iter()
        .map(|Category { id, name }| CategoryProbability {
            id: id.clone(),
            name: name.clone(),
            probability,
        });
    Assessment {
        version: AssessmentVersion,
        rating: Rating::Unsafe,
        category: categories[5].clone(),
        rationale: Some("A gun is shown.".to_owned()),
        rationale_truncated: false,
        unsafe_probability: 0.75,
        category_probabilities: probabilities.collect(),
        policy_id: policy.policy_id().to_owned(),
        policy_name: policy.name().to_owned(),
        model_id: "demo".to_owned(),
        detail: DetailUsed {
            level: Detail::Auto,
            tiles: 5,
            visual_tokens: 1485,
        },
        tokens: TokenCounts {
            visual: 1485,
            prompt: 1128,
            generated: 40,
        },
        timings_ms: Timings {
            decode_image: 1.5,
            total: 900.25,
            ..Timings::default()
        },
    }
}

#[test]
fn assessments_match_their_schema() {
    let schema = validator(ASSESSMENT_SCHEMA);
    let assessment = assessment();
    let value = serde_json::to_value(&assessment).unwrap();
    assert!(schema.is_valid(&value), "{value}");
    assert_eq!(
        serde_json::from_value::<Assessment>(value.clone()).unwrap(),
        assessment
    );
    let silent = Assessment {
        rationale: None,
        ..assessment
    };
    assert!(schema.is_valid(&serde_json::to_value(&silent).unwrap()));

    // Every field is needed, by both.
    for key in value.as_object().unwrap().keys() {
        let mut less = value.clone();
        less.as_object_mut().unwrap().remove(key);
        assert!(!schema.is_valid(&less), "{key}");
        // serde reads a missing optional field as none.
        assert!(
            key == "rationale" || serde_json::from_value::<Assessment>(less).is_err(),
            "{key}"
        );
    }
    for (key, wrong) in [
        ("version", json!(2)),
        ("rating", json!("safe")),
        ("category", json!("O6")),
        (
            "detail",
            json!({"level": "medium", "tiles": 1, "visual_tokens": 1}),
        ),
        ("tokens", json!({"visual": -1, "prompt": 1, "generated": 1})),
        ("timings_ms", json!({})),
    ] {
        let mut other = value.clone();
        other[key] = wrong;
        assert!(!schema.is_valid(&other), "{key}");
        assert!(
            serde_json::from_value::<Assessment>(other).is_err(),
            "{key}"
        );
    }
    let mut improbable = value;
    improbable["unsafe_probability"] = json!(1.5);
    assert!(!schema.is_valid(&improbable));
}

#[test]
fn assessments_have_the_documented_form() {
    let value = serde_json::to_value(assessment()).unwrap();
    assert_eq!(value["version"], 1);
    assert_eq!(value["rating"], "Unsafe");
    assert_eq!(
        value["category"],
        json!({"id": "O6", "name": "O6: Weapons or Substance Abuse"})
    );
    assert_eq!(
        value["detail"],
        json!({"level": "auto", "tiles": 5, "visual_tokens": 1485})
    );
    assert_eq!(value["timings_ms"]["total"], 900.25);
    for detail in Detail::ALL {
        assert_eq!(serde_json::to_value(detail).unwrap(), detail.name());
        assert_eq!(Detail::from_name(detail.name()), Some(detail));
    }
}
