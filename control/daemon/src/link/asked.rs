//! Questions to one relay that await its answer.

use std::collections::BTreeMap;

use postern_model::question::{Answer, Question};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout_at};

use crate::limits::QUESTIONS_OPEN_MAX;

/// A question and where its answer goes.
#[derive(Debug)]
pub(crate) struct Ask {
    pub(crate) question: Question,
    answer: oneshot::Sender<Result<Answer, Unanswered>>,
}

/// Where the answer to a question comes.
#[derive(Debug)]
pub(crate) struct Awaited(oneshot::Receiver<Result<Answer, Unanswered>>);

/// Why there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unanswered {
    /// Too many other questions to the relay wait.
    Crowded,
    LinkEnded,
    Late,
}

impl Ask {
    /// Puts a question to the relay that `asks` leads to.
    pub(crate) fn put(asks: &mpsc::Sender<Self>, question: Question) -> Result<Awaited, Unanswered> {
        let (answer, answered) = oneshot::channel();
        match asks.try_send(Self { question, answer }) {
            Ok(()) => Ok(Awaited(answered)),
            Err(TrySendError::Full(_)) => Err(Unanswered::Crowded),
            Err(TrySendError::Closed(_)) => Err(Unanswered::LinkEnded),
        }
    }
}

impl Awaited {
    pub(crate) async fn until(self, deadline: Instant) -> Result<Answer, Unanswered> {
        match timeout_at(deadline, self.0).await {
            Ok(Ok(answered)) => answered,
            Ok(Err(_)) => Err(Unanswered::LinkEnded),
            Err(_) => Err(Unanswered::Late),
        }
    }
}

/// What was asked on one link and is not answered.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    last: u64,
    open: BTreeMap<u64, oneshot::Sender<Result<Answer, Unanswered>>>,
}

impl Asked {
    /// Remembers who asks; gives the question's id. Those who wait no more are forgotten, then the oldest.
    pub(crate) fn asked(&mut self, ask: Ask) -> u64 {
        self.open.retain(|_, answer| !answer.is_closed());
        while self.open.len() >= QUESTIONS_OPEN_MAX {
            if let Some((_, oldest)) = self.open.pop_first() {
                let _ = oldest.send(Err(Unanswered::Crowded));
            }
        }
        self.last += 1;
        self.open.insert(self.last, ask.answer);
        self.last
    }

    /// Passes an answer on. One that nobody waits for is dropped.
    pub(crate) fn answered(&mut self, id: u64, answer: Answer) {
        if let Some(waiting) = self.open.remove(&id) {
            let _ = waiting.send(Ok(answer));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask() -> (Ask, oneshot::Receiver<Result<Answer, Unanswered>>) {
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
        assert_eq!(second_answer.try_recv(), Ok(Ok(Answer::Unknown)));
        assert!(first_answer.try_recv().is_err());
    }

    #[test]
    fn a_relay_that_never_answers_is_not_remembered_without_bound() {
        let mut asked = Asked::default();
        let mut waiting: Vec<_> = (0..QUESTIONS_OPEN_MAX * 2)
            .map(|_| {
                let (ask, answer) = ask();
                asked.asked(ask);
                answer
            })
            .collect();
        assert_eq!(asked.open.len(), QUESTIONS_OPEN_MAX);
        assert_eq!(waiting[0].try_recv(), Ok(Err(Unanswered::Crowded)), "who is given up is told why");
        drop(waiting);
        asked.asked(ask().0);
        assert_eq!(asked.open.len(), 1, "those who wait no more are forgotten");
    }

    #[tokio::test]
    async fn every_way_to_have_no_answer_is_told_apart() {
        let (asks, mut queue) = mpsc::channel(1);
        let deadline = Instant::now() + std::time::Duration::from_millis(50);
        let slow = Ask::put(&asks, Question::Unknown).unwrap();
        assert_eq!(Ask::put(&asks, Question::Unknown).unwrap_err(), Unanswered::Crowded);
        let _held = queue.recv().await.unwrap();
        assert_eq!(slow.until(deadline).await, Err(Unanswered::Late));
        let lost = Ask::put(&asks, Question::Unknown).unwrap();
        drop(queue.recv().await);
        let deadline = Instant::now() + std::time::Duration::from_secs(60);
        assert_eq!(lost.until(deadline).await, Err(Unanswered::LinkEnded));
        drop(queue);
        assert_eq!(Ask::put(&asks, Question::Unknown).unwrap_err(), Unanswered::LinkEnded);
    }
}
