//! What can be written behind `llavaguard`.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::error::ErrorKind;
use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};
use llavaguard_backend::DType;
use llavaguard_guard::{DEFAULT_RATIONALE_TOKENS, MAX_RATIONALE_TOKENS};
use llavaguard_model::synth::Preset;
use llavaguard_policy::Detail;
use llavaguard_store::{MAX_CHUNK_BYTES, MIN_CHUNK_BYTES};

use crate::input;

/// What the demo model is; shown in the help and above human output.
pub const DEMO_MODEL: &str = "Without --model, the small demo model inside this program judges. It \
is not LlavaGuard: it knows firearms, knives, smoking, alcohol, fire and ordinary things, and \
nothing else. Use it to try things out, never to protect anybody.";

const EXIT_CODES: &str = "\
Exit codes of `assess`:
  0  every image was judged Safe
  3  every image was judged, at least one Unsafe
  1  at least one image could not be judged (this wins over 3)
  2  the command line was wrong
  130  stopped by Ctrl-C
Every other command gives 0, 1, 2 or 130. An image that could not be judged is never Safe.";

const EXAMPLES: &str = "\
Examples:
  llavaguard assess photo.jpg
  llavaguard assess --policy museum.json --json *.jpg > results.jsonl
  llavaguard assess --model llavaguard-0.5b-q4_0.gguf --detail low --no-rationale photo.jpg
  curl -s https://example.org/photo.png | llavaguard assess -
  llavaguard convert LlavaGuard-v1.2-0.5B-OV-hf llavaguard-0.5b-q8_0.gguf
  llavaguard convert LlavaGuard-v1.2-0.5B-OV-hf small.gguf --quant q4_0 --vision-quant q8_0
  llavaguard golden small.gguf --image photo.jpg
  llavaguard manifest small.gguf --sign key.pem --split 512MiB
  llavaguard serve www/demo/dist";

/// Judges images against a written safety policy, on this machine.
///
/// An image and a policy go in; a rating (Safe or Unsafe), the policy's category, a rationale and
/// the probability of Unsafe come out. Nothing leaves this machine.
#[derive(Debug, Parser)]
#[command(name = "llavaguard", version, after_help = after_help(), max_term_width = 100)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Reads the arguments of this process. Ends it where they ask for help or make no sense.
pub fn parse() -> Cli {
    let cli = Cli::parse();
    let model = match &cli.command {
        Command::Assess(args) => Some(&args.model),
        Command::Trace(args) => Some(&args.model),
        Command::Bench(args) => Some(&args.model),
        _ => None,
    };
    if model.is_some_and(|model| model.adapter.is_some() && model.device != DeviceKind::Gpu) {
        let message = "--adapter names a GPU: it needs --device gpu";
        Cli::command()
            .error(ErrorKind::ArgumentConflict, message)
            .exit();
    }
    if let Command::Assess(args) = &cli.command
        && args
            .images
            .iter()
            .filter(|path| input::is_stdin(path))
            .count()
            > 1
    {
        let message = "standard input (`-`) can be read only once";
        Cli::command()
            .error(ErrorKind::ArgumentConflict, message)
            .exit();
    }
    cli
}

fn after_help() -> String {
    format!("{DEMO_MODEL}\n\n{EXIT_CODES}\n\n{EXAMPLES}")
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Judge images
    Assess(Assess),
    /// Print the prompt a model reads for a policy
    Prompt(Prompt),
    /// Show what a model file holds
    Inspect(Inspect),
    /// Make a model file from a Hugging Face checkpoint folder, or from another model file
    Convert(Convert),
    /// Make a model file with random weights, for benchmarks
    Synth(Synth),
    /// Put an image into a model file that a GPU has to judge as the CPU does before it is used
    Golden(Golden),
    /// Write every stage of one image's way through the network to a safetensors file
    Trace(Trace),
    /// Measure how fast a model runs on this machine
    Bench(Bench),
    /// Write the manifest of a model file, by which pages load it verified
    Manifest(Manifest),
    /// Serve a folder to browsers on this machine, for development
    Serve(Serve),
    /// Check policy documents
    #[command(subcommand)]
    Policy(PolicyCommand),
}

