// A weight in q4_0: a vec4 is two quads, the first in the low nibbles of its bytes, without scale.

@group(0) @binding({{WEIGHT}}) var<storage, read> weight: array<vec4<u32>>;

fn two_quads(panel: u32, k: u32, quad: u32) -> vec4<u32> {
    return weight[(panel * u.blocks * (BLOCK_QUADS / 2u) + k / 2u) * PANEL_QUADS + quad];
}

fn nibbles(panel: u32, k: u32, quad: u32) -> vec4<u32> {
    return (two_quads(panel, k, quad) >> vec4<u32>(4u * (k % 2u))) & vec4<u32>(0x0f0f0f0fu);
}

// Bytes of `nibble - 8`: with the top bit set no byte borrows from the next.
fn weight_bytes(panel: u32, k: u32, quad: u32) -> vec4<u32> {
    let lifted = (nibbles(panel, k, quad) | vec4<u32>(0x80808080u)) - vec4<u32>(0x08080808u);
    return lifted ^ vec4<u32>(0x80808080u);
}

// Whole numbers with a sign become floats in one instruction where those without take several.
fn unpacked(nibbles: vec4<u32>) -> mat4x4<f32> {
    let words = bitcast<vec4<i32>>(nibbles);
    return mat4x4<f32>(
        vec4<f32>(words & vec4<i32>(0xff)) - 8.0,
        vec4<f32>((words >> vec4<u32>(8u)) & vec4<i32>(0xff)) - 8.0,
        vec4<f32>((words >> vec4<u32>(16u)) & vec4<i32>(0xff)) - 8.0,
        vec4<f32>(words >> vec4<u32>(24u)) - 8.0,
    );
}

fn weights(panel: u32, k: u32, quad: u32) -> mat4x4<f32> {
    return unpacked(nibbles(panel, k, quad));
}

// Those of `k`, which is even, and of the next one: read together.
fn two_weights(panel: u32, k: u32, quad: u32) -> array<mat4x4<f32>, 2> {
    let both = two_quads(panel, k, quad);
    return array<mat4x4<f32>, 2>(
        unpacked(both & vec4<u32>(0x0f0f0f0fu)),
        unpacked((both >> vec4<u32>(4u)) & vec4<u32>(0x0f0f0f0fu)),
    );
}
