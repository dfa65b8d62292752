//! Allowed hosts and addresses; works without network access.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use url::{Host, Url};

use super::FetchError;

/// Which URLs may be fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UrlPolicy {
    /// The allow list of hosts.
    pub hosts: Vec<AllowedHost>,
    /// Networks with non-public addresses from which images may be fetched nevertheless.
    pub private: Vec<IpNet>,
}

/// One entry of `--allow-url-hosts`: `images.example.org`, `*.example.org`, `example.org:8443`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AllowedHost {
    name: Name,
    /// `None` for the ports 80 and 443.
    port: Option<u16>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Name {
    /// This host, as [`url`] normalises it: lower case, punycode, addresses in their usual form.
    Exact(Host),
    /// Every name with this suffix, which begins with a dot; not the domain itself.
    Below(String),
}

/// Text that is not a valid entry of the allow list.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "it must be a host such as images.example.org, *.example.org or example.org:8443, without \
     scheme and path"
)]
pub struct BadUrlHost;

impl FromStr for AllowedHost {
    type Err = BadUrlHost;

    fn from_str(typed: &str) -> Result<Self, BadUrlHost> {
        let (name, port) = match typed.rsplit_once(':') {
            // The colons of `[::1]` belong to the address.
            Some((name, port)) if !port.ends_with(']') => {
                (name, Some(port.parse().ok().filter(|port| *port != 0).ok_or(BadUrlHost)?))
            }
            _ => (typed, None),
        };
        let name = match name.strip_prefix("*.") {
            None => Name::Exact(host(name)?),
            Some(domain) => match host(domain)? {
                Host::Domain(domain) => Name::Below(format!(".{domain}")),
                Host::Ipv4(_) | Host::Ipv6(_) => return Err(BadUrlHost),
            },
        };
        Ok(Self { name, port })
    }
}

fn host(typed: &str) -> Result<Host, BadUrlHost> {
    let host = Host::parse(typed).map_err(|_| BadUrlHost)?;
    let odd = matches!(&host, Host::Domain(name) if name.contains('*') || name.ends_with('.'));
    if odd { Err(BadUrlHost) } else { Ok(host) }
}

impl UrlPolicy {
    /// Whether `url` may be fetched, as far as that can be decided before resolving its name.
    ///
    /// # Errors
    ///
    /// [`FetchError`] with what is not allowed.
    pub fn check(&self, url: &Url) -> Result<(), FetchError> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(FetchError::Scheme { scheme: url.scheme().to_owned() });
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(FetchError::UserInfo);
        }
        let named = |host: &Host<&str>| FetchError::Host { host: host.to_string() };
        let (Some(host), Some(port)) = (url.host(), url.port_or_known_default()) else {
            return Err(FetchError::Host { host: String::new() });
        };
        let mut ports = self.hosts.iter().filter(|allowed| allowed.name.is(&host)).peekable();
        if ports.peek().is_none() {
            return Err(named(&host));
        }
        if !ports.any(|allowed| allowed.port.map_or(matches!(port, 80 | 443), |one| one == port)) {
            return Err(FetchError::Port { host: host.to_string(), port });
        }
        let address = match host {
            Host::Domain(_) => return Ok(()),
            Host::Ipv4(address) => IpAddr::from(address),
            Host::Ipv6(address) => IpAddr::from(address),
        };
        if self.reaches(address) {
            Ok(())
        } else {
            Err(FetchError::Address { host: host.to_string() })
        }
    }

    /// Whether a connection to `address` may be made.
    #[must_use]
    pub fn reaches(&self, address: IpAddr) -> bool {
        self.private.iter().any(|network| network.contains(&address))
            || match address {
                IpAddr::V4(address) => is_public_v4(address),
                IpAddr::V6(address) => is_public_v6(address),
            }
    }
}

impl Name {
    fn is(&self, host: &Host<&str>) -> bool {
        match (self, host) {
            (Self::Exact(Host::Domain(name)), Host::Domain(host)) => name == host,
            (Self::Exact(Host::Ipv4(name)), Host::Ipv4(host)) => name == host,
            (Self::Exact(Host::Ipv6(name)), Host::Ipv6(host)) => name == host,
            (Self::Below(domain), Host::Domain(host)) => {
                host.len() > domain.len() && host.ends_with(&**domain)
            }
            (Self::Exact(_) | Self::Below(_), _) => false,
        }
    }
}

