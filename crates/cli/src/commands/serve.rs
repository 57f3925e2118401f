//! `llavaguard serve`: a folder for browsers on this machine.

use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::Response;
use serde::Serialize;
use tokio::net::TcpListener;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{DefaultPredicate, NotForContentType, Predicate};
use tower_http::services::ServeDir;

use crate::args::Serve;
use crate::failure::Failure;
use crate::{interrupt, output};

/// What every response says.
const HEADERS: [(HeaderName, &str); 4] = [
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    ),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    // Asked about each time: a page that was built anew is seen at once.
    (header::CACHE_CONTROL, "no-cache"),
];

/// What isolates a page from other origins, so that it may use threads.
const ISOLATION: [(HeaderName, &str); 2] = [
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        "same-origin",
    ),
    (
        HeaderName::from_static("cross-origin-embedder-policy"),
        "require-corp",
    ),
];

/// Where it listens; the form of `--json`.
#[derive(Serialize)]
struct Listening {
    url: String,
    folder: String,
    isolated: bool,
}

/// Serves until it is stopped.
pub fn run(args: &Serve) -> Result<ExitCode, Failure> {
    if !args.folder.is_dir() {
        let message = format!("{} is not a folder. Check the path.", args.folder.display());
        return Err(Failure::new("serve.no_folder", message));
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()
        .map_err(|error| failed(&error))?;
    runtime.block_on(async {
        let address = SocketAddr::new(args.host, args.port);
        let listener = TcpListener::bind(address).await.map_err(|error| {
            let message =
                format!("{address} cannot be listened on: {error}. Choose another --port.");
            Failure::new("serve.no_port", message)
        })?;
        let address = listener.local_addr().map_err(|error| failed(&error))?;
        announce(args, address)?;
        let router = router(&args.folder, !args.no_isolation);
        let served = interrupt::while_blocked_on(axum::serve(listener, router)).await;
        served.map_err(|error| failed(&error))
    })?;
    Ok(ExitCode::SUCCESS)
}

fn failed(error: &std::io::Error) -> Failure {
    Failure::new("serve.failed", format!("the server stopped: {error}"))
}

fn announce(args: &Serve, address: SocketAddr) -> Result<(), Failure> {
    let listening = Listening {
        url: format!("http://{address}/"),
        folder: args.folder.display().to_string(),
        isolated: !args.no_isolation,
    };
    if args.json {
        return output::print(&output::json(&listening)?);
    }
    output::print(&format!(
        "{} is at {} (stop with Ctrl-C)\n",
        output::printable(&listening.folder),
        listening.url
    ))?;
    if !args.host.is_loopback() {
        output::note("note: other machines can reach this server; it is for development only");
    }
    Ok(())
}

fn router(folder: &Path, isolated: bool) -> Router {
    // Weights do not get smaller, and a range of a compressed file is of no use.
    let worthwhile =
        DefaultPredicate::new().and(NotForContentType::const_new("application/octet-stream"));
    Router::new()
        .fallback_service(ServeDir::new(folder))
        .layer(middleware::from_fn(validate))
        .layer(CompressionLayer::new().compress_when(worthwhile))
        .layer(middleware::from_fn_with_state(isolated, add_headers))
}

async fn add_headers(State(isolated): State<bool>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    let isolation = if isolated { &ISOLATION[..] } else { &[] };
    for (name, value) in HEADERS.iter().chain(isolation) {
        headers.insert(name, HeaderValue::from_static(value));
    }
    // An encoding is another representation: only its meaning is the same (RFC 9110, 8.8.1).
    if headers.contains_key(header::CONTENT_ENCODING)
        && let Some(etag) = headers
            .get(header::ETAG)
            .and_then(|etag| etag.to_str().ok())
        && let Ok(weak) = HeaderValue::from_str(&format!("W/{etag}"))
    {
        headers.insert(header::ETAG, weak);
    }
    response
}

/// Names the version of a file by an ETag, and heeds those that come back: `If-None-Match` and
/// `If-Range`, which the service for folders does not know.
async fn validate(request: Request, next: Next) -> Response {
    let (asked, uri, method) = (
        request.headers().clone(),
        request.uri().clone(),
        request.method().clone(),
    );
    let mut response = next.clone().run(request).await;
    let Some(etag) = etag(&response) else {
        return response;
    };
    let text = |name: HeaderName| asked.get(name).and_then(|value| value.to_str().ok());
    let modified = response
        .headers()
        .get(header::LAST_MODIFIED)
        .and_then(|value| value.to_str().ok());
    let stale =
        text(header::IF_RANGE).is_some_and(|known| known != etag && Some(known) != modified);
    if stale && response.status() != StatusCode::OK {
        let mut whole = Request::new(Body::empty());
        *whole.uri_mut() = uri;
        *whole.method_mut() = method.clone();
        response = next.run(whole).await;
    }
    let known = text(header::IF_NONE_MATCH).unwrap_or_default();
    let same = known
        .split(',')
        .any(|one| one.trim().trim_start_matches("W/") == etag);
    if same && response.status() == StatusCode::OK && matches!(method, Method::GET | Method::HEAD) {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        *response.body_mut() = Body::empty();
        response.headers_mut().remove(header::CONTENT_LENGTH);
    }
    if let Ok(etag) = HeaderValue::from_str(&etag) {
        response.headers_mut().insert(header::ETAG, etag);
    }
    response
}

/// The version of a file: its size and when it was changed.
fn etag(response: &Response) -> Option<String> {
    let headers = response.headers();
    let text = |headers: &HeaderMap, name| Some(headers.get(name)?.to_str().ok()?.to_owned());
    let modified = text(headers, header::LAST_MODIFIED)?;
    let size = match text(headers, header::CONTENT_RANGE) {
        Some(range) => range.rsplit('/').next()?.to_owned(),
        None => text(headers, header::CONTENT_LENGTH)?,
    };
    let digits = modified.chars().filter(char::is_ascii_alphanumeric);
    Some(format!("\"{size}-{}\"", digits.collect::<String>()))
}
