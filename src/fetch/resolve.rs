//! Resolves a name to its allowed addresses.

use std::fmt;
use std::future::Future;
use std::net::{SocketAddr, ToSocketAddrs};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use hyper_util::client::legacy::connect::dns::Name;
use tokio::sync::Semaphore;
use tower_service::Service;

use super::{FetchError, UrlPolicy};

/// Maximum number of threads for the system's resolver: it cannot be interrupted, and waits many seconds for a name
/// server that does not answer.
const AT_ONCE: usize = 16;

/// Resolves a name with the system's resolver, and returns the addresses that [`UrlPolicy`] allows. Connections are made
/// to these addresses only, so a name cannot resolve to other addresses between the check and the connection.
#[derive(Clone)]
pub(super) struct Resolver {
    policy: Arc<UrlPolicy>,
    permits: Arc<Semaphore>,
}

impl Resolver {
    pub(super) fn new(policy: Arc<UrlPolicy>) -> Self {
        Self { policy, permits: Arc::new(Semaphore::new(AT_ONCE)) }
    }

    async fn addresses(self, host: String) -> Result<Vec<SocketAddr>, FetchError> {
        let unreachable = |reason: String| FetchError::Unreachable { url: host.clone(), reason };
        let permit = self.permits.acquire_owned().await.map_err(|e| unreachable(e.to_string()))?;
        let name = host.clone();
        let asked = tokio::task::spawn_blocking(move || {
            // The thread holds the permit until it ends, even if the caller gives up.
            let _permit = permit;
            (name.as_str(), 0).to_socket_addrs().map(Vec::from_iter)
        });
        let found = asked.await.map_err(|error| unreachable(error.to_string()))?;
        let mut addresses = found.map_err(|error| unreachable(error.to_string()))?;
        addresses.retain(|address| self.policy.reaches(address.ip()));
        if addresses.is_empty() { Err(FetchError::Address { host }) } else { Ok(addresses) }
    }
}

impl Service<Name> for Resolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = FetchError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, FetchError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), FetchError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let (resolver, host) = (self.clone(), name.as_str().to_owned());
        Box::pin(async move { Ok(resolver.addresses(host).await?.into_iter()) })
    }
}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resolver").field("policy", &self.policy).finish_non_exhaustive()
    }
}
