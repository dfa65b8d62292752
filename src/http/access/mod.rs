//! Access control: API keys, rate limits and the identity of clients.
//!
//! A client is identified by its API key. Without keys it is identified by its address if there are limits
//! per client, otherwise by its connection.

mod forwarded; // addresses behind reverse proxies
mod keys; // the file of API keys
mod rate; // rate limits
mod key_ring; // the keys in use

use std::hash::{BuildHasher, Hash, RandomState};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::middleware::Next;
use axum::response::Response;
use clap::ValueEnum;

pub use forwarded::{ForwardedHeader, Proxies};
pub use key_ring::{KeyRing, NoKeys};
pub use keys::{BadKeys, NewKey, NoKey, Role};
pub use rate::{BadRate, Rate};

use super::cors::AllowedOrigin;
use super::origin::Peer;
use super::problem::{Problem, excerpt, grpc};
use super::purpose::Purpose;
use super::reload;
use crate::pipeline::queue::{BadPriority, ClientKey, Origin, Priority};
use keys::KeyClient;
use rate::{RateExceeded, RateOfEach};

/// Header with the priority class of a request's images. (`Priority` of RFC 9218 is about responses, and
/// browsers send it.)
const PRIORITY: &str = "x-priority";

/// Whether `/metrics` is accessible without a key.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum OpenMetrics {
    /// Accessible without a key.
    On,
    /// Requires a key, like all other routes.
    #[default]
    Off,
}

/// Configuration of [`Access`]; the default has no restrictions.
#[derive(Debug, Clone, Default)]
pub struct AccessPlan {
    /// The valid keys; `None` if no key is required.
    pub keys: Option<Arc<KeyRing>>,
    /// Whether `/metrics` requires a key.
    pub open_metrics: OpenMetrics,
    /// Rate limit per client.
    pub rate: Option<Rate>,
    /// Maximum number of images in flight per client.
    pub max_client_images: Option<usize>,
    /// The trusted reverse proxies.
    pub proxies: Proxies,
    /// Origins whose web pages may use the server.
    pub origins: Vec<AllowedOrigin>,
    /// An additional path of health probes, for Vertex AI.
    pub health: Option<String>,
}

/// Determines whether a request is allowed, and its client.
#[derive(Debug)]
pub struct Access {
    plan: AccessPlan,
    rates: Option<RateOfEach<Identity>>,
    /// Hashes identities to client keys, which clients cannot predict.
    hasher: RandomState,
}

/// Identity of a client across connections.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Identity {
    /// Name of its API key.
    Name(String),
    /// Its address; for IPv6 the first 64 bits, because a subscriber has all addresses with this prefix.
    Address(IpAddr),
}

/// Name of the client whose API key a request has; an extension of the response.
#[derive(Debug, Clone)]
pub(super) struct ClientName(Arc<KeyClient>);

impl ClientName {
    pub(super) fn as_str(&self) -> &str {
        &self.0.name
    }
}

impl Access {
    /// Access control with this configuration.
    #[must_use]
    pub fn new(plan: AccessPlan) -> Self {
        let rates = plan.rate.map(RateOfEach::new);
        Self { plan, rates, hasher: RandomState::new() }
    }

    /// Reloads the file of keys whenever it changes; never ends.
    pub async fn keep_current(&self) {
        match &self.plan.keys {
            Some(keys) => reload::keep_current(Arc::clone(keys)).await,
            None => std::future::pending().await,
        }
    }

    /// Origins whose web pages may use the server.
    pub(super) fn origins(&self) -> &[AllowedOrigin] {
        &self.plan.origins
    }

    /// Whether requests require a key.
    pub(super) fn needs_key(&self) -> bool {
        self.plan.keys.is_some()
    }

    /// The purpose of `request`.
    pub(super) fn purpose(&self, request: &Request) -> Purpose {
        Purpose::of(request, self.plan.health.as_deref())
    }

    /// The client address of `request`.
    pub(super) fn address(&self, request: &Request) -> Option<IpAddr> {
        let peer = request.extensions().get::<Peer>()?;
        Some(self.plan.proxies.client(peer.address, request.headers()))
    }

