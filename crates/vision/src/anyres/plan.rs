use std::ops::Range;

use super::arithmetic::{floor_div, int_of_round_7};
use super::config::{AnyresConfig, AnyresError, Detail, Rounding};

/// Columns and rows of pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Size {
    /// Columns.
    pub width: u32,
    /// Rows.
    pub height: u32,
}

/// Rows and columns of tiles or of patches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Grid {
    /// From top to bottom.
    pub rows: usize,
    /// From left to right.
    pub cols: usize,
}

impl Grid {
    /// Rows times columns.
    pub fn cells(&self) -> usize {
        self.rows * self.cols
    }
}

/// What a picture of one size goes through, from pixels to visual tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnyresPlan {
    /// The picture's size, upright.
    pub image: Size,
    /// Side of a tile in pixels, `S`.
    pub tile: usize,
    /// Patches along a tile's side, `n`.
    pub patches_per_side: usize,
    /// The tiles beside the base image; `None` in low detail.
    pub high_res: Option<HighResPlan>,
    /// What came of the detail asked for.
    pub detail: DetailUsed,
}

/// The detail a plan has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DetailUsed {
    /// The base image only.
    Low,
    /// Fewer tiles than trained, to keep to a budget of visual tokens.
    Capped,
    /// Exactly as trained.
    High,
}

/// The part of a plan beyond the base image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HighResPlan {
    /// The best of the configured resolutions: the canvas that is cut into tiles.
    pub resolution: Size,
    /// The picture scaled to fit the canvas, its aspect ratio kept.
    pub resized: Size,
    /// Columns left of it and rows above it on the black canvas.
    pub offset: (u32, u32),
    /// Tiles, row by row behind the base image.
    pub grid: Grid,
    /// Rows of patches that remain of the `grid.rows · n` after un-padding. Where a picture is
    /// thinner than a patch and the number is even none does; the references let that pass too.
    pub crop_rows: Range<usize>,
    /// Columns of patches that remain of the `grid.cols · n`.
    pub crop_cols: Range<usize>,
    /// What the remaining patches are pooled to (bilinear, no corner alignment, no antialiasing),
    /// where they are too many.
    pub pooled: Option<Grid>,
}

impl HighResPlan {
    /// Patches after un-padding and pooling. Each row is followed by one newline token.
    pub fn final_grid(&self) -> Grid {
        self.pooled.unwrap_or(Grid {
            rows: self.crop_rows.len(),
            cols: self.crop_cols.len(),
        })
    }

    /// `h · (w + 1)`: patches and newlines.
    pub fn visual_tokens(&self) -> usize {
        let Grid { rows, cols } = self.final_grid();
        rows * (cols + 1)
    }
}

impl AnyresPlan {
    /// Passes through the vision tower, the base image's included.
    pub fn tiles(&self) -> usize {
        1 + self.high_res.as_ref().map_or(0, |plan| plan.grid.cells())
    }

    /// Visual tokens of the base image, `n²`, without newlines.
    pub fn base_tokens(&self) -> usize {
        self.patches_per_side * self.patches_per_side
    }

    /// Visual tokens in all: the base image's, then the rest.
    pub fn visual_tokens(&self) -> usize {
        self.base_tokens() + self.high_res.as_ref().map_or(0, HighResPlan::visual_tokens)
    }

    /// Whether the one tile has the same pixels as the base image, so that one pass serves both
    /// (a square picture at the lowest resolution).
    pub fn tile_equals_base(&self) -> bool {
        self.high_res.as_ref().is_some_and(|plan| {
            plan.grid.cells() == 1
                && plan.resized.width as usize == self.tile
                && plan.resized.height as usize == self.tile
        })
    }
}

impl AnyresConfig {
    /// The plan for a picture of `width` columns and `height` rows, upright.
    ///
    /// # Errors
    /// [`AnyresError::BadConfig`], [`AnyresError::ZeroSize`], or, in high detail,
    /// [`AnyresError::TooThin`].
    pub fn plan(&self, width: u32, height: u32, detail: Detail) -> Result<AnyresPlan, AnyresError> {
        self.validate()?;
        if width == 0 || height == 0 {
            return Err(AnyresError::ZeroSize { width, height });
        }
        let image = Size { width, height };
        let too_thin = AnyresError::TooThin { width, height };
        let (high_res, used) = match detail {
            Detail::Low => (None, DetailUsed::Low),
            Detail::High => {
                let best = best_resolution(image, &self.pinpoints);
                let plan = best
                    .and_then(|best| self.high_res(image, best))
                    .ok_or(too_thin)?;
                (Some(plan), DetailUsed::High)
            }
            Detail::Auto { max_visual_tokens } => self.within(image, max_visual_tokens),
        };
        let patches_per_side = self.patches_per_side();
        Ok(AnyresPlan {
            image,
            tile: self.tile,
            patches_per_side,
            high_res,
            detail: used,
        })
    }

