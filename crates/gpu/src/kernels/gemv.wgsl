// One to eight rows by a weight. A workgroup makes the 16 features of a panel: a thread multiplies
// every GEMV_BLOCKS-th block for 4 of them, then blocks are added in their order, so that a row's bits are
// those of gemm.wgsl.

var<workgroup> parts: array<vec4<f32>, THREAD_ROWS * GEMV_BLOCKS * PANEL_QUADS>;
var<workgroup> part_scales: array<vec4<f32>, GEMV_BLOCKS * PANEL_QUADS>;

@compute @workgroup_size(GEMV_BLOCKS * PANEL_QUADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    {{PLACE}}
    for (var first = 0u; first < u.blocks; first += GEMV_BLOCKS) {
        let block = first + own;
        if (block < u.blocks) {
            //#for r in THREAD_ROWS
            var part_$r = vec4<f32>(0.0);
            //#end
            for (var i = 0u; i < BLOCK_QUADS; i++) {
                let k = block * BLOCK_QUADS + i;
                let w = weights(panel, k, quad);
                //#for r in THREAD_ROWS
                let x_$r = activations(first_row + $ru, k);
                part_$r = fma(vec4<f32>(x_$r.x), w[0], part_$r);
                part_$r = fma(vec4<f32>(x_$r.y), w[1], part_$r);
                part_$r = fma(vec4<f32>(x_$r.z), w[2], part_$r);
                part_$r = fma(vec4<f32>(x_$r.w), w[3], part_$r);
                //#end
            }
            part_scales[thread] = block_scales(panel, block, quad);
            //#for r in THREAD_ROWS
            parts[$ru * GEMV_BLOCKS * PANEL_QUADS + thread] = part_$r;
            //#end
        }
        workgroupBarrier();
        // A thread adds for one row and quad.
        if (own < THREAD_ROWS) {
            let count = min(GEMV_BLOCKS, u.blocks - first);
            for (var i = 0u; i < count; i++) {
                let at = i * PANEL_QUADS + quad;
                sum = fma(parts[own * GEMV_BLOCKS * PANEL_QUADS + at], part_scales[at], sum);
            }
        }
        workgroupBarrier();
    }
    {{WRITE_ROWS}}
}
