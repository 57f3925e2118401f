// Merges the chunks that attention.wgsl left apart, in their order: a thread a vec4 of the output.

struct Merging {
    rows: u32,
    keys: u32,
    first: u32,
    causal: u32,
    heads: u32,
}

@group(0) @binding(0) var<uniform> u: Merging;
@group(0) @binding(1) var<storage, read> chunks: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> out: array<vec4<f32>>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let quads = u.heads * HEAD_QUADS;
    let row = id.y;
    if (id.x >= quads || row >= u.rows) {
        return;
    }
    let head = id.x / HEAD_QUADS;
    let quad = id.x % HEAD_QUADS;
    let visible = select(u.keys, u.first + row + 1u, u.causal != 0u);
    var total = vec4<f32>(0.0);
    var total_highest = LOWEST;
    var total_sum = 0.0;
    for (var chunk = 0u; chunk * ATTENTION_CHUNK < visible; chunk++) {
        let at = ((chunk * u.rows + row) * u.heads + head) * (HEAD_QUADS + 1u);
        let state = chunks[at + HEAD_QUADS];
        let m = merge(total_highest, state.x);
        total_highest = m.highest;
        total_sum = fma(state.y, m.fresh, total_sum * m.old);
        total = fma(chunks[at + quad], vec4<f32>(m.fresh), total * m.old);
    }
    out[row * quads + id.x] = total / total_sum;
}
