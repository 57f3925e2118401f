// Activations rounded to bytes, 32 of them with one scale.

@group(0) @binding(1) var<storage, read> x: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read> x_scales: array<f32>;

// Half a block, 16 bytes.
fn bytes(row: u32, half: u32) -> vec4<u32> {
    if (row >= u.rows) {
        return vec4<u32>(0u);
    }
    return x[row * u.blocks * 2u + half];
}

fn x_scale(row: u32, block: u32) -> f32 {
    if (row >= u.rows) {
        return 0.0;
    }
    return x_scales[row * u.blocks + block];
}
