// A weight in q4_0: a vec4 is two quads, the first in the low nibbles of its bytes, without scale.

@group(0) @binding({{WEIGHT}}) var<storage, read> weight: array<vec4<u32>>;

fn nibbles(panel: u32, k: u32, quad: u32) -> vec4<u32> {
    let pair = weight[(panel * u.blocks * (BLOCK_QUADS / 2u) + k / 2u) * PANEL_QUADS + quad];
    return (pair >> vec4<u32>(4u * (k % 2u))) & vec4<u32>(0x0f0f0f0fu);
}

// Bytes of `nibble - 8`: with the top bit set no byte borrows from the next.
fn weight_bytes(panel: u32, k: u32, quad: u32) -> vec4<u32> {
    let lifted = (nibbles(panel, k, quad) | vec4<u32>(0x80808080u)) - vec4<u32>(0x08080808u);
    return lifted ^ vec4<u32>(0x80808080u);
}

fn weights(panel: u32, k: u32, quad: u32) -> mat4x4<f32> {
    let words = nibbles(panel, k, quad);
    return mat4x4<f32>(
        vec4<f32>(words & vec4<u32>(0xffu)) - 8.0,
        vec4<f32>((words >> vec4<u32>(8u)) & vec4<u32>(0xffu)) - 8.0,
        vec4<f32>((words >> vec4<u32>(16u)) & vec4<u32>(0xffu)) - 8.0,
        vec4<f32>(words >> vec4<u32>(24u)) - 8.0,
    );
}
