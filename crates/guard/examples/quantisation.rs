//! What a model file's number formats, and the device's arithmetic, cost at the logits.
//!
//! ```sh
//! cargo run --release -p llavaguard-guard --example quantisation -- \
//!     REFERENCE.gguf OTHER.gguf... --text FILE [--text FILE]... [--tokens 512] [--threads N]
//! ```
//!
//! Each file's language model reads the texts (the first `--tokens` tokens of each, by themselves)
//! on the CPU device. The logits of all positions are compared with those of the first file, which
//! should be stored in f32: of plain weights nothing is rounded. Printed for each other file:
//!
//! - the norm of the difference over the norm of the reference's logits, all positions together;
//!   *centred*: after each position's mean was taken off, since a constant changes no probability;
//! - the mean Kullback-Leibler divergence of its distribution of the next token from the
//!   reference's, in nats;
//! - how often the likeliest next token is the same;
//! - the perplexity of each text, and for the reference too.

use std::error::Error;
use std::time::Instant;

use llavaguard_backend::{Device, Unattended, block_on};
use llavaguard_cpu::CpuDevice;
use llavaguard_model::gguf::FileSource;
use llavaguard_model::{Network, Wanted};

const USAGE: &str = "give REFERENCE.gguf OTHER.gguf... --text FILE [--tokens N] [--threads N]";

/// Positions whose logits are computed together: 150,000 logits of each take 600 kB.
const ROWS: usize = 64;

fn main() -> Result<(), Box<dyn Error>> {
    let args = Args::read(std::env::args().skip(1))?;
    let mut texts = Vec::new();
    for path in &args.texts {
        texts.push(std::fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))?);
    }
    let mut reference: Option<Vec<Reference>> = None;
    for path in &args.models {
        let start = Instant::now();
        let model = load(path, args.threads).map_err(|error| format!("{path}: {error}"))?;
        let mut compared = Compared::default();
        let mut perplexities = Vec::new();
        let mut kept = Vec::new();
        for (at, text) in texts.iter().enumerate() {
            let mut ids = model.tokenizer.encode(text)?;
            ids.truncate(args.tokens);
            if ids.len() < 2 {
                return Err(format!("{} has fewer than two tokens", args.texts[at]).into());
            }
            let vocab = model.config().language.vocab;
            let surprise = match &reference {
                None => {
                    let mut logits = Vec::new();
                    let surprise = run(&model, &ids, |_, row| logits.extend_from_slice(row))?;
                    let ids = ids.clone();
                    kept.push(Reference { ids, vocab, logits });
                    surprise
                }
                Some(reference) => {
                    let expected = &reference[at];
                    if (&ids, vocab) != (&expected.ids, expected.vocab) {
                        let message = format!("{path} has another tokeniser or vocabulary");
                        return Err(message.into());
                    }
                    run(&model, &ids, |row, found| {
                        compared.add(found, expected.row(row))
                    })?
                }
            };
            perplexities.push(format!("{:.3}", surprise.exp()));
        }
        let columns = match &reference {
            Some(_) => compared.columns(),
            None => {
                let tokens: Vec<String> =
                    kept.iter().map(|text| text.ids.len().to_string()).collect();
                print_head(&model.device().name(), &tokens);
                "- | - | - | -".to_owned()
            }
        };
        let (perplexities, seconds) = (perplexities.join(", "), start.elapsed().as_secs());
        println!("| {path} | {columns} | {perplexities} | {seconds} |");
        reference.get_or_insert(kept);
    }
    Ok(())
}

fn print_head(device: &str, tokens: &[String]) {
    println!("device: {device}; tokens: {}", tokens.join(", "));
    println!("| file | difference | centred | KL | same top token | perplexity | seconds |");
    println!("|---|---|---|---|---|---|---|");
}

/// What was asked for.
struct Args {
    models: Vec<String>,
    texts: Vec<String>,
    tokens: usize,
    threads: Option<usize>,
}

impl Args {
    fn read(mut args: impl Iterator<Item = String>) -> Result<Args, Box<dyn Error>> {
        let mut read = Args {
            models: Vec::new(),
            texts: Vec::new(),
            tokens: 512,
            threads: None,
        };
        while let Some(arg) = args.next() {
            let mut value = || args.next().ok_or(USAGE);
            match arg.as_str() {
                "--text" => read.texts.push(value()?),
                "--tokens" => read.tokens = value()?.parse()?,
                "--threads" => read.threads = Some(value()?.parse()?),
                other if other.starts_with('-') => return Err(USAGE.into()),
                _ => read.models.push(arg),
            }
        }
        if read.models.is_empty() || read.texts.is_empty() {
            return Err(USAGE.into());
        }
        Ok(read)
    }
}

