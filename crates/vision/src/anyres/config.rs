use super::plan::Size;

/// What a checkpoint says about cutting pictures into tiles.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnyresConfig {
    /// Side of a tile in pixels: the vision tower's image size (384 for LLaVA-OneVision).
    pub tile: usize,
    /// Side of a patch in pixels (14). A tile has `tile / patch` patches a side, rounded down.
    pub patch: usize,
    /// The resolutions a picture may be scaled to, in the checkpoint's order (of equals the first
    /// wins). Each side is a multiple of `tile`.
    pub pinpoints: Vec<Size>,
    /// The number in `anyres_max_9`: more patches than so many tiles have are pooled.
    pub max_patches: usize,
    /// Whose rounding.
    pub rounding: Rounding,
}

/// The one place where the two implementations count differently (about 1 picture in 20,000).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rounding {
    /// LLaVA-NeXT, with which LlavaGuard was trained: `int(x)`.
    Original,
    /// transformers: `int(round(x, 7))`.
    HuggingFace,
}

/// How closely to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// The base image only: one pass, `n²` visual tokens, no newline.
    Low,
    /// As [`Detail::High`] where its visual tokens, the base image's included, keep to this number.
    /// Otherwise the best of the resolutions that do, with fewer tiles than trained; the base image
    /// alone when none does.
    Auto {
        /// Most visual tokens in all.
        max_visual_tokens: usize,
    },
    /// Exactly as trained.
    High,
}

/// Why there is no plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AnyresError {
    /// The configuration itself makes no sense.
    #[error("The model's image configuration is unusable: {0}. Convert the model again.")]
    BadConfig(String),

    /// Zero columns or rows.
    #[error("An image of {width}x{height} has no pixels. Give a width and a height of at least 1.")]
    ZeroSize {
        /// Columns.
        width: u32,
        /// Rows.
        height: u32,
    },

    /// Pooling would leave not one row or column of patches; the reference implementations fail on
    /// it as well. It cannot happen with LLaVA-OneVision's own configuration.
    #[error(
        "An image of {width}x{height} is too thin for the model's resolutions. \
         Crop it, or use low detail."
    )]
    TooThin {
        /// Columns.
        width: u32,
        /// Rows.
        height: u32,
    },
}

impl AnyresError {
    /// A stable dotted name of the kind of error, for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::BadConfig(_) => "model.bad_image_config",
            Self::ZeroSize { .. } => "image.zero_size",
            Self::TooThin { .. } => "image.too_thin",
        }
    }
}

/// So that products of sides stay far within 64 bits; no tower is near it.
const MAX_SIDE: usize = 1 << 20;

impl AnyresConfig {
    /// LLaVA-OneVision's: tiles of 384, patches of 14, all 36 resolutions up to six by six tiles.
    pub fn llava_onevision(rounding: Rounding) -> Self {
        let sides = || (1..=6).map(|tiles| 384 * tiles);
        Self {
            tile: 384,
            patch: 14,
            pinpoints: sides()
                .flat_map(|width| sides().map(move |height| Size { width, height }))
                .collect(),
            max_patches: 9,
            rounding,
        }
    }

    /// Patches along a tile's side, `n`.
    pub fn patches_per_side(&self) -> usize {
        self.tile.checked_div(self.patch).unwrap_or(0)
    }

    pub(super) fn validate(&self) -> Result<(), AnyresError> {
        let bad = |what: String| Err(AnyresError::BadConfig(what));
        if self.patch == 0 || self.tile < self.patch || self.tile > MAX_SIDE {
            return bad(format!(
                "tiles of {} with patches of {}",
                self.tile, self.patch
            ));
        }
        if self.max_patches == 0 || self.max_patches > MAX_SIDE {
            return bad(format!("at most {} tiles' patches", self.max_patches));
        }
        if self.pinpoints.is_empty() {
            return bad("no resolutions".to_owned());
        }
        for &Size { width, height } in &self.pinpoints {
            let fits = |side: u32| {
                let side = side as usize;
                side > 0 && side <= MAX_SIDE && side.is_multiple_of(self.tile)
            };
            if !fits(width) || !fits(height) {
                return bad(format!(
                    "{width}x{height} is not made of tiles of {}",
                    self.tile
                ));
            }
        }
        Ok(())
    }
}
