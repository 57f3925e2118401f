// Scales of a quantised weight's blocks: four halves for four features.

@group(0) @binding({{SCALES}}) var<storage, read> scales: array<vec2<u32>>;

fn block_scales(panel: u32, block: u32, quad: u32) -> vec4<f32> {
    let pair = scales[(panel * u.blocks + block) * PANEL_QUADS + quad];
    return halves(vec4<u32>(pair.x & 0xffffu, pair.x >> 16u, pair.y & 0xffffu, pair.y >> 16u));
}
