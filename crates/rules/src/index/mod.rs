//! Which rules can apply to a request at all. A rule is kept under the tokens of one of its matches, the one that tells most;
//! rules without such a match are candidates for every request.

mod clients;
mod fields;

use std::collections::HashMap;

use foldhash::fast::RandomState;

use crate::facts::Facts;
use crate::matches::{Key, Keys, Test};
use clients::Clients;
use fields::Fields;

/// How many rules more a request may have to try before it is worth taking its header fields, cookies or query apart, or
/// looking up its client.
///
/// Tests take them apart whenever they can: their policies are small.
const FIELD_COST: usize = if cfg!(test) { 0 } else { 16 };

type Buckets = HashMap<Box<str>, Vec<u32>, RandomState>;

#[derive(Debug, Default)]
pub(crate) struct Index {
    always: Vec<u32>,
    exact: Buckets,
    filename: Buckets,
    host: Buckets,
    first: Buckets,
    tail: Buckets,
    prefixes: Prefixes,
    fields: Fields,
    clients: Clients,
}

impl Index {
    /// Indexes rules, given as their tests.
    pub(crate) fn build<'a>(rules: impl Iterator<Item = &'a [Test]> + Clone) -> Self {
        let mut uses: HashMap<Key<'a>, usize, RandomState> = HashMap::default();
        let mut everywhere = 0;
        for tests in rules.clone() {
            let mut elsewhere = false;
            for key in tests.iter().flat_map(Test::keys).flatten() {
                elsewhere |= !key.is_costly();
                *uses.entry(key).or_default() += 1;
            }
            everywhere += usize::from(!elsewhere);
        }
        // Few rules under the most crowded key of a match is what makes it a good choice.
        let crowd = |key: &Key<'_>| {
            let cost = if key.is_costly() { FIELD_COST } else { 0 };
            (uses.get(key).copied().unwrap_or(0) + cost, key.rank())
        };
        let mut index = Self::default();
        let mut prefixes: HashMap<Box<str>, Vec<u32>, RandomState> = HashMap::default();
        for (number, tests) in rules.enumerate() {
            let number = u32::try_from(number).unwrap_or(u32::MAX);
            let is_field = |keys: &Keys<'_>| keys.iter().any(Key::is_costly);
            let mut elsewhere = false;
            let best = tests
                .iter()
                .flat_map(Test::keys)
                .inspect(|keys| elsewhere |= !is_field(keys))
                .map(|keys| (keys.iter().map(crowd).max(), keys))
                .min_by_key(|(crowd, _)| *crowd);
            // Where fields are all that a rule asks for, few such rules are tried faster than looked up.
            let best = best.filter(|(crowd, _)| elsewhere || crowd.is_some_and(|(crowd, _)| crowd < everywhere));
            let Some((_, keys)) = best else {
                index.always.push(number);
                continue;
            };
            for key in keys {
                let (buckets, text) = match key {
                    Key::Exact(text) => (&mut index.exact, text),
                    Key::Filename(text) => (&mut index.filename, text),
                    Key::Host(text) => (&mut index.host, text),
                    Key::First(text) => (&mut index.first, text),
                    Key::Tail(text) => (&mut index.tail, text),
                    Key::Prefix(text) => (&mut prefixes, text),
                    Key::Field(place, name, value) => {
                        index.fields.insert(place, name, value, number);
                        continue;
                    }
                    Key::Network(network) => {
                        index.clients.insert(network, number);
                        continue;
                    }
                    Key::Place(code) => {
                        index.clients.insert_place(code, number);
                        continue;
                    }
                };
                push(buckets, text, number);
            }
        }
        index.prefixes = Prefixes::build(prefixes);
        index
    }

    /// Hands over every list of rules that may apply. Within a list the numbers ascend; a rule may be in several lists.
    #[inline]
    pub(crate) fn candidates(&self, facts: &Facts<'_>, mut visit: impl FnMut(&[u32])) {
        let mut look = |buckets: &Buckets, key: Option<&str>| {
            if let Some(list) = key.filter(|_| !buckets.is_empty()).and_then(|key| buckets.get(key)) {
                visit(list);
            }
        };
        look(&self.exact, Some(facts.path.as_str()));
        look(&self.filename, Some(facts.path.filename()));
        look(&self.host, Some(facts.host));
        look(&self.first, facts.path.first_component());
        look(&self.tail, facts.path.tail());
        self.prefixes.of(facts.path.as_str(), &mut visit);
        self.fields.of(facts, &mut visit);
        self.clients.of(facts, &mut visit);
        visit(&self.always);
    }
}

fn push(buckets: &mut Buckets, key: &str, rule: u32) {
    match buckets.get_mut(key) {
        // The same token twice in one value.
        Some(list) if list.last() == Some(&rule) => {}
        Some(list) => list.push(rule),
        None => {
            buckets.insert(key.into(), vec![rule]);
        }
    }
}

/// Literal prefixes in order. Those that a path begins with are found by one binary search: the greatest prefix not above the
/// path begins with every one of them, so they all are among it and the prefixes that it begins with in turn.
#[derive(Debug, Default)]
struct Prefixes(Vec<Prefix>);

