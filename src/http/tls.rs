//! TLS certificates, reloaded when their files change.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem};
use rustls::server::{VerifierBuilderError, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig};

use super::reload::{self, Reload, WatchedFiles};

/// The application protocols in order of preference.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// The PEM files for TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsPlan {
    /// The server's certificate, followed by the intermediate ones.
    pub cert: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// Certificates of the authorities for client certificates, if these are required.
    pub client_ca: Option<PathBuf>,
}

/// Why TLS cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BadTls {
    /// A file cannot be read, or is not PEM.
    #[error("{option} {}: {source}", path.display())]
    File {
        /// The option with the path.
        option: &'static str,
        /// The file.
        path: PathBuf,
        /// The parser's error.
        source: pem::Error,
    },
    /// A file contains no certificate or no key.
    #[error("{option} {}: it has no {missing}; it must be in PEM format", path.display())]
    Empty {
        /// The option with the path.
        option: &'static str,
        /// The file.
        path: PathBuf,
        /// What it should contain.
        missing: &'static str,
    },
    /// Key and certificate do not match, or are not supported.
    #[error("--tls-cert {} and --tls-key {}: {source}", cert.display(), key.display())]
    Pair {
        /// The certificate's file.
        cert: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// The error of the TLS library.
        source: rustls::Error,
    },
    /// The authorities for client certificates cannot be used.
    #[error("--tls-client-ca {}: {source}", path.display())]
    Authorities {
        /// The file.
        path: PathBuf,
        /// The error of the TLS library.
        source: VerifierBuilderError,
    },
}

/// The last valid version of the certificate.
#[derive(Debug)]
pub struct Certificates {
    plan: TlsPlan,
    files: WatchedFiles,
    config: RwLock<Arc<ServerConfig>>,
}

impl Certificates {
    /// Reads the files.
    ///
    /// # Errors
    ///
    /// [`BadTls`] if a file is missing or invalid, or the key does not match the certificate.
    pub fn open(plan: TlsPlan) -> Result<Self, BadTls> {
        let paths = [&plan.cert, &plan.key].into_iter().chain(&plan.client_ca);
        let files = WatchedFiles::new(paths.cloned().collect());
        let config = RwLock::new(Arc::new(read(&plan)?));
        Ok(Self { plan, files, config })
    }

    /// The configuration for a new connection.
    pub(super) fn current(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.config.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Reloads the files whenever they change; never ends.
    pub async fn keep_current(self: Arc<Self>) {
        reload::keep_current(self).await;
    }
}

impl Reload for Certificates {
    fn files(&self) -> &WatchedFiles {
        &self.files
    }

    fn reload(&self) {
        let path = self.plan.cert.display();
        match read(&self.plan) {
            Ok(config) => {
                *self.config.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(config);
                tracing::info!(%path, "TLS certificate reloaded");
            }
            Err(error) => {
                tracing::error!(%error, "TLS certificate not reloaded; the previous one remains in use");
            }
        }
    }
}

fn read(plan: &TlsPlan) -> Result<ServerConfig, BadTls> {
    let chain = certificates("--tls-cert", &plan.cert)?;
    let (option, path) = ("--tls-key", plan.key.clone());
    let key = PrivateKeyDer::from_pem_file(&plan.key).map_err(|source| {
        if matches!(source, pem::Error::NoItemsFound) {
            BadTls::Empty { option, path, missing: "private key" }
        } else {
            BadTls::File { option, path, source }
        }
    })?;
    let pair = |source| BadTls::Pair { cert: plan.cert.clone(), key: plan.key.clone(), source };
    let builder = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(pair)?;
    let builder = match &plan.client_ca {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let mut roots = RootCertStore::empty();
            roots.add_parsable_certificates(certificates("--tls-client-ca", path)?);
            let provider = Arc::new(default_provider());
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            let verifier = verifier.build();
            builder.with_client_cert_verifier(
                verifier.map_err(|source| BadTls::Authorities { path: path.clone(), source })?,
            )
        }
    };
    let mut config = builder.with_single_cert(chain, key).map_err(pair)?;
    config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
    Ok(config)
}

fn certificates(option: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, BadTls> {
    let file = |source| BadTls::File { option, path: path.to_owned(), source };
    let all = CertificateDer::pem_file_iter(path).map_err(file)?;
    let all = all.collect::<Result<Vec<_>, _>>().map_err(file)?;
    if all.is_empty() {
        return Err(BadTls::Empty { option, path: path.to_owned(), missing: "certificate" });
    }
    Ok(all)
}

/// Why a handshake failed: the error of the TLS library, or the alert of the client.
pub(super) fn why_failed(error: &io::Error) -> String {
    error.get_ref().map_or_else(|| error.to_string(), ToString::to_string)
}
