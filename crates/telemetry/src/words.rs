//! The one list of words: cache states, reasons, attempt results. Logs, metric labels, response fields and
//! `leeward explain` all take them from here, so that a word found in one place can be searched in the others.

/// Declares a closed vocabulary: an enum whose every value has one word and one sentence.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[doc = $about:literal])+ $value:ident = $word:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name { $($(#[doc = $about])+ $value,)+ }

        impl $name {
            /// Every value, in the order of the documentation.
            pub const ALL: &'static [Self] = &[$(Self::$value,)+];

            /// The word used in logs, labels and fields.
            #[must_use]
            pub const fn word(self) -> &'static str {
                match self { $(Self::$value => $word,)+ }
            }

            /// What the word means, one sentence.
            #[must_use]
            pub const fn about(self) -> &'static str {
                match self { $(Self::$value => concat!($($about),+),)+ }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.word())
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.serialize_str(self.word())
            }
        }
    };
}

words! {
    /// How the cache took part in an answer (label `cache`, log field `cache`).
    CacheState {
        /// A fresh stored answer.
        Hit = "hit",
        /// Nothing stored: fetched, and being stored.
        Miss = "miss",
        /// Nothing stored: fetched, and not stored, since the object was not asked for often enough yet.
        Deferred = "deferred",
        /// Stored, expired, and confirmed by the origin (304).
        Revalidated = "revalidated",
        /// Stored, expired, and replaced by the origin's new answer.
        Expired = "expired",
        /// Stored and expired, served because the origin could not answer or is being asked.
        Stale = "stale",
        /// Fetched, and not stored because of the answer itself.
        Uncacheable = "uncacheable",
        /// The configuration or the method keeps this request away from the cache.
        Bypass = "bypass",
        /// The edge answered by itself; the cache was not asked.
        None = "none",
    }
}

words! {
    /// Why the edge answered by itself, or went on to something else (label `reason`, log field `reason`).
    Reason {
        /// The request head breaks a rule of HTTP.
        Malformed = "malformed",
        /// The request target is longer than `limits.uri`.
        UriTooLong = "uri_too_long",
        /// The request header section is larger than `limits.headers` or `limits.header_count`.
        HeadersTooLarge = "headers_too_large",
        /// The request body is larger than `limits.body`.
        BodyTooLarge = "body_too_large",
        /// The request went through this edge before (RFC 8586).
        Loop = "loop",
        /// The host is none of those that the connection's certificate is for (RFC 9110 7.4).
        Misdirected = "misdirected",
        /// No site, CDN host or directory has this address.
        UnknownSite = "unknown_site",
        /// The site has no origin for this request.
        NoOrigin = "no_origin",
        /// The method is not served (CONNECT, TRACE).
        Method = "method",
        /// `country_filters`
        Country = "country",
        /// The URL needs an ectoken, and the request has no good one.
        Ectoken = "ectoken",
        /// The URL needs a `token-auth` token, and the request has no good one.
        TokenAuth = "token_auth",
        /// `ip-blacklist`
        IpBlacklist = "ip_blacklist",
        /// `ip-whitelist`
        IpWhitelist = "ip_whitelist",
        /// `geo-blacklist`
        GeoBlacklist = "geo_blacklist",
        /// `geo-whitelist`
        GeoWhitelist = "geo_whitelist",
        /// `referer-blacklist`
        RefererBlacklist = "referer_blacklist",
        /// `referer-whitelist`
        RefererWhitelist = "referer_whitelist",
        /// `deny-access` or `access-control`
        DenyAccess = "deny_access",
        /// `rate_limits`
        RateLimit = "rate_limit",
        /// The rules of the WAF refuse the request.
        Waf = "waf",
        /// The WAF cannot look into the request body: it is compressed, or larger than `waf.body_limit` where that is refused.
        WafBody = "waf_body",
        /// The WAF could not look at the request in time.
        WafOverload = "waf_overload",
        /// `url-redirect`
        UrlRedirect = "url_redirect",
        /// The client wants a stored answer or none (`only-if-cached`), and there is none.
        NotStored = "not_stored",
        /// A gateway was asked to fetch the validation object from every server of an origin.
        Validation = "validation",
        /// The origin's name could not be resolved.
        Dns = "dns",
        /// The origin refused the connection.
        ConnectRefused = "connect_refused",
        /// The connection to the origin was not there in time.
        ConnectTimeout = "connect_timeout",
        /// The connection to the origin failed otherwise.
        ConnectError = "connect_error",
        /// Every server of the origin is known not to answer, and none was tried again for this request.
        Unavailable = "unavailable",
        /// TLS with the origin failed.
        Tls = "tls",
        /// The origin sent nothing in time.
        ReadTimeout = "read_timeout",
        /// The origin took no more of the request in time.
        WriteTimeout = "write_timeout",
        /// The origin closed or reset before its answer was complete.
        Closed = "closed",
        /// The origin's answer is not HTTP.
        BadAnswer = "bad_answer",
        /// The origin answered with a status that triggers failover.
        Status = "status",
        /// The origin answered with a redirect that the edge followed.
        Redirected = "redirected",
        /// The time for all attempts together is over.
        Deadline = "deadline",
        /// The client went away or broke the rules while the answer was on its way.
        Client = "client",
        /// A fault of the edge.
        Internal = "internal",
    }
}

