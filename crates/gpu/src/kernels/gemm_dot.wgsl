// Many rows of bytes by a quantised weight, by dot products of four bytes. Shaped as gemm.wgsl; a
// block's sum is a whole number and exact.

var<workgroup> x_tile: array<vec4<u32>, GEMM_THREADS_DOWN * THREAD_ROWS * 2u>;
var<workgroup> x_scale_tile: array<f32, GEMM_THREADS_DOWN * THREAD_ROWS>;
var<workgroup> w_tile: array<vec4<u32>, BLOCK_QUADS * GEMM_THREADS_ACROSS>;

@compute @workgroup_size(GEMM_THREADS_ACROSS * GEMM_THREADS_DOWN)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    {{PLACE}}
    let fetch_quad = thread % PANEL_QUADS;
    let fetch_k = (thread / PANEL_QUADS) % BLOCK_QUADS;
    let fetch_panel = thread / (PANEL_QUADS * BLOCK_QUADS);

    for (var block = 0u; block < u.blocks; block++) {
        workgroupBarrier();
        for (var i = thread; i < GEMM_THREADS_DOWN * THREAD_ROWS * 2u;
            i += GEMM_THREADS_ACROSS * GEMM_THREADS_DOWN) {
            x_tile[i] = bytes(first_row + i / 2u, block * 2u + i % 2u);
        }
        if (thread < GEMM_THREADS_DOWN * THREAD_ROWS) {
            x_scale_tile[thread] = x_scale(first_row + thread, block);
        }
        if (fetch_panel < GEMM_PANELS) {
            let panel = min(first_panel + fetch_panel, last_panel);
            let at = fetch_k * GEMM_THREADS_ACROSS + fetch_panel * PANEL_QUADS + fetch_quad;
            w_tile[at] = weight_bytes(panel, block * BLOCK_QUADS + fetch_k, fetch_quad);
        }
        workgroupBarrier();
        //#for r in THREAD_ROWS
        var part_$r = vec4<i32>(0);
        //#end
        for (var half = 0u; half < 2u; half++) {
            let at = half * 4u * GEMM_THREADS_ACROSS + across;
            let w0 = w_tile[at];
            let w1 = w_tile[at + GEMM_THREADS_ACROSS];
            let w2 = w_tile[at + 2u * GEMM_THREADS_ACROSS];
            let w3 = w_tile[at + 3u * GEMM_THREADS_ACROSS];
            //#for r in THREAD_ROWS
            let x_$r = x_tile[(down * THREAD_ROWS + $ru) * 2u + half];
            part_$r += dots(x_$r.x, w0) + dots(x_$r.y, w1) + dots(x_$r.z, w2) + dots(x_$r.w, w3);
            //#end
        }
        let scale = block_scales(own_panel, block, across % PANEL_QUADS);
        //#for r in THREAD_ROWS
        sum_$r = fma(vec4<f32>(part_$r), x_scale_tile[down * THREAD_ROWS + $ru] * scale, sum_$r);
        //#end
    }
    {{WRITE_TILE}}
}