    /// The trained plan if it keeps to the budget. Otherwise the best of the resolutions that do
    /// and take fewer tiles: pooling makes some larger ones cheaper in tokens, not in passes.
    fn within(&self, image: Size, budget: usize) -> (Option<HighResPlan>, DetailUsed) {
        let base = self.patches_per_side().pow(2);
        let affordable = |resolution: Size| {
            self.high_res(image, resolution)
                .filter(|plan| base + plan.visual_tokens() <= budget)
        };
        let Some(trained) = best_resolution(image, &self.pinpoints) else {
            return (None, DetailUsed::Low);
        };
        if let Some(plan) = affordable(trained) {
            return (Some(plan), DetailUsed::High);
        }
        let area = |size: Size| u64::from(size.width) * u64::from(size.height);
        let smaller = self
            .pinpoints
            .iter()
            .copied()
            .filter(|size| area(*size) < area(trained));
        let smaller: Vec<Size> = smaller.filter(|size| affordable(*size).is_some()).collect();
        match best_resolution(image, &smaller).and_then(affordable) {
            Some(plan) => (Some(plan), DetailUsed::Capped),
            None => (None, DetailUsed::Low),
        }
    }

    /// `None` where pooling would leave nothing.
    fn high_res(&self, image: Size, resolution: Size) -> Option<HighResPlan> {
        let resized = fit(image, resolution);
        let offset = (
            (resolution.width - resized.width) / 2,
            (resolution.height - resized.height) / 2,
        );
        let grid = Grid {
            rows: resolution.height as usize / self.tile,
            cols: resolution.width as usize / self.tile,
        };
        let (crop_rows, crop_cols) = self.unpad(image, grid);
        let pooled = self.pool(Grid {
            rows: crop_rows.len(),
            cols: crop_cols.len(),
        });
        if pooled.is_some_and(|grid| grid.cells() == 0) {
            return None;
        }
        Some(HighResPlan {
            resolution,
            resized,
            offset,
            grid,
            crop_rows,
            crop_cols,
            pooled,
        })
    }

    /// `unpad_image`: the rows and columns of patches that the picture covers.
    fn unpad(&self, image: Size, grid: Grid) -> (Range<usize>, Range<usize>) {
        let n = self.patches_per_side();
        let (rows, cols) = (grid.rows * n, grid.cols * n);
        let (width, height) = (f64::from(image.width), f64::from(image.height));
        let truncate = |x: f64| match self.rounding {
            Rounding::Original => x as u64,
            Rounding::HuggingFace => int_of_round_7(x),
        };
        let keep = |all: usize, kept: u64| {
            let padding = all.saturating_sub(usize::try_from(kept).unwrap_or(all)) / 2;
            padding..all - padding
        };
        if width / height > cols as f64 / rows as f64 {
            let kept = truncate(height * (cols as f64 / width));
            (keep(rows, kept), 0..cols)
        } else {
            let kept = truncate(width * (rows as f64 / height));
            (0..rows, keep(cols, kept))
        }
    }

    /// More patches than about `max_patches` tiles have are pooled to that many.
    fn pool(&self, grid: Grid) -> Option<Grid> {
        let n = self.patches_per_side();
        let times = (grid.cells() as f64 / (self.max_patches * n * n) as f64).sqrt();
        (times > 1.1).then(|| Grid {
            rows: floor_div(grid.rows as f64, times) as usize,
            cols: floor_div(grid.cols as f64, times) as usize,
        })
    }
}

/// `select_best_resolution`: the one that keeps most of the picture's pixels and, of those, wastes
/// least. `None` only of no resolutions: where every one keeps nothing, the smallest wins.
fn best_resolution(image: Size, pinpoints: &[Size]) -> Option<Size> {
    let (width, height) = (f64::from(image.width), f64::from(image.height));
    let pixels = u64::from(image.width) * u64::from(image.height);
    let mut best = None;
    let (mut most_kept, mut least_wasted) = (0, u64::MAX);
    for &pinpoint in pinpoints {
        let (w, h) = (f64::from(pinpoint.width), f64::from(pinpoint.height));
        let scale = (w / width).min(h / height);
        let kept = ((width * scale) as u64 * (height * scale) as u64).min(pixels);
        let wasted = u64::from(pinpoint.width) * u64::from(pinpoint.height) - kept;
        if kept > most_kept || (kept == most_kept && wasted < least_wasted) {
            (most_kept, least_wasted, best) = (kept, wasted, Some(pinpoint));
        }
    }
    best
}

/// `get_patch_output_size`: as large as fits, rounded up along the side that does not touch.
fn fit(image: Size, into: Size) -> Size {
    let scale_w = f64::from(into.width) / f64::from(image.width);
    let scale_h = f64::from(into.height) / f64::from(image.height);
    if scale_w < scale_h {
        let height = (f64::from(image.height) * scale_w).ceil() as u32;
        Size {
            width: into.width,
            height: height.min(into.height),
        }
    } else {
        let width = (f64::from(image.width) * scale_h).ceil() as u32;
        Size {
            width: width.min(into.width),
            height: into.height,
        }
    }
}
