// The running state of a softmax over keys: the highest score, the weights' sum relative to it, and
// (elsewhere) the sum of weighted values. Keys are taken in chunks of ATTENTION_CHUNK; a chunk
// starts from nothing and is then merged into what came before, whoever computes it, so that a row's
// bits do not depend on how the work was shared.

// Lower than any score; an infinity might be assumed away by a compiler.
const LOWEST: f32 = -3.0e38;

struct Merge {
    highest: f32,
    // Factors for what was there and for what is added.
    old: f32,
    fresh: f32,
}

fn factor(score: f32, highest: f32) -> f32 {
    return select(exp(score - highest), 1.0, score == highest);
}

fn merge(old: f32, fresh: f32) -> Merge {
    let highest = max(old, fresh);
    return Merge(highest, factor(old, highest), factor(fresh, highest));
}
