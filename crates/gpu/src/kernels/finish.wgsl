// What is done to a sum before it is written.

@group(0) @binding({{BIAS}}) var<storage, read> bias: array<vec4<f32>>;
// The matrix to add, or the gate's sums.
@group(0) @binding({{OTHER}}) var<storage, read> other: array<vec4<f32>>;
@group(0) @binding({{OUT}}) var<storage, read_write> out: array<vec4<f32>>;

// `quad` counts from the beginning of the weight's buffers.
fn write(sum: vec4<f32>, row: u32, quad: u32) {
    let column = u.out_first + quad;
    if (row >= u.rows || column >= u.out_quads) {
        return;
    }
    let at = row * u.out_quads + column;
    var y = sum;
    if (u.has_bias != 0u) {
        y = y + bias[column];
    }
    switch u.epilogue {
        case GELU_TANH: { y = gelu_tanh(y); }
        case GELU_ERF: { y = gelu_erf(y); }
        case ADD: { y = y + other[at]; }
        case GATE: { y = silu(other[at]) * y; }
        default: {}
    }
    out[at] = y;
}
