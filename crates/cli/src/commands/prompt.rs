//! `llavaguard prompt`: what a model reads for a policy.

use std::io::{self, IsTerminal};
use std::process::ExitCode;

use llavaguard_model::config::Wrapping;
use llavaguard_model::config_gguf::KEY_TOKENIZER;
use llavaguard_model::gguf::Gguf;
use llavaguard_model::{ModelConfig, Tokenizer};
use llavaguard_policy::{ChatWrapping, Segment};

use crate::args::{Prompt, PromptChat};
use crate::failure::Failure;
use crate::model_file::ModelFile;
use crate::{input, output};

/// Prints the prompt's text or its token ids. Only the model file's header is read.
pub fn run(args: &Prompt) -> Result<ExitCode, Failure> {
    let policy = input::policy(&args.policy)?;
    let mut file = ModelFile::open(args.model.as_deref())?;
    let model = Model::read(&mut file).map_err(|failure| failure.about(file.name()))?;
    let wrapping = match args.chat {
        Some(PromptChat::None) => None,
        Some(PromptChat::Training) => Some(ChatWrapping::Training),
        Some(PromptChat::Huggingface) => Some(ChatWrapping::HuggingFace),
        None => Some(match model.config.chat.wrapping {
            Wrapping::Training => ChatWrapping::Training,
            Wrapping::HuggingFace => ChatWrapping::HuggingFace,
        }),
    };
    let segments = match wrapping {
        Some(wrapping) => wrapping.segments(&policy),
        None => vec![Segment::Text(policy.prompt_text().to_owned())],
    };
    if args.ids {
        output::print(&output::json(&model.ids(&segments)?)?)?;
    } else {
        let mut text: String = segments.iter().map(Segment::to_string).collect();
        // The exact bytes for a file or a pipe; a shell's prompt wants its own line.
        if io::stdout().is_terminal() && !text.ends_with('\n') {
            text.push('\n');
        }
        output::print(&text)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// What of a model a prompt depends on.
struct Model {
    config: ModelConfig,
    tokenizer: Tokenizer,
}

impl Model {
    fn read(file: &mut ModelFile) -> Result<Model, Failure> {
        let gguf = Gguf::open(file.source())?;
        let config = ModelConfig::from_gguf(&gguf)?;
        let json = gguf.string(KEY_TOKENIZER)?;
        let tokenizer = Tokenizer::from_json(json.as_bytes(), config.language.vocab)?;
        Ok(Model { config, tokenizer })
    }

    fn ids(&self, segments: &[Segment]) -> Result<Vec<u32>, Failure> {
        let mut ids = Vec::new();
        for segment in segments {
            match segment {
                Segment::Special(name) => ids.push(self.tokenizer.special(name)?),
                Segment::Text(text) => ids.extend(self.tokenizer.encode(text)?),
                Segment::Image => ids.push(self.config.chat.image_token),
            }
        }
        Ok(ids)
    }
}
