//! Answers to control's questions, from what the workers share. No worker is asked: what they record can be read at any time.

use postern_model::question::{Answer, Question};

use super::run::Side;
use crate::limit::monotonic_ns;

impl Side {
    /// The answer to one question.
    pub(super) fn answer(&self, question: &Question) -> Answer {
        match question {
            Question::Limiters { tenant } => {
                let items = self.config().current().limits.report(*tenant, monotonic_ns());
                Answer::Limiters { items }
            }
            Question::Histograms { .. } | Question::Request { .. } | Question::Unknown => Answer::Unknown,
        }
    }
}
