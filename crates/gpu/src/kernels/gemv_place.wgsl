// Which panel and rows are this workgroup's, and which quad and blocks this thread's.
    let panel = u.panel + group.x;
    let first_row = group.y * THREAD_ROWS;
    let quad = thread % PANEL_QUADS;
    let own = thread / PANEL_QUADS;
    var sum = vec4<f32>(0.0);
