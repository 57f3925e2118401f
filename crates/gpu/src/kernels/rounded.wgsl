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

// Four bytes of a row by those of four features.
fn dots(x: u32, w: vec4<u32>) -> vec4<i32> {
    return vec4<i32>(
        dot4I8Packed(x, w.x),
        dot4I8Packed(x, w.y),
        dot4I8Packed(x, w.z),
        dot4I8Packed(x, w.w),
    );
}
