//! The shapes kernels work in. Rust reads these constants to lay weights out and to count
//! workgroups; [`header`] writes the same ones into every shader, so that the two cannot drift.

/// Features of a weight that lie together.
pub const PANEL: usize = 16;
/// The same in vec4s.
pub const PANEL_QUADS: usize = PANEL / 4;
/// Values of the inner size that are summed before anything else: a quantisation block.
pub const BLOCK: usize = llavaguard_backend::BLOCK;
/// The same in vec4s.
pub const BLOCK_QUADS: usize = BLOCK / 4;
/// Threads of a matrix product's workgroup across features, four features each.
pub const GEMM_THREADS_ACROSS: usize = 16;
/// Threads down its rows.
pub const GEMM_THREADS_DOWN: usize = 16;
/// Panels such a workgroup covers.
pub const GEMM_PANELS: usize = GEMM_THREADS_ACROSS / PANEL_QUADS;
/// vec4s of the inner size it holds in workgroup memory at once: half a block, so that the largest
/// tile stays within the 16 KiB every WebGPU adapter has.
pub const GEMM_STEP_QUADS: usize = 4;
/// The most rows it takes in one go.
pub const GEMV_ROWS: usize = 8;
/// Threads of a workgroup that multiplies straight from memory: enough workgroups are left for two cores.
pub const DIRECT_THREADS: usize = 16;
/// Rows such a thread makes at most.
pub const DIRECT_ROWS: usize = 8;
/// Threads of a normalisation's workgroup.
pub const NORM_THREADS: usize = 128;
/// Threads of an attention lane.
pub const ATTENTION_PARTS: usize = 8;
/// Keys a softmax runs over before it is merged into what came before.
pub const ATTENTION_CHUNK: usize = 256;
/// The widest head.
pub const WIDEST_HEAD: usize = 256;
/// Threads of an arg-max's workgroup.
pub const ARGMAX_THREADS: usize = 256;
/// Values each of them looks at.
pub const ARGMAX_EACH: usize = 16;
/// Threads of a workgroup that measures the adapter's ceiling.
pub const CEILING_THREADS: usize = 256;
/// vec4s each of them sums.
pub const CEILING_SUMS: usize = 8;
/// Most workgroups in one dimension of a dispatch.
pub const GRID: usize = 65_535;

/// The constants as WGSL.
pub fn header() -> String {
    [
        ("PANEL_QUADS", PANEL_QUADS),
        ("BLOCK_QUADS", BLOCK_QUADS),
        ("GEMM_THREADS_ACROSS", GEMM_THREADS_ACROSS),
        ("GEMM_THREADS_DOWN", GEMM_THREADS_DOWN),
        ("GEMM_PANELS", GEMM_PANELS),
        ("GEMM_STEP_QUADS", GEMM_STEP_QUADS),
        ("DIRECT_THREADS", DIRECT_THREADS),
        ("NORM_THREADS", NORM_THREADS),
        ("ATTENTION_PARTS", ATTENTION_PARTS),
        ("ATTENTION_CHUNK", ATTENTION_CHUNK),
        ("ARGMAX_THREADS", ARGMAX_THREADS),
        ("ARGMAX_EACH", ARGMAX_EACH),
        ("CEILING_THREADS", CEILING_THREADS),
        ("GRID", GRID),
    ]
    .iter()
    .map(|(name, value)| format!("const {name}: u32 = {value}u;\n"))
    .collect()
}

/// Blocks that a product of `rows` rows multiplies at once: fewer where the sums of all of them would
/// not fit 16 KiB of workgroup memory.
pub fn gemv_blocks(rows: usize) -> usize {
    if rows > 4 { 16 } else { 32 }
}

/// Panels of which a thread that multiplies straight from memory makes a quad each: two share what is
/// read of several rows; of one row there is little to share.
pub fn direct_panels(rows: usize) -> usize {
    if rows > 1 { 2 } else { 1 }
}

/// Lanes and keys of an attention tile for heads of `quads` vec4s, so that queries, keys and scores
/// stay within 16 KiB of workgroup memory.
pub fn attention_tile(quads: usize) -> (usize, usize) {
    match quads {
        ..=18 => (16, 32),
        19..=32 => (8, 16),
        _ => (4, 8),
    }
}