/// Judge images.
#[derive(Debug, Args)]
#[command(after_help = format!("{DEMO_MODEL}\n\n{EXIT_CODES}"))]
pub struct Assess {
    /// Image files (PNG, JPEG, WebP, GIF, BMP; by content, not by name); `-` reads standard input
    #[arg(value_name = "IMAGE", required = true)]
    pub images: Vec<PathBuf>,
    #[command(flatten)]
    pub model: ModelArgs,
    #[command(flatten)]
    pub policy: PolicyArgs,
    #[command(flatten)]
    pub detail: DetailArgs,
    /// Give rating, category and probabilities only, which is faster
    #[arg(long, conflicts_with_all = ["max_tokens", "temperature"])]
    pub no_rationale: bool,
    /// Longest rationale, in tokens
    #[arg(long, value_name = "N", default_value_t = DEFAULT_RATIONALE_TOKENS as u32,
          value_parser = clap::value_parser!(u32).range(1..=MAX_RATIONALE_TOKENS as i64))]
    pub max_tokens: u32,
    /// Sample the rationale at this temperature instead of taking the likeliest words
    #[arg(long, value_name = "T", value_parser = temperature)]
    pub temperature: Option<f32>,
    /// Sample among the likeliest tokens that together reach this probability
    #[arg(long, value_name = "P", default_value_t = 0.95, value_parser = top_p, requires = "temperature")]
    pub top_p: f32,
    /// Seed of the sampling; the same seed gives the same rationale
    #[arg(long, value_name = "S", default_value_t = 0, requires = "temperature")]
    pub seed: u64,
    /// Print one JSON object a line, one for each image, in the order given
    ///
    /// An image that was judged gives its assessment and its path as "image"; one that was not gives
    /// {"image": …, "error": {"code": …, "message": …}}.
    #[arg(long)]
    pub json: bool,
}

/// Print the prompt.
#[derive(Debug, Args)]
pub struct Prompt {
    #[command(flatten)]
    pub policy: PolicyArgs,
    /// Model file whose chat wrapping and tokeniser are used; the demo model otherwise
    #[arg(long, value_name = "FILE")]
    pub model: Option<PathBuf>,
    /// Print token ids as a JSON array instead, the image as its one token
    #[arg(long)]
    pub ids: bool,
    /// Turns around image and policy; by default those the model file asks for
    #[arg(long, value_enum)]
    pub chat: Option<PromptChat>,
}

/// Turns around image and policy, or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PromptChat {
    /// As in training: a system turn, the policy stripped of blanks at its ends
    Training,
    /// As Hugging Face's processor does it: no system turn
    Huggingface,
    /// The policy text alone, without image and turns
    None,
}

/// Show a model file.
#[derive(Debug, Args)]
pub struct Inspect {
    /// Model file; the demo model inside this program if left out
    #[arg(value_name = "MODEL")]
    pub model: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
    /// List every tensor
    #[arg(long)]
    pub tensors: bool,
    /// Compare the weights with the SHA-256 in the file
    #[arg(long)]
    pub verify: bool,
}

/// Make a model file.
#[derive(Debug, Args)]
pub struct Convert {
    /// Folder with config.json, tokenizer.json and safetensors; or a model file made by this program,
    /// to store it in other formats
    #[arg(value_name = "HF_DIR|MODEL.gguf")]
    pub source: PathBuf,
    /// Model file to write
    #[arg(value_name = "OUT.gguf")]
    pub out: PathBuf,
    #[command(flatten)]
    pub quant: QuantArgs,
    /// Turns around image and policy the model is to be asked with; for a folder "training" otherwise,
    /// for a model file what it says
    #[arg(long, value_enum)]
    pub chat: Option<Chat>,
    /// Arithmetic of un-padding; that of the code which wrote the checkpoint otherwise
    #[arg(long, value_enum)]
    pub rounding: Option<Rounding>,
    /// Version of the prompt the model was trained on; for a folder v1.2 otherwise, for a model file
    /// what it says
    #[arg(long, value_name = "VERSION", value_parser = ["v1.0", "v1.1", "v1.2"])]
    pub prompt_template: Option<String>,
    /// Name written into the file; the folder's or the model file's otherwise
    #[arg(long)]
    pub name: Option<String>,
    /// Licence written into the file
    #[arg(long)]
    pub license: Option<String>,
    /// The tower's own config.json, for checkpoints of the original code whose tower is not
    /// google/siglip-so400m-patch14-384
    #[arg(long, value_name = "FILE")]
    pub vision_config: Option<PathBuf>,
    /// Replace OUT.gguf if it exists
    #[arg(long)]
    pub force: bool,
}

