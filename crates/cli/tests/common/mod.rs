//! Running the program and looking at what it says.
#![allow(dead_code, reason = "not every test file needs all of this")]

use std::ffi::OsStr;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

/// What a run of the program left behind.
#[derive(Debug)]
pub struct Run {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Run {
    /// Standard output as JSON, line by line.
    pub fn json_lines(&self) -> Vec<Value> {
        self.stdout
            .lines()
            .map(|line| {
                serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
            })
            .collect()
    }

    /// Standard output as one JSON value.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// The program, not yet started.
pub fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_llavaguard"));
    command
        .stdin(Stdio::null())
        .env_remove("NO_COLOR")
        .env_remove("CLICOLOR_FORCE");
    command
}

/// Runs the program with nothing on standard input.
pub fn run<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> Run {
    run_with_input(args, &[])
}

/// Runs the program with `input` on standard input.
pub fn run_with_input<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>, input: &[u8]) -> Run {
    let mut child = command()
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let writer = std::thread::spawn(move || {
        // The program may end without having read everything.
        let _ = stdin.write_all(&input);
    });
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    Run {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// A path in the repository.
pub fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .join(path)
}

/// The demo model's file.
pub fn demo_model() -> PathBuf {
    repository("models/demo/llavaguard-demo-q8_0.gguf")
}

/// Writes a picture with some structure in the format its name says.
pub fn picture(path: &Path, width: u32, height: u32) {
    let pixel = |x: u32, y: u32| {
        let wave = ((x * x + 3 * y * y) / 97) as u8;
        image::Rgb([(255 * x / width) as u8, (255 * y / height) as u8, wave])
    };
    image::RgbImage::from_fn(width, height, pixel)
        .save(path)
        .unwrap();
}

/// The exit code `assess` should give for these lines.
pub fn expected_code(lines: &[Value]) -> i32 {
    let failed = lines.iter().any(|line| line.get("error").is_some());
    let is_unsafe = lines.iter().any(|line| line["rating"] == "Unsafe");
    match (failed, is_unsafe) {
        (true, _) => 1,
        (false, true) => 3,
        (false, false) => 0,
    }
}
