//! Fetches images by URL: checks whether a URL is allowed, and downloads its bytes. Independent of
//! image formats and of the HTTP server.
//!
//! To prevent server-side request forgery (SSRF), only hosts on the allow list and public addresses
//! are contacted. Both are checked again at every redirect, and the connection is made to the
//! address that was checked.

mod error;
mod policy; // allowed hosts and addresses
mod resolve; // a name → allowed addresses
mod redact; // URLs in messages
mod transfer; // a URL → its bytes, through redirects

pub use error::{FetchError, root_cause};
pub use policy::{AllowedHost, BadUrlHost, UrlPolicy};
pub use redact::without_password;
pub use transfer::{FetchPlan, Fetcher, UnreadResponse};
