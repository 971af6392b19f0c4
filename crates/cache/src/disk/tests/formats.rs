use proptest::collection::vec;
use proptest::prelude::*;

use crate::disk::layout::{Layout, MOST_HEAD, TRAILER, chunk_sum, new_tail};
use crate::disk::name::{Name, Version};

const VERSION: Version = Version { place: 0xfeed << 100 | 77, generation: 12 };

/// A file without its body, and its name.
fn tail(head: &[u8], body: u64, sums: &[u32]) -> (Name, Vec<u8>) {
    let tail = new_tail(VERSION, head, body, sums).expect("a tail");
    (Name::new(VERSION, body + tail.len() as u64).expect("a name"), tail)
}

fn trailer(tail: &[u8]) -> &[u8] {
    &tail[tail.len() - TRAILER..]
}

/// The head that a reader of these slots takes.
fn head_of(layout: &Layout, tail: &[u8]) -> Option<Vec<u8>> {
    layout.head(VERSION, tail.get(..layout.slots_length())?).map(|head| head.bytes.to_vec())
}

proptest! {
    #[test]
    fn a_name_is_read_as_it_is_written(place: u128, generation: u64, length in 0_u64..1 << 48) {
        let name = Name::new(Version { place, generation }, length).expect("a name");
        prop_assert_eq!(Name::parse(&name.to_string()), Some(name));
    }

    #[test]
    fn no_two_texts_are_one_name(text in "[0-9a-f]{31,33}-[0-9a-f+]{15,17}-[0-9a-f+]{0,13}") {
        if let Some(name) = Name::parse(&text) {
            prop_assert_eq!(name.to_string(), text);
        }
    }

    #[test]
    fn arbitrary_bytes_are_no_trailer_and_no_head(bytes in vec(any::<u8>(), 0..2048), length in 0_u64..1 << 48) {
        let name = Name::new(VERSION, length).expect("a name");
        prop_assert_eq!(Layout::parse(&bytes, &name), None);
        prop_assert_eq!(Layout::parse(bytes.get(..TRAILER).unwrap_or(&bytes), &name), None);
        let (name, whole) = tail(b"head", 0, &[]);
        let layout = Layout::parse(trailer(&whole), &name).expect("a layout");
        prop_assert!(layout.head(VERSION, &bytes).is_none());
        prop_assert!(layout.tail(VERSION, &bytes).is_none_or(|tail| tail.slots.len() == layout.slots_length()));
    }

    #[test]
    fn a_tail_says_what_was_put_into_it(head in vec(any::<u8>(), 0..5000), sums in vec(any::<u32>(), 0..50)) {
        let body = sums.len() as u64 * crate::disk::CHUNK as u64;
        let (name, whole) = tail(&head, body, &sums);
        let layout = Layout::parse(trailer(&whole), &name).expect("a layout");
        prop_assert_eq!(layout.body, body);
        prop_assert_eq!(layout.tail_length(), whole.len() as u64);
        let parts = layout.tail(VERSION, &whole).expect("a tail");
        prop_assert_eq!(parts.sums().collect::<Vec<_>>(), sums);
        prop_assert_eq!(head_of(&layout, &whole), Some(head));
    }

    #[test]
    fn a_trailer_with_any_change_is_none(at in 0..TRAILER, change in 1_u8..) {
        let (name, whole) = tail(b"head", 0, &[]);
        let mut trailer = trailer(&whole).to_vec();
        trailer[at] ^= change;
        prop_assert_eq!(Layout::parse(&trailer, &name), None);
    }

    #[test]
    fn heads_follow_each_other_and_a_torn_one_leaves_the_one_before(
        heads in vec(vec(any::<u8>(), 0..300), 1..8),
        torn in 0_usize..400,
        junk: u8,
    ) {
        let (name, mut whole) = tail(b"the first head, with room to spare behind it", 0, &[]);
        let layout = Layout::parse(trailer(&whole), &name).expect("a layout");
        let mut stands = head_of(&layout, &whole).expect("a head");
        for head in heads {
            let now = layout.head(VERSION, &whole[..layout.slots_length()]).expect("a head");
            let (at, slot) = layout.next_slot(VERSION, &now, &head).expect("fits");
            let (at, cut) = (at as usize, torn.min(slot.len()));
            // Killed after `cut` bytes, with and without junk where the rest would have gone.
            for filled in [false, true] {
                let mut killed = whole.clone();
                killed[at..at + cut].copy_from_slice(&slot[..cut]);
                if filled {
                    killed[at + cut..at + slot.len()].fill(junk);
                }
                let found = head_of(&layout, &killed).expect("a head");
                prop_assert!(found == stands || found == head, "{found:?}");
            }
            whole[at..at + slot.len()].copy_from_slice(&slot);
            prop_assert_eq!(head_of(&layout, &whole), Some(head.clone()));
            stands = head;
        }
    }

    #[test]
    fn bytes_pass_only_where_they_were_written(data in vec(any::<u8>(), 0..64), place: u128, generation: u64, index: u64) {
        let here = chunk_sum(Version { place, generation }, index, &data);
        prop_assert_ne!(here, chunk_sum(Version { place: place ^ 1, generation }, index, &data));
        prop_assert_ne!(here, chunk_sum(Version { place, generation: generation ^ 1 }, index, &data));
        prop_assert_ne!(here, chunk_sum(Version { place, generation }, index ^ 1, &data));
    }
}

#[test]
fn a_head_beyond_the_limit_is_not_taken() {
    assert!(new_tail(VERSION, &vec![0; MOST_HEAD], 0, &[]).is_some());
    assert!(new_tail(VERSION, &vec![0; MOST_HEAD + 1], 0, &[]).is_none());
    let (name, largest) = tail(&vec![7; MOST_HEAD], 0, &[]);
    assert!(Layout::parse(trailer(&largest), &name).is_some(), "the largest head is not read back");
}

#[test]
fn a_trailer_of_another_file_is_none() {
    let (name, whole) = tail(b"head", 0, &[]);
    let others = [
        Name { version: Version { place: 1, ..VERSION }, ..name },
        Name { version: Version { generation: 13, ..VERSION }, ..name },
        Name { length: name.length + 1, ..name },
        Name { length: 0, ..name },
        Name { length: (1 << 48) - 1, ..name },
    ];
    for other in others {
        assert_eq!(Layout::parse(trailer(&whole), &other), None, "{other}");
    }
    assert!(Layout::parse(trailer(&whole), &name).is_some());
}
