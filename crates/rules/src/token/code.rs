//! What became of a token, in the words of the delivery documents' reports.

/// Declares the codes with their words.
macro_rules! codes {
    ($($(#[doc = $about:literal])+ $value:ident = $word:literal,)+) => {
        /// What became of a token (log field `token`). Source: delivery-and-security 4.1.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Code { $($(#[doc = $about])+ $value,)+ }

        impl Code {
            /// Every code, in the order of the documentation.
            pub const ALL: &'static [Self] = &[$(Self::$value,)+];

            /// The word.
            #[must_use]
            pub const fn word(self) -> &'static str {
                match self { $(Self::$value => $word,)+ }
            }

            /// What the word means, one sentence.
            #[must_use]
            pub const fn about(self) -> &'static str {
                match self { $(Self::$value => concat!($($about),+).trim_ascii(),)+ }
            }
        }
    };
}

codes! {
    /// The token is good.
    Allow = "AUTH_ALLOW",
    /// There is no token.
    NoToken = "AUTH_DENY_NO_TOKEN",
    /// There is no key that a token could be read with.
    NoKey = "AUTH_DENY_NO_KEY",
    /// No key made this token; or it is no token, or too long.
    Decrypt = "AUTH_DENY_DECRYPT",
    /// Its time is over, or it says none that can be read.
    Expire = "AUTH_DENY_EXPIRE",
    /// Its time has not come.
    Start = "AUTH_DENY_START",
    /// It is for another address.
    ClientIp = "AUTH_DENY_CLIENTIP",
    /// The client's country is not the one of `ec_country`.
    Country = "AUTH_DENY_COUNTRY",
    /// The client's country is not in `ec_country_allow`, or unknown.
    CountryAllow = "AUTH_DENY_COUNTRY_ALLOW",
    /// The client's country is in `ec_country_deny`.
    CountryDeny = "AUTH_DENY_COUNTRY_DENY",
    /// The scheme is not in `ec_proto_allow`.
    ProtoAllow = "AUTH_DENY_PROTO_ALLOW",
    /// The scheme is in `ec_proto_deny`.
    ProtoDeny = "AUTH_DENY_PROTO_DENY",
    /// The Referer is not the one of `ec_ref`.
    Ref = "AUTH_DENY_REF",
    /// The Referer is not in `ec_ref_allow`.
    RefAllow = "AUTH_DENY_REF_ALLOW",
    /// The Referer is in `ec_ref_deny`.
    RefDeny = "AUTH_DENY_REF_DENY",
    /// The path is not in `ec_url_allow`, or in no `acl`.
    UrlAllow = "AUTH_DENY_URL_ALLOW",
    /// The host is not in `ec_host_allow`.
    HostAllow = "AUTH_DENY_HOST_ALLOW",
    /// The host is in `ec_host_deny`.
    HostDeny = "AUTH_DENY_HOST_DENY",
}

impl Code {
    /// Whether the request goes on.
    #[must_use]
    pub const fn is_allow(self) -> bool {
        matches!(self, Self::Allow)
    }
}

impl std::fmt::Display for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.word())
    }
}

#[cfg(test)]
mod tests {
    use super::Code;

    #[test]
    fn every_code_is_in_the_documentation_with_its_meaning() {
        let text = include_str!("../../../../docs/operations.md");
        for code in Code::ALL {
            let row = format!("| `{code}` | {} |", code.about());
            assert!(text.lines().any(|line| line == row), "not in docs/operations.md: {row}");
        }
    }
}
