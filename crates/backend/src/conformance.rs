//! The suite every device must pass.
//!
//! [`check_all`] runs every operation on random inputs of odd and of the network's own sizes and
//! compares with [`Reference`], which rounds activations where the device does, within a stated
//! tolerance, then checks the two promises of
//! [`Device`]: that a row's bits do not depend on how many rows are computed together, and that
//! operands that do not fit are refused. [`check_same_bits`] compares two devices that must agree to
//! the last bit, such as one device with one thread and with several.

mod operations;
mod random;
mod refusals;
mod rows;

use std::fmt;

use crate::reference::Reference;
use crate::{Device, DeviceError};

/// What the suite found on a device that passed.
#[derive(Debug, Clone)]
pub struct Report {
    /// [`Device::name`].
    pub device: String,
    /// One entry for each comparison with the reference.
    pub checks: Vec<Check>,
    /// How many comparisons of rows computed together and apart were made.
    pub independence_checks: usize,
    /// How many operands that do not fit were refused.
    pub refusals: usize,
}

/// One comparison with the reference.
#[derive(Debug, Clone)]
pub struct Check {
    /// The operation.
    pub case: &'static str,
    /// Sizes and formats of its operands.
    pub sizes: String,
    /// Largest difference from the reference, relative to the largest magnitude in the same row.
    pub error: f64,
    /// The error allowed.
    pub tolerance: f64,
}

impl fmt::Display for Report {
    /// The worst check of each operation, one line each.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}:", self.device)?;
        let mut worst: Vec<&Check> = Vec::new();
        for check in &self.checks {
            match worst.iter_mut().find(|other| other.case == check.case) {
                Some(other) if other.error < check.error => *other = check,
                Some(_) => {}
                None => worst.push(check),
            }
        }
        for Check {
            case,
            sizes,
            error,
            tolerance,
        } in worst
        {
            writeln!(f, "  {case:<18} {error:.1e} of {tolerance:.0e} at {sizes}")?;
        }
        write!(
            f,
            "  {} row comparisons equal, {} misfits refused",
            self.independence_checks, self.refusals
        )
    }
}

/// Why a device did not pass.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Failure {
    /// An operation that should have worked did not.
    #[error("{case} at {sizes}: {error}")]
    Refused {
        /// The operation.
        case: &'static str,
        /// Sizes and formats of its operands.
        sizes: String,
        /// What it said.
        error: DeviceError,
    },
    /// A result of the wrong size.
    #[error("{case} at {sizes}: {found} values for {expected}")]
    Length {
        /// The operation.
        case: &'static str,
        /// Sizes and formats of its operands.
        sizes: String,
        /// Values there should be.
        expected: usize,
        /// Values there are.
        found: usize,
    },
    /// A result too far from the reference's.
    #[error(
        "{case} at {sizes}: value {index} is {found} for {expected}, off by {error:.2e} of its row, more than {tolerance:.0e}"
    )]
    Far {
        /// The operation.
        case: &'static str,
        /// Sizes and formats of its operands.
        sizes: String,
        /// Where it is furthest off.
        index: usize,
        /// The reference's value there.
        expected: f32,
        /// The device's.
        found: f32,
        /// The relative error there.
        error: f64,
        /// The error allowed.
        tolerance: f64,
    },
    /// Two results that must be equal to the last bit.
    #[error("{case} at {sizes}: {how}, value {index} is {found:e} and not {expected:e}")]
    Bits {
        /// The operation.
        case: &'static str,
        /// Sizes and formats of its operands.
        sizes: String,
        /// What was done in two ways.
        how: String,
        /// Where they first differ.
        index: usize,
        /// One value.
        expected: f32,
        /// The other.
        found: f32,
    },
    /// Operands that do not fit were taken.
    #[error("{case} took {what} and should have refused")]
    Accepted {
        /// The operation.
        case: &'static str,
        /// What does not fit.
        what: &'static str,
    },
    /// Operands that do not fit were refused with the wrong kind of error.
    #[error("{case} refused {what} with the wrong error: {error}")]
    WrongError {
        /// The operation.
        case: &'static str,
        /// What does not fit.
        what: &'static str,
        /// What it said.
        error: DeviceError,
    },
}

