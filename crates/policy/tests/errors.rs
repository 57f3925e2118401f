//! Every way a policy can be wrong, with the code and the place it is reported under.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use llavaguard_policy::{
    Base, MAX_CATEGORIES, MAX_DOCUMENT_BYTES, MAX_NAME_CHARS, MAX_PROMPT_BYTES, MAX_RULE_CHARS,
    MAX_RULES, MAX_TITLE_CHARS, Mode, Policy, PolicyError, Rules,
};
use serde_json::json;

fn error(json: &str) -> PolicyError {
    match Policy::from_json(json) {
        Ok(_) => panic!("accepted: {json}"),
        Err(error) => error,
    }
}

#[test]
fn errors_name_the_place_and_the_likely_meaning() {
    // Document, code, place, a part of the message.
    let table = [
        (
            "[]",
            "wrong_type",
            "",
            "the policy must be an object, not a list",
        ),
        (r#""O6""#, "wrong_type", "", "not a string"),
        (
            r#"{"bsae": "x"}"#,
            "unknown_key",
            "",
            "`bsae`. Did you mean `base`?",
        ),
        (
            r#"{"weather": 1}"#,
            "unknown_key",
            "",
            "`weather`. Remove it.",
        ),
        (
            r#"{"base": 1}"#,
            "wrong_type",
            "base",
            "must be a string, not a number",
        ),
        (
            r#"{"base": "llavaguard-v1,2"}"#,
            "unknown_base",
            "base",
            "mean `llavaguard-v1.2`?",
        ),
        (
            r#"{"base": "x"}"#,
            "unknown_base",
            "base",
            "Use llavaguard-v1.2, ",
        ),
        (r#"{"name": null}"#, "wrong_type", "name", "not null"),
        (r#"{"name": " "}"#, "empty_text", "name", "`name` is empty"),
        (
            r#"{"version": 1.0}"#,
            "wrong_type",
            "version",
            "must be a string",
        ),
        (
            r#"{"$schema": true}"#,
            "wrong_type",
            "$schema",
            "not a boolean",
        ),
        (
            r#"{"name": "a", "name": "b"}"#,
            "duplicate_key",
            "",
            "`name` twice",
        ),
        (
            r#"{"categories": []}"#,
            "wrong_type",
            "categories",
            "not a list",
        ),
        (
            r#"{"categories": {"O6": "default", "O6": "sensitive"}}"#,
            "duplicate_id",
            "categories.O6",
            "O6 is given twice",
        ),
        (
            r#"{"categories": {"O6": null}}"#,
            "wrong_type",
            "categories.O6",
            "a mode or an object",
        ),
        (
            r#"{"categories": {"O6": "non-violating"}}"#,
            "unknown_mode",
            "categories.O6",
            "`non-violating`. Did you mean `non_violating`?",
        ),
        (
            r#"{"categories": {"O6": "allowed"}}"#,
            "unknown_mode",
            "categories.O6",
            "Use default, non_violating, sensitive or removed.",
        ),
        (
            r#"{"categories": {"O6": {"mode": "removed"}}}"#,
            "unknown_mode",
            "categories.O6.mode",
            "Use default, non_violating or sensitive.",
        ),
        (
            r#"{"categories": {"O10": "sensitive"}}"#,
            "unknown_category",
            "categories.O10",
            "not a category of LlavaGuard v1.2. Did you mean `O1`?",
        ),
        (
            r#"{"categories": {"X77": "removed"}}"#,
            "unknown_category",
            "categories.X77",
            "To add it, give it a title",
        ),
        (
            r#"{"categories": {"o6": "default"}}"#,
            "invalid_id",
            "categories.o6",
            "Did you mean `O6`?",
        ),
        (
            r#"{"categories": {"Gam bling": "default"}}"#,
            "invalid_id",
            "categories[\"Gam bling\"]",
            "as in O10",
        ),
        (
            r#"{"categories": {"NA": "removed"}}"#,
            "invalid_id",
            "categories.NA",
            "capital",
        ),
        (
            r#"{"categories": {"O01": "removed"}}"#,
            "invalid_id",
            "categories.O01",
            "`O1`",
        ),
        (
            r#"{"categories": {"": {}}}"#,
            "invalid_id",
            "categories[\"\"]",
            "number",
        ),
        (
            r#"{"categories": {"O12": {"can": ["x"]}}}"#,
            "missing_title",
            "categories.O12",
            "Did you mean `O1`?",
        ),
        (
            r#"{"categories": {"O6": {}}}"#,
            "empty_category",
            "categories.O6",
            "has no rules",
        ),
        (
            r#"{"categories": {"O6": {"title": "T"}}}"#,
            "empty_category",
            "categories.O6",
            "or give a `mode`",
        ),
        (
            r#"{"categories": {"O6": {"can": [], "should_not": []}}}"#,
            "empty_category",
            "categories.O6",
            "has no rules",
        ),
        (
            r#"{"categories": {"O10": {"title": "T", "mode": "sensitive"}}}"#,
            "empty_category",
            "categories.O10",
            "has no rules",
        ),
        (
            r#"{"categories": {"O6": {"cann": ["x"]}}}"#,
            "unknown_key",
            "categories.O6",
            "Did you mean `can`?",
        ),
        (
            r#"{"categories": {"O6": {"can": ["x"], "can": ["y"]}}}"#,
            "duplicate_key",
            "categories.O6",
            "`can` twice",
        ),
        (
            r#"{"categories": {"O6": {"can": "x"}}}"#,
            "wrong_type",
            "categories.O6.can",
            "a list of rules",
        ),
        (
            r#"{"categories": {"O6": {"can": ["x", 2]}}}"#,
            "wrong_type",
            "categories.O6.can[1]",
            "not a number",
        ),
        (
            r#"{"categories": {"O6": {"should_not": ["x", "y", " "]}}}"#,
            "empty_text",
            "categories.O6.should_not[2]",
            "is empty",
        ),
        (
            r#"{"categories": {"O6": {"can": ["a\nO7: Cats: "]}}}"#,
            "control_character",
            "categories.O6.can[0]",
            "U+000A at character 1",
        ),
        (
            r#"{"categories": {"O6": {"can": ["a\u0085b"]}}}"#,
            "control_character",
            "categories.O6.can[0]",
            "U+0085",
        ),
        (
            r#"{"categories": {"O6": {"can": ["a\u2028b"]}}}"#,
            "control_character",
            "categories.O6.can[0]",
            "U+2028",
        ),
        (
            r#"{"name": "a\u202eb"}"#,
            "invisible_character",
            "name",
            "U+202E",
        ),
        (
            r#"{"name": "a\u200bb"}"#,
            "invisible_character",
            "name",
            "U+200B",
        ),
        (
            r#"{"name": "\udb40\udc41"}"#,
            "invisible_character",
            "name",
            "U+E0041",
        ),
        (
            r#"{"categories": {"O6": {"can": ["x", "a <|im_end|> b"]}}}"#,
            "chat_marker",
            "categories.O6.can[1]",
            "`<|`",
        ),
        (r#"{"name": "<IMAGE>"}"#, "chat_marker", "name", "`<image`"),
        (
            r#"{"categories": {"O6": {"mode": "default", "title": "<video>"}}}"#,
            "chat_marker",
            "categories.O6.title",
            "`<video`",
        ),
        (
            r#"{"categories": {"O6": {"mode": "default", "title": "a\"|\"b"}}}"#,
            "forbidden_character",
            "categories.O6.title",
            "contains `\"`",
        ),
    ];
    for (document, code, place, message) in table {
        let error = error(document);
        assert_eq!(error.code(), format!("policy.{code}"), "{document}");
        assert_eq!(error.place(), Some(place), "{document}");
        let said = error.to_string();
        assert!(said.contains(message), "{document}: {said}");
    }
}

#[test]
fn syntax_errors_give_line_and_column() {
    let error = error("{\n  \"base\": \"llavaguard-v1.2\",\n  \"name\" \"x\"\n}");
    assert_eq!(error.code(), "policy.not_json");
    assert!(
        matches!(
            error,
            PolicyError::NotJson {
                line: 3,
                column: 10,
                ..
            }
        ),
        "{error:?}"
    );
    assert!(
        error
            .to_string()
            .contains("line 3, column 10: expected `:`. Correct"),
        "{error}"
    );
    for document in [
        "",
        "null x",
        "{",
        "{\"a\":1,}",
        "\u{0}",
        "{\"name\": \"a\nb\"}",
    ] {
        assert_eq!(
            self::error(document).code(),
            "policy.not_json",
            "{document:?}"
        );
    }
    let deep = "[".repeat(100_000);
    assert_eq!(self::error(&deep).code(), "policy.not_json");
}

#[test]
fn limits_are_reached_and_not_passed() {
    let name = |chars| json!({ "name": "é".repeat(chars) }).to_string();
    assert!(Policy::from_json(&name(MAX_NAME_CHARS)).is_ok());
    let error_of = |document: serde_json::Value| error(&document.to_string());
    assert!(matches!(
        error(&name(MAX_NAME_CHARS + 1)),
        PolicyError::TextTooLong { place, chars, .. } if place == "name" && chars == MAX_NAME_CHARS + 1
    ));

    let title = |chars| {
        json!({"categories": {"O6": {"mode": "default", "title": "t".repeat(chars)}}}).to_string()
    };
    assert!(Policy::from_json(&title(MAX_TITLE_CHARS)).is_ok());
    assert_eq!(
        error(&title(MAX_TITLE_CHARS + 1)).place(),
        Some("categories.O6.title")
    );

    let rules = |count: usize, chars| {
        let rules = vec!["r".repeat(chars); count];
        let (should_not, can) = rules.split_at(count / 2);
        json!({"categories": {"O6": {"should_not": should_not, "can": can}}})
    };
    assert!(Policy::from_json(&rules(MAX_RULES, MAX_RULE_CHARS).to_string()).is_ok());
    assert_eq!(
        error_of(rules(MAX_RULES + 1, 1)).code(),
        "policy.too_many_rules"
    );
    assert_eq!(
        error_of(rules(2, MAX_RULE_CHARS + 1)).place(),
        Some("categories.O6.should_not[0]")
    );

    let many = |count: usize| {
        let added = (10..).take(count).map(|number| {
            (
                format!("O{number}"),
                json!({"title": "Title", "can": ["Contain this."]}),
            )
        });
        json!({ "categories": added.collect::<serde_json::Map<_, _>>() })
    };
    let most = Policy::from_json(&many(MAX_CATEGORIES - 9).to_string()).unwrap();
    assert_eq!(most.categories().len(), MAX_CATEGORIES);
    assert_eq!(
        error_of(many(MAX_CATEGORIES - 8)).code(),
        "policy.too_many_categories"
    );

    let long = vec!["r".repeat(MAX_RULE_CHARS); MAX_RULES];
    let full = json!({"categories": {"O1": {"can": long}, "O2": {"can": long}}});
    assert!(matches!(
        error_of(full),
        PolicyError::PromptTooLong { bytes, limit: MAX_PROMPT_BYTES } if bytes > MAX_PROMPT_BYTES
    ));
    let large = " ".repeat(MAX_DOCUMENT_BYTES) + "{}";
    assert_eq!(error(&large).code(), "policy.document_too_large");
}

#[test]
fn a_policy_needs_a_category() {
    let removed = |base: Base| {
        let ids = base
            .taxonomy()
            .categories
            .iter()
            .map(|category| category.id);
        ids.fold(Policy::builder(base), |builder, id| {
            builder.mode(id, Mode::Removed)
        })
    };
    for base in Base::ALL {
        assert_eq!(removed(base).build(), Err(PolicyError::NoCategories));
        let rules = Rules::new().should_not("Contain cats.");
        assert!(removed(base).add("S1", "Cats", rules).build().is_ok());
    }
    // Only the category its list does not name is left of the EU text.
    let unlisted = removed(Base::Eu).mode("O10", Mode::Default).build();
    assert_eq!(unlisted, Err(PolicyError::NoCategories));
}

#[test]
fn the_builder_is_as_strict_as_the_document() {
    let builder = || Policy::builder(Base::default());
    let code = |builder: llavaguard_policy::PolicyBuilder| builder.build().unwrap_err().code();
    assert_eq!(
        code(builder().mode("O66", Mode::Sensitive)),
        "policy.unknown_category"
    );
    assert_eq!(code(builder().title("O66", "T")), "policy.empty_category");
    assert_eq!(
        code(builder().rules("O6", Rules::new())),
        "policy.empty_category"
    );
    assert_eq!(
        code(builder().add("o10", "T", Rules::new().can("x"))),
        "policy.invalid_id"
    );
    assert_eq!(
        code(builder().rules("O6", Rules::new().can("a\nb"))),
        "policy.control_character"
    );
    assert_eq!(code(builder().name("")), "policy.empty_text");
}

#[test]
fn quoted_text_is_shortened_and_escaped() {
    let document = json!({ format!("\u{1b}[31m{}", "x".repeat(10_000)): 1 }).to_string();
    let said = error(&document).to_string();
    assert!(said.len() < 200 && !said.contains('\u{1b}'), "{said}");
    let document = json!({"categories": {"\n".repeat(10_000): "default"}}).to_string();
    let said = error(&document).to_string();
    assert!(said.len() < 300 && !said.contains('\n'), "{said}");
}

#[test]
fn v1_0_says_that_its_answers_cannot_be_decoded() {
    let error = Policy::published(Base::LlavaGuardV1_0)
        .answer_skeleton()
        .unwrap_err();
    assert_eq!(error.code(), "policy.undecodable_answer");
    for base in [Base::LlavaGuardV1_2, Base::LlavaGuardV1_1, Base::Eu] {
        assert!(Policy::published(base).answer_skeleton().is_ok());
    }
}
