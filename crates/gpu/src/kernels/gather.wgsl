// Rows of one source to the places a list names: pairs of source row and output row.

struct Gather {
    count: u32,
    quads: u32,
}

@group(0) @binding(0) var<uniform> u: Gather;
@group(0) @binding(1) var<storage, read> source: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> list: array<vec2<u32>>;
@group(0) @binding(3) var<storage, read_write> out: array<vec4<f32>>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    if (id.x >= u.quads) {
        return;
    }
    for (var i = id.y; i < u.count; i += GRID) {
        out[list[i].y * u.quads + id.x] = source[list[i].x * u.quads + id.x];
    }
}
