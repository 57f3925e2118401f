// The best of what the workgroups of argmax.wgsl found.

struct Argmax {
    count: u32,
}

@group(0) @binding(0) var<uniform> u: Argmax;
@group(0) @binding(1) var<storage, read> candidates: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read_write> out: array<vec4<u32>>;

@compute @workgroup_size(1)
fn main() {
    var best = vec4<u32>(0u, 0xffffffffu, 0u, 0u);
    for (var i = 0u; i < u.count; i++) {
        let other = candidates[i];
        let second = other.x > best.x || (other.x == best.x && other.y < best.y);
        best = vec4<u32>(select(best.xy, other.xy, second), best.z | other.z, 0u);
    }
    out[0] = best;
}
