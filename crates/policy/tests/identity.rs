//! Same rules, same bytes, same id.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use llavaguard_policy::{Base, Mode, PRESETS, Policy, Rules};
use sha2::{Digest, Sha256};

/// By the definition in the documentation, not by the code.
fn id_by_definition(policy: &Policy) -> String {
    let mut bytes = b"llavaguard-policy/1\n".to_vec();
    bytes.extend(policy.prompt_text().bytes());
    bytes.push(0);
    for category in policy.answer_categories() {
        bytes.extend(format!("{}\n", category.name).bytes());
    }
    Sha256::digest(&bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[test]
fn known_ids_do_not_change() {
    // Computed with Python's hashlib from the published prompt.
    assert_eq!(
        Policy::default().policy_id(),
        "3e951e9dd65011597e2c5250ad153f83363976299ef842edecb0c7ce31f0df0f"
    );
    for base in Base::ALL {
        let policy = Policy::published(base);
        assert_eq!(policy.policy_id(), id_by_definition(&policy));
    }
}

#[test]
fn form_name_and_version_do_not_matter() {
    let spellings = [
        r#"{"base": "llavaguard-v1.2", "categories": {"O6": "non_violating", "O1": "removed",
            "O10": {"title": "Gambling", "should_not": ["Contain dice."], "can": ["Contain chess."]}}}"#,
        r#"{"categories":{"O10":{"can":[" Contain chess. "],"mode":"default","should_not":["Contain dice."],
            "title":"Gambling "},"O1":"removed","O7":"default","O6":{"mode":"non_violating"}},
            "name":"Another","version":"7"}"#,
        "\u{feff}{\"$schema\": \"urn:x\", \"categories\": {\"O1\": \"removed\", \"O6\":
            {\"mode\": \"non_violating\", \"title\": \"Weapons or Substance \\u0041buse\"},
            \"O10\": {\"title\": \"Gambling\", \"should_not\": [\"Contain dice.\"], \"can\": [\"Contain chess.\"]}}}",
    ];
    let built = Policy::builder(Base::default())
        .add(
            "O10",
            "Gambling",
            Rules::new()
                .should_not("Contain dice.")
                .can("Contain chess."),
        )
        .mode("O1", Mode::Removed)
        .mode("O6", Mode::NonViolating)
        .build()
        .unwrap();
    for spelling in spellings {
        let policy = Policy::from_json(spelling).unwrap();
        assert_eq!(policy.prompt_text(), built.prompt_text());
        assert_eq!(policy.policy_id(), built.policy_id());
        assert_eq!(policy.policy_id(), id_by_definition(&policy));
        assert_eq!(policy.categories(), built.categories());
    }
}

#[test]
fn every_change_of_rules_changes_the_id() {
    let mut ids = std::collections::HashSet::new();
    for base in Base::ALL {
        assert!(ids.insert(Policy::published(base).policy_id().to_owned()));
        for category in &base.taxonomy().categories {
            for mode in [Mode::NonViolating, Mode::Sensitive, Mode::Removed] {
                let policy = Policy::builder(base)
                    .mode(category.id, mode)
                    .build()
                    .unwrap();
                assert!(
                    ids.insert(policy.policy_id().to_owned()),
                    "{base:?} {category:?} {mode:?}"
                );
            }
        }
    }
}

#[test]
fn canonical_documents_read_back() {
    for preset in PRESETS {
        let policy = Policy::from_json(preset.json).unwrap();
        let written = policy.to_json();
        assert_eq!(
            Policy::from_json(&written).unwrap(),
            policy,
            "{}",
            preset.id
        );
        assert_eq!(Policy::from_json(&written).unwrap().to_json(), written);
        assert_eq!(policy.to_builder().build().unwrap(), policy);
    }
    assert_eq!(
        Policy::default().to_json(),
        "{\n  \"base\": \"llavaguard-v1.2\"\n}\n"
    );
}

#[test]
fn canonical_documents_keep_the_natural_order() {
    for preset in PRESETS {
        // The presets are written by hand, in the order people read them in.
        let policy = Policy::from_json(preset.json).unwrap();
        assert_eq!(policy.to_json(), preset.json, "{}", preset.id);
    }
    let ids = (1..=12).rev().map(|number| format!("O{number}"));
    let every = ids.fold(Policy::builder(Base::default()), |builder, id| {
        let title = format!("Title of {id}");
        if id.len() == 3 {
            builder.add(&id, title, Rules::new().should_not("Be here."))
        } else {
            builder.title(&id, title)
        }
    });
    let written = every.build().unwrap().to_json();
    let places: Vec<usize> = (1..=12)
        .map(|number| written.find(&format!("\"O{number}\":")).unwrap())
        .collect();
    assert!(places.is_sorted(), "{written}");
}

#[test]
fn modes_can_be_switched_back_and_forth() {
    let museum = Policy::builder(Base::default())
        .mode("O6", Mode::NonViolating)
        .build()
        .unwrap();
    let back = museum
        .to_builder()
        .mode("O6", Mode::Default)
        .build()
        .unwrap();
    assert_eq!(back, Policy::default());
    assert_eq!(
        museum.to_builder().reset("O6").build().unwrap(),
        Policy::default()
    );

    let school = Policy::from_json(PRESETS[1].json).unwrap();
    let off = school
        .to_builder()
        .mode("O10", Mode::NonViolating)
        .build()
        .unwrap();
    assert_ne!(off.policy_id(), school.policy_id());
    let on = off.to_builder().mode("O10", Mode::Default).build().unwrap();
    assert_eq!(on, school);
    let gone = school
        .to_builder()
        .mode("O10", Mode::Removed)
        .build()
        .unwrap();
    assert_eq!(gone.categories().len(), 9);
    let renamed = museum
        .to_builder()
        .title("O6", "Arms")
        .mode("O6", Mode::Removed);
    let renamed = renamed.build().unwrap();
    assert_eq!(Policy::from_json(&renamed.to_json()).unwrap(), renamed);
}
