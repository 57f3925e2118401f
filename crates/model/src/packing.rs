//! Putting the features of an image's tiles together: stitch, un-pad, pool, add newlines
//! (LLaVA-NeXT, `llava_arch.py`: `spatial_unpad` with `anyres_max_N`).

use std::ops::Range;

use llavaguard_backend::{Device, RowRef};

use crate::config::VisionConfig;
use crate::error::ModelError;

/// Where the features of the tiles go. All of it follows from the image's size alone; whoever cut
/// the image into tiles knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Packing {
    /// The base image's features and nothing else.
    BaseOnly,
    /// The base image's features, then the grid of the other tiles.
    Grid(Grid),
}

/// The grid of tiles behind the base image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grid {
    /// Tiles from left to right.
    pub tile_cols: usize,
    /// Tiles from top to bottom.
    pub tile_rows: usize,
    /// Rows of the stitched feature grid that show the image and not its padding.
    pub rows: Range<usize>,
    /// Likewise its columns.
    pub cols: Range<usize>,
    /// Height and width the un-padded grid is pooled to, where it is too large.
    pub pooled: Option<(usize, usize)>,
    /// Whether the grid is one tile with the very pixels of the base image (a square image at the
    /// lowest resolution), so that one pass through the tower serves both.
    pub tile_is_base: bool,
}

impl Packing {
    /// Tiles that have to be encoded, the base image included.
    pub fn tiles(&self) -> usize {
        match self {
            Packing::BaseOnly => 1,
            Packing::Grid(grid) => 1 + grid.tile_cols * grid.tile_rows,
        }
    }

    /// Visual tokens that come out, where a tile gives `per_tile`.
    pub fn visual_tokens(&self, per_tile: usize) -> usize {
        match self {
            Packing::BaseOnly => per_tile,
            Packing::Grid(grid) => {
                let (rows, cols) = grid.size();
                per_tile + rows * (cols + 1)
            }
        }
    }
}

impl Grid {
    /// Rows and columns of features after pooling, newlines not counted.
    pub fn size(&self) -> (usize, usize) {
        self.pooled.unwrap_or((self.rows.len(), self.cols.len()))
    }
}

/// Packs the projected tiles (each `[patches, hidden]`, the base image first) into the sequence of
/// visual tokens `[tokens, hidden]`: the base image, then the grid row by row, each row followed by
/// `newline` (`[1, hidden]`).
pub fn pack<D: Device>(
    device: &D,
    tiles: &[&D::Matrix],
    newline: &D::Matrix,
    packing: &Packing,
    vision: &VisionConfig,
) -> Result<D::Matrix, ModelError> {
    if tiles.len() != packing.tiles() {
        return Err(ModelError::Input(format!(
            "{} encoded tiles where the packing has {}",
            tiles.len(),
            packing.tiles()
        )));
    }
    let base: Vec<RowRef> = (0..vision.patches()).map(|row| row_ref(0, row)).collect();
    let Packing::Grid(grid) = packing else {
        return Ok(device.gather(&[tiles[0]], &base)?);
    };
    check(grid, vision)?;
    let side = vision.grid();
    let cell = |y: usize, x: usize| {
        let tile = (y / side) * grid.tile_cols + x / side;
        row_ref(1 + tile, (y % side) * side + x % side)
    };
    let mut sources: Vec<&D::Matrix> = tiles.to_vec();
    let Some(to) = grid.pooled else {
        let newline_at = sources.len();
        sources.push(newline);
        let mut rows = base;
        for y in grid.rows.clone() {
            rows.extend(grid.cols.clone().map(|x| cell(y, x)));
            rows.push(row_ref(newline_at, 0));
        }
        return Ok(device.gather(&sources, &rows)?);
    };
    let cells: Vec<RowRef> = grid
        .rows
        .clone()
        .flat_map(|y| grid.cols.clone().map(move |x| cell(y, x)))
        .collect();
    let unpadded = device.gather(&sources, &cells)?;
    let pooled = device.pool_bilinear(&unpadded, (grid.rows.len(), grid.cols.len()), to)?;
    let mut rows = base;
    for y in 0..to.0 {
        rows.extend((0..to.1).map(|x| row_ref(1, y * to.1 + x)));
        rows.push(row_ref(2, 0));
    }
    Ok(device.gather(&[tiles[0], &pooled, newline], &rows)?)
}

fn row_ref(source: usize, row: usize) -> RowRef {
    RowRef {
        source: source as u32,
        row: row as u32,
    }
}

fn check(grid: &Grid, vision: &VisionConfig) -> Result<(), ModelError> {
    let (height, width) = (
        grid.tile_rows * vision.grid(),
        grid.tile_cols * vision.grid(),
    );
    let fits = grid.rows.end <= height && grid.cols.end <= width;
    let poolable = grid.pooled.is_none() || !(grid.rows.is_empty() || grid.cols.is_empty());
    if !fits || !poolable {
        return Err(ModelError::Input(format!(
            "a packing of rows {:?} and columns {:?} in a grid of {height} x {width} features",
            grid.rows, grid.cols
        )));
    }
    Ok(())
}