/// Turns around image and policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Chat {
    /// As in training: a system turn, the policy stripped of blanks at its ends
    Training,
    /// As Hugging Face's processor does it: no system turn
    Huggingface,
}

/// Arithmetic of un-padding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Rounding {
    /// LLaVA-NeXT's own: rounded down
    Original,
    /// Hugging Face's: to 7 digits, then down
    Huggingface,
}

/// Make a random model file.
#[derive(Debug, Args)]
pub struct Synth {
    /// Model file to write
    #[arg(value_name = "OUT.gguf")]
    pub out: PathBuf,
    /// Whose sizes: LlavaGuard-v1.2-0.5B-OV's, LlavaGuard-v1.2-7B-OV's or the demo model's
    #[arg(long, value_name = "SIZE", value_parser = preset())]
    pub config: Preset,
    #[command(flatten)]
    pub quant: QuantArgs,
    /// The same seed gives the same file
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// tokenizer.json to put into the file; a byte-level one is made otherwise
    #[arg(long, value_name = "FILE")]
    pub tokenizer: Option<PathBuf>,
    /// Replace OUT.gguf if it exists
    #[arg(long)]
    pub force: bool,
}

/// Put a golden image into a model file.
#[derive(Debug, Args)]
#[command(after_help = "\
The image is judged on the CPU under LlavaGuard's v1.2 policy at detail low, and then some times more \
with its pixels changed a little, which says how far off a GPU may be. Choose a small file (64 KiB at most: \
every copy of the model carries it) whose rating is beyond doubt but not quite certain. The model file \
is written anew, its weights as they were; a manifest of it has to be written again.")]
pub struct Golden {
    /// Model file (.gguf) to put it into, in place of an earlier one
    #[arg(value_name = "MODEL.gguf")]
    pub model: PathBuf,
    /// Image file; `-` reads standard input
    #[arg(long, value_name = "IMAGE")]
    pub image: PathBuf,
    /// Whose image it is and under what licence, to be written beside it
    #[arg(long, value_name = "TEXT")]
    pub credit: Option<String>,
    /// Threads to use; as many as this machine runs at once otherwise
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub threads: Option<u16>,
    /// Print one JSON object: what was written
    #[arg(long)]
    pub json: bool,
}

/// Write the stages.
#[derive(Debug, Args)]
#[command(after_help = "\
The file holds pixel_values [tiles, 3, S, S], vision_features [tiles, patches, width], \
projected [tiles, patches, lm width], visual_tokens [N, lm width], prompt_ids [T], logits [vocab] \
behind the prompt, and greedy_ids [10], decoded without the answer's grammar; ids are i64, all else \
f32.")]
pub struct Trace {
    /// Image file; `-` reads standard input
    #[arg(value_name = "IMAGE")]
    pub image: PathBuf,
    #[command(flatten)]
    pub model: ModelArgs,
    #[command(flatten)]
    pub policy: PolicyArgs,
    #[command(flatten)]
    pub detail: DetailArgs,
    /// File to write
    #[arg(long, value_name = "F.safetensors")]
    pub out: PathBuf,
}

/// Measure.
#[derive(Debug, Args)]
#[command(after_help = "\
Every round runs the stages one by one (one tile; the prompt of LlavaGuard's v1.2 policy at detail low; \
--tokens tokens behind it) and then judges a picture as a whole. Let nothing else run meanwhile.

A model of LlavaGuard's size to measure:
  llavaguard synth random.gguf --config 0.5b --quant q4_0
  llavaguard bench --model random.gguf")]
pub struct Bench {
    #[command(flatten)]
    pub model: ModelArgs,
    /// Times everything is measured
    #[arg(long, value_name = "N", default_value_t = 3,
          value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub rounds: u16,
    /// Tokens to write one by one, and the longest rationale
    #[arg(long, value_name = "N", default_value_t = 64,
          value_parser = clap::value_parser!(u16).range(1..=MAX_RATIONALE_TOKENS as i64))]
    pub tokens: u16,
    /// Measure the matrix products at the model's shapes too, in f32, q8_0 and q4_0 whatever the
    /// file holds
    #[arg(long)]
    pub products: bool,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Write a manifest.
