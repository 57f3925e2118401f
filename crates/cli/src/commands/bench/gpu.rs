//! What `bench` tells of a GPU: its ceilings, each kernel's share, and the verdict at every detail.

use llavaguard_gpu::{Ceilings, GpuDevice, KernelTime};
use llavaguard_guard::{Engine, ImageInput, Rationale, Request};
use llavaguard_policy::{Detail, Policy};
use serde::Serialize;

use super::statistics::Spread;
use super::{Clock, Stages, picture};
use crate::failure::Failure;
use crate::output;
use crate::progress::Progress;

/// A picture that takes LlavaGuard's whole grid at detail `high`: nine tiles and the base image.
const LARGE: (u32, u32) = (1152, 1152);
/// Tokens written while kernels are timed.
const TOKENS: usize = 16;

/// The figures.
#[derive(Serialize)]
pub struct Figures {
    ceilings: Best,
    /// By stage, where the adapter can time kernels.
    kernels: Vec<StageKernels>,
    /// From a large picture's pixels to its rating and category.
    verdicts: Vec<Verdict>,
}

/// What the adapter can do at best.
#[derive(Serialize)]
struct Best {
    copied_gigabytes_per_second: f64,
    gigaflops: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    byte_giga_operations: Option<f64>,
}

#[derive(Serialize)]
struct StageKernels {
    stage: &'static str,
    kernels: Vec<Share>,
}

/// What one kernel takes of a stage.
#[derive(Serialize)]
struct Share {
    kernel: &'static str,
    runs: usize,
    milliseconds: f64,
    share: f64,
    gigaflops: f64,
    gigabytes_per_second: f64,
}

#[derive(Serialize)]
struct Verdict {
    detail: &'static str,
    tiles: u32,
    visual_tokens: u32,
    /// What the GPU holds behind it: weights, keys and values, activations.
    device_bytes: u64,
    milliseconds: Spread,
}

/// Measures the GPU an engine runs on.
pub async fn measure(
    engine: &Engine<GpuDevice>,
    rounds: usize,
    progress: &Progress,
) -> Result<Figures, Failure> {
    let device = engine.device();
    progress.about("the GPU's ceilings");
    let ceilings = device
        .ceilings()
        .await
        .map_err(llavaguard_model::ModelError::from)?;
    progress.about("kernels");
    let kernels = kernels(engine, progress).await?;
    let mut verdicts = Vec::new();
    let pixels = picture(LARGE);
    for detail in Detail::ALL {
        progress.about(&format!("detail {}", detail.name()));
        let request = Request {
            policy: Policy::default(),
            detail,
            rationale: Rationale::None,
        };
        let mut times = Vec::new();
        let mut used = None;
        for _ in 0..rounds {
            let clock = Clock::start(progress);
            let image = ImageInput::Rgba {
                width: LARGE.0,
                height: LARGE.1,
                pixels: &pixels,
            };
            let assessment = engine.assess(image, &request, &clock).await?;
            times.push(clock.verdict_ms()?);
            used = Some(assessment.detail);
        }
        if let Some(used) = used {
            verdicts.push(Verdict {
                detail: detail.name(),
                tiles: used.tiles,
                visual_tokens: used.visual_tokens,
                device_bytes: device.bytes(),
                milliseconds: Spread::of(times),
            });
        }
    }
    Ok(Figures {
        ceilings: Best::of(&ceilings),
        kernels,
        verdicts,
    })
}

/// Runs every stage with each kernel timed by the GPU's own clock.
async fn kernels(
    engine: &Engine<GpuDevice>,
    progress: &Progress,
) -> Result<Vec<StageKernels>, Failure> {
    let device = engine.device();
    let stages = Stages::new(engine, TOKENS)?;
    let mut found = Vec::new();
    if !device.start_profile() {
        return Ok(found);
    }
    let mut note = |stage| {
        let times = device.finish_profile();
        device.start_profile();
        found.push(StageKernels {
            stage,
            kernels: Share::all(&times),
        });
    };
    let (visual_tokens, _) = stages.tile(progress).await?;
    note("one tile");
    let (mut prompt, _) = stages.prefill(&visual_tokens, progress).await?;
    note("reading the prompt");
    stages.decode(&mut prompt, TOKENS, progress).await?;
    note("writing");
    device.finish_profile();
    Ok(found)
}

impl Best {
    fn of(ceilings: &Ceilings) -> Best {
        Best {
            copied_gigabytes_per_second: ceilings.copied_bytes / 1e9,
            gigaflops: ceilings.flops / 1e9,
            byte_giga_operations: ceilings.byte_ops.map(|ops| ops / 1e9),
        }
    }
}

impl Share {
    /// The longest first.
    fn all(times: &[(&'static str, KernelTime)]) -> Vec<Share> {
        let all: f64 = times.iter().map(|(_, time)| time.seconds).sum();
        let mut shares: Vec<Share> = times
            .iter()
            .map(|&(kernel, time)| {
                let seconds = time.seconds.max(f64::MIN_POSITIVE);
                Share {
                    kernel,
                    runs: time.runs,
                    milliseconds: time.seconds * 1e3,
                    share: time.seconds / all.max(f64::MIN_POSITIVE),
                    gigaflops: time.flops / seconds / 1e9,
                    gigabytes_per_second: time.bytes / seconds / 1e9,
                }
            })
            .collect();
        shares.sort_by(|a, b| b.milliseconds.total_cmp(&a.milliseconds));
        shares
    }
}

impl Figures {
    /// The tables for people.
    pub fn human(&self) -> String {
        let Best {
            copied_gigabytes_per_second,
            gigaflops,
            byte_giga_operations,
        } = &self.ceilings;
        let bytes = byte_giga_operations.map_or(String::new(), |ops| {
            format!(", {ops:.0} giga-operations/s in bytes")
        });
        let mut text = format!(
            "\nat best  {gigaflops:.0} GFLOP/s in f32{bytes}, {copied_gigabytes_per_second:.0} GB/s copied\n"
        );
        if self.kernels.is_empty() {
            text.push_str("\nThis adapter cannot time kernels.\n");
        }
        for stage in &self.kernels {
            text.push_str(&format!(
                "\n{:<22} {:>6} {:>10} {:>7} {:>10} {:>8} {:>8}\n",
                stage.stage, "runs", "ms", "share", "GFLOP/s", "of best", "GB/s"
            ));
            for share in &stage.kernels {
                let best = match byte_giga_operations {
                    Some(ops) if share.kernel.ends_with("_dot") => *ops,
                    _ => *gigaflops,
                };
                text.push_str(&format!(
                    "  {:<20} {:>6} {:>10.2} {:>6.1}% {:>10.1} {:>7.1}% {:>8.1}\n",
                    share.kernel,
                    share.runs,
                    share.milliseconds,
                    100.0 * share.share,
                    share.gigaflops,
                    100.0 * share.gigaflops / best,
                    share.gigabytes_per_second,
                ));
            }
        }
        text.push_str(&format!(
            "\n{:<22} {:>10} {:>10} {:>10}\n",
            "picture to verdict, ms", "median", "least", "most"
        ));
        for verdict in &self.verdicts {
            let Spread {
                median, min, max, ..
            } = &verdict.milliseconds;
            let tokens = output::grouped(verdict.visual_tokens.into());
            text.push_str(&format!(
                "  {:<20} {median:>10.1} {min:>10.1} {max:>10.1}  {} tiles, {tokens} visual tokens, {} of the GPU's memory\n",
                verdict.detail,
                verdict.tiles,
                output::bytes(verdict.device_bytes),
            ));
        }
        text
    }
}
