// Which tile of the output is this thread's, and which row and quad of it.
    let across = thread % GEMM_THREADS_ACROSS;
    let down = thread / GEMM_THREADS_ACROSS;
    let first_row = group.y * GEMM_THREADS_DOWN * THREAD_ROWS;
    let first_panel = u.panel + group.x * GEMM_PANELS;
    let last_panel = u.panel_end - 1u;
    let own_panel = min(first_panel + across / PANEL_QUADS, last_panel);
    //#for r in THREAD_ROWS
    var sum_$r = vec4<f32>(0.0);
    //#end
