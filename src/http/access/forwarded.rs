//! The address of a client behind reverse proxies.

use std::net::{IpAddr, SocketAddr};

use axum::http::{HeaderMap, HeaderName, header};
use clap::ValueEnum;
use ipnet::IpNet;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The header in which reverse proxies name the client. Only one is read, because a proxy that sets one of
/// them forwards the other one unchanged from clients.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum ForwardedHeader {
    /// `X-Forwarded-For`, which nearly all proxies set.
    #[default]
    XForwardedFor,
    /// `Forwarded` (RFC 7239).
    Forwarded,
}

/// The trusted reverse proxies.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Proxies {
    /// Their networks; if empty, the header is ignored.
    pub networks: Vec<IpNet>,
    /// The header that they set.
    pub header: ForwardedHeader,
}

impl Proxies {
    /// The client's address: that of the connection, or if it is a proxy's, the last address in the header
    /// that is not a proxy's. (Earlier ones may be forged by clients.)
    pub(super) fn client(&self, connected: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut client = connected.to_canonical();
        if !self.trust(client) {
            return client;
        }
        let (name, node): (_, fn(&str) -> Option<IpAddr>) = match self.header {
            ForwardedHeader::XForwardedFor => (X_FORWARDED_FOR, address),
            ForwardedHeader::Forwarded => (header::FORWARDED, for_node),
        };
        let values = headers.get_all(name);
        let elements = values.iter().filter_map(|value| value.to_str().ok());
        let mut elements: Vec<&str> = elements.flat_map(|value| value.split(',')).collect();
        while let Some(address) = elements.pop().and_then(node) {
            client = address.to_canonical();
            if !self.trust(client) {
                break;
            }
        }
        client
    }

    fn trust(&self, address: IpAddr) -> bool {
        self.networks.iter().any(|network| network.contains(&address))
    }
}

/// An address with or without a port and brackets.
fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    bare.parse().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|with_port| with_port.ip()))
}

/// The address in an element such as `for="[2001:db8::1]:4711";proto=https`.
fn for_node(element: &str) -> Option<IpAddr> {
    element.split(';').find_map(|pair| {
        let (name, value) = pair.trim().split_once('=')?;
        name.eq_ignore_ascii_case("for").then(|| address(value.trim().trim_matches('"')))?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxies(header: ForwardedHeader) -> Proxies {
        let networks = ["10.0.0.0/8", "::1/128"].map(|network| network.parse().unwrap());
        Proxies { networks: networks.to_vec(), header }
    }

    fn headers(name: &'static str, values: &[&'static str]) -> HeaderMap {
        let pair = |value: &&'static str| (HeaderName::from_static(name), value.parse().unwrap());
        let mut headers = HeaderMap::new();
        for (name, value) in values.iter().map(pair) {
            headers.append(name, value);
        }
        headers
    }

    fn client(proxies: &Proxies, connected: &str, headers: &HeaderMap) -> String {
        proxies.client(connected.parse().unwrap(), headers).to_string()
    }

    #[test]
    fn the_header_is_read_only_from_a_proxy_and_only_its_last_address_outside_the_proxies() {
        let proxies = proxies(ForwardedHeader::XForwardedFor);
        let of =
            |connected, values| client(&proxies, connected, &headers("x-forwarded-for", values));
        assert_eq!(of("192.0.2.1", &["198.51.100.7"]), "192.0.2.1", "not a proxy");
        assert_eq!(of("10.0.0.1", &["198.51.100.7"]), "198.51.100.7");
        assert_eq!(of("::ffff:10.0.0.1", &["198.51.100.7"]), "198.51.100.7");
        assert_eq!(of("10.0.0.1", &["1.2.3.4, 198.51.100.7", "10.0.0.2"]), "198.51.100.7");
        assert_eq!(of("::1", &["[2001:db8::1]:443"]), "2001:db8::1");
        assert_eq!(
            of("10.0.0.1", &["1.2.3.4, unknown"]),
            "10.0.0.1",
            "earlier addresses are ignored"
        );
        assert_eq!(of("10.0.0.1", &[]), "10.0.0.1");
        let none = Proxies::default();
        assert_eq!(
            client(&none, "10.0.0.1", &headers("x-forwarded-for", &["1.2.3.4"])),
            "10.0.0.1"
        );
    }

    #[test]
    fn only_the_chosen_header_is_read() {
        let proxies = proxies(ForwardedHeader::Forwarded);
        let of = |name, values| client(&proxies, "10.0.0.1", &headers(name, values));
        assert_eq!(
            of("forwarded", &["for=1.2.3.4, For=\"[2001:db8::1]:47\";proto=https"]),
            "2001:db8::1"
        );
        assert_eq!(of("forwarded", &["proto=https;for=192.0.2.60:80"]), "192.0.2.60");
        assert_eq!(of("x-forwarded-for", &["1.2.3.4"]), "10.0.0.1");
    }
}