/// A result with what is needed to judge it.
struct Output {
    case: &'static str,
    sizes: String,
    tolerance: f64,
    cols: usize,
    values: Vec<f32>,
}

/// Runs the whole suite.
pub async fn check_all<D: Device>(device: &D) -> Result<Report, Failure> {
    let expected = operations::all(&Reference::like(device)).await?;
    let found = operations::all(device).await?;
    let checks = expected
        .iter()
        .zip(&found)
        .map(|(expected, found)| compare(expected, found))
        .collect::<Result<_, _>>()?;
    Ok(Report {
        device: device.name(),
        checks,
        independence_checks: rows::all(device).await?,
        refusals: refusals::all(device).await?,
    })
}

/// Runs every operation on both devices; gives how many results were equal to the last bit, which is
/// all of them.
pub async fn check_same_bits<D: Device>(one: &D, other: &D) -> Result<usize, Failure> {
    let expected = operations::all(one).await?;
    let found = operations::all(other).await?;
    for (expected, found) in expected.iter().zip(&found) {
        let how = format!("{} against {}", other.name(), one.name());
        same_bits(
            expected.case,
            &expected.sizes,
            &how,
            &expected.values,
            &found.values,
        )?;
    }
    Ok(expected.len())
}

fn compare(expected: &Output, found: &Output) -> Result<Check, Failure> {
    let Output {
        case,
        tolerance,
        cols,
        ..
    } = *expected;
    let sizes = expected.sizes.clone();
    if expected.values.len() != found.values.len() {
        let (expected, found) = (expected.values.len(), found.values.len());
        return Err(Failure::Length {
            case,
            sizes,
            expected,
            found,
        });
    }
    let mut worst = 0.0;
    let rows = expected
        .values
        .chunks(cols.max(1))
        .zip(found.values.chunks(cols.max(1)));
    for (row, (wanted, got)) in rows.enumerate() {
        let scale = wanted
            .iter()
            .fold(f64::MIN_POSITIVE, |scale, v| scale.max(f64::from(v.abs())));
        for (col, (&expected, &found)) in wanted.iter().zip(got).enumerate() {
            let error = (f64::from(expected) - f64::from(found)).abs() / scale;
            if error.is_nan() || error > tolerance {
                let index = row * cols + col;
                return Err(Failure::Far {
                    case,
                    sizes,
                    index,
                    expected,
                    found,
                    error,
                    tolerance,
                });
            }
            worst = f64::max(worst, error);
        }
    }
    Ok(Check {
        case,
        sizes,
        error: worst,
        tolerance,
    })
}

fn same_bits(
    case: &'static str,
    sizes: &str,
    how: &str,
    expected: &[f32],
    found: &[f32],
) -> Result<(), Failure> {
    let sizes = sizes.to_owned();
    if expected.len() != found.len() {
        return Err(Failure::Length {
            case,
            sizes,
            expected: expected.len(),
            found: found.len(),
        });
    }
    let differs = |(a, b): (&f32, &f32)| a.to_bits() != b.to_bits();
    match expected.iter().zip(found).position(differs) {
        None => Ok(()),
        Some(index) => Err(Failure::Bits {
            case,
            sizes,
            how: how.to_owned(),
            index,
            expected: expected[index],
            found: found[index],
        }),
    }
}

/// Names the operation and its sizes in a device's error.
fn named<T>(case: &'static str, sizes: &str, result: Result<T, DeviceError>) -> Result<T, Failure> {
    result.map_err(|error| Failure::Refused {
        case,
        sizes: sizes.to_owned(),
        error,
    })
}

#[cfg(test)]
mod tests;
