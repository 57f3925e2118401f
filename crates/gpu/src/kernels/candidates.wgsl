// Products with single rows of a weight: a workgroup makes one row's logit of one candidate, with
// the bits that the whole product has there.

@group(0) @binding({{BIAS}}) var<storage, read> ids: array<u32>;
@group(0) @binding({{OUT}}) var<storage, read_write> out: array<f32>;

var<workgroup> parts: array<f32, GEMV_BLOCKS>;
var<workgroup> part_scales: array<f32, GEMV_BLOCKS>;

@compute @workgroup_size(GEMV_BLOCKS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let candidate = group.x;
    let row = group.y;
    let at = row * u.out_quads * 4u + candidate;
    if (candidate >= u.count) {
        if (thread == 0u) {
            out[at] = 0.0;
        }
        return;
    }
    // Candidates in another of the weight's buffers are another dispatch's.
    let feature = ids[candidate];
    let first_feature = u.out_first * 4u;
    if (feature < first_feature || feature - first_feature >= u.panel_end * PANEL_QUADS * 4u) {
        return;
    }
    let within = feature - first_feature;
    let panel = within / (PANEL_QUADS * 4u);
    let quad = (within / 4u) % PANEL_QUADS;
    let lane = within % 4u;
    var sum = 0.0;
    for (var first = 0u; first < u.blocks; first += GEMV_BLOCKS) {
        let block = first + thread;
        if (block < u.blocks) {
            {{PART}}
            part_scales[thread] = block_scales(panel, block, quad)[lane];
        }
        workgroupBarrier();
        if (thread == 0u) {
            let count = min(GEMV_BLOCKS, u.blocks - first);
            for (var i = 0u; i < count; i++) {
                sum = fma(parts[i], {{X_SCALE}}part_scales[i], sum);
            }
        }
        workgroupBarrier();
    }
    if (thread == 0u) {
        out[at] = sum;
    }
}
