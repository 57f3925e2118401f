//! `serve`: headers, ranges, compression, and no way out of the folder.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Stdio};

use common::{command, run};
use tempfile::{TempDir, tempdir};

struct Server {
    child: Child,
    address: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[derive(Debug)]
struct Answer {
    status: u16,
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

impl Answer {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }
}

impl Server {
    fn start(folder: &Path, options: &[&str]) -> Server {
        let mut child = command()
            .args(["serve", folder.to_str().unwrap(), "--port", "0", "--json"])
            .args(options)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        out.read_line(&mut line).unwrap();
        let listening: serde_json::Value = serde_json::from_str(&line).unwrap();
        let url = listening["url"].as_str().unwrap();
        let address = url
            .trim_start_matches("http://")
            .trim_end_matches('/')
            .to_owned();
        Server { child, address }
    }

    fn get(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.request("GET", path, headers)
    }

    fn request(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        let headers: String = headers
            .iter()
            .map(|(name, value)| format!("{name}: {value}\r\n"))
            .collect();
        let request =
            format!("{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).unwrap();
        let end = bytes
            .windows(4)
            .position(|four| four == b"\r\n\r\n")
            .unwrap();
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
        let mut lines = head.lines();
        let status = lines
            .next()
            .unwrap()
            .split(' ')
            .nth(1)
            .unwrap()
            .parse()
            .unwrap();
        let headers = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect();
        Answer {
            status,
            headers,
            body: bytes[end + 4..].to_vec(),
        }
    }
}

fn folder() -> (TempDir, Vec<u8>) {
    let folder = tempdir().unwrap();
    let inside = folder.path().join("site");
    fs::create_dir(&inside).unwrap();
    fs::write(folder.path().join("secret"), "secret").unwrap();
    fs::write(inside.join("index.html"), "<!doctype html>".repeat(100)).unwrap();
    fs::write(inside.join("a.js"), "export const a = 1;\n".repeat(500)).unwrap();
    fs::write(inside.join("a.wasm"), [0, 97, 115, 109]).unwrap();
    let model: Vec<u8> = (0..100_000_u32)
        .map(|i| (i.wrapping_mul(i) >> 7) as u8)
        .collect();
    fs::write(inside.join("model.gguf"), &model).unwrap();
    (folder, model)
}

#[test]
fn pages_are_isolated_typed_and_compressed() {
    let (folder, _) = folder();
    let server = Server::start(&folder.path().join("site"), &[]);
    assert!(server.address.starts_with("127.0.0.1:"));
    let page = server.get("/", &[]);
    assert_eq!(page.status, 200);
    for (name, value) in [
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-embedder-policy", "require-corp"),
        ("cross-origin-resource-policy", "same-origin"),
        ("x-content-type-options", "nosniff"),
        ("cache-control", "no-cache"),
        ("content-type", "text/html"),
    ] {
        assert!(page.header(name).starts_with(value), "{name}: {page:?}");
    }
    assert_eq!(
        server.get("/a.wasm", &[]).header("content-type"),
        "application/wasm"
    );
    let script = server.get("/a.js", &[("Accept-Encoding", "gzip")]);
    assert_eq!(script.header("content-type"), "text/javascript");
    assert_eq!(script.header("content-encoding"), "gzip");
    assert!(script.header("etag").starts_with("W/\"") && script.body.len() < 2_000);
    let brotli = server.get("/a.js", &[("Accept-Encoding", "gzip, br")]);
    assert_eq!(brotli.header("content-encoding"), "br");
    let model = server.get("/model.gguf", &[("Accept-Encoding", "gzip, br")]);
    assert_eq!(model.header("content-encoding"), "");

    let open = Server::start(&folder.path().join("site"), &["--no-isolation"]);
    let page = open.get("/", &[]);
    assert_eq!(page.header("cross-origin-opener-policy"), "");
    assert_eq!(page.header("x-content-type-options"), "nosniff");
}

#[test]
fn ranges_are_of_the_version_that_was_asked_for() {
    let (folder, model) = folder();
    let server = Server::start(&folder.path().join("site"), &[]);
    let whole = server.get("/model.gguf", &[]);
    assert_eq!(
        (whole.status, whole.header("accept-ranges")),
        (200, "bytes")
    );
    assert!(whole.body == model);
    let etag = whole.header("etag").to_owned();
    assert!(etag.starts_with('"') && etag.ends_with('"'), "{etag}");

    let range = ("Range", "bytes=1000-2999");
    for headers in [vec![range], vec![range, ("If-Range", etag.as_str())]] {
        let part = server.get("/model.gguf", &headers);
        assert_eq!((part.status, part.header("etag")), (206, etag.as_str()));
        assert_eq!(part.header("content-range"), "bytes 1000-2999/100000");
        assert!(part.body == model[1000..3000]);
    }
    let changed = server.get("/model.gguf", &[range, ("If-Range", "\"other\"")]);
    assert_eq!(changed.status, 200);
    assert!(changed.body == model);
    assert_eq!(
        server
            .get("/model.gguf", &[("Range", "bytes=100000-")])
            .status,
        416
    );

    let same = server.get("/model.gguf", &[("If-None-Match", &etag)]);
    assert_eq!((same.status, same.body.len()), (304, 0));
    let head = server.request("HEAD", "/model.gguf", &[]);
    assert_eq!(
        (head.status, head.header("content-length"), head.body.len()),
        (200, "100000", 0)
    );
    fs::write(folder.path().join("site/model.gguf"), b"another").unwrap();
    assert_ne!(server.get("/model.gguf", &[]).header("etag"), etag);
}

#[test]
fn nothing_outside_the_folder_is_served() {
    let (folder, _) = folder();
    let server = Server::start(&folder.path().join("site"), &[]);
    for path in [
        "/../secret",
        "/..%2fsecret",
        "/%2e%2e/secret",
        "/a/../../secret",
        "//etc/passwd",
    ] {
        let answer = server.get(path, &[]);
        assert!(answer.status >= 400, "{path}: {answer:?}");
        assert!(!answer.body.windows(6).any(|bytes| bytes == b"secret"));
    }
    assert_eq!(server.get("/none", &[]).status, 404);
    assert_eq!(server.request("POST", "/", &[]).status, 405);
}

#[test]
fn what_cannot_be_served_is_said() {
    let (folder, _) = folder();
    let none = run(["serve", folder.path().join("none").to_str().unwrap()]);
    assert_eq!(none.code, Some(1));
    assert!(none.stderr.contains("serve.no_folder"), "{none:?}");
    let server = Server::start(&folder.path().join("site"), &[]);
    let port = server.address.rsplit(':').next().unwrap();
    let taken = run(["serve", folder.path().to_str().unwrap(), "--port", port]);
    assert_eq!(taken.code, Some(1));
    assert!(taken.stderr.contains("serve.no_port"), "{taken:?}");
    assert_eq!(run(["serve", "--port", "70000"]).code, Some(2));
}
