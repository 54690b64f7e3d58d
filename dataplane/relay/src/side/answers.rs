//! Answers to control's questions, from what the workers share. No worker is asked: what they record can be read at any time.

use postern_model::question::{Answer, Question};

use super::run::Side;

impl Side {
    /// The answer to one question.
    pub(super) fn answer(&self, question: &Question) -> Answer {
        match question {
            Question::Histograms { .. }
            | Question::Limiters { .. }
            | Question::Request { .. }
            | Question::Unknown => Answer::Unknown,
        }
    }
}
