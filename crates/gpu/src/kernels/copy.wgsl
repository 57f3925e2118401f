// Copies a run of vec4s, such as rows into a cache.

struct Copy {
    count: u32,
    start: u32,
    to: u32,
    width: u32,
}

@group(0) @binding(0) var<uniform> u: Copy;
@group(0) @binding(1) var<storage, read> source: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> out: array<vec4<f32>>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let i = id.y * u.width + id.x;
    if (id.x < u.width && i < u.count) {
        out[u.to + i] = source[u.start + i];
    }
}
