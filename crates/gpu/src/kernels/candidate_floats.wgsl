            var part = 0.0;
            for (var i = 0u; i < BLOCK_QUADS; i++) {
                let k = block * BLOCK_QUADS + i;
                let w = weights(panel, k, quad);
                let x4 = activations(row, k);
                part = fma(x4.x, w[0][lane], part);
                part = fma(x4.y, w[1][lane], part);
                part = fma(x4.z, w[2][lane], part);
                part = fma(x4.w, w[3][lane], part);
            }
            parts[thread] = part;
