//! Hosts as clients write them, and the two ways to address content: edge CNAMEs and CDN URLs.

/// A host in the form that sites are found by: lower case, no port, no trailing dot, no brackets.
pub(crate) fn host_of(authority: &str) -> String {
    let host = match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or(rest),
        None => authority.split(':').next().unwrap_or(authority),
    };
    host.trim_end_matches('.').to_ascii_lowercase()
}

/// The directory and the rest of a CDN URL's path: `/80<account>/<directory>/<path>`. Case-sensitive (delivery spec 0);
/// the directory stands for the root of the origin.
pub(crate) fn cdn_path<'p>(path: &'p str, account: &str) -> Option<(&'p str, &'p str)> {
    let rest = path.strip_prefix("/80")?.strip_prefix(account)?.strip_prefix('/')?;
    let (directory, _) = rest.split_once('/').unwrap_or((rest, ""));
    let on_origin = rest.get(directory.len()..).filter(|rest| !rest.is_empty()).unwrap_or("/");
    (!directory.is_empty()).then_some((directory, on_origin))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_site_is_found_by_the_bare_host() {
        for (authority, want) in [
            ("www.example.com", "www.example.com"),
            ("WWW.Example.COM:8080", "www.example.com"),
            ("www.example.com.", "www.example.com"),
            ("www.example.com.:80", "www.example.com"),
            ("[2001:DB8::1]:80", "2001:db8::1"),
            ("", ""),
        ] {
            assert_eq!(host_of(authority), want, "{authority}");
        }
    }

    #[test]
    fn a_cdn_url_names_account_and_directory_exactly() {
        for (path, want) in [
            ("/800001/photos/a/b.jpg", Some(("photos", "/a/b.jpg"))),
            ("/800001/photos/", Some(("photos", "/"))),
            ("/800001/photos", Some(("photos", "/"))),
            ("/800001/Photos/a", Some(("Photos", "/a"))),
            ("/800001//a", None),
            ("/800001/", None),
            ("/800001", None),
            ("/800002/photos/a", None),
            ("/8000012/photos/a", None),
            ("/000001/photos/a", None),
            ("/photos/a", None),
        ] {
            assert_eq!(cdn_path(path, "0001"), want, "{path}");
        }
    }
}
