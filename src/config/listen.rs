//! The address of `--listen`.

use std::net::{Ipv4Addr, SocketAddr, ToSocketAddrs};

const HINT: &str = "use ADDRESS:PORT, NAME:PORT, :PORT for all IPv4 addresses of this machine, or PORT for 127.0.0.1; \
    such as 127.0.0.1:8080";

/// Parses an address, or resolves a name and uses its first IPv4 address, or its first address.
///
/// # Errors
///
/// A message for the user if `typed` is not an address, or the name has none.
pub fn listen_address(typed: &str) -> Result<SocketAddr, String> {
    if let Ok(port) = typed.parse::<u16>() {
        return Ok((Ipv4Addr::LOCALHOST, port).into());
    }
    if let Ok(address) = typed.parse::<SocketAddr>() {
        return Ok(address);
    }
    let parts = typed.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse().ok()?)));
    let Some((host, port)) = parts else { return Err(HINT.to_owned()) };
    if host.is_empty() {
        return Ok((Ipv4Addr::UNSPECIFIED, port).into());
    }
    let found: Vec<SocketAddr> = (host, port)
        .to_socket_addrs()
        .map_err(|error| format!("the name {host} has no address: {error}; {HINT}"))?
        .collect();
    let first = found.iter().find(|address| address.is_ipv4()).or(found.first());
    first.copied().ok_or_else(|| format!("the name {host} has no address; {HINT}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_names_and_ports_are_accepted() {
        for (typed, expected) in [
            ("127.0.0.1:8080", "127.0.0.1:8080"),
            ("[::1]:80", "[::1]:80"),
            (":8080", "0.0.0.0:8080"),
            ("8080", "127.0.0.1:8080"),
            ("0", "127.0.0.1:0"),
            ("localhost:8080", "127.0.0.1:8080"),
        ] {
            assert_eq!(listen_address(typed).unwrap().to_string(), expected, "{typed}");
        }
    }

    #[test]
    fn anything_else_is_an_error_that_lists_the_accepted_forms() {
        for typed in ["", "localhost", "127.0.0.1", "127.0.0.1:http", "8080:", "99999", ":99999"] {
            let error = listen_address(typed).unwrap_err();
            assert!(error.contains("use ADDRESS:PORT"), "{typed}: {error}");
        }
    }
}
