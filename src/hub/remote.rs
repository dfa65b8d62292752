//! The HTTP interface of the hub: lists a repository and downloads its files.

use std::io::Read;
use std::ops::RangeInclusive;
use std::time::Duration;

use serde::Deserialize;
use ureq::http::{HeaderMap, Response};
use ureq::{Agent, Body};

use super::{HubError, HubId};
use crate::digest::is_hex;
use crate::fetch::without_password;

/// Bytes per range request, so that each request has a time limit.
pub(super) const RANGE: u64 = 16 << 20;

const CONNECT: Duration = Duration::from_secs(10);
const ANSWER: Duration = Duration::from_secs(30);
/// Time limit for the body of one range: 16 MiB at 55 kB/s.
const BODY: Duration = Duration::from_secs(300);
/// Maximum number of redirects: the hub redirects to its store of large files, which may redirect to a
/// mirror.
const REDIRECTS: usize = 5;

/// A client of a hub.
pub(super) struct HubClient<'a> {
    agent: Agent,
    endpoint: &'a str,
    token: Option<&'a str>,
}

/// A repository at one commit.
#[derive(Debug)]
pub(super) struct Listing {
    pub(super) commit: String,
    pub(super) files: Vec<String>,
}

/// A file of a repository at one commit.
#[derive(Debug, Clone, Copy)]
pub(super) struct RemoteFile<'a> {
    pub(super) id: &'a HubId,
    pub(super) commit: &'a str,
    /// Its path in the repository.
    pub(super) path: &'a str,
}

/// Size and hash of a file, from the hub.
#[derive(Debug)]
pub(super) struct About {
    /// SHA-256 of a large file, the git hash of a small one.
    pub(super) hash: String,
    pub(super) bytes: u64,
}

impl<'a> HubClient<'a> {
    pub(super) fn new(endpoint: &'a str, token: Option<&'a str>) -> Self {
        let agent = Agent::config_builder()
            .timeout_connect(Some(CONNECT))
            .timeout_recv_response(Some(ANSWER))
            .timeout_recv_body(Some(BODY))
            .max_redirects(0) // followed below, so that the token is sent to the hub only
            .max_redirects_will_error(false)
            .http_status_as_error(false)
            .user_agent(concat!("resnetd/", env!("CARGO_PKG_VERSION")))
            .build()
            .new_agent();
        Self { agent, endpoint: endpoint.trim_end_matches('/'), token }
    }

    /// Lists the files of a repository at a revision.
    pub(super) fn list(&self, id: &HubId) -> Result<Listing, HubError> {
        #[derive(Deserialize)]
        struct RepositoryInfo {
            sha: String,
            siblings: Vec<Sibling>,
        }
        #[derive(Deserialize)]
        struct Sibling {
            rfilename: String,
        }
        let (repository, revision) = (&id.repository, id.revision.replace('/', "%2F"));
        let url = format!("{}/api/models/{repository}/revision/{revision}", self.endpoint);
        let mut answer = self.get(id, &url, None)?;
        let nonsense =
            |reason: String| HubError::Unreachable { url: without_password(&url), reason };
        let text = answer.body_mut().read_to_string().map_err(|e| nonsense(e.to_string()))?;
        let RepositoryInfo { sha, siblings } = serde_json::from_str(&text)
            .map_err(|error| nonsense(format!("no listing of a repository: {error}")))?;
        if !is_hex(&sha, 40) {
            return Err(nonsense(format!("{sha:?} is no commit")));
        }
        Ok(Listing {
            commit: sha,
            files: siblings.into_iter().map(|sibling| sibling.rfilename).collect(),
        })
    }

    /// Hash and size of a file, from the headers of the hub's own response.
    pub(super) fn about(&self, file: RemoteFile<'_>) -> Result<About, HubError> {
        let answer = self.head(file.id, &self.address(file))?;
        let headers = answer.headers();
        let nonsense =
            |what| self.failed(file, format!("the answer has no {what} to check the file by"));
        let etag = text(headers, "x-linked-etag").or_else(|| text(headers, "etag"));
        let hash = etag.map(|etag| etag.trim_start_matches("W/").trim_matches('"').to_owned());
        let hash = hash.filter(|hash| is_hex(hash, 40) || is_hex(hash, 64));
        let size = text(headers, "x-linked-size").or_else(|| text(headers, "content-length"));
        let bytes = size.and_then(|size| size.parse().ok());
        Ok(About {
            hash: hash.ok_or_else(|| nonsense("hash"))?,
            bytes: bytes.ok_or_else(|| nonsense("size"))?,
        })
    }

