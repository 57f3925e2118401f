//! From image bytes to the normalised tiles the vision tower sees.
//!
//! ```text
//! bytes --decode--> Rgb8Image --AnyresConfig::plan--> AnyresPlan --preprocess--> Tiles
//! ```
//!
//! - [`decode`] reads PNG, JPEG, WebP, GIF (first frame) and BMP within [`Limits`] and turns the
//!   picture upright; what cannot be read whole is an error, never a partial picture.
//! - [`resize`] equals Pillow's 8-bit antialiased bicubic.
//! - [`AnyresConfig::plan`] says how LLaVA-OneVision cuts a picture of that size into tiles and
//!   how many visual tokens come of it.
//! - [`preprocess`] makes the tiles' normalised pixel values.
//!
//! Pure computation: no files, no threads, no clock.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod anyres;
mod container;
mod decode;
mod error;
mod image;
mod limits;
mod pixels;
mod resize;
mod sniff;
mod tiles;

pub use crate::anyres::{
    AnyresConfig, AnyresError, AnyresPlan, Detail, DetailUsed, Grid, HighResPlan, Rounding, Size,
};
pub use crate::decode::decode;
pub use crate::error::ImageError;
pub use crate::image::Rgb8Image;
pub use crate::limits::Limits;
pub use crate::resize::resize;
pub use crate::sniff::Format;
pub use crate::tiles::{Normalization, Tiles, preprocess};
