// How fast the adapter multiplies and adds, with nothing else to do: eight independent sums a thread.

struct Ceiling {
    rounds: u32,
}

@group(0) @binding(0) var<uniform> u: Ceiling;
@group(0) @binding(1) var<storage, read> source: array<{{KIND}}>;
@group(0) @binding(2) var<storage, read_write> out: array<{{KIND}}>;

@compute @workgroup_size(CEILING_THREADS)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let a = source[0];
    let b = source[1];
    //#for i in CEILING_SUMS
    var sum_$i = source[$iu + id.x % 2u];
    //#end
    for (var round = 0u; round < u.rounds; round++) {
        //#for i in CEILING_SUMS
        sum_$i = {{STEP}};
        //#end
    }
    var all = sum_0;
    //#for i in CEILING_SUMS
    all += sum_$i;
    //#end
    // Hardly ever true, which a compiler cannot know; it depends on the sums, so that they are made.
    if (all.x == source[2].x) {
        out[id.x] = all;
    }
}
