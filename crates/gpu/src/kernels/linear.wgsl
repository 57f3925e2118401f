// What all products of activations and a weight share: their bindings, how an activation is read
// and what is done to a sum.
//
// Matrices are rows of vec4s; what pads a row to whole vec4s is zero. A weight lies in panels of 16
// features; within a panel, in quads of 4 values of the inner size by 4 features.

struct Linear {
    rows: u32,
    // vec4s of a row of activations.
    x_quads: u32,
    // Blocks of 32 values of the inner size.
    blocks: u32,
    // vec4s of a row of the output.
    out_quads: u32,
    // The first panel of this dispatch, in the weight's buffers.
    panel: u32,
    // Panels of the weight's buffers before which this dispatch ends.
    panel_end: u32,
    // The output's vec4 where the weight's buffers begin.
    out_first: u32,
    epilogue: u32,
    has_bias: u32,
    // Blocks of a row of rounded activations' scales; candidates: how many there are.
    count: u32,
}

@group(0) @binding(0) var<uniform> u: Linear;

const NOTHING: u32 = 0u;
const GELU_TANH: u32 = 1u;
const GELU_ERF: u32 = 2u;
const ADD: u32 = 3u;
const GATE: u32 = 4u;

// 0.5 x (1 + tanh(z)) is x / (1 + e^-2z). The exponent is kept where e^it is finite.
fn gelu_tanh(x: vec4<f32>) -> vec4<f32> {
    let z = 0.7978845608 * (x + 0.044715 * x * x * x);
    return x / (1.0 + exp(min(-2.0 * z, vec4<f32>(80.0))));
}

// erf by Abramowitz and Stegun 7.1.26, off by 1.5e-7 at most.
fn gelu_erf(x: vec4<f32>) -> vec4<f32> {
    let z = min(abs(x) * 0.7071067812, vec4<f32>(9.0));
    let t = 1.0 / (1.0 + 0.3275911 * z);
    let series = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741
        + t * (-1.453152027 + t * 1.061405429))));
    let tail = series * exp(-z * z);
    return 0.5 * x * select(tail, 2.0 - tail, x > vec4<f32>(0.0));
}

fn silu(x: vec4<f32>) -> vec4<f32> {
    return x / (1.0 + exp(min(-x, vec4<f32>(80.0))));
}
