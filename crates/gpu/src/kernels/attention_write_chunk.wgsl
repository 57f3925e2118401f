    // By chunk, row and head: the sums, then the highest score and the sum of weights.
    let at = ((group.z * u.rows + row) * u.heads + head) * (HEAD_QUADS + 1u);
    //#for j in PART_QUADS
    if (part + $ju * ATTENTION_PARTS < HEAD_QUADS) {
        out[at + part + $ju * ATTENTION_PARTS] = total_$j;
    }
    //#end
    if (part == 0u) {
        out[at + HEAD_QUADS] = vec4<f32>(total_highest, total_sum, 0.0, 0.0);
    }
