//! What a hub says of a model, and the bytes of its files.
//!
//! hf-hub knows the addresses, the token's header and the client. Its own download checks no sums, waits for ever,
//! and sends the token on to wherever a file is redirected; so files are read here.

use std::path::{Path, PathBuf};
use std::time::Duration;

use hf_hub::api::tokio::{Api, ApiBuilder, ApiRepo};
use hf_hub::{Cache, Repo, RepoType};
use reqwest::header::{CONTENT_RANGE, ETAG, HeaderMap, RANGE};
use reqwest::redirect::Policy;
use reqwest::{RequestBuilder, Response, StatusCode};
use serde::Deserialize;

use super::checksum::Checksum;
use super::{Id, Problem};

/// How long a hub may be silent.
const PATIENCE: Duration = Duration::from_secs(30);

/// Where models are asked for, and by whom.
pub(crate) struct Access {
    /// Such as `https://huggingface.co`.
    pub(crate) endpoint: String,
    pub(crate) token: Option<String>,
}

/// One revision of a model on a hub.
pub(super) struct Hub {
    id: Id,
    revision: String,
    endpoint: String,
    api: Api,
    repo: ApiRepo,
    /// Stays where it is sent.
    plain: reqwest::Client,
    token: Option<String>,
    folder: PathBuf,
}

/// A file on a hub.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Remote {
    /// Path in the model's folder, parts divided by `/`.
    pub(super) name: String,
    pub(super) size: Option<u64>,
    pub(super) checksum: Option<Checksum>,
}

/// The rest of a file.
pub(super) struct Body {
    /// False if it begins at the file's beginning, whatever was asked for.
    pub(super) goes_on: bool,
    pub(super) url: String,
    response: Response,
}

#[derive(Deserialize)]
struct Listing {
    siblings: Vec<Sibling>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Sibling {
    #[serde(rename = "rfilename")]
    name: String,
    size: Option<u64>,
    blob_id: Option<String>,
    lfs: Option<Lfs>,
}

#[derive(Deserialize)]
struct Lfs {
    sha256: Option<String>,
    size: Option<u64>,
}

impl Hub {
    /// A revision of `id`, whose folder here will be `folder`. Nothing is sent yet.
    pub(super) fn new(
        access: &Access,
        id: &Id,
        revision: &str,
        folder: &Path,
    ) -> Result<Self, Problem> {
        let failed = |error: &dyn std::error::Error| Problem::Client(error.to_string());
        let endpoint = access.endpoint.trim_end_matches('/').to_owned();
        // Its cache is never written to.
        let api = ApiBuilder::from_cache(Cache::new(PathBuf::new()))
            .with_endpoint(endpoint.clone())
            .with_token(access.token.clone())
            .build()
            .map_err(|error| failed(&error))?;
        let plain = reqwest::Client::builder().redirect(Policy::none()).build();
        let repo = Repo::with_revision(id.to_string(), RepoType::Model, revision.to_owned());
        Ok(Self {
            id: id.clone(),
            revision: revision.to_owned(),
            endpoint,
            repo: api.repo(repo),
            api,
            plain: plain.map_err(|error| failed(&error))?,
            token: access.token.clone(),
            folder: folder.to_owned(),
        })
    }

    /// All files of the model.
    pub(super) async fn files(&self) -> Result<Vec<Remote>, Problem> {
        let request = self.repo.info_request().query(&[("blobs", "true")]);
        let response = self.answer(request).await?;
        let url = shown(&response);
        let listing = tokio::time::timeout(PATIENCE, response.json::<Listing>()).await;
        let wrong = |reason: String| Problem::Answer { url, reason };
        match listing {
            Ok(Ok(listing)) => Ok(listing.siblings.into_iter().map(Remote::from).collect()),
            Ok(Err(error)) => Err(wrong(format!("is no list of files: {}", innermost(&error)))),
            Err(_) => Err(wrong("the list of files does not end".to_owned())),
        }
    }

    /// Size and checksum of a file where the list has none: from the headers of its address.
    pub(super) async fn complete(&self, remote: &mut Remote) -> Result<(), Problem> {
        if remote.size.is_some() && remote.checksum.is_some() {
            return Ok(());
        }
        let mut request = self
            .plain
            .get(self.url(&remote.name))
            .header(RANGE, "bytes=0-0");
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        let response = self.answer(request).await?;
        let headers = response.headers();
        let linked = text(headers, "x-linked-etag").or_else(|| text(headers, ETAG.as_str()));
        remote.checksum = remote
            .checksum
            .take()
            .or_else(|| linked.and_then(Checksum::of_tag));
        let length = text(headers, "x-linked-size").or_else(|| whole_of(headers));
        remote.size = remote.size.or_else(|| length?.parse().ok());
        Ok(())
    }

