//! `resnetd healthcheck`: checks a running server, for container images without curl.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::ring::default_provider;
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme, StreamOwned};

use super::output;
use crate::config::listen_address;

#[derive(Debug, Args)]
pub(super) struct HealthcheckArgs {
    /// Address the server listens on; for 0.0.0.0, 127.0.0.1 is used
    #[arg(long, env = "RESNETD_LISTEN", default_value = "127.0.0.1:8080", value_name = "ADDRESS:PORT", value_parser = listen_address)]
    listen: SocketAddr,

    /// How long to wait for the answer
    #[arg(long, default_value = "2s", value_name = "DURATION", value_parser = humantime::parse_duration)]
    timeout: Duration,

    /// Use TLS, as a server with this option does. The server's certificate is not verified: it is rarely
    /// valid for this address, and the check sends nothing secret
    #[arg(long, env = "RESNETD_TLS_CERT", value_name = "PEM")]
    tls_cert: Option<PathBuf>,

    /// Client certificate with its private key in one PEM file, for a server with --tls-client-ca
    #[arg(long, env = "RESNETD_HEALTHCHECK_CERT", value_name = "PEM")]
    client_cert: Option<PathBuf>,
}

pub(super) fn run(args: &HealthcheckArgs) -> Result<()> {
    let address = reachable(args.listen);
    let scheme = if args.tls_cert.is_some() { "https" } else { "http" };
    let answer = request(address, args)
        .with_context(|| format!("no answer from {scheme}://{address}/readyz"))?;
    let status = answer.lines().next().unwrap_or_default();
    if status.split_whitespace().nth(1) != Some("200") {
        let body = answer.split("\r\n\r\n").nth(1).unwrap_or_default();
        bail!("not ready: {status} {body}");
    }
    output::line("ready");
    Ok(())
}

/// Replaces an unspecified address, to which some systems cannot connect.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address {
            SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
        });
    }
    address
}

/// Sends a request. With HTTP/1.0, the response ends with the connection.
fn request(address: SocketAddr, args: &HealthcheckArgs) -> Result<String> {
    let timeout = Some(args.timeout);
    let stream = TcpStream::connect_timeout(&address, args.timeout)?;
    stream.set_read_timeout(timeout)?;
    stream.set_write_timeout(timeout)?;
    if args.tls_cert.is_none() {
        return exchange(stream, address);
    }
    let config = Arc::new(client(args.client_cert.as_ref())?);
    let connection = ClientConnection::new(config, ServerName::from(address.ip()))?;
    exchange(StreamOwned::new(connection, stream), address)
}

fn exchange(mut stream: impl Read + Write, address: SocketAddr) -> Result<String> {
    stream.write_all(format!("GET /readyz HTTP/1.0\r\nHost: {address}\r\n\r\n").as_bytes())?;
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        // The connection was closed without TLS's close_notify.
        Err(error) if error.kind() == ErrorKind::UnexpectedEof && !answer.is_empty() => {}
        read => drop(read?),
    }
    Ok(String::from_utf8(answer)?)
}

fn client(certificate: Option<&PathBuf>) -> Result<ClientConfig> {
    let provider = Arc::new(default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyCertificate(provider)));
    let Some(path) = certificate else { return Ok(builder.with_no_client_auth()) };
    let read = || {
        let chain = CertificateDer::pem_file_iter(path)?.collect::<Result<Vec<_>, _>>()?;
        Ok::<_, anyhow::Error>((chain, PrivateKeyDer::from_pem_file(path)?))
    };
    let (chain, key) = read().with_context(|| format!("--client-cert {}", path.display()))?;
    Ok(builder.with_client_auth_cert(chain, key)?)
}

/// Accepts every certificate.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
