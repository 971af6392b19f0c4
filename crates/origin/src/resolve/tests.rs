//! What requests are told about names.

use super::*;

#[tokio::test]
async fn a_literal_address_is_its_own_answer_whatever_the_version() {
    let resolver = Resolver::new(&Dns { servers: Vec::new(), timeout: Duration::from_secs(1) });
    let versions =
        [IpVersion::Default, IpVersion::V4Only, IpVersion::V6Only, IpVersion::V4Preferred, IpVersion::V6Preferred];
    for host in ["127.0.0.1", "::1"] {
        for version in versions {
            let want: Arc<[IpAddr]> = Arc::from([host.parse().unwrap()]);
            assert_eq!(resolver.known(host, version), Known::Addresses(Arc::clone(&want)), "{host} {version:?}");
            assert_eq!(resolver.first(host, version, Duration::ZERO).await, Ok(want), "{host} {version:?}");
        }
    }
    assert_eq!(resolver.known("origin.example.net", IpVersion::Default), Known::Never);
    assert_eq!(resolver.list(), vec![], "nothing is asked of anybody");
}
