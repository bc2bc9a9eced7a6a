//! A page on this machine alone: HTTP on the loopback interface, behind a random token, by a few fixed routes.
//!
//! No part of a request is a path of a file. What is asked under another name of this machine is refused, so that no page
//! from elsewhere can read this one.

use anyhow::{Context as _, Result, anyhow};
use fixedwise::ServedPage;
use http_body_util::Full;
use hyper::{
    HeaderMap, Method, Request, Response, StatusCode,
    body::{Bytes, Incoming},
    header::{self, HeaderName, HeaderValue},
    http::uri::Authority,
    server::conn::http1,
    service::service_fn,
};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
};
use std::{
    convert::Infallible,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    io,
    net::{Ipv4Addr, TcpListener},
    sync::Arc,
    time::Duration,
};
use tokio::{
    runtime::{Builder, Runtime},
    task::JoinHandle,
    time::{sleep, timeout},
};

/// What is served.
pub(crate) trait Site: Send + Sync + 'static {
    /// The page as it is now.
    ///
    /// # Errors
    /// Where it cannot be made.
    fn page(&self) -> Result<ServedPage>;

    /// Ends what goes on; whether there is something that can be ended.
    fn stop(&self) -> bool;
}

/// Serves a site until it is dropped.
pub(crate) struct Server {
    address: String,
    /// What ends it, until it has ended.
    running: Option<(Runtime, JoinHandle<()>, Arc<GracefulShutdown>)>,
}

/// A browser that says nothing for so long is gone.
const SILENCE: Duration = Duration::from_secs(10);
/// Between two attempts to take a connection where the first fails.
const AGAIN: Duration = Duration::from_millis(50);
/// Answers that are on their way at the end have so long.
const LAST: Duration = Duration::from_secs(1);

impl Server {
    /// Listens at a port, or at a free one.
    pub(crate) fn start(port: Option<u16>, site: Arc<impl Site>) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port.unwrap_or(0)))
            .map_err(|error| unavailable(port, error))?;
        listener.set_nonblocking(true)?;
        let port = listener.local_addr()?.port();
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).context("the system gives no random numbers")?;
        let token = format!("{:032x}", u128::from_le_bytes(bytes));
        let address = format!("http://127.0.0.1:{port}/{token}/");
        let hosts = ["127.0.0.1", "localhost"].map(|host| format!("{host}:{port}"));
        let gate = Arc::new(Gate { token, hosts, site });
        let runtime =
            Builder::new_multi_thread().worker_threads(1).enable_io().enable_time().build()?;
        let graceful = Arc::new(GracefulShutdown::new());
        let listener = {
            let _inside = runtime.enter();
            tokio::net::TcpListener::from_std(listener)?
        };
        let accepting = runtime.spawn(accept(listener, gate, Arc::clone(&graceful)));
        Ok(Self { address, running: Some((runtime, accepting, graceful)) })
    }

    /// Where the page is.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }
}

impl Drop for Server {
    /// Takes no more connections, and ends those that there are with their answer.
    fn drop(&mut self) {
        let Some((runtime, accepting, graceful)) = self.running.take() else { return };
        accepting.abort();
        let last = async {
            // With it goes the other hand on what watches connections.
            let _ = accepting.await;
            if let Some(graceful) = Arc::into_inner(graceful) {
                graceful.shutdown().await;
            }
        };
        let _ = runtime.block_on(async { timeout(LAST, last).await });
        runtime.shutdown_background();
    }
}

/// Why a port cannot be listened at, and what helps.
fn unavailable(port: Option<u16>, error: io::Error) -> anyhow::Error {
    let Some(port) = port else {
        return anyhow!(error).context("the page cannot be served on this machine");
    };
    let why = match error.kind() {
        io::ErrorKind::AddrInUse => "is in use".to_owned(),
        io::ErrorKind::PermissionDenied => "may not be used by this user".to_owned(),
        _ => format!("cannot be used: {error}"),
    };
    anyhow!("port {port} {why}; give another --port, or none: a free one is found")
}

async fn accept(
    listener: tokio::net::TcpListener,
    gate: Arc<Gate>,
    graceful: Arc<GracefulShutdown>,
) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            sleep(AGAIN).await;
            continue;
        };
        let gate = Arc::clone(&gate);
        let service = service_fn(move |request| {
            let answer = gate.answer(&request);
            async { Ok::<_, Infallible>(answer) }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(SILENCE)
            .serve_connection(TokioIo::new(stream), service);
        let connection = graceful.watch(connection);
        tokio::spawn(async move {
            // A browser may go away at any time.
            let _ = connection.await;
        });
    }
}

