//! Questions to one relay that await its answer.

use std::collections::BTreeMap;

use postern_model::question::{Answer, Question};
use tokio::sync::oneshot;

use crate::limits::QUESTIONS_OPEN_MAX;

/// A question and where its answer goes.
#[derive(Debug)]
pub(crate) struct Ask {
    pub(crate) question: Question,
    pub(crate) answer: oneshot::Sender<Answer>,
}

/// What was asked on one link and is not answered.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    last: u64,
    open: BTreeMap<u64, oneshot::Sender<Answer>>,
}

impl Asked {
    /// Remembers who asks; gives the question's id. Those who wait no more are forgotten, then the oldest.
    pub(crate) fn asked(&mut self, ask: Ask) -> u64 {
        self.open.retain(|_, answer| !answer.is_closed());
        while self.open.len() >= QUESTIONS_OPEN_MAX {
            self.open.pop_first();
        }
        self.last += 1;
        self.open.insert(self.last, ask.answer);
        self.last
    }

    /// Passes an answer on. One that nobody waits for is dropped.
    pub(crate) fn answered(&mut self, id: u64, answer: Answer) {
        if let Some(waiting) = self.open.remove(&id) {
            let _ = waiting.send(answer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask() -> (Ask, oneshot::Receiver<Answer>) {
        let (answer, receiver) = oneshot::channel();
        (Ask { question: Question::Unknown, answer }, receiver)
    }

    #[test]
    fn answers_find_who_asked_once() {
        let mut asked = Asked::default();
        let (first, mut first_answer) = ask();
        let (second, mut second_answer) = ask();
        let ids = (asked.asked(first), asked.asked(second));
        asked.answered(ids.1, Answer::Unknown);
        asked.answered(ids.1, Answer::Request { record: None });
        asked.answered(99, Answer::Unknown);
        assert_eq!(second_answer.try_recv(), Ok(Answer::Unknown));
        assert!(first_answer.try_recv().is_err());
    }

    #[test]
    fn a_relay_that_never_answers_is_not_remembered_without_bound() {
        let mut asked = Asked::default();
        let waiting: Vec<_> = (0..QUESTIONS_OPEN_MAX * 2)
            .map(|_| {
                let (ask, answer) = ask();
                asked.asked(ask);
                answer
            })
            .collect();
        assert_eq!(asked.open.len(), QUESTIONS_OPEN_MAX);
        drop(waiting);
        asked.asked(ask().0);
        assert_eq!(asked.open.len(), 1, "those who wait no more are forgotten");
    }
}
