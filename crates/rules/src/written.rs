//! The policy as customers write it. These types are the reference of the file format; [`crate::read`] checks a document and
//! makes them.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A policy: rules in order. General rules first, specific rules last.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// Every rule whose matches all hold contributes its behaviors; for each behavior name the last such rule wins.
    pub rules: Vec<Rule>,
}

/// One rule: when all matches hold, the behaviors apply.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// At least one; all must hold.
    #[schemars(length(min = 1, max = 64))]
    pub matches: Vec<Match>,
    /// At least one.
    #[schemars(length(min = 1, max = 64))]
    pub behaviors: Vec<Behavior>,
    /// A remark; has no effect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// A remark; has no effect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

/// One condition on the client's request.
///
/// | name | value |
/// |---|---|
/// | `http-method` | `GET HEAD POST PUT DELETE OPTIONS TRACE CONNECT`; HEAD is not implied by GET |
/// | `url-scheme` | `HTTP` or `HTTPS`: what the client used |
/// | `url-path` | first path components without slashes: `static img` |
/// | `url-wildcard` | patterns over the whole path: `/styles/* /logo.png`; `*` is any bytes and may cross `/` |
/// | `url-filename` | what follows the last slash: `crossdomain.xml` |
/// | `url-extension` | without the dot: `jpg png gif` |
/// | `host-name` | host names without ports |
/// | `header` | `Name` (present) or `Name: pattern...` |
/// | `cookie` | `name` or `name=pattern` |
/// | `client-ip` | addresses and networks: `192.0.2.1 2001:db8::/32` |
/// | `geography` | `US country:US continent:EU region:US:WA dma:501`; at most ten such matches a policy |
/// | `url-querystring` | `name`, `name=value` or `name=pattern*`, compared decoded |
/// | `url-path-regex` `url-querystring-regex` `host-name-regex` | one regular expression |
/// | `header-regex` | `Name: regex` |
/// | `cookie-regex` | `name=regex` |
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Match {
    /// Which condition.
    #[schemars(schema_with = "match_name")]
    pub name: String,
    /// Tokens separated by spaces; any of them satisfies. A space inside a token is written `%20`. YAML may give a list.
    #[schemars(schema_with = "text_or_list")]
    pub value: String,
    /// Turns the finished result round: none of the tokens.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub negated: bool,
}

/// One setting. `-` means "nothing here" wherever a string is expected.
///
/// | name | type | value | params |
/// |---|---|---|---|
/// | `origin` | | `-` | `originDomain`, `digitalProperty`, `hostHeaderType`, `hostHeaderValue`, `cacheKeyType`, `cacheKeyValue`, `originPort`, `originScheme`, `connectTimeout`, `readTimeout` |
/// | `caching` | `no-store` `bypass-cache` `fixed` `honor` `honor-cc` `honor-expires` | duration | |
/// | `bypass-cache` | | `yes` (default) or `no` | |
/// | `store-on-hit` | | requests from which on an object is stored, 1 to 15 | |
/// | `cachekey-query-args` | `include-all` `ignore-all` `include` `ignore` | parameter names | `prefix` |
/// | `content-refresh` | `epoch` `date-time` `date` `natural` | instant | `mustRevalidate` |
/// | `ip-blacklist` `ip-whitelist` | | addresses and networks | |
/// | `geo-blacklist` `geo-whitelist` | `continent` `country` `region` | codes | |
/// | `referer-blacklist` `referer-whitelist` | | patterns over the whole Referer | |
/// | `access-control` | `deny` | | |
/// | `deny-access` | | `yes` (default) or `no` | |
/// | `modify-outgoing-request-path` | `remove` `replace-all` `replace` | `/dir/` or `/find/###/new/` | |
/// | `modify-outgoing-request-header` `modify-outgoing-response-header` | `add` `modify` `remove` | | `name`, `value` |
/// | `url-redirect` | `301` `302` `307` `308` | | `hostname`, `path`, `preserveQueryString`, `protocol`; or `source`, `destination`, `preserveQueryString` |
/// | `rewrite` | | | `source`, `destination` |
/// | `site-failover` | `serve-301` `serve-302` `serve-alternate` | | `httpResponseStatus`, `alternateHostname`, `alternatePath`, `preserveQueryString` |
/// | `downstream-caching` | | `no-store` or `no-cache` | |
/// | `origin-failover` | | | `backupDomain`, `excludeStatus`, `connectTimeout`, `firstByteTimeout`, `maxRetries` |
/// | `token-auth` | | | `tokenName`, `hmacAlgorithm`, `escapeTokenInputs`, `ignoreQueryString`, `key`, `transitionKey`, `tokenDelimiter`, `aclDelimiter`, `salt` |
/// | `ectoken` | | `yes` (default) or `no` | |
/// | `ectoken-denial` | `301` `302` `307` `401` `403` `404` `410` | | `location`, `authenticate` |
/// | `ectoken-parameter` | | the parameter that holds the token; `-`: the start of the query | |
/// | `ectoken-ignore-case` | | `yes` (default) or `no` | |
/// | `content-compression` | | `on` or `off` | |
/// | `origin-characteristics` `content-characteristics-*` | any | any | any; no effect |
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Behavior {
    /// Which setting.
    #[schemars(schema_with = "behavior_name")]
    pub name: String,
    /// The variant, where the behavior has variants.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "text_or_list")]
    pub kind: Option<String>,
    /// The plain value, where the behavior has one; ignored otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "text_or_list")]
    pub value: Option<String>,
    /// Named values, where the behavior has them.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub params: Map<String, Value>,
}

fn match_name(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "enum": crate::matches::NAMES })
}

fn behavior_name(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "enum": crate::behaviors::names() })
}

/// The canonical form is a string; YAML may give a list of strings or a bare number.
fn text_or_list(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "anyOf": [
        { "type": "string" },
        { "type": "integer" },
        { "type": "array", "items": { "type": ["string", "integer"] } },
    ] })
}
