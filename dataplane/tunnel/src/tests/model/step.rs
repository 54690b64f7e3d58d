//! The random steps of the model, and how often each is taken.

use proptest::prelude::*;

use crate::Role;

pub(super) const BODY_BYTES_MAX: usize = 300_000;

#[derive(Debug, Clone)]
pub(super) enum Step {
    Open {
        request: usize,
        answer: usize,
    },
    /// The connector answers with a head.
    Answer {
        flow: usize,
    },
    /// Offers payload, unless the sender waits to be told that there is room.
    Send {
        flow: usize,
        from: Role,
        bytes: usize,
    },
    Consume {
        flow: usize,
        by: Role,
        bytes: usize,
    },
    Cancel {
        flow: usize,
        by: Role,
    },
    Flush {
        end: Role,
    },
    Deliver {
        from: Role,
        bytes: usize,
    },
    Events {
        end: Role,
    },
    Probe {
        by: Role,
    },
    Wait {
        ms: u64,
    },
}

fn role() -> impl Strategy<Value = Role> {
    prop_oneof![Just(Role::Relay), Just(Role::Connector)]
}

fn size() -> impl Strategy<Value = usize> {
    prop_oneof![1_usize..20, 1_usize..5_000, 1_usize..BODY_BYTES_MAX]
}

pub(super) fn step() -> impl Strategy<Value = Step> {
    let flow = || 0_usize..64;
    prop_oneof![
        3 => (prop_oneof![Just(0), size()], prop_oneof![Just(0), size()])
            .prop_map(|(request, answer)| Step::Open { request, answer }),
        3 => flow().prop_map(|flow| Step::Answer { flow }),
        8 => (flow(), role(), size()).prop_map(|(flow, from, bytes)| Step::Send { flow, from, bytes }),
        8 => (flow(), role(), size()).prop_map(|(flow, by, bytes)| Step::Consume { flow, by, bytes }),
        1 => (flow(), role()).prop_map(|(flow, by)| Step::Cancel { flow, by }),
        6 => role().prop_map(|end| Step::Flush { end }),
        9 => (role(), size()).prop_map(|(from, bytes)| Step::Deliver { from, bytes }),
        6 => role().prop_map(|end| Step::Events { end }),
        1 => role().prop_map(|by| Step::Probe { by }),
        2 => (0_u64..60).prop_map(|ms| Step::Wait { ms }),
    ]
}
