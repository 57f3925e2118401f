// Rows of a table: a thread a vec4 of the output. The uniforms are those of products.

@group(0) @binding(1) var<storage, read> ids: array<u32>;
@group(0) @binding(4) var<storage, read_write> out: array<vec4<f32>>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let k = id.x;
    if (k >= u.out_quads) {
        return;
    }
    for (var row = id.y; row < u.rows; row += GRID) {
        let first = u.out_first * 4u;
        let feature = ids[row];
        if (feature >= first && feature - first < u.panel_end * PANEL_QUADS * 4u) {
            let within = feature - first;
            let panel = within / (PANEL_QUADS * 4u);
            let quad = (within / 4u) % PANEL_QUADS;
            let lane = within % 4u;
            let w = weights(panel, k, quad);
            let value = vec4<f32>(w[0][lane], w[1][lane], w[2][lane], w[3][lane]);
            out[row * u.out_quads + k] = value * block_scales(panel, k / BLOCK_QUADS, quad)[lane];
        }
    }
}
