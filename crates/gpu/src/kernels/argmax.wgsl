// The largest of many values: each workgroup finds its own range's. Numbers are compared as whole
// numbers of the same order, so that no compiler's view of infinities and NaN matters.

struct Argmax {
    count: u32,
}

@group(0) @binding(0) var<uniform> u: Argmax;
@group(0) @binding(1) var<storage, read> values: array<f32>;
// A bit for each value that may not win.
@group(0) @binding(2) var<storage, read> banned: array<u32>;
// Key, index, and whether one was no number.
@group(0) @binding(3) var<storage, read_write> out: array<vec4<u32>>;

var<workgroup> found: array<vec4<u32>, ARGMAX_THREADS>;

// 0 stands for nothing found.
fn key_of(value: f32) -> u32 {
    let bits = bitcast<u32>(value);
    if ((bits & 0x7fffffffu) == 0u) {
        return 0x80000000u;
    }
    return select(bits | 0x80000000u, ~bits, (bits & 0x80000000u) != 0u);
}

fn is_nan(value: f32) -> bool {
    return (bitcast<u32>(value) & 0x7fffffffu) > 0x7f800000u;
}

fn better(a: vec4<u32>, b: vec4<u32>) -> vec4<u32> {
    let second = b.x > a.x || (b.x == a.x && b.y < a.y);
    let best = select(a, b, second);
    return vec4<u32>(best.x, best.y, a.z | b.z, 0u);
}

@compute @workgroup_size(ARGMAX_THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    var best = vec4<u32>(0u, 0xffffffffu, 0u, 0u);
    for (var i = 0u; i < ARGMAX_EACH; i++) {
        let index = (group.x * ARGMAX_EACH + i) * ARGMAX_THREADS + thread;
        if (index < u.count) {
            let free = ((banned[index / 32u] >> (index % 32u)) & 1u) == 0u;
            if (free) {
                let value = values[index];
                best = better(best, vec4<u32>(key_of(value), index, select(0u, 1u, is_nan(value)), 0u));
            }
        }
    }
    found[thread] = best;
    for (var width = ARGMAX_THREADS / 2u; width > 0u; width /= 2u) {
        workgroupBarrier();
        if (thread < width) {
            found[thread] = better(found[thread], found[thread + width]);
        }
    }
    if (thread == 0u) {
        out[group.x] = found[0];
    }
}
