//! `llavaguard bench`: how fast a model runs on this machine.
//!
//! Each round runs every stage by itself (one tile, the default policy's prompt, a fixed number of
//! tokens whatever they say) and then judges a picture as a whole. Weights are loaded once.

mod gpu;
mod products;
mod statistics;

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::process::ExitCode;
use std::time::Instant;

use llavaguard_backend::{Cancelled, Control, Device, Stage, block_on};
use llavaguard_guard::{Engine, Event, ImageInput, Rationale, Request, Sampling, Watcher};
use llavaguard_model::{KvCache, ModelError, Packing, Wanted};
use llavaguard_policy::{Detail, Policy};
use serde::Serialize;

use crate::args::{Bench, DeviceKind};
use crate::failure::Failure;
use crate::progress::Progress;
use crate::{model_file, output};
use products::Product;
use statistics::Spread;

/// Width and height of the picture that is judged; what it shows does not change the time.
const PICTURE: (u32, u32) = (640, 480);

/// Loads the model, runs the rounds and prints the figures.
pub fn run(args: &Bench) -> Result<ExitCode, Failure> {
    let progress = Progress::new();
    let start = Instant::now();
    let report = match args.model.device {
        DeviceKind::Cpu => {
            let engine = model_file::load_on_cpu(&args.model, &progress)?;
            block_on(measure(&engine, args, milliseconds(start), &progress))
        }
        DeviceKind::Gpu => {
            let engine = model_file::load_on_gpu(&args.model, &progress)?;
            let load_ms = milliseconds(start);
            block_on(async {
                let mut report = measure(&engine, args, load_ms, &progress).await?;
                let rounds = usize::from(args.rounds);
                report.gpu = Some(gpu::measure(&engine, rounds, &progress).await?);
                Ok(report)
            })
        }
    };
    progress.clear();
    let report = report?;
    output::print(&if args.json {
        output::json(&report)?
    } else {
        report.human()
    })?;
    Ok(ExitCode::SUCCESS)
}

/// The figures; the form of `--json`.
#[derive(Serialize)]
struct Report {
    version: &'static str,
    model_id: String,
    device: String,
    rounds: usize,
    load_ms: f64,
    /// Vision tower and projector over one tile.
    vision_tile: Timed,
    /// The language model over the prompt of the default policy at detail `low`.
    prefill: Timed,
    /// Tokens written one by one behind that prompt.
    decode: Timed,
    /// From a picture's pixels to rating and category.
    verdict: Timed,
    /// From a picture's pixels to the whole answer.
    answer: Timed,
    /// The most memory this process had resident, where the system tells it.
    #[serde(skip_serializing_if = "Option::is_none")]
    peak_memory: Option<PeakMemory>,
    #[serde(skip_serializing_if = "Option::is_none")]
    products: Option<Vec<Product>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    gpu: Option<gpu::Figures>,
}

/// Times of a stage in each round.
#[derive(Serialize)]
struct Timed {
    /// Tokens it made or read; of the answer those the model chose.
    #[serde(skip_serializing_if = "Option::is_none")]
    tokens: Option<usize>,
    milliseconds: Spread,
}

/// Bytes resident at most.
#[derive(Serialize)]
struct PeakMemory {
    after_load: u64,
    after_rounds: u64,
}

