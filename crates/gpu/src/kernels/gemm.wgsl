// Many rows by a weight. A workgroup makes THREAD_ROWS * 16 rows of 64 features, a thread
// THREAD_ROWS rows of 4.
//
// The sum of a block of 32 is built in order of the inner size and then added with its scale; the
// other products add up in the same order, so that a row's bits are the same in all of them.

var<workgroup> x_tile: array<vec4<f32>, GEMM_THREADS_DOWN * THREAD_ROWS * GEMM_STEP_QUADS>;
var<workgroup> w_tile: array<{{TILE}}, GEMM_STEP_QUADS * 4u * GEMM_THREADS_ACROSS>;

@compute @workgroup_size(GEMM_THREADS_ACROSS * GEMM_THREADS_DOWN)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    {{PLACE}}

    // Which part of the weight's tile this thread fetches.
    let fetch_quad = thread % PANEL_QUADS;
    let fetch_k = (thread / PANEL_QUADS) % GEMM_STEP_QUADS;
    let fetch_panel = thread / (PANEL_QUADS * GEMM_STEP_QUADS);

    for (var block = 0u; block < u.blocks; block++) {
        //#for r in THREAD_ROWS
        var part_$r = vec4<f32>(0.0);
        //#end
        for (var step = 0u; step < BLOCK_QUADS; step += GEMM_STEP_QUADS) {
            let k = block * BLOCK_QUADS + step;
            workgroupBarrier();
            for (var i = thread; i < GEMM_THREADS_DOWN * THREAD_ROWS * GEMM_STEP_QUADS;
                i += GEMM_THREADS_ACROSS * GEMM_THREADS_DOWN) {
                x_tile[i] = activations(first_row + i / GEMM_STEP_QUADS, k + i % GEMM_STEP_QUADS);
            }
            if (fetch_panel < GEMM_PANELS) {
                let panel = min(first_panel + fetch_panel, last_panel);
                let quad = weights(panel, k + fetch_k, fetch_quad);
                let at = fetch_k * 4u * GEMM_THREADS_ACROSS + fetch_panel * PANEL_QUADS + fetch_quad;
                w_tile[at] = {{TILE}}(quad[0]);
                w_tile[at + GEMM_THREADS_ACROSS] = {{TILE}}(quad[1]);
                w_tile[at + 2u * GEMM_THREADS_ACROSS] = {{TILE}}(quad[2]);
                w_tile[at + 3u * GEMM_THREADS_ACROSS] = {{TILE}}(quad[3]);
            }
            workgroupBarrier();
            for (var i = 0u; i < GEMM_STEP_QUADS; i++) {
                let at = i * 4u * GEMM_THREADS_ACROSS + across;
                let w0 = vec4<f32>(w_tile[at]);
                let w1 = vec4<f32>(w_tile[at + GEMM_THREADS_ACROSS]);
                let w2 = vec4<f32>(w_tile[at + 2u * GEMM_THREADS_ACROSS]);
                let w3 = vec4<f32>(w_tile[at + 3u * GEMM_THREADS_ACROSS]);
                //#for r in THREAD_ROWS
                let x_$r = x_tile[(down * THREAD_ROWS + $ru) * GEMM_STEP_QUADS + i];
                part_$r = fma(vec4<f32>(x_$r.x), w0, part_$r);
                part_$r = fma(vec4<f32>(x_$r.y), w1, part_$r);
                part_$r = fma(vec4<f32>(x_$r.z), w2, part_$r);
                part_$r = fma(vec4<f32>(x_$r.w), w3, part_$r);
                //#end
            }
        }
        let scale = block_scales(own_panel, block, across % PANEL_QUADS);
        //#for r in THREAD_ROWS
        sum_$r = fma(part_$r, scale, sum_$r);
        //#end
    }
    {{WRITE_TILE}}
}