impl Reason {
    /// Whether the edge refused the request, as against failing to answer it or answering otherwise.
    #[must_use]
    pub const fn is_refusal(self) -> bool {
        matches!(
            self,
            Self::Malformed
                | Self::UriTooLong
                | Self::HeadersTooLarge
                | Self::BodyTooLarge
                | Self::Loop
                | Self::Misdirected
                | Self::UnknownSite
                | Self::NoOrigin
                | Self::Method
                | Self::Country
                | Self::Ectoken
                | Self::TokenAuth
                | Self::IpBlacklist
                | Self::IpWhitelist
                | Self::GeoBlacklist
                | Self::GeoWhitelist
                | Self::RefererBlacklist
                | Self::RefererWhitelist
                | Self::DenyAccess
                | Self::RateLimit
                | Self::Waf
                | Self::WafBody
                | Self::WafOverload
        )
    }
}

words! {
    /// What the WAF made of a request (label `verdict`, log field `waf.verdict`).
    WafVerdict {
        /// The rules let it through.
        Pass = "pass",
        /// The rules would refuse it, and the mode is `detect`.
        Detected = "detected",
        /// The rules refuse it.
        Blocked = "blocked",
        /// Its body cannot be looked into, and it was refused.
        Unreadable = "unreadable",
        /// It could not be looked at in time, and was passed on.
        Open = "open",
        /// It could not be looked at in time, and was refused.
        Closed = "closed",
    }
}

words! {
    /// How one attempt at an origin server ended (label `result`).
    AttemptResult {
        /// An answer came and was used.
        Ok = "ok",
        /// An answer came, and its status made the edge go on.
        Status = "status",
        /// No connection.
        Connect = "connect",
        /// No answer in time.
        Timeout = "timeout",
        /// The answer broke off or was not HTTP.
        Broken = "broken",
        /// The client went away first.
        Abandoned = "abandoned",
    }
}

words! {
    /// Where a failing request went (label `to`).
    FailoverTo {
        /// The next server of the same origin.
        Server = "server",
        /// Past the shield or the gateways to the origin itself.
        Direct = "direct",
        /// The backup origin.
        Backup = "backup",
        /// A redirect by `site-failover`.
        Redirect = "redirect",
        /// The alternate site of `site-failover`.
        Alternate = "alternate",
        /// A stale copy.
        Stale = "stale",
    }
}

words! {
    /// How something was named that was purged (label `kind`).
    PurgeKind {
        /// One URL.
        Url = "url",
        /// What a path begins with.
        Prefix = "prefix",
        /// Everything of a host.
        Host = "host",
        /// A tag of the origin's answer.
        Tag = "tag",
        /// Everything.
        All = "all",
    }
}
