//! Written: `token_auth`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Secret;
use crate::ready::Platform;

/// Tokens asked for by directory, and what rules with `ectoken` need. Directories and keys belong to a platform.
#[derive(Debug, Clone, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TokenAuth {
    /// Directories that need a token, with everything below them.
    pub directories: Vec<TokenDirectory>,
    /// The key that tokens are made with: letters and digits, at most 250.
    pub primary_key: Option<Secret>,
    /// A second key that is accepted, for changing keys.
    pub backup_key: Option<Secret>,
    /// The oldest version of tokens that the primary key may have made. Version 2 is refused whatever this says.
    pub primary_minimum_version: TokenVersion,
    /// The oldest version of tokens that the backup key may have made. Version 2 is refused whatever this says.
    pub backup_minimum_version: TokenVersion,
    /// What a client without a good token gets; 403 when absent.
    pub denial: Option<Denial>,
    /// The query parameter that holds the token; absent: the query begins with it.
    pub parameter: Option<String>,
    /// Whether the paths and Referers that a token names are compared without regard to case.
    pub ignore_case: Option<bool>,
    /// Whether the origin gets the token, too; never part of the cache key. Also for `token-auth` rules.
    pub forward: bool,
    /// The same for one platform, in place of what stands above. A platform with a key of its own has only its own keys.
    pub platforms: BTreeMap<Platform, PlatformTokens>,
}

/// A directory that needs a token.
#[derive(Debug, Clone, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["path"]))]
pub struct TokenDirectory {
    /// Platform of the directory.
    pub platform: Platform,
    /// Path on that platform: `/<directory of an origin>/...`. It counts for edge CNAMEs, too.
    pub path: Option<String>,
}

/// A version of tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
pub enum TokenVersion {
    /// Blowfish, outdated.
    V2,
    /// AES-256-GCM.
    #[default]
    V3,
}

/// What a client without a good token gets.
#[derive(Debug, Clone, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["status"]))]
pub struct Denial {
    /// 301, 302 or 307 with `location`; 401, 403, 404 or 410.
    pub status: Option<u16>,
    /// Location of a redirect: a URL, or a path of the same host.
    pub location: Option<String>,
    /// `WWW-Authenticate` of a 401; `basic` when absent.
    pub authenticate: Option<String>,
}

/// Tokens of one platform.
#[derive(Debug, Clone, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PlatformTokens {
    /// The key that tokens are made with.
    pub primary_key: Option<Secret>,
    /// A second key that is accepted, for changing keys.
    pub backup_key: Option<Secret>,
    /// What a client without a good token gets.
    pub denial: Option<Denial>,
    /// The query parameter that holds the token.
    pub parameter: Option<String>,
    /// Whether the paths and Referers that a token names are compared without regard to case.
    pub ignore_case: Option<bool>,
}
