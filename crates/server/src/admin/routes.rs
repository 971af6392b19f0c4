//! What can be asked.

/// Request body in bytes.
pub(super) const MAX_BODY: usize = 64 * 1024;
/// Body of a purge: room for as many URLs as it may name, if they are not all of the longest.
const MAX_PURGE: usize = 1024 * 1024;

/// A request method that some path answers to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Method {
    /// GET, and HEAD with it.
    Get,
    Post,
}

impl Method {
    pub(super) fn of(method: &http::Method) -> Option<Self> {
        match *method {
            http::Method::GET | http::Method::HEAD => Some(Self::Get),
            http::Method::POST => Some(Self::Post),
            _ => None,
        }
    }

    /// For the `Allow` field.
    pub(super) fn list(self) -> &'static str {
        match self {
            Self::Get => "GET, HEAD",
            Self::Post => "POST",
        }
    }
}

/// A path of the admin API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Route {
    Health,
    Ready,
    Metrics,
    Config,
    Cache,
    Origins,
    Reload,
    Purge,
    /// In the contract, and not built yet.
    Later(&'static str),
    Unknown,
}

impl Route {
    pub(super) fn of(path: &str) -> Self {
        match path {
            "/healthz" => Self::Health,
            "/readyz" => Self::Ready,
            "/metrics" => Self::Metrics,
            "/v1/config" => Self::Config,
            "/v1/cache" => Self::Cache,
            "/v1/origins" => Self::Origins,
            "/v1/reload" => Self::Reload,
            "/v1/purge" => Self::Purge,
            "/v1/rollback" => Self::Later("/v1/rollback"),
            "/v1/generations" => Self::Later("/v1/generations"),
            "/v1/explain" => Self::Later("/v1/explain"),
            _ => Self::Unknown,
        }
    }

    /// Whether it answers without a token.
    pub(super) fn open(self) -> bool {
        matches!(self, Self::Health | Self::Ready)
    }

    /// Bytes of the request's body; more is 413.
    pub(super) fn max_body(self) -> usize {
        if self == Self::Purge { MAX_PURGE } else { MAX_BODY }
    }

    /// The only method it answers to; absent: it does not get so far.
    pub(super) fn allows(self) -> Option<Method> {
        match self {
            Self::Health | Self::Ready | Self::Metrics | Self::Config | Self::Cache | Self::Origins => {
                Some(Method::Get)
            }
            Self::Reload | Self::Purge => Some(Method::Post),
            Self::Later(_) | Self::Unknown => None,
        }
    }
}
