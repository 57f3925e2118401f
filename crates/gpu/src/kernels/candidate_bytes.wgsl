            var part = 0;
            for (var i = 0u; i < BLOCK_QUADS; i++) {
                let w = weight_bytes(panel, block * BLOCK_QUADS + i, quad)[lane];
                part += dot4I8Packed(bytes(row, block * 2u + i / 4u)[i % 4u], w);
            }
            parts[thread] = f32(part);
