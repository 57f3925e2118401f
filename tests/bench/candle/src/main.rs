//! candle natively: prints the milliseconds of forward passes as one JSON object.

use std::error::Error;
use std::process::ExitCode;
use std::time::Instant;

use bench_candle::{Quant, candle_version, qwen2::Qwen2, siglip::Siglip};

const USAGE: &str = "\
usage: bench-candle siglip QUANT LAYERS ROUNDS
       bench-candle qwen2 QUANT LAYERS ROUNDS PREFILL DECODE

siglip  encodes a tile of 384 x 384 pixels with SigLIP-so400m
qwen2   reads PREFILL tokens with Qwen2 0.5B, then writes DECODE tokens behind them

QUANT is f32, q8_0 or q4_0; LlavaGuard 0.5B has 26 and 24 layers. RAYON_NUM_THREADS and
CANDLE_NUM_THREADS set the threads.";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(&arguments) {
        Ok(Some(line)) => {
            println!("{line}");
            ExitCode::SUCCESS
        }
        Ok(None) => {
            eprintln!("{USAGE}");
            ExitCode::from(2)
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The line to print, or nothing where the arguments are not understood.
fn run(arguments: &[String]) -> Result<Option<String>, Box<dyn Error>> {
    let [what, quant, layers, rounds, rest @ ..] = arguments else {
        return Ok(None);
    };
    let quant: Quant = quant.parse()?;
    let (layers, rounds): (usize, usize) = (layers.parse()?, rounds.parse()?);
    let start = Instant::now();
    let now = || start.elapsed().as_secs_f64() * 1e3;
    let stages = match (what.as_str(), rest) {
        ("siglip", []) => {
            let siglip = Siglip::new(layers, quant)?;
            let tiles = (0..rounds).map(|_| siglip.encode(now));
            let tiles = tiles.collect::<Result<Vec<f64>, _>>()?;
            vec![("siglip_tile_ms", tiles)]
        }
        ("qwen2", [prefill, decode]) => {
            let (prefill, decode): (usize, usize) = (prefill.parse()?, decode.parse()?);
            let mut qwen2 = Qwen2::new(layers, quant)?;
            let (mut prefills, mut decodes) = (Vec::new(), Vec::new());
            for _ in 0..rounds {
                prefills.push(qwen2.prefill(prefill, now)?);
                decodes.push(qwen2.decode(prefill, decode, now)?);
            }
            vec![("qwen2_prefill_ms", prefills), ("qwen2_decode_ms", decodes)]
        }
        _ => return Ok(None),
    };
    let stages: String = stages
        .iter()
        .map(|(name, times)| format!(",\"{name}\":{times:.1?}"))
        .collect();
    let version = candle_version();
    let peak = peak_memory().map_or("null".to_owned(), |bytes| bytes.to_string());
    Ok(Some(format!(
        "{{\"candle\":\"{version}\",\"peak_memory_bytes\":{peak}{stages}}}"
    )))
}

/// The most memory this process has had resident, where Linux tells it.
fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}
