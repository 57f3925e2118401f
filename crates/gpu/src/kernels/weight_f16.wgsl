// A weight in half precision: two vec4s make a quad, each four features of two values.

@group(0) @binding({{WEIGHT}}) var<storage, read> weight: array<vec4<u32>>;

fn weights(panel: u32, k: u32, quad: u32) -> mat4x4<f32> {
    let at = (panel * u.blocks * BLOCK_QUADS + k) * 2u * PANEL_QUADS + quad;
    let first = weight[at];
    let second = weight[at + PANEL_QUADS];
    return mat4x4<f32>(
        halves(first & vec4<u32>(0xffffu)),
        halves(first >> vec4<u32>(16u)),
        halves(second & vec4<u32>(0xffffu)),
        halves(second >> vec4<u32>(16u)),
    );
}

fn two_weights(panel: u32, k: u32, quad: u32) -> array<mat4x4<f32>, 2> {
    return array<mat4x4<f32>, 2>(weights(panel, k, quad), weights(panel, k + 1u, quad));
}
