//! Ctrl-C: the program stops soon, says so by its exit code, and leaves no half file.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use common::{command, picture};
use tempfile::tempdir;

/// Sends SIGINT and waits; a program that does not stop is killed and fails the test.
fn interrupt(mut child: Child) -> ExitStatus {
    let sent = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status()
        .unwrap();
    assert!(sent.success());
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        if Instant::now() > deadline {
            child.kill().unwrap();
            panic!("the program went on for 20 seconds after SIGINT");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn judging_stops_between_layers() {
    let folder = tempdir().unwrap();
    let image = folder.path().join("a.png");
    picture(&image, 40, 40);
    let mut child = command()
        .args(["assess", "--no-rationale", "--detail", "low", "--json"])
        .args(vec![&image; 5000])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let first = lines.next().unwrap().unwrap();
    assert!(first.contains("rating"), "{first}");
    // Somebody has to go on reading, or the program would wait for them.
    let reader = std::thread::spawn(move || lines.map_while(Result::ok).count());
    let status = interrupt(child);
    assert_eq!(status.code(), Some(130));
    assert!(
        reader.join().unwrap() < 4999,
        "every image was judged before the signal arrived"
    );
}

#[test]
fn waiting_for_standard_input_stops_too() {
    let mut child = command()
        .args(["assess", "-"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let stdin = child.stdin.take();
    // The note on the demo model comes once the model is loaded.
    let mut note = String::new();
    BufReader::new(child.stderr.take().unwrap())
        .read_line(&mut note)
        .unwrap();
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(interrupt(child).code(), Some(130));
    drop(stdin);
}

#[test]
fn a_half_written_model_is_removed() {
    let folder = tempdir().unwrap();
    let child = command()
        .args(["synth", "--config", "0.5b", "--quant", "f32"])
        .arg(folder.path().join("out.gguf"))
        .spawn()
        .unwrap();
    let files = || std::fs::read_dir(folder.path()).unwrap().count();
    let deadline = Instant::now() + Duration::from_secs(60);
    while files() == 0 && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(files(), 1, "nothing was begun within a minute");
    assert_eq!(interrupt(child).code(), Some(130));
    assert_eq!(files(), 0);
}
