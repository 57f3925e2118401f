// IEEE 754 half precision by whole numbers: `unpack2x16float` may flush what is below 2^-14, and
// scales of small weights are.

fn halves(bits: vec4<u32>) -> vec4<f32> {
    let sign = (bits & vec4<u32>(0x8000u)) << vec4<u32>(16u);
    let magnitude = bits & vec4<u32>(0x7fffu);
    let bits_of_normal = ((magnitude << vec4<u32>(13u)) + vec4<u32>(0x38000000u)) | sign;
    let normal = bitcast<vec4<f32>>(bits_of_normal);
    let small = vec4<f32>(magnitude) * 5.9604644775390625e-8;
    let signed_small = select(small, -small, sign != vec4<u32>(0u));
    return select(normal, signed_small, magnitude < vec4<u32>(0x400u));
}
