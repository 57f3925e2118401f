//! `--device gpu`: the same verdicts, and software only by its name.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::{repository, run};
use llavaguard_backend::block_on;
use llavaguard_gpu::{AdapterSummary, adapters};

fn photo() -> String {
    let path = repository("tests/photos/firearm-pistol.jpg");
    path.to_str().unwrap().to_owned()
}

/// The adapter of this machine: a GPU where there is one, else software.
fn adapter() -> AdapterSummary {
    block_on(adapters()).into_iter().next().expect(
        "no Vulkan adapter: these tests need one; Debian's mesa-vulkan-drivers has one in software",
    )
}

#[test]
fn judges_as_the_cpu_does() {
    let photo = photo();
    let common = [
        "assess",
        "--json",
        "--detail",
        "low",
        "--no-rationale",
        photo.as_str(),
    ];
    let on_cpu = run(common);
    let name = adapter().name;
    let on_gpu = run(common
        .into_iter()
        .chain(["--device", "gpu", "--adapter", name.as_str()]));
    assert_eq!((on_cpu.code, on_gpu.code), (Some(3), Some(3)), "{on_gpu:?}");
    let (cpu, gpu) = (on_cpu.json(), on_gpu.json());
    assert_eq!(cpu["rating"], gpu["rating"]);
    assert_eq!(cpu["category"], gpu["category"]);
    let probability = |value: &serde_json::Value| value["unsafe_probability"].as_f64().unwrap();
    assert!((probability(&cpu) - probability(&gpu)).abs() < 1e-3);
}

#[test]
fn software_is_refused_unless_named() {
    let photo = photo();
    let result = run(["assess", "--json", "--device", "gpu", photo.as_str()]);
    if adapter().software {
        assert_eq!(result.code, Some(1), "{result:?}");
        assert_eq!(result.json()["error"]["code"], "device.lost");
        assert!(
            result.json()["error"]["message"]
                .as_str()
                .unwrap()
                .contains("(software)")
        );
        assert!(result.json().get("rating").is_none());
    } else {
        assert_eq!(result.code, Some(3), "{result:?}");
    }
    let result = run(["assess", "--adapter", "any", photo.as_str()]);
    assert_eq!(result.code, Some(2), "{result:?}");
    assert!(result.stderr.contains("--device gpu"), "{result:?}");
}

#[test]
fn the_bench_tells_of_ceilings_kernels_and_details() {
    let name = adapter().name;
    let result = run([
        "bench",
        "--json",
        "--rounds",
        "1",
        "--tokens",
        "2",
        "--device",
        "gpu",
        "--adapter",
        name.as_str(),
    ]);
    assert_eq!(result.code, Some(0), "{result:?}");
    let report = result.json();
    assert!(
        report["device"].as_str().unwrap().starts_with("gpu ("),
        "{report}"
    );
    let gpu = &report["gpu"];
    for ceiling in ["copied_gigabytes_per_second", "gigaflops"] {
        assert!(gpu["ceilings"][ceiling].as_f64().unwrap() > 0.0, "{gpu}");
    }
    let stages = gpu["kernels"].as_array().unwrap();
    assert_eq!(stages.len(), 3, "{gpu}");
    for stage in stages {
        let kernels = stage["kernels"].as_array().unwrap();
        let shares: f64 = kernels
            .iter()
            .map(|kernel| kernel["share"].as_f64().unwrap())
            .sum();
        assert!((shares - 1.0).abs() < 1e-6, "{stage}");
        assert!(
            kernels
                .iter()
                .any(|kernel| kernel["gigaflops"].as_f64().unwrap() > 0.0)
        );
    }
    let details: Vec<&str> = gpu["verdicts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|verdict| verdict["detail"].as_str().unwrap())
        .collect();
    assert_eq!(details, ["low", "auto", "high"]);
}