/// Who may see what.
struct Gate {
    token: String,
    /// Names under which this machine may be asked.
    hosts: [String; 2],
    site: Arc<dyn Site>,
}

type Answer = Response<Full<Bytes>>;

impl Gate {
    fn answer(&self, request: &Request<Incoming>) -> Answer {
        let refused = |status, why: &str| text(status, &format!("{why}\n"));
        let (headers, uri) = (request.headers(), request.uri());
        let asked = uri.authority().map(Authority::as_str);
        if !self.is_own(headers) || asked.is_some_and(|name| !self.is_host(name)) {
            return refused(StatusCode::FORBIDDEN, "this page has another address");
        }
        let path = uri.path().strip_prefix('/').unwrap_or_default();
        let (token, route) = path.split_once('/').unwrap_or((path, ""));
        if !is_same(token, &self.token) {
            let why = "the address is not complete; the program prints it where it runs";
            return refused(StatusCode::FORBIDDEN, why);
        }
        match (request.method(), route) {
            (&Method::GET, "") if path.ends_with('/') => self.page(headers),
            (&Method::POST, "stop") if self.site.stop() => text(StatusCode::OK, "stopping\n"),
            (&Method::POST, "stop") => refused(StatusCode::CONFLICT, "nothing goes on"),
            (_, "" | "stop") if path.contains('/') => {
                let mut answer = refused(StatusCode::METHOD_NOT_ALLOWED, "not by this method");
                let allowed = if route.is_empty() { "GET" } else { "POST" };
                answer.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allowed));
                answer
            }
            _ => refused(StatusCode::NOT_FOUND, "there is no such page"),
        }
    }

    /// Whether this machine is asked under its own name, and by its own page where a page asks.
    fn is_own(&self, headers: &HeaderMap) -> bool {
        let all = |name| headers.get_all(name).iter().map(|value| value.to_str().unwrap_or(""));
        let mut hosts = all(header::HOST);
        let host = hosts.next().is_some_and(|host| self.is_host(host)) && hosts.next().is_none();
        let is_own =
            |origin: &str| origin.strip_prefix("http://").is_some_and(|host| self.is_host(host));
        host && all(header::ORIGIN).all(is_own)
    }

    fn is_host(&self, name: &str) -> bool {
        self.hosts.iter().any(|host| host.eq_ignore_ascii_case(name))
    }

    fn page(&self, headers: &HeaderMap) -> Answer {
        let page = match self.site.page() {
            Ok(page) => page,
            Err(error) => {
                return text(StatusCode::INTERNAL_SERVER_ERROR, &format!("{error:#}\n"));
            }
        };
        let mut hasher = DefaultHasher::new();
        page.html.hash(&mut hasher);
        let version = format!("\"{:016x}\"", hasher.finish());
        let is_known = headers.get(header::IF_NONE_MATCH).is_some_and(|known| *known == version);
        let mut answer = if is_known {
            content(StatusCode::NOT_MODIFIED, String::new(), "text/html; charset=utf-8")
        } else {
            content(StatusCode::OK, page.html, "text/html; charset=utf-8")
        };
        // A page of another site shows nothing of this one either.
        let policy = format!("{}; frame-ancestors 'none'", page.policy);
        for (name, value) in [(header::CONTENT_SECURITY_POLICY, policy), (header::ETAG, version)] {
            if let Ok(value) = HeaderValue::from_str(&value) {
                answer.headers_mut().insert(name, value);
            }
        }
        answer
    }
}

/// Whether two words are the same, in a time that does not tell how many letters are.
fn is_same(one: &str, other: &str) -> bool {
    let differing = one.bytes().zip(other.bytes()).fold(0, |bits, (a, b)| bits | (a ^ b));
    one.len() == other.len() && differing == 0
}

fn text(status: StatusCode, text: &str) -> Answer {
    let mut answer = content(status, text.to_owned(), "text/plain; charset=utf-8");
    let nothing = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");
    answer.headers_mut().insert(header::CONTENT_SECURITY_POLICY, nothing);
    answer
}

