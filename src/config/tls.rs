//! Options for TLS.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;

use crate::http::{Certificates, TlsPlan};

/// TLS of the listener.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "TLS")]
pub struct TlsArgs {
    /// The server's certificate with the intermediate ones, in PEM; the server then serves HTTPS only. The
    /// files of TLS are read again when they change. See docs/security.md
    #[arg(long, env = "RESNETD_TLS_CERT", value_name = "PEM")]
    pub tls_cert: Option<PathBuf>,

    /// The certificate's private key, in PEM
    #[arg(long, env = "RESNETD_TLS_KEY", value_name = "PEM")]
    pub tls_key: Option<PathBuf>,

    /// Certificates of the authorities that sign clients' certificates, in PEM; connections then need a
    /// client certificate
    #[arg(long, hide_short_help = true, env = "RESNETD_TLS_CLIENT_CA", value_name = "PEM")]
    pub tls_client_ca: Option<PathBuf>,
}

impl TlsArgs {
    /// The certificates; `None` without TLS.
    pub(super) fn resolve(&self, wrong: &mut Vec<String>) -> Option<Arc<Certificates>> {
        let plan = match (&self.tls_cert, &self.tls_key) {
            (Some(cert), Some(key)) => TlsPlan {
                cert: cert.clone(),
                key: key.clone(),
                client_ca: self.tls_client_ca.clone(),
            },
            (None, None) => {
                if self.tls_client_ca.is_some() {
                    wrong.push("--tls-client-ca needs --tls-cert and --tls-key".to_owned());
                }
                return None;
            }
            (Some(_), None) => {
                wrong.push("--tls-cert needs --tls-key, the certificate's private key".to_owned());
                return None;
            }
            (None, Some(_)) => {
                wrong.push("--tls-key needs --tls-cert, the key's certificate".to_owned());
                return None;
            }
        };
        Certificates::open(plan).map_err(|error| wrong.push(error.to_string())).ok().map(Arc::new)
    }
}
