// Layer and RMS normalisation: a workgroup a row.

struct Norm {
    rows: u32,
    quads: u32,
    cols: u32,
    eps: f32,
    width: u32,
}

@group(0) @binding(0) var<uniform> u: Norm;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> gain: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> bias: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> out: array<vec4<f32>>;

// 1 for what belongs to the row, 0 for what pads it.
fn inside(quad: u32) -> vec4<f32> {
    let at = vec4<u32>(quad * 4u) + vec4<u32>(0u, 1u, 2u, 3u);
    return select(vec4<f32>(0.0), vec4<f32>(1.0), at < vec4<u32>(u.cols));
}

@compute @workgroup_size(NORM_THREADS)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
    {{ARGUMENT}}
) {
    {{PREPARE}}
    let row = group.y * u.width + group.x;
    if (row >= u.rows) {
        return;
    }
    let first = row * u.quads;
    let count = f32(u.cols);
    var mean = 0.0;
    if (CENTRED) {
        var sum = vec4<f32>(0.0);
        for (var i = thread; i < u.quads; i += NORM_THREADS) {
            sum += x[first + i];
        }
        mean = sum_of(dot(sum, vec4<f32>(1.0)), thread) / count;
    }
    var squares = vec4<f32>(0.0);
    for (var i = thread; i < u.quads; i += NORM_THREADS) {
        let off = (x[first + i] - mean) * inside(i);
        squares += off * off;
    }
    let variance = sum_of(dot(squares, vec4<f32>(1.0)), thread) / count;
    let deviation = sqrt(variance + u.eps);
    for (var i = thread; i < u.quads; i += NORM_THREADS) {
        let normal = (x[first + i] - mean) / deviation * gain[i];
        if (CENTRED) {
            out[first + i] = normal + bias[i];
        } else {
            out[first + i] = normal;
        }
    }
}
