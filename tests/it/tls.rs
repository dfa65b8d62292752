//! TLS: HTTP/1.1, HTTP/2 and gRPC, client certificates, and reloaded certificates.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, Response, Version};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::client::legacy::{Client, Error};
use hyper_util::rt::TokioExecutor;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use resnetd::http::{Certificates, TlsPlan};
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::support::engines::Gate;
use crate::support::process::Process;
use crate::support::{Options, TestServer, data, free_address, get, resnetd, until, wire};

/// An authority, and the files of a server and a client signed by it.
struct Pki {
    folder: TempDir,
    issuer: Issuer<'static, KeyPair>,
}

impl Pki {
    fn new() -> Self {
        let (mut params, key) = (CertificateParams::default(), KeyPair::generate().unwrap());
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let folder = tempfile::tempdir().unwrap();
        crate::support::write(
            folder.path().join("ca.pem"),
            params.self_signed(&key).unwrap().pem(),
        )
        .unwrap();
        let pki = Self { folder, issuer: Issuer::new(params, key) };
        pki.sign("server");
        pki.sign("client");
        pki
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    /// Replaces the certificate and the key of `name`.
    fn sign(&self, name: &str) {
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let (params, key) = (CertificateParams::new(names).unwrap(), KeyPair::generate().unwrap());
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        crate::support::write(self.path(&format!("{name}.pem")), certificate.pem()).unwrap();
        crate::support::write(self.path(&format!("{name}.key")), key.serialize_pem()).unwrap();
        let both = certificate.pem() + &key.serialize_pem();
        crate::support::write(self.path(&format!("{name}.both")), both).unwrap();
    }

    fn plan(&self) -> TlsPlan {
        TlsPlan { cert: self.path("server.pem"), key: self.path("server.key"), client_ca: None }
    }

    fn serve(&self, plan: TlsPlan, options: Options) -> Served {
        let tls = Some(Arc::new(Certificates::open(plan).unwrap()));
        let server = TestServer::with(Options { tls, ..options });
        let address = server.url.trim_start_matches("http://").parse().unwrap();
        Served { server, address, trusted: self.path("ca.pem") }
    }
}

/// A server over TLS.
struct Served {
    server: TestServer,
    address: SocketAddr,
    trusted: PathBuf,
}

type HttpsClient =
    Client<hyper_rustls::HttpsConnector<hyper_util::client::legacy::connect::HttpConnector>, Body>;

impl Served {
    fn config(&self, client: Option<&Path>) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(&self.trusted).unwrap()).unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        match client {
            None => builder.with_no_client_auth(),
            Some(both) => {
                let chain = vec![CertificateDer::from_pem_file(both).unwrap()];
                let key = PrivateKeyDer::from_pem_file(both).unwrap();
                builder.with_client_auth_cert(chain, key).unwrap()
            }
        }
    }

    /// A client that offers these versions of HTTP.
    fn client(&self, version: Version, certificate: Option<&Path>) -> HttpsClient {
        let builder = HttpsConnectorBuilder::new().with_tls_config(self.config(certificate));
        let builder = builder.https_only();
        let connector = match version {
            Version::HTTP_2 => builder.enable_http2().build(),
            _ => builder.enable_http1().build(),
        };
        Client::builder(TokioExecutor::new())
            .http2_only(version == Version::HTTP_2)
            .build(connector)
    }

    fn request(&self, path: &str, body: impl Into<Body>) -> Request<Body> {
        let uri = format!("https://localhost:{}{path}", self.address.port());
        Request::post(uri).body(body.into()).unwrap()
    }

    async fn get(&self, client: &HttpsClient, path: &str) -> Result<Response<Incoming>, Error> {
        let mut request = self.request(path, Body::empty());
        *request.method_mut() = axum::http::Method::GET;
        client.request(request).await
    }

    async fn raw(&self) -> tokio_rustls::client::TlsStream<TcpStream> {
        let stream = TcpStream::connect(self.address).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        TlsConnector::from(Arc::new(self.config(None))).connect(name, stream).await.unwrap()
    }
}

