//! The kernels: which there are, and their WGSL put together from the files in `kernels/`.

use llavaguard_backend::DType;

use crate::template::{Template, expand};
use crate::tiles::{self, ATTENTION_PARTS, GEMM_THREADS_DOWN, attention_tile};

/// What a device has beyond WebGPU's minimum.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Extras {
    /// `shader-f16`: weights' tiles in half the workgroup memory. Quants and halves are exact in it,
    /// so no bit of a result changes.
    pub half: bool,
    /// Sums over a subgroup without workgroup memory. Not to be had in browsers: wgpu's WebGPU back
    /// end cannot ask for them.
    pub subgroups: bool,
    /// Dot products of four bytes (`packed_4x8_integer_dot_product`), before which activations are
    /// rounded as [`Rounding::before`](llavaguard_backend::Rounding::before) says.
    pub byte_dots: bool,
    /// Products of floats straight from memory: best where the adapter is software on the CPU.
    pub direct: bool,
}

/// A kernel with everything that is fixed when it is compiled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kernel {
    /// A product with many rows, `rows` a thread.
    Gemm {
        /// The weight's format.
        weight: DType,
        /// Rows a thread computes.
        rows: usize,
        /// By dot products of bytes.
        bytes: bool,
        /// With the weight's tile in half precision.
        half: bool,
    },
    /// A product with `rows` rows, 1 to [`tiles::GEMV_ROWS`].
    Gemv {
        /// The weight's format.
        weight: DType,
        /// Rows.
        rows: usize,
        /// By dot products of bytes.
        bytes: bool,
    },
    /// A product with `rows` rows at once, 1 to [`tiles::DIRECT_ROWS`], without workgroup memory.
    Direct {
        /// The weight's format.
        weight: DType,
        /// Rows a thread computes.
        rows: usize,
    },
    /// Products with single rows of a weight.
    Candidates {
        /// The weight's format.
        weight: DType,
        /// By dot products of bytes.
        bytes: bool,
    },
    /// Rounding of activations to bytes.
    Round,
    /// Layer (`centred`) or RMS normalisation.
    Norm {
        /// With the mean taken off and a bias added.
        centred: bool,
        /// With subgroups.
        subgroups: bool,
    },
    /// Rotary position embedding.
    Rotary,
    /// Attention over heads of `head_dim`; `split` leaves chunks of keys unmerged.
    Attention {
        /// Width of a head.
        head_dim: usize,
        /// One chunk of keys a workgroup.
        split: bool,
    },
    /// Merging of what a split attention left.
    AttentionMerge {
        /// Width of a head.
        head_dim: usize,
    },
    /// Rows of a table.
    Embed {
        /// The table's format.
        weight: DType,
    },
    /// A run of values copied.
    Copy,
    /// Rows copied by a list.
    Gather,
    /// Bilinear resizing.
    Pool,
    /// The largest values of ranges.
    Argmax,
    /// The largest of those.
    ArgmaxFinal,
    /// Arithmetic alone, for measuring the adapter's ceiling.
    Ceiling {
        /// Dot products of bytes rather than floats.
        bytes: bool,
    },
}

/// The storage buffers of a kernel after its uniforms, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Bindings {
    /// How many are only read.
    pub read: usize,
    /// How many are written.
    pub written: usize,
}

