// Bilinear resizing of a grid of rows. The taps of every output row and column are a table: the
// lower source, the upper one, and how far towards it.

struct Pool {
    rows: u32,
    cols: u32,
    quads: u32,
    from_cols: u32,
}

struct Tap {
    low: u32,
    high: u32,
    towards: f32,
    unused: u32,
}

@group(0) @binding(0) var<uniform> u: Pool;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;
// Those of the rows, then those of the columns.
@group(0) @binding(2) var<storage, read> taps: array<Tap>;
@group(0) @binding(3) var<storage, read_write> out: array<vec4<f32>>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    if (id.x >= u.quads) {
        return;
    }
    for (var cell = id.y; cell < u.rows * u.cols; cell += GRID) {
        let down = taps[cell / u.cols];
        let across = taps[u.rows + cell % u.cols];
        let a = x[(down.low * u.from_cols + across.low) * u.quads + id.x];
        let b = x[(down.low * u.from_cols + across.high) * u.quads + id.x];
        let c = x[(down.high * u.from_cols + across.low) * u.quads + id.x];
        let d = x[(down.high * u.from_cols + across.high) * u.quads + id.x];
        let upper = a * (1.0 - across.towards) + b * across.towards;
        let lower = c * (1.0 - across.towards) + d * across.towards;
        out[cell * u.quads + id.x] = upper * (1.0 - down.towards) + lower * down.towards;
    }
}
