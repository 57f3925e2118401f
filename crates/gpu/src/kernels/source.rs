//! The kernels' WGSL, put together from the files beside this one.

use llavaguard_backend::DType;

use super::Kernel;
use crate::template::{Template, expand};
use crate::tiles::{self, ATTENTION_PARTS, attention_tile};

impl Kernel {
    /// Its WGSL.
    pub fn source(self) -> String {
        match self {
            Kernel::Gemm {
                weight,
                rows,
                bytes,
                half,
            } => {
                let body = if bytes {
                    include_str!("gemm_dot.wgsl")
                } else {
                    include_str!("gemm.wgsl")
                };
                let tile = if half { "vec4<f16>" } else { "vec4<f32>" };
                let mut template = product(weight, bytes, body);
                template
                    .set("TILE", tile)
                    .set("PLACE", include_str!("gemm_place.wgsl"))
                    .set("WRITE_TILE", include_str!("gemm_write.wgsl"))
                    .count("THREAD_ROWS", rows);
                let enable = if half { "enable f16;\n" } else { "" };
                enable.to_owned() + &expand(&template)
            }
            Kernel::Gemv {
                weight,
                rows,
                bytes,
            } => {
                let body = if bytes {
                    include_str!("gemv_dot.wgsl")
                } else {
                    include_str!("gemv.wgsl")
                };
                expand(
                    product(weight, bytes, body)
                        .set("PLACE", include_str!("gemv_place.wgsl"))
                        .set("WRITE_ROWS", include_str!("gemv_write.wgsl"))
                        .count("THREAD_ROWS", rows)
                        .count("GEMV_BLOCKS", tiles::gemv_blocks(rows)),
                )
            }
            Kernel::Direct { weight, rows } => expand(
                product(weight, false, include_str!("direct.wgsl"))
                    .count("THREAD_ROWS", rows)
                    .count("THREAD_PANELS", tiles::direct_panels(rows))
                    .count("BLOCK_PAIRS", tiles::BLOCK_QUADS / 2),
            ),
            Kernel::Candidates { weight, bytes } => candidates(weight, bytes),
            Kernel::Round => plain(include_str!("round.wgsl")),
            Kernel::Norm { centred, subgroups } => norm(centred, subgroups),
            Kernel::Rotary => plain(include_str!("rotary.wgsl")),
            Kernel::Attention { head_dim, split } => attention(head_dim, split),
            Kernel::AttentionMerge { head_dim } => expand(
                Template::new(&[
                    include_str!("state.wgsl"),
                    include_str!("attention_merge.wgsl"),
                ])
                .count("HEAD_QUADS", head_dim.div_ceil(4)),
            ),
            Kernel::Embed { weight } => {
                let mut template = stored(weight, (2, 3));
                template.then(include_str!("linear.wgsl"));
                expand(template.then(include_str!("embed.wgsl")))
            }
            Kernel::Copy => plain(include_str!("copy.wgsl")),
            Kernel::Gather => plain(include_str!("gather.wgsl")),
            Kernel::Pool => plain(include_str!("pool.wgsl")),
            Kernel::Argmax => plain(include_str!("argmax.wgsl")),
            Kernel::ArgmaxFinal => plain(include_str!("argmax_final.wgsl")),
            Kernel::Ceiling { bytes } => {
                let (kind, step) = if bytes {
                    let dots = ["x", "y", "z", "w"].map(|lane| {
                        format!("bitcast<u32>(dot4I8Packed(a.{lane}, b.{lane} ^ sum_$i.{lane}))")
                    });
                    (
                        "vec4<u32>",
                        format!("sum_$i + vec4<u32>({})", dots.join(", ")),
                    )
                } else {
                    ("vec4<f32>", "fma(sum_$i, a, b)".to_owned())
                };
                expand(
                    Template::new(&[include_str!("ceiling.wgsl")])
                        .set("KIND", kind)
                        .set("STEP", &step)
                        .count("CEILING_SUMS", tiles::CEILING_SUMS),
                )
            }
        }
    }
}

fn plain(body: &str) -> String {
    expand(&Template::new(&[body]))
}

/// A weight's readers, its values and scales at the given bindings.
fn stored(weight: DType, (values, scales): (usize, usize)) -> Template {
    let reader = match weight {
        DType::F32 => include_str!("weight_f32.wgsl"),
        DType::F16 => include_str!("weight_f16.wgsl"),
        DType::Q8_0 => include_str!("weight_q8_0.wgsl"),
        DType::Q4_0 => include_str!("weight_q4_0.wgsl"),
    };
    let scaled = if weight.block_len() > 1 {
        include_str!("scaled.wgsl")
    } else {
        include_str!("unscaled.wgsl")
    };
    let mut template = Template::new(&[include_str!("half.wgsl"), reader, scaled]);
    template
        .set("WEIGHT", &values.to_string())
        .set("SCALES", &scales.to_string());
    template
}