async fn text(response: Response<Incoming>) -> String {
    String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

#[tokio::test]
async fn http_1_and_http_2_are_served_over_tls() {
    let pki = Pki::new();
    let served = pki.serve(pki.plan(), Options::default());
    for version in [Version::HTTP_11, Version::HTTP_2] {
        let client = served.client(version, None);
        let response = client.request(served.request("/classify", data("cat.jpg"))).await.unwrap();
        assert_eq!((response.status().as_u16(), response.version()), (200, version));
        assert!(text(response).await.contains(r#""label":"cat""#));
        // A large response on the same connection.
        let response = served.get(&client, "/openapi.json").await.unwrap();
        assert!(text(response).await.len() > 50_000);
        let response = client.request(served.request("/classify", "text")).await.unwrap();
        assert_eq!(response.status(), 400);
    }
    assert!(served.server.stop().await);
}

#[tokio::test]
async fn the_protocol_is_negotiated() {
    let pki = Pki::new();
    let served = pki.serve(pki.plan(), Options::default());
    for (offered, chosen) in [
        (&[b"http/1.1".to_vec(), b"h2".to_vec()][..], Some(&b"h2"[..])),
        (&[b"http/1.1".to_vec()][..], Some(&b"http/1.1"[..])),
        (&[][..], None),
    ] {
        let mut config = served.config(None);
        config.alpn_protocols = offered.to_vec();
        let stream = TcpStream::connect(served.address).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), chosen);
    }
}

#[tokio::test]
async fn grpc_is_served_over_tls() {
    let pki = Pki::new();
    let served = pki.serve(pki.plan(), Options::default());
    let client = served.client(Version::HTTP_2, None);
    let path = "/inference.GRPCInferenceService/ServerMetadata";
    let mut request = served.request(path, Body::from(&[0; 5][..]));
    let kind = "application/grpc".parse().unwrap();
    request.headers_mut().insert("content-type", kind);
    let body = client.request(request).await.unwrap().into_body().collect().await.unwrap();
    assert_eq!(body.trailers().unwrap()["grpc-status"], "0");
    assert!(body.to_bytes().windows(7).any(|part| part == b"resnetd"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_valid_client_certificate_no_request_is_served() {
    let pki = Pki::new();
    let plan = TlsPlan { client_ca: Some(pki.path("ca.pem")), ..pki.plan() };
    let served = pki.serve(plan, Options::default());
    let ours = served.client(Version::HTTP_2, Some(&pki.path("client.both")));
    assert_eq!(served.get(&ours, "/v1/model").await.unwrap().status(), 200);
    let foreign = Pki::new();
    for certificate in [None, Some(foreign.path("client.both"))] {
        let client = served.client(Version::HTTP_11, certificate.as_deref());
        assert!(served.get(&client, "/v1/model").await.is_err());
    }
    let failed = || served.server.server.metrics.tls_handshake_failures.get() >= 2;
    until("both are counted", failed).await;

    let listen = served.address.to_string();
    let check = |certificate: &str| {
        let cert = pki.text("server.pem");
        let mut arguments = vec!["healthcheck", "--listen", &*listen, "--tls-cert", &*cert];
        if !certificate.is_empty() {
            arguments.extend(["--client-cert", certificate]);
        }
        resnetd(&arguments)
    };
    let (ready, refused) = (check(&pki.text("client.both")), check(""));
    assert!(ready.status.success(), "{ready:?}");
    assert!(!refused.status.success(), "{refused:?}");
}

#[tokio::test]
async fn a_new_certificate_is_used_and_an_invalid_one_is_not() {
    let pki = Pki::new();
    let served = pki.serve(pki.plan(), Options::default());
    let shown = async || {
        let stream = served.raw().await;
        stream.get_ref().1.peer_certificates().unwrap()[0].clone().into_owned()
    };
    let first = shown().await;
    pki.sign("server");
    while shown().await == first {}
    let second = shown().await;
    // The certificate of another key.
    fs::copy(pki.path("client.pem"), pki.path("server.pem")).unwrap();
    assert_eq!(shown().await, second);
    crate::support::write(pki.path("server.key"), "nothing").unwrap();
    assert_eq!(shown().await, second);
    pki.sign("server");
    while shown().await == second {}
}

#[tokio::test]
async fn http_without_tls_gets_an_error() {
    let pki = Pki::new();
    let served = pki.serve(pki.plan(), Options::default());
    let answer = served.server.get("/livez").await;
    assert_eq!((answer.status, answer.reason()), (400, "bad-request".to_owned()));
    assert!(answer.text.contains("https://"), "{answer:?}");
    until("it is counted", || served.server.server.metrics.tls_handshake_failures.get() == 1).await;
}

#[tokio::test]
async fn the_admin_address_has_tls_unless_it_is_a_loopback_address() {
    let pki = Pki::new();
    let keys = [("--tls-cert", "server.pem"), ("--tls-key", "server.key")];
    let tls = keys.map(|(option, file)| [option.to_owned(), pki.text(file)]).concat();
    for (ip, without_tls) in [("127.0.0.1", 200), ("0.0.0.0", 400)] {
        let port = free_address().rsplit_once(':').unwrap().1.to_owned();
        let mut arguments: Vec<_> = tls.iter().map(String::as_str).collect();
        let admin = format!("{ip}:{port}");
        arguments.extend(["--admin-listen", &admin]);
        let _server = Process::start(&arguments);
        let answer = get(&format!("http://127.0.0.1:{port}/ping")).await;
        assert_eq!(answer.status, without_tls, "{admin}: {answer:?}");
    }
}

#[tokio::test]
async fn a_stalled_handshake_is_ended_and_its_connection_can_be_reused() {
    let pki = Pki::new();
    let mut options = Options::default();
    options.connections.max_connections = 1;
    let served = pki.serve(pki.plan(), options);
    let mut silent = TcpStream::connect(served.address).await.unwrap();
    let client = served.client(Version::HTTP_11, None);
    // It occupies the only place, in whatever order the two are accepted.
    while served.get(&client, "/livez").await.is_err() {}
    assert_eq!(silent.read(&mut [0; 1]).await.unwrap_or(0), 0);

    let mut options = Options::default();
    options.connections.times.header = Duration::from_millis(50);
    let served = pki.serve(pki.plan(), options);
    let mut half = TcpStream::connect(served.address).await.unwrap();
    half.write_all(&[22, 3, 1, 2, 0]).await.unwrap();
    assert_eq!(half.read(&mut [0; 1]).await.unwrap_or(0), 0);
}

#[tokio::test]
async fn a_disconnected_client_is_detected_over_tls() {
    let pki = Pki::new();
    let gate = Gate::default();
    let options = Options { engines: Some(vec![gate.engine()]), ..Options::default() };
    let served = pki.serve(pki.plan(), options);
    let photo = data("cifar10-cat.png");
    let inside = |images: i64| {
        let metrics = served.server.model.pipeline.metrics();
        move || metrics.images_in_flight.get() == images
    };
    let request = format!(
        "POST /classify HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n",
        photo.len()
    );
    let send = async || {
        let mut stream = served.raw().await;
        stream.write_all(request.as_bytes()).await.unwrap();
        stream.write_all(&photo).await.unwrap();
        stream.flush().await.unwrap();
        stream
    };
    // The first image occupies the worker.
    let mut waiting = send().await;
    let metrics = served.server.model.pipeline.metrics();
    until("one is running", || inside(1)() && metrics.queue_depth.get() == 0).await;
    let mut leaving = send().await;
    until("another is queued", inside(2)).await;
    leaving.shutdown().await.unwrap();
    drop(leaving);
    until("it is removed from the queue", inside(1)).await;
    // A request that follows the first one is not lost by checking the connection.
    waiting
        .write_all(b"GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        .await
        .unwrap();
    gate.open();
    let mut answers = String::new();
    waiting.read_to_string(&mut answers).await.unwrap();
    assert!(answers.contains("\"predictions\"") && answers.contains("\"live\":true"), "{answers}");
}

#[tokio::test]
async fn the_connection_of_a_client_that_does_not_read_is_closed_over_tls() {
    let pki = Pki::new();
    let mut options = Options::default();
    options.connections.times.write = Duration::from_millis(200);
    let served = pki.serve(pki.plan(), options);
    let mut stream = served.raw().await;
    let request = b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n";
    // More than all buffers can hold; the server stops reading, and then closes the connection.
    let sending = async {
        while stream.write_all(&request.repeat(100)).await.is_ok() && stream.flush().await.is_ok() {
        }
    };
    tokio::time::timeout(Duration::from_secs(60), sending).await.expect("it is closed");
}

#[tokio::test]
async fn a_flood_of_control_frames_is_ended_over_tls() {
    let pki = Pki::new();
    let served = pki.serve(pki.plan(), Options::default());
    let mut config = served.config(None);
    config.alpn_protocols = vec![b"h2".to_vec()];
    let stream = TcpStream::connect(served.address).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let mut stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap();
    stream.write_all(wire::PREFACE).await.unwrap();
    let _ = stream.write_all(&wire::PING.repeat(2000)).await;
    let _ = stream.flush().await;
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes).await;
    assert_eq!(wire::goaway(&bytes), Some(11), "ENHANCE_YOUR_CALM");
}

#[test]
fn invalid_options_are_named() {
    let pki = Pki::new();
    let (cert, key, ca) = (pki.text("server.pem"), pki.text("server.key"), pki.text("ca.pem"));
    let client = pki.text("client.key");
    for (options, expected) in [
        (vec!["--tls-cert", &*cert], "--tls-cert needs --tls-key"),
        (vec!["--tls-key", &*key], "--tls-key needs --tls-cert"),
        (vec!["--tls-client-ca", &*ca], "--tls-client-ca needs"),
        (vec!["--tls-cert", &*cert, "--tls-key", &*client], "--tls-key"),
        (vec!["--tls-cert", &*key, "--tls-key", &*key], "it has no certificate"),
        (vec!["--tls-cert", &*cert, "--tls-key", &*cert], "it has no private key"),
        (vec!["--tls-cert", "/none", "--tls-key", &*key], "--tls-cert /none"),
    ] {
        let started = resnetd(&[&["serve"][..], &options].concat());
        let words = String::from_utf8(started.stderr).unwrap();
        assert!(!started.status.success() && words.contains(expected), "{expected} in {words}");
    }
}