#[derive(Debug, Args)]
#[command(after_help = "\
Host the manifest beside the model file (or its parts) and give its address to the page: \
LlavaGuard.load({ model: '/models/manifest.json' }).

A key to sign with:
  openssl genpkey -algorithm ed25519 -out key.pem")]
pub struct Manifest {
    /// Model file (.gguf)
    #[arg(value_name = "MODEL.gguf")]
    pub model: PathBuf,
    /// Manifest to write; manifest.json beside the model otherwise
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Sign it with this Ed25519 key (PKCS #8, PEM)
    #[arg(long, value_name = "KEY.pem")]
    pub sign: Option<PathBuf>,
    /// Split the model into files of at most this size beside the manifest, for hosts with limits; a
    /// whole number of chunks, e.g. 512MiB
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub split: Option<u64>,
    /// Bytes that are fetched, verified and kept as one
    #[arg(long, value_name = "SIZE", default_value = "16MiB", value_parser = chunk_size)]
    pub chunk_size: u64,
    /// Where the licence can be read; its name is taken from the model file
    #[arg(long, value_name = "URL")]
    pub license_url: Option<String>,
    /// Replace files that exist
    #[arg(long)]
    pub force: bool,
    /// Print one JSON object: what was written
    #[arg(long)]
    pub json: bool,
}

/// Serve a folder.
#[derive(Debug, Args)]
#[command(after_help = "\
It answers range requests, compresses what gains by it and sends the headers that isolate a page from \
other origins, so that it may use threads. It is for development: it knows no encryption and no \
limits.")]
pub struct Serve {
    /// Folder to serve
    #[arg(value_name = "DIR", default_value = ".")]
    pub folder: PathBuf,
    /// Port to listen on; 0 takes a free one
    #[arg(long, value_name = "N", default_value_t = 8642)]
    pub port: u16,
    /// Address to listen on; other machines can reach it only if this is not the loopback address
    #[arg(long, value_name = "IP", default_value = "127.0.0.1")]
    pub host: IpAddr,
    /// Leave out the headers that isolate the page, as hosts without them do
    #[arg(long)]
    pub no_isolation: bool,
    /// Print where it listens as one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Policy documents.
#[derive(Debug, Subcommand)]
pub enum PolicyCommand {
    /// Check documents and print their id and name
    Check {
        /// Policy documents (JSON)
        #[arg(value_name = "P.json", required = true)]
        policies: Vec<PathBuf>,
    },
    /// Print the JSON Schema of policy documents
    Schema,
}

/// The model and what it runs on.
#[derive(Debug, Args)]
pub struct ModelArgs {
    /// Model file (.gguf); the demo model inside this program otherwise
    #[arg(long, value_name = "FILE")]
    pub model: Option<PathBuf>,
    /// Threads to use; as many as this machine runs at once otherwise
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub threads: Option<u16>,
    /// What the network runs on
    #[arg(long, value_enum, default_value_t = DeviceKind::Cpu)]
    pub device: DeviceKind,
    /// GPU adapter to use, by a part of its name; a real GPU otherwise, never software by itself
    #[arg(long, value_name = "NAME")]
    pub adapter: Option<String>,
}

/// What the network runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DeviceKind {
    /// The processor
    Cpu,
    /// A GPU, through Vulkan, Metal or DirectX 12
    Gpu,
}

/// The policy.
#[derive(Debug, Args)]
pub struct PolicyArgs {
    /// Policy document (JSON); LlavaGuard's v1.2 policy otherwise
    #[arg(long, value_name = "P.json")]
    pub policy: Option<PathBuf>,
}

/// The detail.
#[derive(Debug, Args)]
pub struct DetailArgs {
    /// How closely to look: the whole image once (low), tiles within a budget (auto), tiles as in
    /// training (high)
    #[arg(long, value_name = "LEVEL", default_value = Detail::default().name(), value_parser = detail())]
    pub detail: Detail,
}

/// Formats of the weights.
#[derive(Debug, Args)]
pub struct QuantArgs {
    /// Format of the language model's weights, and of all others unless told otherwise: q8_0 rates as
    /// f32 does, q4_0 is smaller and faster and rates one image in fifty otherwise (demo model)
    #[arg(long, value_name = "FORMAT", value_parser = dtype(), visible_alias = "language-quant",
          default_value = DType::Q8_0.name())]
    pub quant: DType,
    /// Format of the vision tower's and the projector's weights; --quant's otherwise
    #[arg(long, value_name = "FORMAT", value_parser = dtype())]
    pub vision_quant: Option<DType>,
    /// Format of the token embedding; --quant's otherwise, q8_0 for q4_0
    #[arg(long, value_name = "FORMAT", value_parser = dtype())]
    pub embedding_quant: Option<DType>,
}

