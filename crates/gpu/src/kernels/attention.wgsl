// Attention with an online softmax (Milakov and Gimelshein, arXiv:1805.02867; Dao et al.,
// arXiv:2205.14135). A lane is a query row with one of its heads; a workgroup takes LANES lanes that
// share a key/value head, eight threads a lane. SPLIT: a workgroup takes one chunk of keys alone and
// leaves the merging to attention_merge.wgsl.

struct Attention {
    rows: u32,
    // Keys there are; with `causal` row r sees the first + r + 1 first of them.
    keys: u32,
    first: u32,
    causal: u32,
    heads: u32,
    // Query heads of a key/value head.
    sharing: u32,
    // Rows of q and out, of k and v, in units of their bindings.
    q_stride: u32,
    kv_stride: u32,
    scale: f32,
    out_quads: u32,
}

@group(0) @binding(0) var<uniform> u: Attention;
@group(0) @binding(1) var<storage, read> q: array<{{UNIT}}>;
@group(0) @binding(2) var<storage, read> k: array<{{UNIT}}>;
@group(0) @binding(3) var<storage, read> v: array<{{UNIT}}>;
@group(0) @binding(4) var<storage, read_write> out: array<{{UNIT}}>;

const THREADS: u32 = LANES * ATTENTION_PARTS;
// Padded by one, so that the threads of a lane read different banks.
const KEY_STRIDE: u32 = HEAD_QUADS + 1u;

var<workgroup> q_tile: array<vec4<f32>, LANES * HEAD_QUADS>;
var<workgroup> kv_tile: array<vec4<f32>, KEYS * KEY_STRIDE>;
var<workgroup> scores: array<f32, LANES * KEYS>;

fn seen(row: u32) -> u32 {
    return select(u.keys, u.first + row + 1u, u.causal != 0u);
}

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let lanes = u.rows * u.sharing;
    let lane = thread / ATTENTION_PARTS;
    let part = thread % ATTENTION_PARTS;
    let kv_head = group.y;
    let own = group.x * LANES + lane;
    let row = min(own, lanes - 1u) / u.sharing;
    let head = kv_head * u.sharing + own % u.sharing;
    let visible = seen(row);
    let last_row = min(group.x * LANES + LANES - 1u, lanes - 1u) / u.sharing;
    let most = seen(last_row);

    for (var i = thread; i < LANES * HEAD_QUADS; i += THREADS) {
        let other = min(group.x * LANES + i / HEAD_QUADS, lanes - 1u);
        let start = (other / u.sharing) * u.q_stride
            + (kv_head * u.sharing + other % u.sharing) * HEAD_UNITS;
        q_tile[i] = {{READ_Q}};
    }

    //#for j in PART_QUADS
    var total_$j = vec4<f32>(0.0);
    //#end
    var total_highest = LOWEST;
    var total_sum = 0.0;
    var chunk = 0u;
    var end = most;
    if (SPLIT) {
        chunk = group.z * ATTENTION_CHUNK;
        end = min(most, chunk + ATTENTION_CHUNK);
    }
    for (; chunk < end; chunk += ATTENTION_CHUNK) {
        //#for j in PART_QUADS
        var sum_$j = vec4<f32>(0.0);
        //#end
        var highest = LOWEST;
        var sum = 0.0;
        let chunk_end = min(end, chunk + ATTENTION_CHUNK);
        for (var first = chunk; first < chunk_end; first += KEYS) {
            workgroupBarrier();
            {{FETCH_K}}
            workgroupBarrier();
            //#for j in PART_KEYS
            let key_$j = part + $ju * ATTENTION_PARTS;
            var four_$j = vec4<f32>(0.0);
            //#end
            for (var i = 0u; i < HEAD_QUADS; i++) {
                let query = q_tile[lane * HEAD_QUADS + i];
                //#for j in PART_KEYS
                four_$j = fma(query, kv_tile[key_$j * KEY_STRIDE + i], four_$j);
                //#end
            }
            //#for j in PART_KEYS
            let score_$j = ((four_$j.x + four_$j.y) + (four_$j.z + four_$j.w)) * u.scale;
            let visible_$j = first + key_$j < visible;
            scores[lane * KEYS + key_$j] = select(LOWEST, score_$j, visible_$j);
            //#end
            workgroupBarrier();
            {{FETCH_V}}
            var now = highest;
            for (var i = 0u; i < KEYS; i++) {
                now = max(now, scores[lane * KEYS + i]);
            }
            workgroupBarrier();
            //#for j in PART_KEYS
            scores[lane * KEYS + key_$j] = select(0.0, exp(score_$j - now), visible_$j);
            //#end
            workgroupBarrier();
            let fade = factor(highest, now);
            highest = now;
            sum = sum * fade;
            //#for j in PART_QUADS
            sum_$j = sum_$j * fade;
            //#end
            for (var i = 0u; i < KEYS; i++) {
                let weight = scores[lane * KEYS + i];
                sum += weight;
                //#for j in PART_QUADS
                sum_$j = fma(
                    vec4<f32>(weight),
                    kv_tile[i * KEY_STRIDE + min(part + $ju * ATTENTION_PARTS, HEAD_QUADS - 1u)],
                    sum_$j,
                );
                //#end
            }
        }
        if (SPLIT) {
            total_highest = highest;
            total_sum = sum;
            //#for j in PART_QUADS
            total_$j = sum_$j;
            //#end
        } else {
            let m = merge(total_highest, highest);
            total_highest = m.highest;
            total_sum = fma(sum, m.fresh, total_sum * m.old);
            //#for j in PART_QUADS
            total_$j = fma(sum_$j, vec4<f32>(m.fresh), total_$j * m.old);
            //#end
        }
    }
    if (own >= lanes) {
        return;
    }
    {{WRITE}}
}
