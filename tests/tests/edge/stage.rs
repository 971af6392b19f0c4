//! The plain stage most of these tests play on: one site, one origin.

use leeward_tests::edge::{Edge, Setup};
use leeward_tests::origin::Origin;

/// A configuration for `www.example.com` on one origin; `extra` are further top-level keys.
pub(crate) fn setup(origin: &Origin, extra: &str) -> Setup {
    setup_at(origin.address(), extra)
}

/// The same for an origin of any kind at an address.
pub(crate) fn setup_at(origin: std::net::SocketAddr, extra: &str) -> Setup {
    let config = format!(
        r#"
server: {{ threads: 2, listen: [{{ address: "${{listen}}" }}], grace_period: 5s }}
admin: {{ address: "${{admin}}" }}
origins: [{{ directory: main, http: {{ servers: ["http://${{origin}}"] }} }}]
sites: [{{ host: www.example.com, origin: main }}]
{extra}
"#
    );
    Setup::new(&config).name("origin", &origin)
}

/// The same with a TLS listener; the origin speaks TLS too, since HTTPS clients are served from HTTPS servers only.
pub(crate) fn tls_setup(origin: &Origin, extra: &str) -> Setup {
    let config = format!(
        r#"
server:
  threads: 2
  grace_period: 5s
  limits: {{ headers: 100KiB }}
  listen:
    - address: "${{listen.tls}}"
      tls:
        http2: true
        certificates: [{{ chain: tls/www.pem, key: tls/www.key }}, {{ chain: tls/shop.pem, key: tls/shop.key }}]
admin: {{ address: "${{admin}}" }}
origins: [{{ directory: main, https: {{ servers: ["https://${{origin}}"] }}, tls: {{ ca: tls/ca.pem, sni: origin.example.net }} }}]
sites: [{{ host: www.example.com, origin: main }}, {{ host: shop.example.com, origin: main }}]
{extra}
"#
    );
    Setup::new(&config)
        .name("origin", &origin.address())
        .certificate("www", &["www.example.com"])
        .certificate("shop", &["shop.example.com"])
}

/// An edge on [`setup`].
pub(crate) fn edge(origin: &Origin, extra: &str) -> Edge {
    Edge::start(&setup(origin, extra))
}

/// A TLS origin for [`tls_setup`].
pub(crate) fn tls_origin(script: leeward_tests::origin::Script) -> Origin {
    let leaf = leeward_tests::certificates::Leaf::new(&["origin.example.net".to_owned()]);
    Origin::start_at(std::net::SocketAddr::from(([127, 0, 0, 1], 0)), Some(leaf.server()), script)
}