    /// Requests a file from `start` on. Returns the offset at which the response begins, and its body, which
    /// may end before the end of the file.
    pub(super) fn open(
        &self,
        file: RemoteFile<'_>,
        start: u64,
    ) -> Result<(u64, impl Read + use<>), HubError> {
        let url = self.address(file);
        let answer = self.get(file.id, &url, Some(&(start..=start + RANGE - 1)))?;
        // A server without range requests answers 200 with the whole file.
        let begins = if answer.status().as_u16() == 206 { start } else { 0 };
        Ok((begins, answer.into_body().into_reader()))
    }

    /// The error of a failed download of `file`.
    pub(super) fn failed(&self, file: RemoteFile<'_>, reason: String) -> HubError {
        HubError::Unreachable { url: without_password(&self.address(file)), reason }
    }

    fn address(&self, RemoteFile { id, commit, path }: RemoteFile<'_>) -> String {
        format!("{}/{}/resolve/{commit}/{path}", self.endpoint, id.repository)
    }

    /// The headers for `url`. Redirects on the hub are followed, such as those of a renamed repository. The one to the
    /// store of large files is not, because it has the file's hash, and the store's response does not.
    fn head(&self, id: &HubId, url: &str) -> Result<Response<Body>, HubError> {
        let mut url = url.to_owned();
        for _ in 0..=REDIRECTS {
            let answer = self.ask_once(id, &url, |url| {
                let mut request = self.agent.head(url).header("accept-encoding", "identity");
                if let Some(token) = self.token {
                    request = request.header("authorization", format!("Bearer {token}"));
                }
                request.call()
            })?;
            let has_hash = answer.headers().contains_key("x-linked-etag");
            match redirect(&url, &answer) {
                Some(next) if !has_hash && origin(&next) == origin(self.endpoint) => url = next,
                _ => return Ok(answer),
            }
        }
        Err(too_many_redirects(&url))
    }

    /// Follows redirects. The token is sent only to the endpoint itself.
    fn get(
        &self,
        id: &HubId,
        url: &str,
        range: Option<&RangeInclusive<u64>>,
    ) -> Result<Response<Body>, HubError> {
        let mut url = url.to_owned();
        for _ in 0..=REDIRECTS {
            let answer = self.ask_once(id, &url, |url| {
                let mut request = self.agent.get(url).header("accept-encoding", "identity");
                if let Some(range) = range {
                    let (first, last) = (range.start(), range.end());
                    request = request.header("range", format!("bytes={first}-{last}"));
                }
                if let Some(token) = self.token.filter(|_| origin(url) == origin(self.endpoint)) {
                    request = request.header("authorization", format!("Bearer {token}"));
                }
                request.call()
            })?;
            match redirect(&url, &answer) {
                Some(next) => url = next,
                None => return Ok(answer),
            }
        }
        Err(too_many_redirects(&url))
    }

    /// Sends one request, whose response must be a success or a redirect.
    fn ask_once(
        &self,
        id: &HubId,
        url: &str,
        ask: impl Fn(&str) -> Result<Response<Body>, ureq::Error>,
    ) -> Result<Response<Body>, HubError> {
        let (id, shown) = (id.clone(), without_password(url));
        let answer = ask(url).map_err(|error| HubError::Unreachable {
            url: shown.clone(),
            reason: error.to_string().replace(url, &shown),
        })?;
        let url = shown;
        let said = text(answer.headers(), "x-error-message").map(str::to_owned);
        match answer.status().as_u16() {
            200..=399 => Ok(answer),
            status @ (401 | 403) => {
                let has_token = self.token.is_some();
                Err(HubError::Refused { id, status, url, said, has_token })
            }
            404 | 410 => Err(HubError::NotFound { id, url, said }),
            status => Err(HubError::Unreachable { url, reason: format!("it answers {status}") }),
        }
    }
}

/// The URL to which the `answer` of `url` redirects.
fn redirect(url: &str, answer: &Response<Body>) -> Option<String> {
    let next = text(answer.headers(), "location").filter(|_| answer.status().is_redirection())?;
    Some(if next.starts_with('/') { format!("{}{next}", origin(url)) } else { next.to_owned() })
}

fn too_many_redirects(url: &str) -> HubError {
    let reason = format!("more than {REDIRECTS} redirects");
    HubError::Unreachable { url: without_password(url), reason }
}

fn text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}

/// Scheme, host and port.
fn origin(url: &str) -> &str {
    let host = url.find("://").map_or(0, |scheme| scheme + 3);
    let end = url[host..].find(['/', '?', '#']).map_or(url.len(), |length| host + length);
    &url[..end]
}
