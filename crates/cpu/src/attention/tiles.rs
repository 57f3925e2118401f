//! Where keys and values lie.

use llavaguard_backend::{CacheShape, DeviceError};

use crate::matrix::{Matrix, zeros};
use crate::product::Rows;

/// Positions of a tile: the keys and values of one head (14 KB each at 72 numbers), a panel of
/// queries, its scores and sums fit a first-level cache together. A multiple of all tile heights in
/// use.
pub(crate) const TILE: usize = 48;

/// Keys and values of [`TILE`] positions, each `[width / part][TILE][part]`.
#[derive(Debug, Clone)]
struct Tile {
    keys: Vec<f32>,
    values: Vec<f32>,
}

/// Keys and values of one layer, tile by tile.
#[derive(Debug, Clone)]
pub(crate) struct Tiles {
    width: usize,
    /// Neighbouring numbers of a position that stay together: those of one head or of some.
    part: usize,
    len: usize,
    tiles: Vec<Tile>,
}

impl Tiles {
    /// None yet, of `width` numbers a position, stored in parts of `part` (`width` is a multiple of
    /// it, and it of the width of a head).
    pub fn new(width: usize, part: usize) -> Self {
        Self {
            width,
            part,
            len: 0,
            tiles: Vec::new(),
        }
    }

    /// Positions written.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Writes keys and values of positions `first..`; the caller has checked that they fit.
    pub fn write(&mut self, first: usize, k: &Matrix, v: &Matrix) -> Result<(), DeviceError> {
        let end = first + k.rows;
        let missing = end.div_ceil(TILE).saturating_sub(self.tiles.len());
        for _ in 0..missing {
            self.tiles.push(Tile {
                keys: zeros(TILE * self.width)?,
                values: zeros(TILE * self.width)?,
            });
        }
        for row in 0..k.rows {
            let (tile, at) = ((first + row) / TILE, (first + row) % TILE);
            let tile = &mut self.tiles[tile];
            for (to, from) in [(&mut tile.keys, k.row(row)), (&mut tile.values, v.row(row))] {
                let parts = to.chunks_exact_mut(TILE * self.part);
                for (to, from) in parts.zip(from.chunks_exact(self.part)) {
                    to[at * self.part..][..self.part].copy_from_slice(from);
                }
            }
        }
        self.len = self.len.max(end);
        Ok(())
    }

    /// Keys and values of tile `index` for the head whose numbers begin at column `first`.
    pub fn rows(&self, index: usize, first: usize) -> (Rows<'_>, Rows<'_>) {
        let tile = &self.tiles[index];
        let part = TILE * self.part;
        let start = first / self.part * part;
        let [keys, values] = [&tile.keys, &tile.values].map(|data| Rows {
            data: &data[start..][..part],
            stride: self.part,
            first: first % self.part,
        });
        (keys, values)
    }
}

/// Keys and values of all layers. Memory grows with the positions written, tile by tile, and nothing
/// moves when it does.
#[derive(Debug, Clone)]
pub struct Cache {
    pub(crate) shape: CacheShape,
    pub(crate) layers: Vec<Tiles>,
}