impl Kernel {
    /// The name of its file.
    pub fn name(self) -> &'static str {
        match self {
            Kernel::Gemm { bytes: false, .. } => "gemm",
            Kernel::Gemm { bytes: true, .. } => "gemm_dot",
            Kernel::Gemv { bytes: false, .. } => "gemv",
            Kernel::Gemv { bytes: true, .. } => "gemv_dot",
            Kernel::Direct { .. } => "direct",
            Kernel::Candidates { .. } => "candidates",
            Kernel::Round => "round",
            Kernel::Norm { .. } => "norm",
            Kernel::Rotary => "rotary",
            Kernel::Attention { .. } => "attention",
            Kernel::AttentionMerge { .. } => "attention_merge",
            Kernel::Embed { .. } => "embed",
            Kernel::Copy => "copy",
            Kernel::Gather => "gather",
            Kernel::Pool => "pool",
            Kernel::Argmax => "argmax",
            Kernel::ArgmaxFinal => "argmax_final",
            Kernel::Ceiling { .. } => "ceiling",
        }
    }

    /// Its storage buffers.
    pub fn bindings(self) -> Bindings {
        let (read, written) = match self {
            Kernel::Gemm { bytes, .. } | Kernel::Gemv { bytes, .. } => (5 + usize::from(bytes), 1),
            Kernel::Direct { .. } => (5, 1),
            Kernel::Candidates { bytes, .. } => (4 + usize::from(bytes), 1),
            Kernel::Round => (1, 2),
            Kernel::Norm { .. } | Kernel::Attention { .. } | Kernel::Embed { .. } => (3, 1),
            Kernel::Gather | Kernel::Pool | Kernel::Argmax => (2, 1),
            Kernel::Rotary
            | Kernel::AttentionMerge { .. }
            | Kernel::Copy
            | Kernel::ArgmaxFinal
            | Kernel::Ceiling { .. } => (1, 1),
        };
        Bindings { read, written }
    }

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
                    include_str!("kernels/gemm_dot.wgsl")
                } else {
                    include_str!("kernels/gemm.wgsl")
                };
                let tile = if half { "vec4<f16>" } else { "vec4<f32>" };
                let mut template = product(weight, bytes, body);
                template.set("TILE", tile).count("THREAD_ROWS", rows);
                let enable = if half { "enable f16;\n" } else { "" };
                enable.to_owned() + &expand(&template)
            }
            Kernel::Gemv {
                weight,
                rows,
                bytes,
            } => {
                let body = if bytes {
                    include_str!("kernels/gemv_dot.wgsl")
                } else {
                    include_str!("kernels/gemv.wgsl")
                };
                expand(
                    product(weight, bytes, body)
                        .count("THREAD_ROWS", rows)
                        .count("GEMV_BLOCKS", tiles::gemv_blocks(rows)),
                )
            }
            Kernel::Direct { weight, rows } => expand(
                product(weight, false, include_str!("kernels/direct.wgsl"))
                    .count("THREAD_ROWS", rows)
                    .count("THREAD_PANELS", tiles::direct_panels(rows))
                    .count("BLOCK_PAIRS", tiles::BLOCK_QUADS / 2),
            ),
            Kernel::Candidates { weight, bytes } => candidates(weight, bytes),
            Kernel::Round => plain(include_str!("kernels/round.wgsl")),
            Kernel::Norm { centred, subgroups } => norm(centred, subgroups),
            Kernel::Rotary => plain(include_str!("kernels/rotary.wgsl")),
            Kernel::Attention { head_dim, split } => attention(head_dim, split),
            Kernel::AttentionMerge { head_dim } => expand(
                Template::new(&[
                    include_str!("kernels/state.wgsl"),
                    include_str!("kernels/attention_merge.wgsl"),
                ])
                .count("HEAD_QUADS", head_dim.div_ceil(4)),
            ),
            Kernel::Embed { weight } => {
                let mut template = stored(weight, (2, 3));
                template.then(include_str!("kernels/linear.wgsl"));
                expand(template.then(include_str!("kernels/embed.wgsl")))
            }
            Kernel::Copy => plain(include_str!("kernels/copy.wgsl")),
            Kernel::Gather => plain(include_str!("kernels/gather.wgsl")),
            Kernel::Pool => plain(include_str!("kernels/pool.wgsl")),
            Kernel::Argmax => plain(include_str!("kernels/argmax.wgsl")),
            Kernel::ArgmaxFinal => plain(include_str!("kernels/argmax_final.wgsl")),
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
                    Template::new(&[include_str!("kernels/ceiling.wgsl")])
                        .set("KIND", kind)
                        .set("STEP", &step)
                        .count("CEILING_SUMS", tiles::CEILING_SUMS),
                )
            }
        }
    }

    /// Every kernel that a device with `extras` can come to run for weights in `formats` and heads
    /// `head_dims` wide.
    pub fn all(extras: Extras, formats: &[DType], head_dims: &[usize]) -> Vec<Kernel> {
        let mut all = vec![
            Kernel::Round,
            Kernel::Rotary,
            Kernel::Copy,
            Kernel::Gather,
            Kernel::Pool,
            Kernel::Argmax,
            Kernel::ArgmaxFinal,
            Kernel::Ceiling { bytes: false },
        ];
        if extras.byte_dots {
            all.push(Kernel::Ceiling { bytes: true });
        }
        for centred in [false, true] {
            let subgroups = extras.subgroups;
            all.push(Kernel::Norm { centred, subgroups });
        }
        for &weight in formats {
            let bytes = extras.byte_dots && weight.block_len() > 1;
            let half = extras.half && !bytes && weight != DType::F32;
            all.push(Kernel::Embed { weight });
            all.push(Kernel::Candidates { weight, bytes });
            if extras.direct && !bytes {
                all.extend(FEW_ROWS.map(|rows| Kernel::Direct { weight, rows }));
                continue;
            }
            all.extend(GEMM_ROWS.map(|rows| Kernel::Gemm {
                weight,
                rows,
                bytes,
                half,
            }));
            all.extend(FEW_ROWS.map(|rows| Kernel::Gemv {
                weight,
                rows,
                bytes,
            }));
        }
        for &head_dim in head_dims {
            let split = false;
            all.push(Kernel::Attention { head_dim, split });
            if can_split(head_dim) {
                let split = true;
                all.push(Kernel::Attention { head_dim, split });
                all.push(Kernel::AttentionMerge { head_dim });
            }
        }
        all
    }
}

