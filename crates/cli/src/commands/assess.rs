//! `llavaguard assess`: judge images.

use std::path::Path;
use std::process::ExitCode;

use console::Style;
use llavaguard_backend::{Device, block_on};
use llavaguard_guard::{Assessment, Engine, ImageInput, Rationale, Request, Sampling};
use llavaguard_policy::Rating;
use serde::Serialize;

use crate::args::{Assess, DEMO_MODEL, DeviceKind};
use crate::failure::{CANCELLED, Failure};
use crate::model_file::Load;
use crate::progress::Progress;
use crate::{input, interrupt, model_file, output};

/// Exit code where every image was judged and at least one is unsafe.
const SOME_UNSAFE: u8 = 3;

/// Judges every image in the order given; one that cannot be judged does not keep the others from
/// it.
pub fn run(args: &Assess) -> Result<ExitCode, Failure> {
    match args.model.device {
        DeviceKind::Cpu => run_on(args, model_file::load_on_cpu),
        DeviceKind::Gpu => run_on(args, model_file::load_on_gpu),
    }
}

fn run_on<D: Device>(args: &Assess, load: Load<D>) -> Result<ExitCode, Failure> {
    let progress = Progress::new();
    let (engine, request) = match prepare(args, load, &progress) {
        Ok(prepared) => prepared,
        Err(failure) => return nothing_judged(args, failure),
    };
    if args.model.model.is_none() && !args.json {
        output::note(output::wrap(DEMO_MODEL, "", output::width()).trim_end());
    }
    let (mut some_unsafe, mut some_failed) = (false, false);
    for path in &args.images {
        if interrupt::requested() {
            return Err(Failure::cancelled());
        }
        progress.about(&path.to_string_lossy());
        let result = judge(&engine, &request, path, &progress);
        progress.clear();
        match &result {
            Ok(assessment) => some_unsafe |= assessment.rating != Rating::Safe,
            Err(failure) if failure.code == CANCELLED => return Err(failure.clone()),
            Err(_) => some_failed = true,
        }
        show(args, path, &result)?;
    }
    Ok(ExitCode::from(match (some_failed, some_unsafe) {
        (true, _) => 1,
        (false, true) => SOME_UNSAFE,
        (false, false) => 0,
    }))
}

/// Policy first and model second: a slip in the policy should not cost the time to load a model.
fn prepare<D: Device>(
    args: &Assess,
    load: Load<D>,
    progress: &Progress,
) -> Result<(Engine<D>, Request), Failure> {
    let policy = input::policy(&args.policy)?;
    policy.answer_skeleton()?;
    let rationale = if args.no_rationale {
        Rationale::None
    } else {
        let sampling = args
            .temperature
            .map_or(Sampling::Greedy, |temperature| Sampling::Nucleus {
                temperature,
                top_p: args.top_p,
                seed: args.seed,
            });
        Rationale::Write {
            sampling,
            max_tokens: args.max_tokens as usize,
        }
    };
    let request = Request {
        policy,
        detail: args.detail.detail,
        rationale,
    };
    let engine = load(&args.model, progress)?;
    Ok((engine, request))
}

/// Whoever reads JSON gets a line for every image even so: none of them was judged.
fn nothing_judged(args: &Assess, failure: Failure) -> Result<ExitCode, Failure> {
    if args.json && failure.code != CANCELLED {
        for path in &args.images {
            output::print(&json_line(path, &Err(failure.clone()))?)?;
        }
    }
    Err(failure)
}

fn judge<D: Device>(
    engine: &Engine<D>,
    request: &Request,
    path: &Path,
    progress: &Progress,
) -> Result<Assessment, Failure> {
    let bytes = input::image(path)?;
    Ok(block_on(engine.assess(
        ImageInput::Encoded(&bytes),
        request,
        progress,
    ))?)
}

fn show(args: &Assess, path: &Path, result: &Result<Assessment, Failure>) -> Result<(), Failure> {
    match result {
        _ if args.json => output::print(&json_line(path, result)?),
        Ok(assessment) => output::print(&human(path, assessment, output::width())),
        Err(failure) => {
            output::complain(&failure.clone().about(name(path)));
            Ok(())
        }
    }
}

/// A line of `--json`.
#[derive(Serialize)]
struct Line<'a> {
    image: &'a str,
    #[serde(flatten)]
    assessment: Option<&'a Assessment>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ErrorLine<'a>>,
}

#[derive(Serialize)]
struct ErrorLine<'a> {
    code: &'static str,
    message: &'a str,
}

fn json_line(path: &Path, result: &Result<Assessment, Failure>) -> Result<String, Failure> {
    let line = Line {
        image: &path.to_string_lossy(),
        assessment: result.as_ref().ok(),
        error: result.as_ref().err().map(|failure| ErrorLine {
            code: failure.code,
            message: &failure.message,
        }),
    };
    output::json(&line)
}

fn name(path: &Path) -> String {
    if input::is_stdin(path) {
        return "standard input".to_owned();
    }
    output::printable(&path.to_string_lossy())
}

/// An assessment for people.
fn human(path: &Path, assessment: &Assessment, width: usize) -> String {
    let rating = match assessment.rating {
        Rating::Safe => Style::new().green().bold(),
        Rating::Unsafe => Style::new().red().bold(),
    };
    let category = &assessment.category;
    let share = assessment
        .category_probabilities
        .iter()
        .find(|other| other.id == category.id)
        .map_or(String::new(), |other| {
            format!(" ({})", percent(other.probability))
        });
    let mut text = format!(
        "{}\n  {}  probability of Unsafe {}\n  {}{share}\n",
        Style::new().bold().apply_to(name(path)),
        rating.apply_to(assessment.rating.name()),
        percent(assessment.unsafe_probability),
        output::printable(&category.name),
    );
    if let Some(rationale) = &assessment.rationale {
        let cut = if assessment.rationale_truncated {
            " …"
        } else {
            ""
        };
        text.push_str(&output::wrap(&format!("{rationale}{cut}"), "  ", width));
    }
    let facts = format!(
        "{:.1} s, {} detail, {} {}, {} visual tokens",
        assessment.timings_ms.total / 1e3,
        assessment.detail.level.name(),
        assessment.detail.tiles,
        if assessment.detail.tiles == 1 {
            "tile"
        } else {
            "tiles"
        },
        output::grouped(assessment.detail.visual_tokens.into()),
    );
    text.push_str(&format!("  {}\n", Style::new().dim().apply_to(facts)));
    text
}

/// Never `0%` or `100%` for what is neither.
fn percent(probability: f32) -> String {
    match probability {
        p if p > 0.0 && p < 0.001 => "under 0.1%".to_owned(),
        p if p > 0.999 && p < 1.0 => "over 99.9%".to_owned(),
        p => format!("{:.1}%", p * 100.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_has_no_rating() {
        let failure = Failure::new("image.empty", "The image has no bytes.");
        let line = json_line(Path::new("a\"b\n.jpg"), &Err(failure)).unwrap();
        assert_eq!(line.matches('\n').count(), 1);
        let value: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(
            value,
            serde_json::json!({
                "image": "a\"b\n.jpg",
                "error": {"code": "image.empty", "message": "The image has no bytes."},
            })
        );
    }

    #[test]
    fn probabilities_are_not_rounded_to_certainty() {
        assert_eq!(percent(0.0), "0.0%");
        assert_eq!(percent(1e-9), "under 0.1%");
        assert_eq!(percent(0.5), "50.0%");
        assert_eq!(percent(0.99999), "over 99.9%");
        assert_eq!(percent(1.0), "100.0%");
    }
}
