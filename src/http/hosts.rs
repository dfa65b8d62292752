//! Allowed hosts, against DNS rebinding: a web page can make its visitors' browsers send requests to a server
//! on their own machine, but with the attacker's name in `Host`.

use std::net::IpAddr;

use axum::http::uri::Authority;

/// The hosts for which requests are accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AllowedHosts {
    /// In lower case; `None` for any host.
    names: Option<Vec<String>>,
    addresses: Addresses,
}

/// Which IP addresses are accepted instead of names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Addresses {
    /// Loopback addresses only.
    Loopback,
    /// All, because health checks of clusters use addresses, and DNS rebinding requires a name.
    Any,
}

/// A value that is not a host name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "--allow-host {0:?} is not a host name or address; use one such as photos.example.org, without a port"
)]
pub struct BadAllowedHost(String);

impl AllowedHosts {
    /// Accepts all hosts.
    #[must_use]
    pub fn any() -> Self {
        Self { names: None, addresses: Addresses::Any }
    }

    /// Accepts the hosts in `typed`, `localhost` and IP addresses: only loopback ones if the server listens on a loopback
    /// `address`, otherwise all. Without `typed`, a server on another address accepts every host.
    ///
    /// # Errors
    ///
    /// [`BadAllowedHost`] for the first value that is not a host name or address.
    pub fn new(typed: &[String], address: IpAddr) -> Result<Self, BadAllowedHost> {
        if typed.is_empty() && !address.is_loopback() {
            return Ok(Self::any());
        }
        let host = |typed: &String| match url::Host::parse(typed) {
            Ok(host) if !typed.contains('*') => Ok(host.to_string()),
            _ => Err(BadAllowedHost(typed.clone())),
        };
        let names = typed.iter().map(host).collect::<Result<_, _>>()?;
        let addresses = if address.is_loopback() { Addresses::Loopback } else { Addresses::Any };
        Ok(Self { names: Some(names), addresses })
    }

    /// Whether all hosts are allowed.
    pub(super) fn is_any(&self) -> bool {
        self.names.is_none()
    }

    /// Whether a request for `authority` (a host with an optional port) is allowed.
    pub(super) fn allow(&self, authority: &str) -> bool {
        let Some(names) = &self.names else { return true };
        let Ok(authority) = authority.parse::<Authority>() else { return false };
        let host = authority.host().to_ascii_lowercase();
        let host = host.strip_suffix('.').unwrap_or(&host);
        let address: Option<IpAddr> =
            host.trim_start_matches('[').trim_end_matches(']').parse().ok();
        match (address, self.addresses) {
            (Some(address), Addresses::Loopback) if address.is_loopback() => true,
            (Some(_), Addresses::Any) => true,
            _ => host == "localhost" || names.iter().any(|name| name == host),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn on_a_loopback_address_only_local_names_are_allowed() {
        let hosts = AllowedHosts::new(&[], "127.0.0.1".parse().unwrap()).unwrap();
        for allowed in
            ["localhost", "LOCALHOST:80", "localhost.", "127.0.0.1:8080", "127.8.8.8", "[::1]:1"]
        {
            assert!(hosts.allow(allowed), "{allowed}");
        }
        for refused in ["evil.example", "localhost.evil.example", "10.0.0.1", "", "a b", "[::2]"] {
            assert!(!hosts.allow(refused), "{refused}");
        }
    }

    #[test]
    fn configured_hosts_are_allowed_and_on_other_addresses_all_hosts() {
        let named = ["Photos.Example.org".to_owned()];
        let hosts = AllowedHosts::new(&named, "127.0.0.1".parse().unwrap()).unwrap();
        assert!(hosts.allow("photos.example.org:443") && !hosts.allow("example.org"));
        let hosts = AllowedHosts::new(&named, "0.0.0.0".parse().unwrap()).unwrap();
        assert!(hosts.allow("10.0.0.1:8080") && !hosts.allow("example.org"));
        assert!(AllowedHosts::new(&[], "0.0.0.0".parse().unwrap()).unwrap().allow("example.org"));
        assert!(AllowedHosts::new(&["*".to_owned()], "0.0.0.0".parse().unwrap()).is_err());
        assert!(AllowedHosts::new(&["a:80".to_owned()], "0.0.0.0".parse().unwrap()).is_err());
    }
}
