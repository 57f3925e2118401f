//! Where keys and values lie.

use std::sync::Arc;

use llavaguard_backend::{CacheShape, DeviceError};

use crate::buffers::{Buffer, Buffers};
use crate::matrix::Matrix;
use crate::product::{Keys, Rows};
use crate::simd::Dispatch;
use crate::workers::Workers;

/// Positions of a tile: the keys and values of one head (14 KB each at 72 numbers), a panel of
/// queries, its scores and sums fit a first-level cache together. A multiple of all tile heights in
/// use ([`crate::simd::Registers::keys`]).
pub(crate) const TILE: usize = 48;

/// Keys and values of [`TILE`] positions: keys `[width / part][TILE / group][part][group]`, values
/// `[width / part][TILE][part]`. Positions that were not written hold anything, and nobody uses them.
#[derive(Debug)]
struct Tile {
    keys: Buffer<f32>,
    values: Buffer<f32>,
}

/// Keys and values of one layer, tile by tile.
#[derive(Debug)]
pub(crate) struct Tiles {
    width: usize,
    /// Neighbouring numbers of a position that stay together: those of one head or of some.
    part: usize,
    /// Keys that lie side by side, number by number: as many as a tile of scores takes.
    group: usize,
    len: usize,
    tiles: Vec<Tile>,
    buffers: Arc<Buffers>,
}

impl Tiles {
    /// None yet, of `width` numbers a position, stored in parts of `part` (`width` is a multiple of
    /// it, and it of the width of a head), in memory out of `buffers`.
    pub fn new(width: usize, part: usize, isa: Dispatch, buffers: &Arc<Buffers>) -> Self {
        Self {
            width,
            part,
            group: isa.layout().keys,
            len: 0,
            tiles: Vec::new(),
            buffers: Arc::clone(buffers),
        }
    }

    /// Positions written.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Writes keys and values of positions `first..`; the caller has checked that they fit. Threads
    /// share the tiles.
    pub fn write(
        &mut self,
        first: usize,
        (k, v): (&Matrix, &Matrix),
        workers: &Workers,
    ) -> Result<(), DeviceError> {
        let end = first + k.rows;
        let missing = end.div_ceil(TILE).saturating_sub(self.tiles.len());
        for _ in 0..missing {
            self.tiles.push(Tile {
                keys: self.buffers.unset(TILE * self.width)?,
                values: self.buffers.unset(TILE * self.width)?,
            });
        }
        let touched = (first / TILE..end.div_ceil(TILE)).zip(&mut self.tiles[first / TILE..]);
        workers.run(touched.collect(), |(index, tile): (usize, &mut Tile)| {
            let start = index * TILE;
            for position in first.max(start)..end.min(start + TILE) {
                let (row, at) = (position - first, position - start);
                let parts = tile.values.chunks_exact_mut(TILE * self.part);
                for (to, from) in parts.zip(v.row(row).chunks_exact(self.part)) {
                    to[at * self.part..][..self.part].copy_from_slice(from);
                }
                let parts = tile.keys.chunks_exact_mut(TILE * self.part);
                for (to, from) in parts.zip(k.row(row).chunks_exact(self.part)) {
                    let group = &mut to[at / self.group * self.group * self.part..];
                    let places = group[at % self.group..].iter_mut().step_by(self.group);
                    for (to, from) in places.zip(from) {
                        *to = *from;
                    }
                }
            }
        });
        self.len = self.len.max(end);
        Ok(())
    }

    /// Keys and values of tile `index` for the head whose numbers begin at column `first`.
    pub fn rows(&self, index: usize, first: usize) -> (Keys<'_>, Rows<'_>) {
        let tile = &self.tiles[index];
        let part = TILE * self.part;
        let start = first / self.part * part;
        let first = first % self.part;
        let keys = Keys {
            data: &tile.keys[start..][..part],
            width: self.part,
            first,
        };
        let values = Rows {
            data: &tile.values[start..][..part],
            stride: self.part,
            first,
        };
        (keys, values)
    }
}

/// Keys and values of all layers. Memory grows with the positions written, tile by tile, and nothing
/// moves when it does; all of it is freed with the cache.
#[derive(Debug)]
pub struct Cache {
    pub(crate) shape: CacheShape,
    pub(crate) layers: Vec<Tiles>,
}

impl Cache {
    /// Room for nothing yet.
    pub(crate) fn new(shape: CacheShape, isa: Dispatch) -> Self {
        let buffers = Arc::new(Buffers::with_limit(0));
        let layers = (0..shape.layers)
            .map(|_| Tiles::new(shape.width, shape.width, isa, &buffers))
            .collect();
        Cache { shape, layers }
    }
}
