//! What is written to disk of an object's head.

use proptest::prelude::*;

use super::*;
use crate::purge::{Labels, Names, Stamp};
use crate::store::entry::Identity;
use crate::store::record::{decode, encode};

fn encoded(meta: &CacheMeta, path: &str) -> Vec<u8> {
    let names = Names { key_host: "www.example", key_path: path, client_host: "", client_path: "", query: b"" };
    let stamp = Stamp { sequence: 77, labels: Arc::new(Labels::new(&names, &http::HeaderMap::new())) };
    encode(&Identity::of(&key_of(path)), &Head::of(meta).unwrap(), &stamp)
}

#[test]
fn a_record_is_read_as_it_was_written() {
    let now = SystemTime::now();
    let mut plain = meta(&[("Content-Type", "text/plain"), ("X-Case", "1"), ("x-case", "2"), ("Vary", "Accept")]);
    plain.set_epoch_override(now - Duration::from_secs(5));
    let mut variant = meta(&[("ETag", "\"a\"")]);
    variant.set_variance([7; 16]);
    let mut reason = ResponseHeader::build(299, None).unwrap();
    reason.set_reason_phrase(Some("Fine By Me")).unwrap();
    let odd = CacheMeta::new(now, now, 0, u32::MAX, reason);
    for (name, meta) in [("plain", &plain), ("variant", &variant), ("odd status", &odd)] {
        let record = decode(&encoded(meta, "/a")).unwrap_or_else(|| panic!("{name} is not read"));
        let back = record.head.meta().unwrap();
        assert!(record.identity.is(&key_of("/a")), "{name}");
        assert_eq!(record.stamp.sequence, 77, "{name}");
        assert_eq!(back.fresh_until(), meta.fresh_until(), "{name}");
        assert_eq!(back.created(), meta.created(), "{name}");
        assert_eq!(back.epoch(), meta.epoch(), "{name}");
        assert_eq!(back.variance(), meta.variance(), "{name}");
        assert_eq!(back.stale_while_revalidate_sec(), meta.stale_while_revalidate_sec(), "{name}");
        assert_eq!(back.stale_if_error_sec(), meta.stale_if_error_sec(), "{name}");
        let (header, want) = (back.response_header(), meta.response_header());
        assert_eq!(header.status, want.status, "{name}");
        assert_eq!(header.get_reason_phrase(), want.get_reason_phrase(), "{name}");
        assert_eq!(header.headers, want.headers, "{name}");
        let cased = |header: &ResponseHeader| -> Vec<Vec<u8>> {
            header.case_header_iter().map(|(name, _)| name.as_slice().to_vec()).collect()
        };
        assert_eq!(cased(header), cased(want), "{name}");
    }
}

#[test]
fn a_record_that_is_cut_anywhere_is_none() {
    let whole = encoded(&meta(&[("Content-Type", "text/plain"), ("ETag", "\"a\"")]), "/a");
    for length in 0..whole.len() {
        assert!(decode(&whole[..length]).is_none(), "{length} of {} bytes are a record", whole.len());
    }
    let longer = [whole.as_slice(), b"x"].concat();
    assert!(decode(&longer).is_none(), "bytes behind the record");
}

proptest! {
    #[test]
    fn any_bytes_are_a_record_or_none_and_never_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = decode(&bytes);
    }

    #[test]
    fn a_record_with_flipped_bytes_is_a_record_or_none(place in 0_usize..200, value in any::<u8>()) {
        let mut bytes = encoded(&meta(&[("Content-Type", "text/plain")]), "/a");
        if let Some(byte) = bytes.get_mut(place) {
            *byte = value;
        }
        if let Some(record) = decode(&bytes) {
            let _ = record.head.meta();
        }
    }
}
