//! The composed text against the published prompts, byte for byte.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use llavaguard_policy::{Base, ChatWrapping, Mode, Policy, Rules, Segment};
use serde_json::Value;

const V1_2: &str = include_str!("../data/llavaguard-v1.2-prompt.txt");
const V1_1: &str = include_str!("../data/llavaguard-v1.1-prompt.txt");
const V1_0: &str = include_str!("../data/llavaguard-v1.0-prompt.txt");
const EU: &str = include_str!("../data/eu-prompt.txt");
const PARTS: &str = include_str!("../data/llavaguard-v1.2-parts.json");

fn without_image_line(prompt: &str) -> String {
    assert!(prompt.matches("<image>\n").count() <= 1);
    prompt.replace("<image>\n", "")
}

fn with_mode(base: Base, id: &str, mode: Mode) -> Policy {
    Policy::builder(base).mode(id, mode).build().unwrap()
}

#[test]
fn unchanged_bases_are_the_published_prompts() {
    for (base, published) in [
        (Base::LlavaGuardV1_2, V1_2),
        (Base::LlavaGuardV1_1, V1_1),
        (Base::LlavaGuardV1_0, V1_0),
    ] {
        assert!(published.contains("<image>\n"));
        assert_eq!(
            Policy::published(base).prompt_text(),
            without_image_line(published),
            "{base:?}"
        );
    }
    assert_eq!(Policy::published(Base::Eu).prompt_text(), EU);
    assert_eq!(Policy::default().prompt_text().len(), 5513);
}

#[test]
fn an_empty_document_is_the_default_policy() {
    assert_eq!(Policy::from_json("{}").unwrap(), Policy::default());
    for base in Base::ALL {
        assert_eq!(
            Policy::builder(base).build().unwrap(),
            Policy::published(base)
        );
    }
}

#[test]
fn every_published_category_text_comes_out_in_every_mode() {
    let parts: Value = serde_json::from_str(PARTS).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let tail = without_image_line(&text(&parts["tail_v20"]));
    let categories = parts["categories"].as_array().unwrap();
    assert_eq!(categories.len(), 9);
    for (mode, part) in [
        (Mode::Default, "default"),
        (Mode::NonViolating, "non_violating"),
        (Mode::Sensitive, "sensitive"),
    ] {
        for changed in categories {
            let id = &text(&changed["name"])[..2];
            let mut expected = text(&parts["start_v16"]);
            for category in categories {
                let part = if category == changed { part } else { "default" };
                expected += &format!("{}: \n{}\n", text(&category["name"]), text(&category[part]));
            }
            expected += &tail;
            let policy = with_mode(Base::LlavaGuardV1_2, id, mode);
            assert_eq!(policy.prompt_text(), expected, "{id} {mode:?}");
        }
    }
}

#[test]
fn v1_0_is_declared_in_its_own_words() {
    let policy = with_mode(Base::LlavaGuardV1_0, "O2", Mode::NonViolating);
    // The stray plus sign is in the text the model was trained on.
    assert!(policy.prompt_text().contains(
        "O2: Violence, Harm or Cruelty: \nCategory O2 is declared as non-violating. Therefore, we \
         do not provide any restrictions for this category and allow any content of this category \
         e.g.\n - Display people planning or engaging in violence.\n - Display content that \
         encourages people to engage in violence or cruelty, including harm to others.\n - Display \
         educational content that provides information on violence, harm, and cruelty.\n - Discuss \
         historical events involving violence and cruelty.+\n \nO3: "
    ));
}

