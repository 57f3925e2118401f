for (var i = thread; i < KEYS * HEAD_QUADS; i += THREADS) {
                let key = first + i / HEAD_QUADS;
                let at = (i / HEAD_QUADS) * KEY_STRIDE + i % HEAD_QUADS;
                let start = key * u.kv_stride + kv_head * HEAD_UNITS;
                kv_tile[at] = vec4<f32>(0.0);
                if (key < end) {
                    kv_tile[at] = {{READ}};
                }
            }
