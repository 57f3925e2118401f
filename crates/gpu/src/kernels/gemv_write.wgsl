// The threads that added for a row write it.
    if (own < THREAD_ROWS) {
        write(sum, first_row + own, panel * PANEL_QUADS + quad);
    }
