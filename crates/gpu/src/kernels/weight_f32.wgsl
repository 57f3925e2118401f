// A weight in single precision: four vec4s of four features make a quad.

@group(0) @binding({{WEIGHT}}) var<storage, read> weight: array<vec4<f32>>;

fn weights(panel: u32, k: u32, quad: u32) -> mat4x4<f32> {
    let at = (panel * u.blocks * BLOCK_QUADS + k) * 4u * PANEL_QUADS + quad;
    return mat4x4<f32>(
        weight[at],
        weight[at + PANEL_QUADS],
        weight[at + 2u * PANEL_QUADS],
        weight[at + 3u * PANEL_QUADS],
    );
}

fn two_weights(panel: u32, k: u32, quad: u32) -> array<mat4x4<f32>, 2> {
    return array<mat4x4<f32>, 2>(weights(panel, k, quad), weights(panel, k + 1u, quad));
}