async fn measure<D: Device>(
    engine: &Engine<D>,
    args: &Bench,
    load_ms: f64,
    progress: &Progress,
) -> Result<Report, Failure> {
    let after_load = peak_memory();
    let rounds = usize::from(args.rounds);
    let tokens = usize::from(args.tokens);
    let stages = Stages::new(engine, tokens)?;
    let request = Request {
        policy: Policy::default(),
        detail: Detail::Low,
        rationale: Rationale::Write {
            sampling: Sampling::Greedy,
            max_tokens: tokens,
        },
    };
    let pixels = picture(PICTURE);
    let [mut tile, mut prefill, mut decode, mut verdict, mut answer]: [Vec<f64>; 5] =
        Default::default();
    let mut chosen = 0;
    for round in 1..=rounds {
        progress.about(&format!("round {round} of {rounds}"));
        let (visual_tokens, ms) = stages.tile(progress).await?;
        tile.push(ms);
        let (mut prompt, ms) = stages.prefill(&visual_tokens, progress).await?;
        prefill.push(ms);
        decode.push(stages.decode(&mut prompt, tokens, progress).await?);
        drop(prompt);

        let clock = Clock::start(progress);
        let image = ImageInput::Rgba {
            width: PICTURE.0,
            height: PICTURE.1,
            pixels: &pixels,
        };
        let assessment = engine.assess(image, &request, &clock).await?;
        answer.push(clock.now_ms());
        verdict.push(clock.verdict_ms()?);
        chosen = assessment.tokens.generated as usize;
    }
    let peak_memory = after_load.zip(peak_memory());
    let network = engine.network();
    progress.about("matrix products");
    let products = || products::measure(network.device(), network.config(), rounds, progress);
    let products = args.products.then(products).transpose()?;
    Ok(Report {
        version: env!("CARGO_PKG_VERSION"),
        model_id: engine.info().model_id,
        device: engine.info().device,
        rounds,
        load_ms,
        vision_tile: Timed::new(Some(network.config().vision.patches()), tile),
        prefill: Timed::new(Some(stages.prompt_tokens()), prefill),
        decode: Timed::new(Some(tokens), decode),
        verdict: Timed::new(None, verdict),
        answer: Timed::new(Some(chosen), answer),
        peak_memory: peak_memory.map(|(after_load, after_rounds)| PeakMemory {
            after_load,
            after_rounds,
        }),
        products,
        gpu: None,
    })
}

/// The network's stages, one by one.
struct Stages<'a, D: Device> {
    engine: &'a Engine<D>,
    before_image: Vec<u32>,
    after_image: Vec<u32>,
    /// Normalised pixels of a tile.
    tile: Vec<f32>,
    /// Tokens to be written.
    room: usize,
}

/// A prompt in the cache, and the state behind it.
struct Prefilled<D: Device> {
    cache: KvCache<D>,
    state: <D as Device>::Matrix,
}

impl<'a, D: Device> Stages<'a, D> {
    fn new(engine: &'a Engine<D>, room: usize) -> Result<Self, Failure> {
        let (before_image, after_image) = engine.prompt_tokens(&Policy::default())?;
        let side = engine.network().config().vision.image_size;
        let tile = (0..3 * side * side).map(|at| (at % 511) as f32 / 255.0 - 1.0);
        Ok(Stages {
            engine,
            before_image,
            after_image,
            tile: tile.collect(),
            room,
        })
    }

    /// Tokens of the whole prompt, visual ones included.
    fn prompt_tokens(&self) -> usize {
        let visual = self.engine.network().config().vision.patches();
        self.before_image.len() + visual + self.after_image.len()
    }

    /// Encodes a tile; gives its visual tokens and the milliseconds.
    async fn tile(&self, progress: &Progress) -> Result<(<D as Device>::Matrix, f64), ModelError> {
        let network = self.engine.network();
        let mut pixels = |_| Ok(self.tile.clone());
        let start = Instant::now();
        let encoded = network
            .encode_image(&Packing::BaseOnly, &mut pixels, false, progress)
            .await?;
        network.device().read(&encoded.visual_tokens).await?;
        Ok((encoded.visual_tokens, milliseconds(start)))
    }

    /// Reads the prompt in the pieces the engine reads it in; gives the milliseconds.
    async fn prefill(
        &self,
        visual_tokens: &<D as Device>::Matrix,
        progress: &Progress,
    ) -> Result<(Prefilled<D>, f64), ModelError> {
        let network = self.engine.network();
        let (device, decoder) = (network.device(), &network.decoder);
        let start = Instant::now();
        let mut cache = decoder.new_cache(device, self.prompt_tokens() + self.room)?;
        let before = decoder.embed(device, &self.before_image)?;
        for part in [&before, visual_tokens] {
            decoder
                .forward(device, part, &mut cache, Wanted::Cache, progress)
                .await?;
        }
        let after = decoder.embed(device, &self.after_image)?;
        let state = decoder
            .forward(device, &after, &mut cache, Wanted::LastState, progress)
            .await?;
        let state = state.ok_or_else(|| ModelError::Input("a prompt without a policy".into()))?;
        device.read(&state).await?;
        Ok((Prefilled { cache, state }, milliseconds(start)))
    }