fn load(path: &str, threads: Option<usize>) -> Result<Network<CpuDevice>, Box<dyn Error>> {
    let mut source = FileSource::open(path.as_ref())?;
    let device = CpuDevice::new(threads)?;
    Ok(block_on(Network::load(device, &mut source, &Unattended))?)
}

/// A text as the reference read it.
struct Reference {
    ids: Vec<u32>,
    vocab: usize,
    /// Logits behind each position, `[ids.len(), vocab]`.
    logits: Vec<f32>,
}

impl Reference {
    fn row(&self, row: usize) -> &[f32] {
        &self.logits[row * self.vocab..][..self.vocab]
    }
}

/// Reads a text; `told` gets each position's number and logits. Gives the mean over all tokens but
/// the first of minus the logarithm of their probability.
fn run(
    model: &Network<CpuDevice>,
    ids: &[u32],
    mut told: impl FnMut(usize, &[f32]),
) -> Result<f64, Box<dyn Error>> {
    let (device, decoder) = (model.device(), &model.decoder);
    let mut cache = decoder.new_cache(device, ids.len())?;
    let mut surprise = 0.0;
    for (part, first) in ids.chunks(ROWS).zip((0..).step_by(ROWS)) {
        let x = decoder.embed(device, part)?;
        let wanted = Wanted::AllStates;
        let states = block_on(decoder.forward(device, &x, &mut cache, wanted, &Unattended))?;
        let states = states.ok_or("the decoder gave no states")?;
        let logits = block_on(device.read(&decoder.logits(device, &states)?))?;
        for (row, logits) in (first..).zip(logits.chunks_exact(model.config().language.vocab)) {
            told(row, logits);
            if let Some(next) = ids.get(row + 1) {
                surprise += log_sum_exp(logits) - f64::from(logits[*next as usize]);
            }
        }
    }
    Ok(surprise / (ids.len() - 1) as f64)
}

/// Sums over positions, from which the columns come.
#[derive(Default)]
struct Compared {
    positions: usize,
    same_top: usize,
    divergence: f64,
    /// Squared norms: of the difference and of the reference, as they are and centred.
    difference: f64,
    reference: f64,
    centred_difference: f64,
    centred_reference: f64,
}

impl Compared {
    fn add(&mut self, found: &[f32], expected: &[f32]) {
        self.positions += 1;
        self.same_top += usize::from(top(found) == top(expected));
        let pairs = || {
            let pairs = found.iter().zip(expected);
            pairs.map(|(a, b)| (f64::from(*a), f64::from(*b)))
        };
        let (mut sums, mut squares) = ([0.0; 2], [0.0; 2]);
        let (log_found, log_expected) = (log_sum_exp(found), log_sum_exp(expected));
        for (a, b) in pairs() {
            for (at, value) in [a - b, b].into_iter().enumerate() {
                sums[at] += value;
                squares[at] += value * value;
            }
            let log_p = b - log_expected;
            self.divergence += log_p.exp() * (log_p - (a - log_found));
        }
        let count = found.len() as f64;
        let centred = |at: usize| squares[at] - sums[at] * sums[at] / count;
        self.difference += squares[0];
        self.reference += squares[1];
        self.centred_difference += centred(0);
        self.centred_reference += centred(1);
    }

    fn columns(&self) -> String {
        let positions = self.positions as f64;
        format!(
            "{:.2e} | {:.2e} | {:.2e} | {:.2} %",
            (self.difference / self.reference).sqrt(),
            (self.centred_difference / self.centred_reference).sqrt(),
            self.divergence / positions,
            100.0 * self.same_top as f64 / positions,
        )
    }
}

/// Index of the first of the largest values.
fn top(values: &[f32]) -> usize {
    let mut best = 0;
    for (index, value) in values.iter().enumerate() {
        if *value > values[best] {
            best = index;
        }
    }
    best
}

fn log_sum_exp(logits: &[f32]) -> f64 {
    let largest = f64::from(logits[top(logits)]);
    let sum: f64 = logits.iter().map(|x| (f64::from(*x) - largest).exp()).sum();
    largest + sum.ln()
}