fn detail() -> impl TypedValueParser<Value = Detail> {
    PossibleValuesParser::new(Detail::ALL.map(Detail::name))
        .try_map(|name| Detail::from_name(&name).ok_or("no such level"))
}

fn preset() -> impl TypedValueParser<Value = Preset> {
    PossibleValuesParser::new(["0.5b", "7b", "demo"]).try_map(|name| name.parse::<Preset>())
}

fn dtype() -> impl TypedValueParser<Value = DType> {
    PossibleValuesParser::new(DType::ALL.map(DType::name)).try_map(|name| name.parse::<DType>())
}

/// A number of bytes: `1000`, `500MB`, `512MiB`.
fn size(text: &str) -> Result<u64, String> {
    let digits = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "kib" => 1 << 10,
        "mib" => 1 << 20,
        "gib" => 1 << 30,
        _ => return Err("the units are B, kB, MB, GB, KiB, MiB and GiB".to_owned()),
    };
    number
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(unit))
        .filter(|bytes| *bytes > 0)
        .ok_or_else(|| "a size is a whole number above 0 and a unit, e.g. 512MiB".to_owned())
}

fn chunk_size(text: &str) -> Result<u64, String> {
    let range = MIN_CHUNK_BYTES..=MAX_CHUNK_BYTES;
    size(text).and_then(|bytes| {
        if range.contains(&bytes) {
            Ok(bytes)
        } else {
            Err(format!(
                "a chunk has {} KiB to {} MiB",
                MIN_CHUNK_BYTES >> 10,
                MAX_CHUNK_BYTES >> 20
            ))
        }
    })
}

fn temperature(text: &str) -> Result<f32, String> {
    number(text, |t| t > 0.0).ok_or_else(|| "a temperature is a number above 0".to_owned())
}

fn top_p(text: &str) -> Result<f32, String> {
    number(text, |p| p > 0.0 && p <= 1.0)
        .ok_or_else(|| "top-p is a number above 0 and at most 1".to_owned())
}

fn number(text: &str, allowed: impl Fn(f32) -> bool) -> Option<f32> {
    text.parse()
        .ok()
        .filter(|x: &f32| x.is_finite() && allowed(*x))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definitions_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn sizes_are_read_with_their_units() {
        for (text, bytes) in [
            ("7", 7),
            ("500MB", 500_000_000),
            ("512MiB", 512 << 20),
            ("1 gib", 1 << 30),
            ("64kib", 65_536),
        ] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for text in [
            "",
            "0",
            "MiB",
            "-1",
            "1.5MiB",
            "7 parsecs",
            "99999999999GiB",
        ] {
            assert!(size(text).is_err(), "{text}");
        }
        assert!(chunk_size("1KiB").is_err() && chunk_size("1GiB").is_err());
    }

    #[test]
    fn sampling_options_need_a_temperature() {
        let parse = |line: &str| Cli::try_parse_from(line.split_whitespace());
        assert!(parse("llavaguard assess a.png --temperature 0.2 --top-p 0.9 --seed 3").is_ok());
        for wrong in [
            "llavaguard assess",
            "llavaguard assess a.png --seed 3",
            "llavaguard assess a.png --temperature 0",
            "llavaguard assess a.png --temperature nan",
            "llavaguard assess a.png --temperature 1 --top-p 1.5",
            "llavaguard assess a.png --max-tokens 0",
            "llavaguard assess a.png --no-rationale --max-tokens 9",
            "llavaguard assess a.png --detail huge",
            "llavaguard convert a b --quant q5_0",
        ] {
            assert!(parse(wrong).is_err(), "{wrong} was accepted");
        }
    }
}
