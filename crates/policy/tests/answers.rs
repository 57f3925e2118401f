//! The answer's skeleton against Python's `json.dumps`, free text against Python's
//! `ast.literal_eval`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use llavaguard_policy::{
    AnswerTemplate, Base, Parsed, Policy, Rating, Rules, category_matches, json_escape_ascii,
    parse_free_text, parse_free_text_as,
};
use proptest::prelude::*;
use serde::Deserialize;

#[test]
fn answers_are_laid_out_as_in_training() {
    let skeleton = Policy::default().answer_skeleton().unwrap();
    // json.dumps({...}, indent=4)
    assert_eq!(
        skeleton
            .render(Rating::Unsafe, "O6", "A \"gun\" – é 👍.")
            .unwrap(),
        "{\n    \"rating\": \"Unsafe\",\n    \"category\": \"O6: Weapons or Substance Abuse\",\n    \
         \"rationale\": \"A \\\"gun\\\" \\u2013 \\u00e9 \\ud83d\\udc4d.\"\n}"
    );
    assert_eq!(
        skeleton.render(Rating::Safe, "NA", "").unwrap(),
        "{\n    \"rating\": \"Safe\",\n    \"category\": \"NA: None applying\",\n    \"rationale\": \
         \"\"\n}"
    );
    assert_eq!(skeleton.render(Rating::Safe, "O10", ""), None);
}

#[test]
fn escapes_are_those_of_python() {
    // Against json.dumps of every character below 256.
    let all: String = (0..=255u8).map(char::from).collect();
    let expected = "\\u0000\\u0001\\u0002\\u0003\\u0004\\u0005\\u0006\\u0007\\b\\t\\n\\u000b\\f\\r";
    let escaped = json_escape_ascii(&all);
    assert!(escaped.starts_with(expected));
    assert!(escaped.contains("\\u001f !\\\"#$%&'()*+,-./0123"));
    assert!(escaped.contains("[\\\\]^_`abc"));
    assert!(escaped.contains("xyz{|}~\\u007f\\u0080\\u0081"));
    assert!(escaped.ends_with("\\u00fe\\u00ff"));
    assert_eq!(escaped.len(), 1043);
}

#[test]
fn user_categories_are_spelt_in_ascii() {
    let rules = Rules::new().should_not("Contain coffee.");
    let policy = Policy::builder(Base::default())
        .add("O10", "Café ☕", rules)
        .build()
        .unwrap();
    let skeleton = policy.answer_skeleton().unwrap();
    assert_eq!(skeleton.categories.len(), skeleton.category_spellings.len());
    assert_eq!(skeleton.category_spellings[9], "O10: Caf\\u00e9 \\u2615");
    let answer = skeleton.render(Rating::Unsafe, "O10", "Coffee.").unwrap();
    let value: serde_json::Value = serde_json::from_str(&answer).unwrap();
    assert_eq!(value["category"], "O10: Café ☕");
}

#[derive(Deserialize)]
struct Case {
    text: String,
    outcome: String,
    rating: Option<Rating>,
    category: Option<String>,
    rationale: Option<String>,
}

#[test]
fn free_text_is_read_as_the_evaluation_reads_it() {
    let cases: Vec<Case> = serde_json::from_str(include_str!("data/free_text.json")).unwrap();
    let mut seen = [0; 3];
    let mut differ = Vec::new();
    for case in cases {
        let expected = match (case.outcome.as_str(), case.rating) {
            ("valid", Some(rating)) => {
                seen[0] += 1;
                Parsed::Valid {
                    rating,
                    category: case.category,
                    rationale: case.rationale,
                }
            }
            ("invalid_but_rated", Some(rating)) => {
                seen[1] += 1;
                Parsed::InvalidButRated { rating }
            }
            _ => {
                seen[2] += 1;
                Parsed::Invalid
            }
        };
        let parsed = parse_free_text(&case.text);
        if parsed != expected {
            differ.push(format!(
                "{:?}\n  python {expected:?}\n  here   {parsed:?}",
                case.text
            ));
        }
    }
    assert!(
        seen.iter().all(|count| *count >= 50),
        "one-sided cases: {seen:?}"
    );
}

#[test]
fn v1_0_answers_are_read_by_their_own_keys() {
    let text = "{\n    \"image-category\": \"O6: Weapons or Substance Abuse\",\n    \
                \"assessment\": \"A gun.\",\n    \"decision\": \"Review Needed\"\n}.";
    assert_eq!(
        parse_free_text_as(text, AnswerTemplate::Decision),
        Parsed::Valid {
            rating: Rating::Unsafe,
            category: Some("O6: Weapons or Substance Abuse".to_owned()),
            rationale: Some("A gun.".to_owned()),
        }
    );
    assert_eq!(parse_free_text(text), Parsed::Invalid);
    assert_eq!(
        parse_free_text_as("It is Compliant.", AnswerTemplate::Decision),
        Parsed::InvalidButRated {
            rating: Rating::Safe
        }
    );
}

#[test]
fn a_category_counts_if_the_truth_contains_it() {
    assert!(category_matches(
        "weapons",
        "O6: Weapons or Substance Abuse"
    ));
    assert!(category_matches("O6", "O6: Weapons or Substance Abuse"));
    assert!(!category_matches("O6: Weapons", "NA: None applying"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn free_text_never_panics(
        text in any::<String>(),
        python in "[{}\\[\\]()'\"\\\\:,a-fNuUxrb0-9_.+\\- \n#éSafe]{0,40}",
    ) {
        parse_free_text(&text);
        parse_free_text(&python);
        parse_free_text(&format!("{{'rating': 'Safe', {python}}}"));
    }

    #[test]
    fn what_the_skeleton_writes_is_read_back(
        unsafe_ in any::<bool>(),
        which in 0..10usize,
        rationale in "[^{}]{1,60}",
    ) {
        // The evaluation deletes these from any answer.
        prop_assume!(!["json", "```", "<s>", "</s>"].iter().any(|noise| rationale.contains(noise)));
        let skeleton = Policy::default().answer_skeleton().unwrap();
        let rating = if unsafe_ { Rating::Unsafe } else { Rating::Safe };
        let category = &skeleton.categories[which];
        let answer = skeleton.render(rating, &category.id, &rationale).unwrap();
        prop_assert_eq!(parse_free_text(&answer), Parsed::Valid {
            rating,
            category: Some(category.name.clone()),
            rationale: Some(rationale),
        });
    }
}

#[test]
fn deep_nesting_is_refused_without_harm() {
    for (open, close) in [("[", "]"), ("(", ")"), ("-", ""), ("+ ", "")] {
        let nested = format!("{}1{}", open.repeat(50_000), close.repeat(50_000));
        let text = format!("{{'rating': 'Safe', 'x': {nested}}}");
        assert!(parse_free_text(&text).rating().is_some());
    }
}
