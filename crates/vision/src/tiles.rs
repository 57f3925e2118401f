use crate::anyres::{AnyresPlan, HighResPlan};
use crate::error::ImageError;
use crate::image::Rgb8Image;
use crate::resize::resize;

/// How bytes become the vision tower's input: `(byte · rescale − mean) / std`, per channel.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Normalization {
    /// Factor before the rest, 1/255 in every SigLIP checkpoint.
    pub rescale: f64,
    /// Mean of R, G, B.
    pub mean: [f32; 3],
    /// Standard deviation of R, G, B.
    pub std: [f32; 3],
}

impl Normalization {
    /// SigLIP's: bytes to −1…1.
    pub const SIGLIP: Self = Self {
        rescale: 1.0 / 255.0,
        mean: [0.5; 3],
        std: [0.5; 3],
    };

    /// The value of every byte in every channel, with the arithmetic of transformers'
    /// `image_transforms`: the product in f64, rounded to f32, the rest in f32.
    fn table(&self) -> [[f32; 256]; 3] {
        let mut table = [[0.0; 256]; 3];
        for (row, (mean, std)) in table.iter_mut().zip(self.mean.iter().zip(&self.std)) {
            for (byte, value) in row.iter_mut().enumerate() {
                *value = ((byte as f64 * self.rescale) as f32 - mean) / std;
            }
        }
        table
    }
}

/// The tiles of one image, ready to be normalised one at a time.
///
/// Tile 0 is the base image, the whole picture squashed to a square; then follow the tiles of the
/// high resolution, row by row. Held as bytes: 37 tiles are 16 MB so, and 65 MB as f32.
#[derive(Debug, Clone)]
pub struct Tiles {
    side: usize,
    base: Rgb8Image,
    high_res: Option<(HighResPlan, Rgb8Image)>,
    table: [[f32; 256]; 3],
}

/// Resizes `image` as `plan` says. The pixel values come tile by tile from the result.
///
/// # Errors
/// [`ImageError::PlanMismatch`] when the plan was made for another size.
pub fn preprocess(
    image: &Rgb8Image,
    plan: &AnyresPlan,
    normalization: &Normalization,
) -> Result<Tiles, ImageError> {
    if (plan.image.width, plan.image.height) != (image.width(), image.height()) {
        return Err(ImageError::PlanMismatch {
            planned_width: plan.image.width,
            planned_height: plan.image.height,
            width: image.width(),
            height: image.height(),
        });
    }
    let side = u32::try_from(plan.tile).unwrap_or(u32::MAX);
    let base = resize(image, side, side)?;
    let high_res = match &plan.high_res {
        None => None,
        Some(high_res) => {
            let size = high_res.resized;
            Some((high_res.clone(), resize(image, size.width, size.height)?))
        }
    };
    Ok(Tiles {
        side: plan.tile,
        base,
        high_res,
        table: normalization.table(),
    })
}

impl Tiles {
    /// How many tiles, the base image included: passes through the vision tower.
    pub fn count(&self) -> usize {
        1 + self
            .high_res
            .as_ref()
            .map_or(0, |(plan, _)| plan.grid.cells())
    }

    /// `[count, 3, side, side]`.
    pub fn shape(&self) -> [usize; 4] {
        [self.count(), 3, self.side, self.side]
    }

    /// Values of one tile: `3 · side · side`.
    pub fn tile_len(&self) -> usize {
        3 * self.side * self.side
    }

    /// The pixel values of tile `index`, `[3, side, side]`.
    ///
    /// # Errors
    /// [`ImageError::WrongTile`] when there is no such tile.
    pub fn tile(&self, index: usize) -> Result<Vec<f32>, ImageError> {
        let mut values = vec![0.0; self.tile_len()];
        self.write_tile(index, &mut values)?;
        Ok(values)
    }

    /// Writes the pixel values of tile `index`, `[3, side, side]`, into `values`.
    ///
    /// # Errors
    /// [`ImageError::WrongTile`] when there is no such tile or `values` is not as long as one.
    pub fn write_tile(&self, index: usize, values: &mut [f32]) -> Result<(), ImageError> {
        if index >= self.count() || values.len() != self.tile_len() {
            return Err(ImageError::WrongTile {
                index,
                tiles: self.count(),
                expected: self.tile_len(),
                found: values.len(),
            });
        }
        self.fill(index, values);
        Ok(())
    }

    /// All pixel values, `[count, 3, side, side]`.
    pub fn pixel_values(&self) -> Vec<f32> {
        let mut values = vec![0.0; self.count() * self.tile_len()];
        for (index, tile) in values.chunks_exact_mut(self.tile_len()).enumerate() {
            self.fill(index, tile);
        }
        values
    }

    fn fill(&self, index: usize, values: &mut [f32]) {
        match (index.checked_sub(1), &self.high_res) {
            (Some(cell), Some((plan, resized))) => {
                let cols = plan.grid.cols.max(1);
                let (left, top) = plan.offset;
                // Where the picture lies as seen from the tile's corner.
                let x = i64::from(left) - (cell % cols * self.side) as i64;
                let y = i64::from(top) - (cell / cols * self.side) as i64;
                self.paste(resized, x, y, values);
            }
            _ => self.paste(&self.base, 0, 0, values),
        }
    }

    /// One tile of a black canvas on which `image` lies at `(x, y)`.
    fn paste(&self, image: &Rgb8Image, x: i64, y: i64, values: &mut [f32]) {
        let (columns, image_columns) = overlap(x, self.side, image.width());
        let (rows, image_rows) = overlap(y, self.side, image.height());
        let stride = 3 * image.width() as usize;
        for (channel, plane) in values.chunks_exact_mut(self.side * self.side).enumerate() {
            let table = &self.table[channel];
            plane.fill(table[0]);
            let source = image
                .data()
                .chunks_exact(stride)
                .skip(image_rows)
                .take(rows.len());
            let target = plane.chunks_exact_mut(self.side).skip(rows.start);
            for (target, source) in target.zip(source) {
                let (pixels, _) = source.as_chunks::<3>();
                let pixels = pixels.iter().skip(image_columns);
                for (value, pixel) in target[columns.clone()].iter_mut().zip(pixels) {
                    *value = table[usize::from(pixel[channel])];
                }
            }
        }
    }
}

/// Along one axis, for an image of `length` placed at `start` of a tile of `side`: the part of
/// the tile that it covers and where in the image that part begins.
fn overlap(start: i64, side: usize, length: u32) -> (std::ops::Range<usize>, usize) {
    let within = |position: i64| position.clamp(0, side as i64) as usize;
    let covered = within(start)..within(start + i64::from(length));
    (covered, (-start).max(0) as usize)
}
