//! Keys and values on the device.

use std::rc::Rc;

use llavaguard_backend::CacheShape;

use crate::buffers::Storage;

/// Positions a layer grows by at least.
const STEP: usize = 256;

/// Keys and values of all layers. Memory grows with what is written, by half at a time.
#[derive(Debug)]
pub struct Cache {
    pub(crate) shape: CacheShape,
    layers: Vec<Option<Layer>>,
}

/// One layer's.
#[derive(Debug, Clone)]
pub(crate) struct Layer {
    pub keys: Rc<Storage>,
    pub values: Rc<Storage>,
    /// Positions there is room for.
    pub positions: usize,
    /// Positions written.
    pub len: usize,
}

impl Cache {
    pub(crate) fn new(shape: CacheShape) -> Self {
        Cache {
            shape,
            layers: vec![None; shape.layers],
        }
    }

    /// Positions of a layer that are written.
    pub(crate) fn len(&self, layer: usize) -> usize {
        self.layer(layer).map_or(0, |layer| layer.len)
    }

    pub(crate) fn layer(&self, layer: usize) -> Option<&Layer> {
        self.layers.get(layer).and_then(Option::as_ref)
    }

    /// The positions a layer needs room for to hold `end`, where it has less.
    pub(crate) fn growth(&self, layer: usize, end: usize) -> Option<usize> {
        let has = self.layer(layer).map_or(0, |layer| layer.positions);
        (end > has).then(|| {
            end.max(has + has / 2)
                .next_multiple_of(STEP)
                .min(self.shape.capacity)
        })
    }

    pub(crate) fn replace(&mut self, layer: usize, grown: Layer) {
        if let Some(slot) = self.layers.get_mut(layer) {
            *slot = Some(grown);
        }
    }

    pub(crate) fn written(&mut self, layer: usize, end: usize) {
        if let Some(Some(layer)) = self.layers.get_mut(layer) {
            layer.len = layer.len.max(end);
        }
    }
}
