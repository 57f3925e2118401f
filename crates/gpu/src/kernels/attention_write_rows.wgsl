    //#for j in PART_QUADS
    if (part + $ju * ATTENTION_PARTS < HEAD_QUADS) {
        let quad = part + $ju * ATTENTION_PARTS;
        let value = total_$j / total_sum;
        let at = row * u.q_stride + head * HEAD_UNITS;
        {{STORE}}
    }
    //#end
    {{PAD}}
