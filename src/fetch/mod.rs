//! Images that are named by URL: which may be had, and how their bytes come. Knows neither images
//! nor the server that asks.
//!
//! A server that fetches what strangers name is a door into the network it stands in. So nothing is
//! fetched but from hosts that were named at start, and from public addresses; both are asked again
//! at every redirect, and the address that was looked at is the one that is connected to.

mod error;
mod policy; // which hosts and addresses
mod resolve; // a name → addresses that may be reached
mod shown; // URLs in messages
mod transfer; // a URL → its bytes, through redirects

pub use error::FetchError;
pub use policy::{AllowedHost, BadHost, Policy};
pub use shown::without_password;
pub use transfer::{FetchPlan, Fetcher, Remote};
