// A thread's part of the tile. Threads behind the weight's last panel worked on that panel again.
    if (first_panel + across / PANEL_QUADS > last_panel) {
        return;
    }
    let quad = first_panel * PANEL_QUADS + across;
    //#for r in THREAD_ROWS
    write(sum_$r, first_row + down * THREAD_ROWS + $ru, quad);
    //#end
