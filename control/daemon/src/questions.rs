//! Questions to every linked relay at once: figures that only relays have. One that does not answer in time is named, and the
//! others' answers count.

use std::time::Duration;

use postern_model::ids::RelayId;
use postern_model::question::{ANSWER_TIMEOUT_MS, Answer, Question};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::control::Control;
use crate::link::asked::{Ask, Unanswered};

/// What relays answered.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    /// By relay, in the order of their ids.
    pub(crate) from: Vec<(String, Answer)>,
    /// Relays that did not answer, and why.
    pub(crate) warnings: Vec<String>,
}

/// Asks all linked relays and waits for them, at most [`ANSWER_TIMEOUT_MS`]. Do not hold a borrow of control's state across it.
pub(crate) async fn ask_all(control: &Control, question: &Question) -> Answers {
    let deadline = Instant::now() + Duration::from_millis(ANSWER_TIMEOUT_MS);
    let mut answers = Answers { warnings: unlinked(control), ..Answers::default() };
    let mut waiting = JoinSet::new();
    for (relay, asks) in control.fleet.borrow().askable() {
        let put = Ask::put(&asks, question.clone());
        waiting.spawn(async move {
            let answer = match put {
                Ok(awaited) => awaited.until(deadline).await,
                Err(unanswered) => Err(unanswered),
            };
            (relay, answer)
        });
    }
    let mut collected = waiting.join_all().await;
    collected.sort_unstable_by_key(|(relay, _)| *relay);
    for (relay, answer) in collected {
        let name = name_of(control, relay);
        answers.warnings.push(match answer {
            Ok(Answer::Unknown) => format!("relay {name} is of an older version and does not know this question"),
            Ok(answer) => {
                answers.from.push((name, answer));
                continue;
            }
            Err(Unanswered::Crowded) => format!("relay {name} was not asked: too many questions to it wait, try again"),
            Err(Unanswered::LinkEnded) => format!("relay {name}: its link ended before it answered"),
            Err(Unanswered::Late) => format!("relay {name} did not answer within {} s", ANSWER_TIMEOUT_MS / 1000),
        });
    }
    answers
}

fn unlinked(control: &Control) -> Vec<String> {
    let fleet = control.fleet.borrow();
    let snapshot = control.snapshot();
    let linked = |relay: &RelayId| fleet.relay(*relay).is_some_and(|link| link.connected);
    let missing = snapshot.relays.values().filter(|relay| !linked(&relay.id));
    missing.map(|relay| format!("relay {} is not linked: its figures are missing", relay.name)).collect()
}

fn name_of(control: &Control, relay: RelayId) -> String {
    control.snapshot().relays.get(&relay).map_or_else(|| relay.to_string(), |relay| relay.name.to_string())
}