const fn v4(a: u8, b: u8, c: u8, prefix: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, 0), prefix)
}

const fn v6(a: u16, b: u16, prefix: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, 0, 0, 0, 0, 0, 0), prefix)
}

/// IPv4 networks without public addresses: IANA's registry of special-purpose addresses.
const NOT_PUBLIC_V4: &[Ipv4Net] = &[
    v4(0, 0, 0, 8),       // this network, and unspecified
    v4(10, 0, 0, 8),      // private
    v4(100, 64, 0, 10),   // carrier-grade NAT
    v4(127, 0, 0, 8),     // loopback
    v4(169, 254, 0, 16),  // link-local, and metadata services of clouds
    v4(172, 16, 0, 12),   // private
    v4(192, 0, 0, 24),    // protocol assignments
    v4(192, 0, 2, 24),    // documentation
    v4(192, 88, 99, 24),  // 6to4 relays
    v4(192, 168, 0, 16),  // private
    v4(198, 18, 0, 15),   // benchmarks
    v4(198, 51, 100, 24), // documentation
    v4(203, 0, 113, 24),  // documentation
    v4(224, 0, 0, 4),     // multicast
    v4(240, 0, 0, 4),     // reserved, and broadcast
];

/// The IPv6 network with all public addresses. Loopback, unique local, link-local and multicast addresses, and
/// IPv4 addresses mapped to IPv6 (`::ffff:0:0/96`, `64:ff9b::/96`) are outside of it.
const PUBLIC_V6: Ipv6Net = v6(0x2000, 0, 3);

/// Networks within [`PUBLIC_V6`] without public addresses.
const NOT_PUBLIC_V6: &[Ipv6Net] = &[
    v6(0x2001, 0, 23), // protocol assignments, such as Teredo, whose addresses contain IPv4 addresses
    v6(0x2001, 0xDB8, 32), // documentation
    v6(0x2002, 0, 16), // 6to4, whose addresses contain IPv4 addresses
    v6(0x3FFF, 0, 20), // documentation
];