/// Activations, a weight and the common part of products; gives the next binding too.
fn operands(weight: DType, bytes: bool) -> (Template, usize) {
    let first = if bytes { 3 } else { 2 };
    let mut template = stored(weight, (first, first + 1));
    template.then(include_str!("linear.wgsl")).then(if bytes {
        include_str!("rounded.wgsl")
    } else {
        include_str!("floats.wgsl")
    });
    (template, first + 2)
}

fn product(weight: DType, bytes: bool, body: &str) -> Template {
    let (mut template, next) = operands(weight, bytes);
    template
        .set("BIAS", &next.to_string())
        .set("OTHER", &(next + 1).to_string())
        .set("OUT", &(next + 2).to_string())
        .then(include_str!("finish.wgsl"))
        .then(body);
    template
}

fn candidates(weight: DType, bytes: bool) -> String {
    let (mut template, next) = operands(weight, bytes);
    let (part, scale) = if bytes {
        (
            include_str!("candidate_bytes.wgsl"),
            "x_scale(row, first + i) * ",
        )
    } else {
        (include_str!("candidate_floats.wgsl"), "")
    };
    template
        .set("BIAS", &next.to_string())
        .set("OUT", &(next + 1).to_string())
        .set("PART", part)
        .set("X_SCALE", scale)
        .count("GEMV_BLOCKS", tiles::gemv_blocks(1))
        .then(include_str!("candidates.wgsl"));
    expand(&template)
}

fn norm(centred: bool, subgroups: bool) -> String {
    let (reduce, argument, prepare) = if subgroups {
        (
            include_str!("reduce_subgroups.wgsl"),
            "@builtin(subgroup_size) width: u32,",
            "subgroup_width = width;",
        )
    } else {
        (include_str!("reduce.wgsl"), "", "")
    };
    let mut template = Template::new(&[reduce, include_str!("norm.wgsl")]);
    template
        .set("ARGUMENT", argument)
        .set("PREPARE", prepare)
        .flag("CENTRED", centred);
    // WGSL asks for `enable subgroups;`, which naga does not know; browsers never get this variant.
    expand(&template)
}

fn attention(head_dim: usize, split: bool) -> String {
    let quads = head_dim.div_ceil(4);
    let (lanes, keys) = attention_tile(quads);
    let mut template = Template::new(&[include_str!("state.wgsl"), include_str!("attention.wgsl")]);
    let whole = head_dim.is_multiple_of(4);
    let read = |name: &str| {
        if whole {
            return format!("{name}[start + i % HEAD_QUADS]");
        }
        // A head that is no whole vec4s is read number by number.
        let part = |lane: usize| {
            let last = head_dim - 1;
            format!(
                "select(0.0, {name}[start + min(i % HEAD_QUADS * 4u + {lane}u, {last}u)], i % HEAD_QUADS * 4u + {lane}u < {head_dim}u)"
            )
        };
        format!(
            "vec4<f32>({}, {}, {}, {})",
            part(0),
            part(1),
            part(2),
            part(3)
        )
    };
    let fetch = |name: &str| {
        let file = include_str!("attention_fetch.wgsl");
        file.replace("{{READ}}", &read(name))
    };
    let store = if whole {
        "out[at + quad] = value;".to_owned()
    } else {
        (0..4)
            .map(|lane| {
                format!(
                    "if (quad * 4u + {lane}u < {head_dim}u) {{ out[at + quad * 4u + {lane}u] = value[{lane}]; }} "
                )
            })
            .collect()
    };
    // What pads a row is zero.
    let pad = if whole {
        ""
    } else {
        "if (head == u.heads - 1u && part == 0u) {
        for (var i = u.heads * HEAD_UNITS; i < u.q_stride; i++) {
            out[row * u.q_stride + i] = 0.0;
        }
    }"
    };
    let write = if split {
        include_str!("attention_write_chunk.wgsl")
    } else {
        include_str!("attention_write_rows.wgsl")
    };
    template
        .set("WRITE", write)
        .set("STORE", &store)
        .set("PAD", pad)
        .set("UNIT", if whole { "vec4<f32>" } else { "f32" })
        .set("READ_Q", &read("q"))
        .set("FETCH_K", &fetch("k"))
        .set("FETCH_V", &fetch("v"))
        .flag("SPLIT", split)
        .count("HEAD_QUADS", quads)
        .count("HEAD_UNITS", if whole { quads } else { head_dim })
        .count("LANES", lanes)
        .count("KEYS", keys)
        .count("PART_KEYS", keys / ATTENTION_PARTS)
        .count("PART_QUADS", quads.div_ceil(ATTENTION_PARTS));
    expand(&template)
}
