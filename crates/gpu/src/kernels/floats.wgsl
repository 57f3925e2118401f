// Activations as they are.

@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;

fn activations(row: u32, quad: u32) -> vec4<f32> {
    if (row >= u.rows || quad >= u.x_quads) {
        return vec4<f32>(0.0);
    }
    return x[row * u.x_quads + quad];
}
