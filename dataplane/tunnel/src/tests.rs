//! Two ends in a box.

mod announcements;
mod corpus;
mod flow;
mod lifecycle;
mod misbehaviour;
mod model;
mod pair;

use proptest::prelude::*;

proptest! {
    #[test]
    fn random_frames_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        crate::fuzz::connection(&bytes);
    }

    #[test]
    fn random_payloads_of_known_frames_never_panic(
        choice in any::<u8>(),
        frames in prop::collection::vec(
            (0_u8..18, any::<u8>(), 0_u8..4, 0_u8..3, prop::collection::vec(any::<u8>(), 0..60)),
            1..30,
        ),
    ) {
        let mut bytes = vec![choice];
        for (kind, flags, slot, generation, payload) in frames {
            bytes.extend([0, 0, payload.len() as u8, kind, flags]);
            bytes.extend([0, 0, generation << 4, slot]);
            bytes.extend(payload);
        }
        crate::fuzz::connection(&bytes);
    }
}