    /// A file from byte `from` on.
    pub(super) async fn open(&self, name: &str, from: u64) -> Result<Body, Problem> {
        let mut request = self.api.client().get(self.url(name));
        if from > 0 {
            request = request.header(RANGE, format!("bytes={from}-"));
        }
        let response = self.answer(request).await?;
        let url = shown(&response);
        let goes_on = response.status() == StatusCode::PARTIAL_CONTENT;
        let begin = text(response.headers(), CONTENT_RANGE.as_str()).and_then(|range| {
            range
                .strip_prefix("bytes ")?
                .split('-')
                .next()?
                .parse::<u64>()
                .ok()
        });
        if goes_on && begin != Some(from) {
            let reason = format!("byte {from} was asked for, but another part came");
            return Err(Problem::Answer { url, reason });
        }
        Ok(Body {
            goes_on,
            url,
            response,
        })
    }

    fn url(&self, name: &str) -> String {
        let escape = |part: &str| -> String {
            let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.~".contains(&b);
            let byte = |b: u8| {
                if plain(b) {
                    char::from(b).to_string()
                } else {
                    format!("%{b:02X}")
                }
            };
            part.bytes().map(byte).collect()
        };
        let parts: Vec<_> = name.split('/').map(escape).collect();
        self.repo.url(&parts.join("/"))
    }

    /// The answer to a request, if it is a good one or a redirection that is not followed.
    async fn answer(&self, request: RequestBuilder) -> Result<Response, Problem> {
        let unreachable = |reason: String| Problem::Unreachable {
            endpoint: self.endpoint.clone(),
            reason,
            folder: self.folder.clone(),
        };
        let response = match tokio::time::timeout(PATIENCE, request.send()).await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => return Err(unreachable(innermost(&error))),
            Err(_) => {
                return Err(unreachable(format!(
                    "no answer in {} s",
                    PATIENCE.as_secs()
                )));
            }
        };
        self.judge(response)
    }

    fn judge(&self, response: Response) -> Result<Response, Problem> {
        let (id, status) = (self.id.clone(), response.status());
        if status.is_success() || status.is_redirection() {
            return Ok(response);
        }
        let url = shown(&response);
        if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
            let status = status.as_u16();
            return Err(Problem::Busy { url, status });
        }
        // Where files are redirected to, the same numbers mean something else.
        let is_hub = url.starts_with(&self.endpoint);
        Err(match status {
            StatusCode::UNAUTHORIZED if is_hub => Problem::Unauthorized {
                id,
                token: if self.token.is_some() {
                    "it does not take HF_TOKEN"
                } else {
                    "set HF_TOKEN"
                },
            },
            StatusCode::FORBIDDEN if is_hub => Problem::Forbidden { id },
            StatusCode::NOT_FOUND if is_hub && url.contains("/api/models/") => Problem::Unknown {
                id,
                revision: self.revision.clone(),
            },
            _ => Problem::Answer {
                url,
                reason: format!("the hub answers {status}"),
            },
        })
    }
}

impl Body {
    /// The next bytes; `None` after the last ones.
    pub(super) async fn next(&mut self) -> Result<Option<impl AsRef<[u8]>>, Problem> {
        let broken = |reason: String| Problem::Broken {
            url: self.url.clone(),
            reason,
        };
        match tokio::time::timeout(PATIENCE, self.response.chunk()).await {
            Ok(Ok(piece)) => Ok(piece),
            Ok(Err(error)) => Err(broken(innermost(&error))),
            Err(_) => Err(broken(format!("nothing came for {} s", PATIENCE.as_secs()))),
        }
    }
}

impl From<Sibling> for Remote {
    fn from(sibling: Sibling) -> Self {
        let (lfs_sum, lfs_size) = sibling
            .lfs
            .map_or((None, None), |lfs| (lfs.sha256, lfs.size));
        // The blob of a large file is only the pointer to it.
        let blob = if lfs_size.is_none() {
            sibling.blob_id
        } else {
            None
        };
        Self {
            name: sibling.name,
            size: lfs_size.or(sibling.size),
            checksum: lfs_sum.or(blob).and_then(|sum| Checksum::of_tag(&sum)),
        }
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// The size of the whole in `bytes 0-0/1234`.
fn whole_of(headers: &HeaderMap) -> Option<&str> {
    text(headers, CONTENT_RANGE.as_str())?.rsplit('/').next()
}

/// An address without what may be a secret in it: signatures of redirections are in the query.
fn shown(response: &Response) -> String {
    let mut url = response.url().clone();
    url.set_query(None);
    url.to_string()
}

/// The cause at the bottom, which says most: "Connection refused", "dns error".
fn innermost(error: &dyn std::error::Error) -> String {
    let mut deepest = error;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    deepest.to_string()
}
