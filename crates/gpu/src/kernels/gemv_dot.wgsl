// One to eight rows of bytes by a quantised weight. Shaped as gemv.wgsl, with the bits of
// gemm_dot.wgsl.

var<workgroup> parts: array<vec4<i32>, THREAD_ROWS * GEMV_BLOCKS * PANEL_QUADS>;
var<workgroup> part_scales: array<vec4<f32>, GEMV_BLOCKS * PANEL_QUADS>;

@compute @workgroup_size(GEMV_BLOCKS * PANEL_QUADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    {{PLACE}}
    for (var first = 0u; first < u.blocks; first += GEMV_BLOCKS) {
        let block = first + own;
        if (block < u.blocks) {
            //#for r in THREAD_ROWS
            var part_$r = vec4<i32>(0);
            //#end
            for (var half = 0u; half < 2u; half++) {
                let k = block * BLOCK_QUADS + half * 4u;
                let w0 = weight_bytes(panel, k, quad);
                let w1 = weight_bytes(panel, k + 1u, quad);
                let w2 = weight_bytes(panel, k + 2u, quad);
                let w3 = weight_bytes(panel, k + 3u, quad);
                //#for r in THREAD_ROWS
                let x_$r = bytes(first_row + $ru, block * 2u + half);
                part_$r += dots(x_$r.x, w0) + dots(x_$r.y, w1) + dots(x_$r.z, w2)
                    + dots(x_$r.w, w3);
                //#end
            }
            part_scales[thread] = block_scales(panel, block, quad);
            //#for r in THREAD_ROWS
            parts[$ru * GEMV_BLOCKS * PANEL_QUADS + thread] = part_$r;
            //#end
        }
        workgroupBarrier();
        if (own < THREAD_ROWS) {
            let count = min(GEMV_BLOCKS, u.blocks - first);
            for (var i = 0u; i < count; i++) {
                let at = i * PANEL_QUADS + quad;
                let part = vec4<f32>(parts[own * GEMV_BLOCKS * PANEL_QUADS + at]);
                sum = fma(part, x_scale(first_row + own, first + i) * part_scales[at], sum);
            }
        }
        workgroupBarrier();
    }
    {{WRITE_ROWS}}
}
