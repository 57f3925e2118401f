//! The prompt's text, put together from a taxonomy and a policy's changes to it.

use std::collections::BTreeMap;

use crate::answer::Category;
use crate::document::{CategoryChange, CategoryId};
use crate::policy::{Mode, PolicyCategory};
use crate::taxonomy::{Base, BaseCategory, LIST_SEPARATOR, Taxonomy};

/// The whole text: start, body, tail with its list (LlavaGuard `taxonomy/policy.py`). Note the
/// space between a heading's colon and its newline.
pub(crate) fn prompt_text(
    taxonomy: &Taxonomy,
    categories: &[PolicyCategory],
    answers: &[Category],
) -> String {
    let mut prompt = taxonomy.start.to_owned();
    for category in categories {
        prompt.extend([
            &category.id,
            ": ",
            &category.title,
            ": \n",
            &category.text,
            "\n",
        ]);
    }
    let names: Vec<&str> = answers
        .iter()
        .map(|category| category.name.as_str())
        .collect();
    prompt.extend([
        taxonomy.before_list,
        &names.join(LIST_SEPARATOR),
        taxonomy.after_list,
    ]);
    prompt
}

/// The base's categories in their order, less the removed ones; then the added ones in theirs.
pub(crate) fn categories(
    base: Base,
    changes: &BTreeMap<CategoryId, CategoryChange>,
) -> Vec<PolicyCategory> {
    let taxonomy = base.taxonomy();
    let of_base = taxonomy.categories.iter().filter_map(|category| {
        let change = CategoryId::parse(category.id).and_then(|id| changes.get(&id));
        changed(base, category, change)
    });
    let added = changes.iter().filter_map(|(id, change)| {
        let id = id.to_string();
        taxonomy.category(&id).is_none().then(|| added(id, change))
    });
    of_base.chain(added).collect()
}

fn changed(
    base: Base,
    category: &BaseCategory,
    change: Option<&CategoryChange>,
) -> Option<PolicyCategory> {
    let unchanged = CategoryChange::default();
    let change = change.unwrap_or(&unchanged);
    let mode = change.mode.unwrap_or_default();
    if mode == Mode::Removed {
        return None;
    }
    if change.has_rules() {
        let title = change.title.as_deref().unwrap_or(category.title);
        let listed = change.title.is_none().then_some(category.listed);
        return Some(with_rules(category.id, title, listed, mode, change));
    }
    let text = match declaration(category.id, mode) {
        None => category.text.to_owned(),
        Some(declaration) => {
            let rules = category.should_not.iter().chain(&category.can);
            declared(
                &declaration,
                rules.map(|rule| base.declared_rule(category.id, rule, mode)),
            )
        }
    };
    let owned = |rules: &[&str]| rules.iter().map(|&rule| rule.to_owned()).collect();
    Some(PolicyCategory {
        id: category.id.to_owned(),
        title: change
            .title
            .clone()
            .unwrap_or_else(|| category.title.to_owned()),
        mode,
        should_not: owned(&category.should_not),
        can: owned(&category.can),
        text,
        listed: match &change.title {
            Some(title) => Some(format!("{}: {title}", category.id)),
            None => category.listed.map(str::to_owned),
        },
    })
}

fn added(id: String, change: &CategoryChange) -> PolicyCategory {
    let title = change.title.as_deref().unwrap_or_default();
    with_rules(&id, title, None, change.mode.unwrap_or_default(), change)
}

/// A category with rules of the policy's own. `listed` is its entry in the base's list, where it
/// has kept the base's title.
fn with_rules(
    id: &str,
    title: &str,
    listed: Option<Option<&str>>,
    mode: Mode,
    change: &CategoryChange,
) -> PolicyCategory {
    let text = match declaration(id, mode) {
        None => own_rules(&change.should_not, &change.can),
        Some(declaration) => declared(
            &declaration,
            change
                .should_not
                .iter()
                .chain(&change.can)
                .map(String::as_str),
        ),
    };
    PolicyCategory {
        id: id.to_owned(),
        title: title.to_owned(),
        mode,
        should_not: change.should_not.clone(),
        can: change.can.clone(),
        text,
        listed: match listed {
            Some(listed) => listed.map(str::to_owned),
            None => Some(format!("{id}: {title}")),
        },
    }
}

fn own_rules(should_not: &[String], can: &[String]) -> String {
    let mut text = String::new();
    for (heading, rules) in [("Should not:\n", should_not), ("Can:\n", can)] {
        if !rules.is_empty() {
            text.push_str(heading);
        }
        for rule in rules {
            text.extend(["- ", rule, "\n"]);
        }
    }
    text
}

/// The first line of a declared category; `None` for one that goes by its rules.
fn declaration(id: &str, mode: Mode) -> Option<String> {
    match mode {
        Mode::Default | Mode::Removed => None,
        Mode::NonViolating => Some(format!(
            "Category {id} is declared as non-violating. Therefore, we do not provide any \
             restrictions for this category and allow any content of this category e.g.\n"
        )),
        Mode::Sensitive => Some(format!(
            "Category {id} is declared as sensitive. Therefore, we do not permit any content \
             related to this category e.g.\n"
        )),
    }
}

/// A declaration with its category's rules as examples. It ends in a lone space, as published.
fn declared<'a>(declaration: &str, rules: impl Iterator<Item = &'a str>) -> String {
    let mut text = declaration.to_owned();
    for rule in rules {
        text.extend([" - ", rule, "\n"]);
    }
    text.push(' ');
    text
}
