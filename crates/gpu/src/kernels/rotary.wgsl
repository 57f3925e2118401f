// Rotary position embedding in place: a thread turns one pair of one head. Cosines and sines come
// from a table, since WGSL promises little about those of large angles.

struct Rotary {
    rows: u32,
    stride: u32,
    half: u32,
    // Pairs of a row.
    pairs: u32,
    // Row of the table for the first row.
    first: u32,
}

@group(0) @binding(0) var<uniform> u: Rotary;
@group(0) @binding(1) var<storage, read> table: array<vec2<f32>>;
@group(0) @binding(2) var<storage, read_write> x: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    if (id.x >= u.pairs) {
        return;
    }
    for (var row = id.y; row < u.rows; row += GRID) {
        let head = id.x / u.half;
        let pair = id.x % u.half;
        let at = row * u.stride + head * 2u * u.half + pair;
        let turn = table[(u.first + row) * u.half + pair];
        let a = x[at];
        let b = x[at + u.half];
        x[at] = a * turn.x - b * turn.y;
        x[at + u.half] = b * turn.x + a * turn.y;
    }
}
