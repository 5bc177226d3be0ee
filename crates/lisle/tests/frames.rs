//! What goes between an agent and its clients, in any pieces, from anybody.
#![cfg(feature = "watch")]

use lisle::watch::frame::{Frames, ReadError, decode, encode};
use lisle::watch::wire::{Hello, MAX_FRAME, MAX_REQUEST, Reply, Request, SnapshotRequest};
use proptest::prelude::*;

/// All frames in these bytes, and whether one that is too long comes after them.
fn frames(pieces: &[&[u8]], limit: usize) -> (Vec<Vec<u8>>, bool) {
    let (mut frames, mut found) = (Frames::new(limit), Vec::new());
    for piece in pieces {
        frames.add(piece);
        loop {
            let is_ready = frames.is_ready();
            match frames.next() {
                Ok(Some(frame)) => found.push(frame.to_vec()),
                Ok(None) => {
                    assert!(!is_ready);
                    break;
                }
                Err(error) => {
                    assert!(is_ready && error.length > limit);
                    assert_eq!(frames.next(), Err(error), "and so it stays");
                    return (found, true);
                }
            }
            assert!(is_ready);
        }
    }
    (found, false)
}

fn request() -> impl Strategy<Value = Request> {
    prop_oneof![
        (any::<[u32; 2]>(), any::<String>())
            .prop_map(|(protocol, software)| Request::Hello(Hello { protocol, software })),
        any::<bool>().prop_map(|frames| Request::Snapshot(SnapshotRequest { frames })),
        Just(Request::StartTrace),
        Just(Request::StopTrace),
    ]
}

/// Bytes, many of which are like frames.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let framed = (0..40_u32, prop::collection::vec(any::<u8>(), 0..40))
        .prop_map(|(length, content)| [&length.to_le_bytes()[..], &content].concat());
    let right = request().prop_map(|request| encode(&request, MAX_REQUEST).unwrap());
    prop::collection::vec(prop_oneof![framed, right, prop::collection::vec(any::<u8>(), 0..8)], 0..6)
        .prop_map(|parts| parts.concat())
}

proptest! {
    #[test]
    fn pieces_make_no_difference(bytes in bytes(), cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8)) {
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.index(bytes.len() + 1)).collect();
        cuts.sort_unstable();
        let ends = cuts.iter().copied().chain([bytes.len()]);
        let begins = [0].into_iter().chain(cuts.iter().copied());
        let pieces: Vec<&[u8]> = begins.zip(ends).map(|(begin, end)| &bytes[begin..end]).collect();
        for limit in [16, MAX_REQUEST, MAX_FRAME] {
            prop_assert_eq!(frames(&pieces, limit), frames(&[&bytes], limit));
        }
    }

    #[test]
    fn what_is_sent_arrives(requests in prop::collection::vec(request(), 0..6)) {
        let bytes: Vec<u8> = requests.iter().flat_map(|request| encode(request, MAX_REQUEST).unwrap()).collect();
        let (frames, too_long) = frames(&[&bytes], MAX_REQUEST);
        prop_assert!(!too_long);
        let arrived: Vec<Request> = frames.iter().map(|frame| decode(frame).unwrap()).collect();
        prop_assert_eq!(arrived, requests);
    }

    #[test]
    fn anything_is_read_or_refused(content in prop::collection::vec(any::<u8>(), 0..60)) {
        let is_json = serde_json::from_slice::<serde_json::Value>(&content).is_ok();
        for error in [decode::<Request>(&content).err(), decode::<Reply>(&content).err()].into_iter().flatten() {
            prop_assert_eq!(matches!(error, ReadError::Unknown(_)), is_json, "{}", error);
        }
    }
}
