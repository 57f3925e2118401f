//! LLaVA-OneVision's "anyres": which tiles a picture is cut into, and how many visual tokens come
//! of them. Arithmetic only; the formulae, with their rounding, are those of LLaVA-NeXT
//! (`llava/mm_utils.py`, `llava/model/llava_arch.py`) and of transformers
//! (`get_patch_output_size`, `select_best_resolution`, `unpad_image`, `pack_image_features`).

mod arithmetic;
mod config;
mod plan;

pub use config::{AnyresConfig, AnyresError, Detail, Rounding};
pub use plan::{AnyresPlan, DetailUsed, Grid, HighResPlan, Size};
