// A weight in q8_0: a vec4 is a quad, a byte a value, without its scale.

@group(0) @binding({{WEIGHT}}) var<storage, read> weight: array<vec4<u32>>;

fn weight_bytes(panel: u32, k: u32, quad: u32) -> vec4<u32> {
    return weight[(panel * u.blocks * BLOCK_QUADS + k) * PANEL_QUADS + quad];
}

fn weights(panel: u32, k: u32, quad: u32) -> mat4x4<f32> {
    let words = bitcast<vec4<i32>>(weight_bytes(panel, k, quad));
    return mat4x4<f32>(
        vec4<f32>((words << vec4<u32>(24u)) >> vec4<u32>(24u)),
        vec4<f32>((words << vec4<u32>(16u)) >> vec4<u32>(24u)),
        vec4<f32>((words << vec4<u32>(8u)) >> vec4<u32>(24u)),
        vec4<f32>(words >> vec4<u32>(24u)),
    );
}

fn two_weights(panel: u32, k: u32, quad: u32) -> array<mat4x4<f32>, 2> {
    return array<mat4x4<f32>, 2>(weights(panel, k, quad), weights(panel, k + 1u, quad));
}
