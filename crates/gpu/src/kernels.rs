//! The kernels: which there are, and which runs when.

use std::collections::HashSet;

use llavaguard_backend::DType;

use crate::tiles::{self, GEMM_THREADS_DOWN};

mod source;

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

    /// Every kernel that any device can come to run, with whatever extras it has, each once; see
    /// [`Kernel::all`]. What no device here has can be compiled all the same.
    pub fn variants(formats: &[DType], head_dims: &[usize]) -> Vec<Kernel> {
        let mut variants = Vec::new();
        for bits in 0..16 {
            let extras = Extras {
                half: bits & 1 != 0,
                subgroups: bits & 2 != 0,
                byte_dots: bits & 4 != 0,
                direct: bits & 8 != 0,
            };
            variants.extend(Kernel::all(extras, formats, head_dims));
        }
        let mut seen = HashSet::new();
        variants.retain(|kernel| seen.insert(*kernel));
        variants
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

/// Whether attention over such heads may be split over its keys: what it leaves is in vec4s.
pub fn can_split(head_dim: usize) -> bool {
    head_dim.is_multiple_of(4)
}

#[cfg(test)]
mod tests;
