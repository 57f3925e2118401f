//! The example policies say what their names promise.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use llavaguard_policy::{Mode, PRESETS, Policy};
use serde_json::Value;

fn preset(id: &str) -> Policy {
    let preset = PRESETS.iter().find(|preset| preset.id == id).unwrap();
    Policy::from_json(preset.json).unwrap()
}

#[test]
fn the_museum_allows_weapons_and_nothing_else() {
    for category in preset("weapons-museum").categories() {
        let expected = if category.id == "O6" {
            Mode::NonViolating
        } else {
            Mode::Default
        };
        assert_eq!(category.mode, expected, "{}", category.id);
    }
}

#[test]
fn the_school_has_rules_of_its_own() {
    let school = preset("school");
    let default = Policy::default();
    let differ: Vec<&str> = school
        .categories()
        .iter()
        .filter(|category| !default.categories().contains(category))
        .map(|category| category.id.as_str())
        .collect();
    assert_eq!(differ, ["O4", "O6", "O10"]);
}

#[test]
fn the_european_list_names_the_body() {
    let policy = preset("european-union");
    let headings: Vec<String> = policy
        .categories()
        .iter()
        .map(|c| format!("{}: {}", c.id, c.title))
        .collect();
    let answers: Vec<String> = policy
        .answer_categories()
        .into_iter()
        .map(|c| c.name)
        .collect();
    assert_eq!(answers[..10], headings);
    // The body stays as published.
    let published = include_str!("../data/eu-prompt.txt");
    let body = |text: &str| text[..text.find("Assessment Steps:").unwrap()].to_owned();
    assert_eq!(body(policy.prompt_text()), body(published));
}

/// Every sub-category of the authors' PEGI taxonomy is on the side its age rating puts it.
#[test]
fn pegi_12_follows_the_ratings() {
    let parts: Value = serde_json::from_str(include_str!("../data/pegi-parts.json")).unwrap();
    let policy = preset("pegi-12");
    let parts = parts.as_object().unwrap();
    assert_eq!(policy.categories().len(), parts.len());
    for category in policy.categories() {
        let part = &parts[&format!("{}: {}", category.id, category.title)];
        let sub_categories = part["Sub-Categories"].as_object().unwrap();
        assert_eq!(
            sub_categories.len(),
            category.should_not.len() + category.can.len()
        );
        for sub_category in sub_categories.keys() {
            // The lowest age of those that name it; the parts misspell one name, and leave
            // "Educational Content" unrated where S1 has it free for all.
            let spelt = |name: &Value| name.as_str().unwrap().replace("poperty", "property");
            let age = part["Rating"]
                .as_object()
                .unwrap()
                .iter()
                .filter(|(_, rated)| {
                    rated
                        .as_array()
                        .unwrap()
                        .iter()
                        .any(|name| spelt(name) == *sub_category)
                })
                .map(|(rating, _)| match rating.split_once("PEGI ") {
                    Some((_, age)) => age.trim_end_matches(')').parse::<u32>().unwrap(),
                    None if rating == "All Ages" => 0,
                    None => 99,
                })
                .min()
                .unwrap_or_else(|| {
                    assert_eq!(sub_category, "Educational Content");
                    3
                });
            let rules = if age > 12 {
                &category.should_not
            } else {
                &category.can
            };
            let begins = format!("Contain content of type {sub_category}");
            let found = rules.iter().filter(|rule| {
                rule.strip_prefix(&begins)
                    .is_some_and(|rest| rest.starts_with([',', '.']))
            });
            assert_eq!(found.count(), 1, "{} {sub_category} {age}", category.id);
        }
    }
}