    /// Writes `tokens` tokens, always the likeliest, and never stops early; gives the milliseconds.
    async fn decode(
        &self,
        prompt: &mut Prefilled<D>,
        tokens: usize,
        progress: &Progress,
    ) -> Result<f64, ModelError> {
        let network = self.engine.network();
        let (device, decoder) = (network.device(), &network.decoder);
        let start = Instant::now();
        for done in 1..=tokens {
            let logits = decoder.logits(device, &prompt.state)?;
            let token = device.argmax(&logits, &[]).await?;
            let x = decoder.embed(device, &[token])?;
            let state = decoder
                .forward(device, &x, &mut prompt.cache, Wanted::LastState, progress)
                .await?;
            if let Some(state) = state {
                prompt.state = state;
            }
            progress.progress(Stage::Decode, done, tokens);
        }
        device.read(&prompt.state).await?;
        Ok(milliseconds(start))
    }
}

/// A clock from zero that notes when the verdict stood.
struct Clock<'a> {
    progress: &'a Progress,
    start: Instant,
    verdict: Cell<Option<f64>>,
}

impl<'a> Clock<'a> {
    fn start(progress: &'a Progress) -> Self {
        Clock {
            progress,
            start: Instant::now(),
            verdict: Cell::new(None),
        }
    }

    fn verdict_ms(&self) -> Result<f64, Failure> {
        self.verdict
            .get()
            .ok_or_else(|| Failure::new("engine.no_verdict", "the engine told no verdict"))
    }
}

impl Control for Clock<'_> {
    fn checkpoint(&self) -> Pin<Box<dyn Future<Output = Result<(), Cancelled>> + '_>> {
        self.progress.checkpoint()
    }

    fn progress(&self, stage: Stage, done: usize, total: usize) {
        self.progress.progress(stage, done, total);
    }
}

impl Watcher for Clock<'_> {
    fn now_ms(&self) -> f64 {
        milliseconds(self.start)
    }

    fn on_event(&self, event: Event) {
        if matches!(event, Event::Verdict { .. }) {
            self.verdict.set(Some(self.now_ms()));
        }
    }
}

impl Timed {
    fn new(tokens: Option<usize>, milliseconds: Vec<f64>) -> Timed {
        Timed {
            tokens,
            milliseconds: Spread::of(milliseconds),
        }
    }

    /// A line of the table; with `rate` also how fast the tokens went.
    fn human(&self, what: &str, rate: bool) -> String {
        let Spread {
            median, min, max, ..
        } = self.milliseconds;
        let tokens = self.tokens.map_or(String::new(), |tokens| match rate {
            true => format!(
                "  {tokens} tokens, {:.1} a second",
                tokens as f64 / median * 1e3
            ),
            false => format!("  {tokens} tokens chosen"),
        });
        format!("{what:<22} {median:>10.1} {min:>10.1} {max:>10.1}{tokens}\n")
    }
}

impl Report {
    fn human(&self) -> String {
        let mut text = format!(
            "model   {}\ndevice  {}\nload    {:.0} ms\n",
            output::printable(&self.model_id),
            output::printable(&self.device),
            self.load_ms,
        );
        if let Some(peak) = &self.peak_memory {
            text.push_str(&format!(
                "memory  at most {} while loading, {} in all\n",
                output::bytes(peak.after_load),
                output::bytes(peak.after_rounds),
            ));
        }
        text.push_str(&format!(
            "\n{:<22} {:>10} {:>10} {:>10}\n",
            "milliseconds", "median", "least", "most"
        ));
        for (what, timed, rate) in [
            ("one tile", &self.vision_tile, true),
            ("reading the prompt", &self.prefill, true),
            ("writing", &self.decode, true),
            ("picture to verdict", &self.verdict, false),
            ("picture to answer", &self.answer, false),
        ] {
            text.push_str(&timed.human(what, rate));
        }
        if let Some(products) = &self.products {
            text.push_str(&format!(
                "\n{:<22} {:>6} {:>10} {:>10} {:>10}\n",
                "giga-operations/s", "format", "median", "least", "most"
            ));
            for product in products {
                text.push_str(&product.human());
            }
        }
        if let Some(gpu) = &self.gpu {
            text.push_str(&gpu.human());
        }
        text
    }
}

/// A picture with some structure, four bytes a pixel.
fn picture((width, height): (u32, u32)) -> Vec<u8> {
    (0..height)
        .flat_map(|y| (0..width).map(move |x| (x, y)))
        .flat_map(|(x, y)| [x as u8, y as u8, (x ^ y) as u8, 255])
        .collect()
}

fn milliseconds(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e3
}

/// The most memory this process has had resident, in bytes, where Linux tells it.
fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}
