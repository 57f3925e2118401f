//! "Did you mean": the nearest of the words that would have been right.

/// The candidate nearest to `found`, if it is near enough to be what was meant: at most one edit
/// in three characters, letter case, `-`, `_` and spaces aside.
pub(crate) fn nearest<'a>(
    found: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<String> {
    let found = fold(found);
    // No key, mode or id is this long; comparing would only cost time.
    if found.is_empty() || found.len() > 40 {
        return None;
    }
    candidates
        .into_iter()
        .map(|candidate| (edits(&found, &fold(candidate)), candidate))
        .filter(|(distance, candidate)| distance * 3 <= candidate.chars().count().max(3))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate.to_owned())
}

/// Folds what people mix up: case, separators, and a zero for the letter in `O6`.
fn fold(word: &str) -> Vec<char> {
    let mut folded: Vec<char> = word
        .chars()
        .take(64)
        .filter(|c| !matches!(c, '-' | '_' | ' ' | '.'))
        .flat_map(char::to_lowercase)
        .collect();
    if let Some(first @ '0') = folded.first_mut() {
        *first = 'o';
    }
    folded
}

/// Edit distance with swaps of neighbours (optimal string alignment).
fn edits(a: &[char], b: &[char]) -> usize {
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (i, &from) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, &to) in b.iter().enumerate() {
            let mut best = (last[j] + usize::from(from != to))
                .min(last[j + 1] + 1)
                .min(row[j] + 1);
            if i > 0 && j > 0 && from == b[j - 1] && a[i - 1] == to {
                best = best.min(before_last[j - 1] + 1);
            }
            row.push(best);
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_misses_are_found_and_strangers_are_not() {
        let modes = ["default", "non_violating", "sensitive", "removed"];
        assert_eq!(
            nearest("non-violating", modes).as_deref(),
            Some("non_violating")
        );
        assert_eq!(
            nearest("nonviolatign", modes).as_deref(),
            Some("non_violating")
        );
        assert_eq!(nearest("Sensitve", modes).as_deref(), Some("sensitive"));
        assert_eq!(nearest("allowed", modes), None);
        assert_eq!(nearest("", modes), None);
        assert_eq!(nearest("o6", ["O1", "O6"]).as_deref(), Some("O6"));
        assert_eq!(nearest("06", ["O1", "O6"]).as_deref(), Some("O6"));
        assert_eq!(nearest(&"x".repeat(100_000), modes), None);
    }

    #[test]
    fn a_swap_is_one_edit() {
        let chars = |word: &str| word.chars().collect::<Vec<_>>();
        assert_eq!(edits(&chars("tilte"), &chars("title")), 1);
        assert_eq!(edits(&chars("kitten"), &chars("sitting")), 3);
        assert_eq!(edits(&chars(""), &chars("abc")), 3);
    }
}
