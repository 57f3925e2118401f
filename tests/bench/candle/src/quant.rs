//! Formats of the weights.

use std::str::FromStr;

use candle_core::quantized::GgmlDType;

/// Format of the weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quant {
    /// 32-bit floats.
    F32,
    /// 8 bits and a scale for 32 values.
    Q8_0,
    /// 4 bits and a scale for 32 values.
    Q4_0,
}

impl Quant {
    /// candle's name for it.
    pub fn ggml(self) -> GgmlDType {
        match self {
            Quant::F32 => GgmlDType::F32,
            Quant::Q8_0 => GgmlDType::Q8_0,
            Quant::Q4_0 => GgmlDType::Q4_0,
        }
    }
}

impl FromStr for Quant {
    type Err = candle_core::Error;

    fn from_str(text: &str) -> candle_core::Result<Quant> {
        match text {
            "f32" => Ok(Quant::F32),
            "q8_0" => Ok(Quant::Q8_0),
            "q4_0" => Ok(Quant::Q4_0),
            other => candle_core::bail!("{other:?} is no format; choose f32, q8_0 or q4_0"),
        }
    }
}