    /// The client whose key `request` has; `None` if no key is required.
    fn identify(&self, request: &Request) -> Result<Option<ClientName>, Problem> {
        match &self.plan.keys {
            Some(keys) if self.is_closed(self.purpose(request)) => {
                keys.client(request.headers()).map(|client| Some(ClientName(client)))
            }
            Some(_) | None => Ok(None),
        }
    }

    /// Checks the rate limit, and sets the client, its limit and its priority class in the request's origin.
    fn limit(&self, request: &mut Request, client: Option<&KeyClient>) -> Result<(), Problem> {
        if self.purpose(request) != Purpose::Api {
            return Ok(());
        }
        let own = client.and_then(|client| client.images);
        let max_images = own.or(self.plan.max_client_images).unwrap_or(usize::MAX);
        let identity = match client {
            Some(client) => Some(Identity::Name(client.name.clone())),
            None if self.limits_clients() => self.address(request).map(Identity::of_address),
            None => None,
        };
        if let Some(identity) = &identity {
            self.check_rate(client, identity).map_err(|refused| {
                Problem::too_many_requests(&refused.rate.to_string(), refused.wait)
            })?;
        }
        let highest = client.map_or(Priority::Interactive, |client| client.priority);
        let priority = highest.lower(requested_priority(request.headers())?);
        if let Some(origin) = request.extensions_mut().get_mut::<Origin>() {
            origin.max_images = max_images;
            origin.priority = priority;
            if let Some(identity) = identity {
                origin.client = ClientKey::lasting(self.hasher.hash_one(identity));
            }
        }
        Ok(())
    }

    fn is_closed(&self, purpose: Purpose) -> bool {
        match purpose {
            Purpose::Probe | Purpose::Page => false,
            Purpose::Scrape => self.plan.open_metrics == OpenMetrics::Off,
            Purpose::Api => true,
        }
    }

    fn limits_clients(&self) -> bool {
        self.plan.rate.is_some() || self.plan.max_client_images.is_some()
    }

    fn check_rate(
        &self,
        client: Option<&KeyClient>,
        identity: &Identity,
    ) -> Result<(), RateExceeded> {
        match (client.and_then(|client| client.rate.as_ref()), &self.rates) {
            (Some(own), _) => own.check(),
            (None, Some(rates)) => rates.check(identity),
            (None, None) => Ok(()),
        }
    }
}

/// The requested priority class.
fn requested_priority(headers: &HeaderMap) -> Result<Priority, Problem> {
    let Some(value) = headers.get(PRIORITY) else { return Ok(Priority::Interactive) };
    value.to_str().ok().and_then(|word| word.trim().parse().ok()).ok_or_else(|| {
        let value = excerpt(&String::from_utf8_lossy(value.as_bytes())).into_owned();
        Problem::invalid_parameter(format!("{PRIORITY} is {value:?}; {BadPriority}"))
    })
}

impl Identity {
    fn of_address(address: IpAddr) -> Self {
        Self::Address(match address {
            IpAddr::V4(_) => address,
            IpAddr::V6(address) => {
                Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into()
            }
        })
    }
}

/// Passes allowed requests on, and attaches the client's name to the response.
pub(super) async fn check(
    State(access): State<Arc<Access>>,
    mut request: Request,
    next: Next,
) -> Response {
    let client = match access.identify(&request) {
        Ok(client) => client,
        Err(problem) => return grpc::response(problem, request.headers()),
    };
    if let Some(client) = &client {
        request.extensions_mut().insert(client.clone());
    }
    let known = client.as_ref().map(|ClientName(client)| &**client);
    let mut response = match access.limit(&mut request, known) {
        Ok(()) => next.run(request).await,
        Err(problem) => grpc::response(problem, request.headers()),
    };
    if let Some(client) = client {
        response.extensions_mut().insert(client);
    }
    response
}

/// Rejects requests to the admin address with an API key of another role. Behind [`check`]; probes and scrapes need no
/// role.
pub(super) async fn check_role(
    State(access): State<Arc<Access>>,
    request: Request,
    next: Next,
) -> Response {
    match request.extensions().get::<ClientName>() {
        Some(ClientName(client))
            if client.role != Role::Admin && access.purpose(&request) == Purpose::Api =>
        {
            grpc::response(Problem::not_an_admin(&client.name), request.headers())
        }
        Some(_) | None => next.run(request).await,
    }
}
