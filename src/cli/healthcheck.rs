//! `resnetd healthcheck`: checks a running server, for images without curl.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;

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
}

pub(super) fn run(args: &HealthcheckArgs) -> Result<()> {
    let address = reachable(args.listen);
    let answer = ask(address, args.timeout)
        .with_context(|| format!("no answer from http://{address}/readyz"))?;
    let status = answer.lines().next().unwrap_or_default();
    if status.split_whitespace().nth(1) != Some("200") {
        let body = answer.split("\r\n\r\n").nth(1).unwrap_or_default();
        bail!("not ready: {status} {body}");
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

/// Sends one request. With HTTP/1.0, the end of the connection is the end of the answer.
fn ask(address: SocketAddr, timeout: Duration) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, timeout)?;
    stream.set_read_timeout(Some(timeout))?;
    stream.set_write_timeout(Some(timeout))?;
    stream.write_all(format!("GET /readyz HTTP/1.0\r\nHost: {address}\r\n\r\n").as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}
