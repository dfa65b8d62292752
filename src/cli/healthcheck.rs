//! `resnetd healthcheck`: checks a running server, for images without curl.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use ureq::Agent;
use ureq::tls::{Certificate, ClientCert, PrivateKey, TlsConfig};

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
    let scheme = if args.tls_cert.is_some() { "https" } else { "http" };
    let url = format!("{scheme}://{}/readyz", reachable(args.listen));
    let no_answer = || format!("no answer from {url}");
    let mut answer = agent(args)?.get(&url).call().with_context(no_answer)?;
    if answer.status() != 200 {
        let body = answer.body_mut().read_to_string().with_context(no_answer)?;
        bail!("not ready: {} {body}", answer.status());
    }
    output::line("ready");
    Ok(())
}

/// Replaces an unspecified address, which not every system can connect to.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address {
            SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
        });
    }
    address
}

fn agent(args: &HealthcheckArgs) -> Result<Agent> {
    let certificate = args.client_cert.as_deref().map(|path| {
        client_certificate(path).with_context(|| format!("--client-cert {}", path.display()))
    });
    let tls = TlsConfig::builder()
        .disable_verification(true)
        .client_cert(certificate.transpose()?)
        .build();
    let config = Agent::config_builder()
        .timeout_global(Some(args.timeout))
        .http_status_as_error(false)
        .proxy(None)
        .tls_config(tls)
        .user_agent(concat!("resnetd/", env!("CARGO_PKG_VERSION")))
        .build();
    Ok(config.new_agent())
}

fn client_certificate(path: &Path) -> Result<ClientCert> {
    let chain = CertificateDer::pem_file_iter(path)?.collect::<Result<Vec<_>, _>>()?;
    // ureq panics if the key is that of another certificate.
    CertifiedKey::from_der(
        chain.clone(),
        PrivateKeyDer::from_pem_file(path)?,
        &default_provider(),
    )?;
    let chain: Vec<_> = chain.iter().map(|part| Certificate::from_der(part).to_owned()).collect();
    Ok(ClientCert::new_with_certs(&chain, PrivateKey::from_pem(&std::fs::read(path)?)?))
}
