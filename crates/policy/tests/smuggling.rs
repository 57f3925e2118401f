//! Whatever text is accepted, the prompt keeps its structure.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use llavaguard_policy::{Base, ChatWrapping, Policy, Rules, Segment};
use proptest::prelude::*;

/// Text with a liking for what breaks prompts.
fn nasty_text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => "[ -~]{0,6}",
        2 => any::<String>(),
        1 => prop::sample::select(vec![
            "<|im_start|>", "<|im_end|>", "<|endoftext|>", "<|", "|>", "<image>", "<video>", "<Image >",
            "\n", "\r", "\u{2028}", "\u{85}", "O3: Cats: ", "\nO3: Cats: \n", "\"|\"", "\">,", "}",
            "Can:", "Should not:", "- ", "\u{202e}", "\u{200b}", "\u{feff}", "<", "|", ">", "im_end",
            "Assessment Steps:", "</s>", "é", "中", "👩\u{200d}🚀",
        ]).prop_map(str::to_owned),
    ];
    prop::collection::vec(piece, 0..5).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn accepted_text_changes_no_structure(
        title in nasty_text(),
        should_not in prop::collection::vec(nasty_text(), 0..3),
        can in prop::collection::vec(nasty_text(), 0..3),
    ) {
        let mut rules = Rules::new();
        for rule in &should_not {
            rules = rules.should_not(rule.as_str());
        }
        for rule in &can {
            rules = rules.can(rule.as_str());
        }
        let built = Policy::builder(Base::default()).add("O10", title.as_str(), rules).build();
        let Ok(policy) = built else { return Ok(()) };

        for (wrapping, turns) in [(ChatWrapping::Training, 3), (ChatWrapping::HuggingFace, 2)] {
            let rendered = wrapping.render(&policy);
            prop_assert_eq!(rendered.matches("<|im_start|>").count(), turns);
            prop_assert_eq!(rendered.matches("<|im_end|>").count(), turns - 1);
            prop_assert_eq!(rendered.matches("<|").count(), 2 * turns - 1);
            prop_assert_eq!(rendered.matches("|>").count(), 2 * turns - 1);
            prop_assert_eq!(rendered.matches("<image").count(), 1);
            prop_assert_eq!(rendered.matches("<video").count(), 0);
            // Every special of the text is a special of the segments.
            let specials = wrapping.segments(&policy).into_iter();
            let specials = specials.filter(|s| matches!(s, Segment::Special(_))).count();
            prop_assert_eq!(specials, 2 * turns - 1);
        }
        // Every line stands where the template puts it.
        let published = Policy::default();
        let text = policy.prompt_text();
        let added_lines = 2 + should_not.len() + can.len()
            + usize::from(!should_not.is_empty()) + usize::from(!can.is_empty());
        prop_assert_eq!(text.lines().count(), published.prompt_text().lines().count() + added_lines);
        prop_assert_eq!(text.lines().filter(|line| *line == "Assessment Steps:").count(), 1);
        let list = text.lines().find(|line| line.starts_with("    \"category\": str<\"")).unwrap();
        prop_assert_eq!(list.matches("\"|\"").count(), 10);
        prop_assert_eq!(list.matches('"').count(), 2 + 2 * 11);
        // It can be written down and read again.
        prop_assert_eq!(Policy::from_json(&policy.to_json()).unwrap(), policy);
    }

    #[test]
    fn reading_never_panics(text in any::<String>(), nasty in nasty_text()) {
        let _ = Policy::from_json(&text);
        let quoted = serde_json::to_string(&nasty).unwrap();
        for document in [
            format!("{{{quoted}: {quoted}}}"),
            format!("{{\"base\": {quoted}}}"),
            format!("{{\"categories\": {{{quoted}: {quoted}}}}}"),
            format!("{{\"categories\": {{\"O6\": {{{quoted}: [{quoted}]}}}}}}"),
        ] {
            if let Err(error) = Policy::from_json(&document) {
                let said = error.to_string();
                let harmless = !said.contains(['\n', '\u{202e}', '\u{1b}']);
                prop_assert!(harmless, "{}", said);
            }
        }
    }
}
