#!/usr/bin/env bash
# Asks the built edge where well-known addresses are, by a real database: CC0, from an npm package that is downloaded once.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

package=@ip-location-db/geo-whois-asn-country-mmdb
version=2.3.2026061719
folder=target/geo/$version
if [[ ! -f $folder/package/geo-whois-asn-country.mmdb ]]; then
    mkdir -p "$folder"
    npm pack --silent --pack-destination "$folder" "$package@$version"
    tar -xzf "$folder"/*.tgz -C "$folder"
fi
grep -q '"license": "CC0-1.0"' "$folder/package/package.json"

cat >"$folder/leeward.yaml" <<'YAML'
geo: { database: package/geo-whois-asn-country.mmdb }
origins: [{ directory: photos, http: { servers: ["http://10.0.0.1:80"] } }]
sites: [{ host: www.example.com, origin: photos }]
country_filters: [{ path: /photos, action: allow, countries: [JP] }]
YAML

failed=0
while read -r address country answer; do
    said=$(target/debug/leeward explain http://www.example.com/a --config "$folder/leeward.yaml" --client-ip "$address")
    got=$(awk '$1 == "country" { print $2 }' <<<"$said")
    refused=$(awk '$1 == "answer" { print $2 }' <<<"$said")
    if [[ ${got:--} != "$country" || ${refused:-200} != "$answer" ]]; then
        echo "$address: expected $country and $answer, got ${got:--} and ${refused:-200}" >&2
        failed=1
    fi
done <<'ADDRESSES'
8.8.8.8 US 403
133.11.0.1 JP 200
193.0.0.1 NL 403
2a01:4f8::1 DE 403
2001:4860:4860::8888 US 403
::ffff:133.11.0.1 JP 200
ADDRESSES
exit "$failed"