fn content(status: StatusCode, body: String, kind: &'static str) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from(body)));
    *answer.status_mut() = status;
    let same_origin = HeaderName::from_static("cross-origin-resource-policy");
    for (name, value) in [
        (header::CONTENT_TYPE, kind),
        (header::CACHE_CONTROL, "no-store"),
        // The address holds the token.
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (same_origin, "same-origin"),
    ] {
        answer.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        io::{Read as _, Write as _},
        net::TcpStream,
        sync::atomic::{AtomicUsize, Ordering},
    };

    #[derive(Default)]
    struct Counted {
        stops: AtomicUsize,
    }

    impl Site for Counted {
        fn page(&self) -> Result<ServedPage> {
            let (html, policy) = ("<p>page</p>".to_owned(), "default-src 'none'".to_owned());
            Ok(ServedPage { html, policy })
        }

        fn stop(&self) -> bool {
            self.stops.fetch_add(1, Ordering::Relaxed);
            true
        }
    }

    /// The status and all that a server answers to the lines of a request.
    fn ask(server: &Server, lines: &[&str]) -> (u16, String) {
        let (_, rest) = server.address().split_once("//").unwrap();
        let (host, rest) = rest.split_once('/').unwrap();
        let text =
            lines.join("\r\n").replace("HOST", host).replace("TOKEN", rest.trim_end_matches('/'));
        let mut stream = TcpStream::connect(host).unwrap();
        write!(stream, "{text}\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        (answer[9..12].parse().unwrap(), answer)
    }

    #[test]
    fn only_who_knows_the_address_is_answered() {
        let site = Arc::new(Counted::default());
        let server = Server::start(None, Arc::clone(&site)).unwrap();
        let own = "Host: HOST";
        let wrong = "0".repeat(32);
        let cases: [(u16, &[&str]); 20] = [
            (200, &["GET /TOKEN/ HTTP/1.1", own]),
            (200, &["GET http://HOST/TOKEN/ HTTP/1.1", own]),
            (200, &["POST /TOKEN/stop HTTP/1.1", own, "Origin: http://HOST", "Content-Length: 0"]),
            (403, &["GET / HTTP/1.1", own]),
            (403, &[&format!("GET /{wrong}/ HTTP/1.1"), own]),
            (403, &[&format!("POST /{wrong}/stop HTTP/1.1"), own]),
            (403, &["GET /TOKENa/ HTTP/1.1", own]),
            (403, &["GET /result.json HTTP/1.1", own]),
            (403, &["GET /../../etc/passwd HTTP/1.1", own]),
            (404, &["GET /TOKEN/../Cargo.toml HTTP/1.1", own]),
            (404, &["GET /TOKEN/%2e%2e/Cargo.toml HTTP/1.1", own]),
            (404, &["GET /TOKEN/result.json HTTP/1.1", own]),
            (404, &["GET /TOKEN//etc/passwd HTTP/1.1", own]),
            (404, &["GET /TOKEN HTTP/1.1", own]),
            (405, &["GET /TOKEN/stop HTTP/1.1", own]),
            (405, &["DELETE /TOKEN/ HTTP/1.1", own]),
            (403, &["GET /TOKEN/ HTTP/1.1", "Host: evil.example"]),
            (403, &["GET http://evil.example/TOKEN/ HTTP/1.1", own]),
            (403, &["GET /TOKEN/ HTTP/1.1", own, "Host: evil.example"]),
            (403, &["POST /TOKEN/stop HTTP/1.1", own, "Origin: http://evil.example"]),
        ];
        for (status, lines) in cases {
            let (got, answer) = ask(&server, lines);
            assert_eq!(got, status, "{lines:?}\n{answer}");
            assert_eq!(
                answer.contains("<p>page</p>"),
                status == 200 && lines[0].starts_with("GET")
            );
            for header in ["cache-control: no-store", "nosniff", "frame-ancestors 'none'"] {
                assert!(answer.contains(header), "{lines:?}\n{answer}");
            }
        }
        assert_eq!(site.stops.load(Ordering::Relaxed), 1);
        assert_eq!(ask(&server, &["GET /TOKEN/ HTTP/1.1"]).0, 403, "no host");
    }

    #[test]
    fn what_is_known_is_not_sent_again_and_ports_are_given_back() {
        let server = Server::start(None, Arc::new(Counted::default())).unwrap();
        let (_, answer) = ask(&server, &["GET /TOKEN/ HTTP/1.1", "Host: HOST"]);
        let version = answer.lines().find_map(|line| line.strip_prefix("etag: ")).unwrap();
        let known = format!("If-None-Match: {version}");
        let (status, answer) = ask(&server, &["GET /TOKEN/ HTTP/1.1", "Host: HOST", &known]);
        assert!(status == 304 && !answer.contains("<p>"), "{answer}");
        let port = server.address().split([':', '/']).nth(4).unwrap().parse().unwrap();
        let error = Server::start(Some(port), Arc::new(Counted::default())).err().unwrap();
        assert!(error.to_string().contains("is in use; give another --port"), "{error}");
        drop(server);
        assert!(Server::start(Some(port), Arc::new(Counted::default())).is_ok());
    }
}