fn is_public_v4(address: Ipv4Addr) -> bool {
    !NOT_PUBLIC_V4.iter().any(|network| network.contains(&address))
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    PUBLIC_V6.contains(&address) && !NOT_PUBLIC_V6.iter().any(|network| network.contains(&address))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(hosts: &[&str], private: &[&str]) -> UrlPolicy {
        UrlPolicy {
            hosts: hosts.iter().map(|host| host.parse().unwrap()).collect(),
            private: private.iter().map(|network| network.parse().unwrap()).collect(),
        }
    }

    #[test]
    fn only_hosts_that_were_named_are_fetched_from_however_they_are_written() {
        let policy = policy(
            &["img.example.org", "*.cdn.example.org", "intra.example.org:8443", "bücher.example"],
            &[],
        );
        let host = |host: &str| Err(FetchError::Host { host: host.to_owned() });
        let port = |host: &str, port| Err(FetchError::Port { host: host.to_owned(), port });
        let scheme = |scheme: &str| Err(FetchError::Scheme { scheme: scheme.to_owned() });
        for (url, expected) in [
            ("https://img.example.org/a.jpg?x=1#y", Ok(())),
            ("HTTP://IMG.Example.ORG/", Ok(())),
            ("http://img.example.org:443/", Ok(())),
            ("https://a.cdn.example.org/", Ok(())),
            ("https://a.b.cdn.example.org/", Ok(())),
            ("https://cdn.example.org/", host("cdn.example.org")),
            ("https://evilcdn.example.org/", host("evilcdn.example.org")),
            ("https://img.example.org.evil.example/", host("img.example.org.evil.example")),
            ("https://img.example.org./", host("img.example.org.")),
            ("https://example.org/", host("example.org")),
            ("https://img.example.org:8443/", port("img.example.org", 8443)),
            ("https://img.example.org:22/", port("img.example.org", 22)),
            ("https://intra.example.org:8443/", Ok(())),
            ("https://intra.example.org/", port("intra.example.org", 443)),
            ("https://b%C3%BCcher.example/", Ok(())),
            ("https://xn--bcher-kva.example/", Ok(())),
            ("https://img.example.org@evil.example/", Err(FetchError::UserInfo)),
            ("https://user:word@img.example.org/", Err(FetchError::UserInfo)),
            ("https://:word@img.example.org/", Err(FetchError::UserInfo)),
            ("https://evil.example/@img.example.org/", host("evil.example")),
            ("https://evil.example\\@img.example.org/", host("evil.example")),
            ("https://evil.example#@img.example.org/", host("evil.example")),
            ("https://img\u{3002}example\u{ff0e}org/", Ok(())),
            ("ftp://img.example.org/", scheme("ftp")),
            ("file:///etc/passwd", scheme("file")),
            ("data:image/png;base64,AAAA", scheme("data")),
            ("gopher://img.example.org/", scheme("gopher")),
        ] {
            assert_eq!(policy.check(&Url::parse(url).unwrap()), expected, "{url}");
        }
    }

    #[test]
    fn an_address_is_one_address_in_every_spelling() {
        let policy = policy(&["127.0.0.1", "[::1]", "93.184.216.34", "[::ffff:7f00:1]"], &[]);
        let blocked = |host: &str| Err(FetchError::Address { host: host.to_owned() });
        for (url, expected) in [
            ("http://127.0.0.1/", blocked("127.0.0.1")),
            ("http://2130706433/", blocked("127.0.0.1")),
            ("http://0177.0.0.1/", blocked("127.0.0.1")),
            ("http://0x7f.1/", blocked("127.0.0.1")),
            ("http://127.1/", blocked("127.0.0.1")),
            ("http://[::1]/", blocked("[::1]")),
            ("http://[0:0:0:0:0:0:0:1]/", blocked("[::1]")),
            ("http://[::ffff:127.0.0.1]/", blocked("[::ffff:7f00:1]")),
            ("http://93.184.216.34/", Ok(())),
            ("http://[::2]/", Err(FetchError::Host { host: "[::2]".to_owned() })),
        ] {
            assert_eq!(policy.check(&Url::parse(url).unwrap()), expected, "{url}");
        }
    }

    #[test]
    fn addresses_that_only_this_network_reaches_are_blocked_unless_named() {
        let nothing = policy(&[], &[]);
        let blocked = "0.0.0.0 0.1.2.3 10.0.0.1 100.64.0.1 100.127.255.255 127.0.0.1 127.255.255.254 \
             169.254.169.254 172.16.0.1 172.31.255.255 192.0.0.8 192.0.2.1 192.168.1.1 \
             198.18.0.1 198.19.255.255 198.51.100.7 203.0.113.9 224.0.0.1 239.255.255.255 \
             240.0.0.1 255.255.255.255 :: ::1 ::ffff:93.184.216.34 ::ffff:127.0.0.1 \
             ::127.0.0.1 64:ff9b::7f00:1 100::1 fc00::1 fd12:3456::1 fe80::1 fec0::1 ff02::1 \
             2001:db8::1 2001::1 2002:7f00:1:: 3fff::1 fd00:ec2::254";
        for address in blocked.split(' ') {
            assert!(!nothing.reaches(address.parse().unwrap()), "{address}");
        }
        let public = "93.184.216.34 100.63.255.255 100.128.0.1 172.32.0.1 172.15.0.1 192.0.1.1 \
             198.20.0.1 223.255.255.255 2606:2800:220:1::1 2a00::1 2001:4860::1";
        for address in public.split(' ') {
            assert!(nothing.reaches(address.parse().unwrap()), "{address}");
        }
        let intranet = policy(&[], &["10.1.0.0/16", "fd00::/8"]);
        for (address, reached) in [
            ("10.1.2.3", true),
            ("10.2.0.1", false),
            ("::ffff:10.1.2.3", false),
            ("fd12::1", true),
            ("169.254.169.254", false),
        ] {
            assert_eq!(intranet.reaches(address.parse().unwrap()), reached, "{address}");
        }
    }

    #[test]
    fn what_is_no_host_is_refused_at_start() {
        for typed in [
            "",
            "*",
            "*.",
            "https://example.org",
            "example.org/path",
            "example.org:0",
            "a b",
            "example.org:https",
            "user@example.org",
            "*.127.0.0.1",
            "a.*.example.org",
            "[::1",
            "example.org.",
            "*example.org",
            "example.org:65536",
        ] {
            assert_eq!(typed.parse::<AllowedHost>(), Err(BadUrlHost), "{typed:?}");
        }
    }
}
