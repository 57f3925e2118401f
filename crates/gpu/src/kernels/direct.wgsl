// Rows by a weight straight from memory, for adapters that are software on a CPU. There a read of four
// bytes costs as much as nine multiplications, from workgroup memory no less than from a buffer; a
// barrier or a turn of a loop costs a store and a load of every sum. So nothing is passed through
// workgroup memory, a block is written out, and a thread makes THREAD_ROWS rows of 4 features in each of
// THREAD_PANELS panels. The order of sums is that of gemm.wgsl.

fn activation(row: u32, quad: u32) -> vec4<f32> {
    let value = x[row + min(quad, u.x_quads - 1u)];
    return select(vec4<f32>(0.0), value, quad < u.x_quads);
}

@compute @workgroup_size(DIRECT_THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let quad = thread % PANEL_QUADS;
    let unit = group.x * (DIRECT_THREADS / PANEL_QUADS) + thread / PANEL_QUADS;
    let first_panel = u.panel + unit * THREAD_PANELS;
    let first_row = group.y * THREAD_ROWS;
    //#for p in THREAD_PANELS
    let panel_$p = min(first_panel + $pu, u.panel_end - 1u);
    //#end
    //#for r in THREAD_ROWS
    let row_$r = min(first_row + $ru, u.rows - 1u) * u.x_quads;
    //#for p in THREAD_PANELS
    var sum_$r_$p = vec4<f32>(0.0);
    //#end
    //#end
    for (var block = 0u; block < u.blocks; block++) {
        //#for r in THREAD_ROWS
        //#for p in THREAD_PANELS
        var part_$r_$p = vec4<f32>(0.0);
        //#end
        //#end
        //#for i in BLOCK_PAIRS
        let k_$i = block * BLOCK_QUADS + 2u * $iu;
        //#for p in THREAD_PANELS
        let w_$i_$p = two_weights(panel_$p, k_$i, quad);
        //#end
        //#for r in THREAD_ROWS
        let x_$i_$r = activation(row_$r, k_$i);
        let y_$i_$r = activation(row_$r, k_$i + 1u);
        //#for p in THREAD_PANELS
        part_$r_$p = fma(vec4<f32>(x_$i_$r.x), w_$i_$p[0][0], part_$r_$p);
        part_$r_$p = fma(vec4<f32>(x_$i_$r.y), w_$i_$p[0][1], part_$r_$p);
        part_$r_$p = fma(vec4<f32>(x_$i_$r.z), w_$i_$p[0][2], part_$r_$p);
        part_$r_$p = fma(vec4<f32>(x_$i_$r.w), w_$i_$p[0][3], part_$r_$p);
        part_$r_$p = fma(vec4<f32>(y_$i_$r.x), w_$i_$p[1][0], part_$r_$p);
        part_$r_$p = fma(vec4<f32>(y_$i_$r.y), w_$i_$p[1][1], part_$r_$p);
        part_$r_$p = fma(vec4<f32>(y_$i_$r.z), w_$i_$p[1][2], part_$r_$p);
        part_$r_$p = fma(vec4<f32>(y_$i_$r.w), w_$i_$p[1][3], part_$r_$p);
        //#end
        //#end
        //#end
        //#for p in THREAD_PANELS
        let scale_$p = block_scales(panel_$p, block, quad);
        //#for r in THREAD_ROWS
        sum_$r_$p = fma(part_$r_$p, scale_$p, sum_$r_$p);
        //#end
        //#end
    }
    //#for p in THREAD_PANELS
    if (first_panel + $pu < u.panel_end) {
        //#for r in THREAD_ROWS
        write(sum_$r_$p, first_row + $ru, panel_$p * PANEL_QUADS + quad);
        //#end
    }
    //#end
}