#[derive(Debug)]
struct Prefix {
    text: Box<str>,
    /// The longest other prefix that this one begins with.
    parent: Option<usize>,
    rules: Vec<u32>,
}

impl Prefixes {
    fn build(buckets: Buckets) -> Self {
        let mut sorted: Vec<(Box<str>, Vec<u32>)> = buckets.into_iter().collect();
        sorted.sort_unstable();
        let mut prefixes: Vec<Prefix> = Vec::with_capacity(sorted.len());
        for (text, rules) in sorted {
            let mut parent = prefixes.len().checked_sub(1);
            while let Some(prefix) =
                parent.and_then(|at| prefixes.get(at)).filter(|prefix| !text.starts_with(&*prefix.text))
            {
                parent = prefix.parent;
            }
            prefixes.push(Prefix { text, parent, rules });
        }
        Self(prefixes)
    }

    #[inline]
    fn of(&self, path: &str, visit: &mut impl FnMut(&[u32])) {
        let mut next = self.0.partition_point(|prefix| *prefix.text <= *path).checked_sub(1);
        while let Some(prefix) = next.and_then(|at| self.0.get(at)) {
            if path.starts_with(&*prefix.text) {
                visit(&prefix.rules);
            }
            next = prefix.parent;
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::fixture::{Request, policy_of};

    #[test]
    fn a_request_meets_no_rule_that_asks_for_something_else() {
        const RULES: usize = 500;
        let request = Request::get("http://www.example.com/p/7/7.jpg?w=640&t=7")
            .header("x-tenant", "t7")
            .header("x-other", "1")
            .header("cookie", "session=1; t7=1; v=7");
        let one = |name: &str, value: String| json!({ "name": name, "value": value });
        type Matches = fn(&dyn Fn(&str, String) -> Value, usize) -> Vec<Value>;
        let table: &[(&str, Matches)] = &[
            ("header value", |one, i| vec![one("header", format!("X-Tenant: t{i} u{i}"))]),
            ("header name", |one, i| vec![one("header", format!("X-{i}"))]),
            ("header name, any of its values", |one, i| vec![one("header", format!("X-{i}: a* b"))]),
            ("cookie name", |one, i| vec![one("cookie", format!("t{i}"))]),
            ("cookie value", |one, i| vec![one("cookie", format!("v={i}"))]),
            ("parameter value", |one, i| vec![one("url-querystring", format!("t={i}"))]),
            ("parameter name", |one, i| vec![one("url-querystring", format!("t{i}=*"))]),
            ("same host, own header", |one, i| {
                vec![one("host-name", "www.example.com".to_owned()), one("header", format!("X-Tenant: t{i}"))]
            }),
            ("same directory, own cookie", |one, i| {
                vec![one("url-wildcard", "/p/*".to_owned()), one("cookie", format!("t{i}=1"))]
            }),
            ("own host, same header", |one, i| {
                vec![one("header", "X-Tenant".to_owned()), one("host-name", format!("h{i}.example.com"))]
            }),
            ("client's address", |one, i| vec![one("client-ip", format!("10.{}.{}.0/24", i / 256, i % 256))]),
            ("client's network of IPv6", |one, i| vec![one("client-ip", format!("2001:db8:{i}::/48"))]),
            ("same host, own client", |one, i| {
                vec![
                    one("host-name", "www.example.com".to_owned()),
                    one("client-ip", format!("10.{}.{}.0/24", i / 256, i % 256)),
                ]
            }),
            ("exact path", |one, i| vec![one("url-wildcard", format!("/p/{i}/{i}.jpg"))]),
            ("filename in any directory", |one, i| vec![one("url-wildcard", format!("*/{i}.jpg"))]),
            ("same directory, own filename", |one, i| vec![one("url-wildcard", format!("/p/*/{i}.jpg"))]),
            ("own directory, same filename", |one, i| vec![one("url-wildcard", format!("/p/{i}/*/a.jpg"))]),
        ];
        for (what, matches) in table {
            let rule =
                |i| json!({ "matches": matches(&one, i), "behaviors": [{ "name": "caching", "type": "no-store" }] });
            let policy = policy_of(&json!({ "rules": (0..RULES).map(rule).collect::<Vec<_>>() }));
            let mut met = 0;
            policy.index.candidates(&request.facts(), |rules| met += rules.len());
            assert!(met <= 2, "{what}: {met} rules");
        }
    }

    #[test]
    fn every_prefix_of_a_path_is_found_and_no_other() {
        let texts = ["/a", "/a/b", "/a/b/c/", "/aa", "/b", "/a/c", "/a/b!", "/z/y/x"];
        let buckets = texts
            .iter()
            .enumerate()
            .map(|(number, text)| (Box::from(*text), vec![u32::try_from(number).unwrap()]))
            .collect();
        let prefixes = Prefixes::build(buckets);
        for path in ["/", "/a", "/a/b/c/d", "/a/b", "/aab", "/a/b!/x", "/z", "/z/y/x", "/zz", "", "/a/bz"] {
            let mut got = Vec::new();
            prefixes.of(path, &mut |rules: &[u32]| got.extend_from_slice(rules));
            got.sort_unstable();
            let expected: Vec<u32> = (0..8).filter(|number| path.starts_with(texts[*number as usize])).collect();
            assert_eq!(got, expected, "{path}");
        }
    }
}
