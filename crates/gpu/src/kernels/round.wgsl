// Rounds activations to bytes, a block of 32 a thread: what `backend::Rounding` says, to the bit.

struct Round {
    blocks: u32,
    levels: u32,
    width: u32,
}

@group(0) @binding(0) var<uniform> u: Round;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> scales: array<f32>;
@group(0) @binding(3) var<storage, read_write> out: array<vec4<u32>>;

// The quotient of two numbers above zero rounded to even, by long division: WGSL's own division may
// be off by 2.5 units in the last place, which now and then moves a value to the next step.
fn divide(a: f32, b: f32) -> f32 {
    let a_bits = bitcast<u32>(a);
    let b_bits = bitcast<u32>(b);
    var exponent = i32(a_bits >> 23u) - i32(b_bits >> 23u) + 127;
    var rest = (a_bits & 0x7fffffu) | 0x800000u;
    let divisor = (b_bits & 0x7fffffu) | 0x800000u;
    if (rest < divisor) {
        rest = rest << 1u;
        exponent -= 1;
    }
    var quotient = 0u;
    for (var i = 0u; i < 24u; i++) {
        quotient = quotient << 1u;
        if (rest >= divisor) {
            rest -= divisor;
            quotient |= 1u;
        }
        rest = rest << 1u;
    }
    if (exponent <= 0 || exponent >= 255) {
        return 0.0;
    }
    // What is left is twice the remainder.
    let up = rest > divisor || (rest == divisor && (quotient & 1u) == 1u);
    return bitcast<f32>((u32(exponent) << 23u) + (quotient & 0x7fffffu) + select(0u, 1u, up));
}

fn packed(values: vec4<f32>, inverse: f32) -> u32 {
    let q = vec4<u32>(vec4<i32>(round(values * inverse))) & vec4<u32>(0xffu);
    return q.x | (q.y << 8u) | (q.z << 16u) | (q.w << 24u);
}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let block = id.y * u.width + id.x;
    if (id.x >= u.width || block >= u.blocks) {
        return;
    }
    var most = 0u;
    for (var i = 0u; i < BLOCK_QUADS; i++) {
        let bits = bitcast<vec4<u32>>(x[block * BLOCK_QUADS + i]) & vec4<u32>(0x7fffffffu);
        most = max(most, max(max(bits.x, bits.y), max(bits.z, bits.w)));
    }
    if (most >= 0x7f800000u) {
        // One that is no finite number makes all of them none.
        scales[block] = bitcast<f32>(0x7fc00000u | (u.levels & 1u));
        out[block * 2u] = vec4<u32>(0x01010101u);
        out[block * 2u + 1u] = vec4<u32>(0x01010101u);
        return;
    }
    let largest = bitcast<f32>(most);
    var scale = 0.0;
    var inverse = 0.0;
    if (largest >= 1e-35) {
        scale = divide(largest, f32(u.levels));
        inverse = divide(f32(u.levels), largest);
    }
    scales[block] = scale;
    for (var half = 0u; half < 2u; half++) {
        let at = block * BLOCK_QUADS + half * 4u;
        out[block * 2u + half] = vec4<u32>(
            packed(x[at], inverse),
            packed(x[at + 1u], inverse),
            packed(x[at + 2u], inverse),
            packed(x[at + 3u], inverse),
        );
    }
}