#[test]
fn the_list_names_what_an_answer_can_name() {
    for base in Base::ALL {
        let added = Rules::new().should_not("Contain content of people gambling.");
        for policy in [
            Policy::published(base),
            with_mode(base, "O3", Mode::Removed),
            Policy::builder(base)
                .add("O11", "Gambling", added)
                .build()
                .unwrap(),
        ] {
            let names: Vec<String> = policy
                .answer_categories()
                .iter()
                .map(|c| format!("\"{}\"", c.name))
                .collect();
            let list = format!("category\": str<{}>,\n", names.join("|"));
            assert!(policy.prompt_text().contains(&list), "{base:?}: {list}");
            assert_eq!(names.last().unwrap(), "\"NA: None applying\"");
        }
    }
    let ids = |base| {
        let categories = Policy::published(base).answer_categories();
        categories
            .into_iter()
            .map(|c| c.id)
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(ids(Base::LlavaGuardV1_2), "O1 O2 O3 O4 O5 O6 O7 O8 O9 NA");
    assert_eq!(ids(Base::LlavaGuardV1_0), "O1 O2 O3 O4 O5 O6 O7 O8 O9 NA");
    // As published: the EU body has an O10, the list has not.
    assert_eq!(ids(Base::Eu), "O1 O2 O3 O4 O5 O6 O7 O8 O9 NA");
    assert_eq!(Policy::published(Base::Eu).categories().len(), 10);
}

#[test]
fn a_removed_category_leaves_body_and_list() {
    let policy = with_mode(Base::LlavaGuardV1_2, "O6", Mode::Removed);
    let body = V1_2.find("O6: Weapons").unwrap()..V1_2.find("O7: Self-Harm: \n").unwrap();
    let mut expected = without_image_line(V1_2);
    expected.replace_range(body, "");
    let expected = expected.replace("|\"O6: Weapons or Substance Abuse\"", "");
    assert_eq!(policy.prompt_text(), expected);
    assert!(!policy.prompt_text().contains("O6"));

    let last = with_mode(Base::LlavaGuardV1_2, "O9", Mode::Removed);
    assert!(last.prompt_text().contains("cruelty.\n\nAssessment Steps:"));
    assert!(
        last.prompt_text()
            .contains("|\"O8: Animal Cruelty\"|\"NA: None applying\">")
    );
    let first = with_mode(Base::LlavaGuardV1_2, "O1", Mode::Removed);
    assert!(first.prompt_text().contains("policy categories:\nO2: "));
    assert!(first.prompt_text().contains("str<\"O2: Violence"));
}

#[test]
fn renamed_and_added_categories_stand_in_body_and_list() {
    let policy = Policy::from_json(
        r#"{"categories": {
            "O11": {"title": "Café", "can": ["Contain coffee."]},
            "O10": {"title": "Gambling", "should_not": [" Contain dice. ", "Contain bets."],
                    "can": ["Contain cards."]},
            "O6": {"title": "Firearms", "mode": "default"},
            "O3": {"should_not": ["Contain kisses."]}
        }}"#,
    )
    .unwrap();
    let text = policy.prompt_text();
    assert!(text.contains(
        "emergencies.\n\nO10: Gambling: \nShould not:\n- Contain dice.\n- Contain \
         bets.\nCan:\n- Contain cards.\n\nO11: Café: \nCan:\n- Contain coffee.\n\nAssessment Steps:"
    ));
    assert!(text.contains("O3: Sexual Content: \nShould not:\n- Contain kisses.\n\nO4: "));
    assert!(text.contains("O6: Firearms: \nShould not:\n- Contain content of illegal weapons"));
    assert!(text.contains(
        "\"O3: Sexual Content\"|\"O4: Nudity Content\"|\"O5: Criminal Planning\"|\"O6: \
         Firearms\"|\"O7: Self-Harm\"|\"O8: Animal Cruelty\"|\"O9: Disasters or \
         Emergencies\"|\"O10: Gambling\"|\"O11: Café\"|\"NA: None applying\">"
    ));
    assert!(!text.contains("Weapons or Substance Abuse"));
}

#[test]
fn own_rules_can_be_declared_too() {
    let rules = Rules::new()
        .should_not("Contain dice.")
        .can("Contain cards.");
    let policy = Policy::builder(Base::default())
        .add("O10", "Gambling", rules)
        .mode("O10", Mode::NonViolating)
        .build()
        .unwrap();
    assert!(policy.prompt_text().contains(
        "O10: Gambling: \nCategory O10 is declared as non-violating. Therefore, we do not provide \
         any restrictions for this category and allow any content of this category e.g.\n - \
         Contain dice.\n - Contain cards.\n \nAssessment Steps:"
    ));
}

#[test]
fn training_wrapping_is_that_of_training() {
    let stripped = without_image_line(V1_2);
    let expected = format!(
        "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\n\
         <image>\n{}<|im_end|>\n<|im_start|>assistant\n",
        stripped.strip_suffix('\n').unwrap()
    );
    assert_eq!(ChatWrapping::Training.render(&Policy::default()), expected);
    let eu = ChatWrapping::Training.render(&Policy::published(Base::Eu));
    assert!(eu.contains("<image>\nProvide a safety") && eu.contains("\n}<|im_end|>"));
}

#[test]
fn hugging_face_wrapping_is_that_of_its_chat_template() {
    let expected = format!(
        "<|im_start|>user\n<image>\n{}<|im_end|>\n<|im_start|>assistant\n",
        without_image_line(V1_2)
    );
    assert_eq!(
        ChatWrapping::HuggingFace.render(&Policy::default()),
        expected
    );
    let eu = ChatWrapping::HuggingFace.render(&Policy::published(Base::Eu));
    assert!(eu.contains("<image>\n\nProvide a safety") && eu.contains("\n}\n<|im_end|>"));
}

#[test]
fn segments_split_at_specials_and_image() {
    let policy = Policy::default();
    let text = |text: &str| Segment::Text(text.to_owned());
    assert_eq!(
        ChatWrapping::Training.prefix_segments(),
        [
            Segment::Special("<|im_start|>"),
            text("system\nYou are a helpful assistant."),
            Segment::Special("<|im_end|>"),
            text("\n"),
            Segment::Special("<|im_start|>"),
            text("user\n"),
            Segment::Image,
        ]
    );
    for wrapping in ChatWrapping::ALL {
        let all = wrapping.segments(&policy);
        let image = all
            .iter()
            .position(|segment| *segment == Segment::Image)
            .unwrap();
        let (prefix, suffix) = all.split_at(image + 1);
        assert_eq!(prefix, wrapping.prefix_segments());
        assert_eq!(suffix, wrapping.suffix_segments(&policy));
        assert_eq!(suffix.last(), Some(&text("assistant\n")));
        assert_eq!(ChatWrapping::from_name(wrapping.name()), Some(wrapping));
    }
}

#[test]
fn names_are_the_same_in_json() {
    for base in Base::ALL {
        assert_eq!(serde_json::to_value(base).unwrap(), base.id());
        assert_eq!(Base::from_id(base.id()), Some(base));
    }
    for mode in Mode::ALL {
        assert_eq!(serde_json::to_value(mode).unwrap(), mode.name());
    }
    for wrapping in ChatWrapping::ALL {
        assert_eq!(serde_json::to_value(wrapping).unwrap(), wrapping.name());
    }
}
