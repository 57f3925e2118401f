use crate::sniff::Format;

/// Why an image could not be read or used.
///
/// Every message is one sentence on what was wrong and one on what to do.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ImageError {
    /// There are no bytes at all.
    #[error("The image has no bytes. Give a file with content in it.")]
    Empty,

    /// The content is none of the formats read here, whatever the file's name says.
    #[error(
        "The image's content looks like {found}, which is not read here. \
         Save it as PNG, JPEG, WebP, GIF or BMP."
    )]
    UnsupportedFormat {
        /// What the first bytes look like.
        found: String,
    },

    /// The format is read here, this use of it is not.
    #[error(
        "The {format} image uses {feature}, which is not read here. Save it again as a plain {format} or PNG."
    )]
    UnsupportedFeature {
        /// The format of the content.
        format: Format,
        /// What it uses.
        feature: String,
    },

    /// One of the [`Limits`](crate::Limits) is passed.
    #[error(
        "The image has {what}, more than the limit of {limit}. Scale it down or raise the limit."
    )]
    TooLarge {
        /// The measured quantity with its unit.
        what: String,
        /// The limit it passes, in the same unit.
        limit: u64,
    },

    /// The data stop before the picture is complete.
    #[error("The {format} image is cut short: {detail}. Get the whole file again.")]
    Truncated {
        /// The format of the content.
        format: Format,
        /// Where the data stop.
        detail: String,
    },

    /// The data are all there but contradict themselves or the format.
    #[error("The {format} image is damaged: {detail}. Get the file again or save it anew.")]
    Corrupt {
        /// The format of the content.
        format: Format,
        /// What is wrong with it.
        detail: String,
    },

    /// A raw pixel buffer does not have `width · height · channels` bytes.
    #[error(
        "A {width}x{height} image with {channels} channels needs {expected} bytes, not {found}. \
         Pass the buffer together with its own width and height."
    )]
    WrongLength {
        /// Columns.
        width: u32,
        /// Rows.
        height: u32,
        /// Bytes a pixel.
        channels: u32,
        /// `width · height · channels`.
        expected: u64,
        /// The buffer's length.
        found: u64,
    },

    /// A width or a height of zero.
    #[error("An image of {width}x{height} has no pixels. Give a width and a height of at least 1.")]
    ZeroSize {
        /// Columns.
        width: u32,
        /// Rows.
        height: u32,
    },

    /// A plan was made for an image of another size, or for no image at all.
    #[error(
        "The plan was made for an image of {planned_width}x{planned_height}, this one has \
         {width}x{height}. Make the plan from this image's size."
    )]
    PlanMismatch {
        /// Columns of the image the plan was made for.
        planned_width: u32,
        /// Rows of the image the plan was made for.
        planned_height: u32,
        /// Columns of the image given.
        width: u32,
        /// Rows of the image given.
        height: u32,
    },

    /// A tile index, or a buffer for a tile's values, that does not fit the plan.
    #[error(
        "Tile {index} of {tiles} does not fit in {found} values where {expected} are needed. Ask for a tile of the plan with a buffer of its size."
    )]
    WrongTile {
        /// The index asked for.
        index: usize,
        /// Tiles in the plan.
        tiles: usize,
        /// `3 · tile · tile`.
        expected: usize,
        /// The buffer's length.
        found: usize,
    },
}

impl ImageError {
    /// A stable dotted name of the kind of error, for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Empty => "image.empty",
            Self::UnsupportedFormat { .. } => "image.unsupported_format",
            Self::UnsupportedFeature { .. } => "image.unsupported_feature",
            Self::TooLarge { .. } => "image.too_large",
            Self::Truncated { .. } => "image.truncated",
            Self::Corrupt { .. } => "image.corrupt",
            Self::WrongLength { .. } => "image.wrong_length",
            Self::ZeroSize { .. } => "image.zero_size",
            Self::PlanMismatch { .. } => "image.plan_mismatch",
            Self::WrongTile { .. } => "image.wrong_tile",
        }
    }

    pub(crate) fn truncated(format: Format, detail: impl Into<String>) -> Self {
        Self::Truncated {
            format,
            detail: detail.into(),
        }
    }

    pub(crate) fn corrupt(format: Format, detail: impl Into<String>) -> Self {
        Self::Corrupt {
            format,
            detail: detail.into(),
        }
    }

    pub(crate) fn feature(format: Format, feature: impl Into<String>) -> Self {
        Self::UnsupportedFeature {
            format,
            feature: feature.into(),
        }
    }
}