/// Rows a thread of a [`Kernel::Gemm`] may have.
pub const GEMM_ROWS: [usize; 3] = [2, 4, 8];
/// Rows a [`Kernel::Gemv`] and a [`Kernel::Direct`] may have.
pub const FEW_ROWS: [usize; 4] = [1, 2, 4, 8];

/// The product of `rows` rows with a weight; `alike` where it has to be the same for every number of
/// rows.
pub fn product_of(rows: usize, weight: DType, extras: Extras, alike: bool) -> Kernel {
    let bytes = extras.byte_dots && weight.block_len() > 1;
    if extras.direct && !bytes {
        let rows = if alike {
            tiles::DIRECT_ROWS
        } else {
            rows.clamp(1, tiles::DIRECT_ROWS).next_power_of_two()
        };
        return Kernel::Direct { weight, rows };
    }
    if rows <= 2 * tiles::GEMV_ROWS && !alike {
        let rows = rows.clamp(1, tiles::GEMV_ROWS).next_power_of_two();
        return Kernel::Gemv {
            weight,
            rows,
            bytes,
        };
    }
    Kernel::Gemm {
        weight,
        rows: if alike {
            GEMM_ROWS[0]
        } else {
            rows.div_ceil(GEMM_THREADS_DOWN)
                .next_power_of_two()
                .clamp(2, 8)
        },
        bytes,
        // Singles do not fit halves.
        half: extras.half && !bytes && weight != DType::F32,
    }
}

fn plain(body: &str) -> String {
    expand(&Template::new(&[body]))
}

/// A weight's readers, its values and scales at the given bindings.
fn stored(weight: DType, (values, scales): (usize, usize)) -> Template {
    let reader = match weight {
        DType::F32 => include_str!("kernels/weight_f32.wgsl"),
        DType::F16 => include_str!("kernels/weight_f16.wgsl"),
        DType::Q8_0 => include_str!("kernels/weight_q8_0.wgsl"),
        DType::Q4_0 => include_str!("kernels/weight_q4_0.wgsl"),
    };
    let scaled = if weight.block_len() > 1 {
        include_str!("kernels/scaled.wgsl")
    } else {
        include_str!("kernels/unscaled.wgsl")
    };
    let mut template = Template::new(&[include_str!("kernels/half.wgsl"), reader, scaled]);
    template
        .set("WEIGHT", &values.to_string())
        .set("SCALES", &scales.to_string());
    template
}

/// Activations, a weight and the common part of products; gives the next binding too.
fn operands(weight: DType, bytes: bool) -> (Template, usize) {
    let first = if bytes { 3 } else { 2 };
    let mut template = stored(weight, (first, first + 1));
    template
        .then(include_str!("kernels/linear.wgsl"))
        .then(if bytes {
            include_str!("kernels/rounded.wgsl")
        } else {
            include_str!("kernels/floats.wgsl")
        });
    (template, first + 2)
}

fn product(weight: DType, bytes: bool, body: &str) -> Template {
    let (mut template, next) = operands(weight, bytes);
    template
        .set("BIAS", &next.to_string())
        .set("OTHER", &(next + 1).to_string())
        .set("OUT", &(next + 2).to_string())
        .then(include_str!("kernels/finish.wgsl"))
        .then(body);
    template
}

fn candidates(weight: DType, bytes: bool) -> String {
    let (mut template, next) = operands(weight, bytes);
    let (part, scale) = if bytes {
        (
            include_str!("kernels/candidate_bytes.wgsl"),
            "x_scale(row, first + i) * ",
        )
    } else {
        (include_str!("kernels/candidate_floats.wgsl"), "")
    };
    template
        .set("BIAS", &next.to_string())
        .set("OUT", &(next + 1).to_string())
        .set("PART", part)
        .set("X_SCALE", scale)
        .count("GEMV_BLOCKS", tiles::gemv_blocks(1))
        .then(include_str!("kernels/candidates.wgsl"));
    expand(&template)
}

fn norm(centred: bool, subgroups: bool) -> String {
    let (reduce, argument, prepare) = if subgroups {
        (
            include_str!("kernels/reduce_subgroups.wgsl"),
            "@builtin(subgroup_size) width: u32,",
            "subgroup_width = width;",
        )
    } else {
        (include_str!("kernels/reduce.wgsl"), "", "")
    };
    let mut template = Template::new(&[reduce, include_str!("kernels/norm.wgsl")]);
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
    let mut template = Template::new(&[
        include_str!("kernels/state.wgsl"),
        include_str!("kernels/attention.wgsl"),
    ]);
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
        let file = include_str!("kernels/attention_fetch.wgsl");
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
        include_str!("kernels/attention_write_chunk.wgsl")
    } else {
        include_str!("kernels/attention_write_rows.wgsl")
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

/// Whether attention over such heads may be split over its keys: what it leaves is in vec4s.
pub fn can_split(head_dim: usize) -> bool {
    head_dim.is_multiple_of(4)
}

#[cfg(test)]
mod tests;
