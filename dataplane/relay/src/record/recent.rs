//! The last lines of the access log, in memory: what `postern explain REQUEST_ID` is answered from, whether or not there
//! is a file.

use std::collections::VecDeque;

use postern_model::ids::RequestId;

use super::line::ID_AT;

/// Lines up to a number of bytes; the oldest give way.
#[derive(Debug)]
pub(crate) struct Recent {
    segments: VecDeque<String>,
    segments_max: usize,
}

impl Recent {
    /// At most so many bytes, rounded up to segments.
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self { segments: VecDeque::new(), segments_max: bytes_max.div_ceil(SEGMENT_BYTES).max(2) }
    }

    /// Adds whole lines.
    pub(crate) fn push(&mut self, mut lines: &str) {
        while !lines.is_empty() {
            let room = self.segments.back().map_or(0, |segment| SEGMENT_BYTES.saturating_sub(segment.len()));
            let fits = whole_lines(lines, room);
            let (now, later) = lines.split_at(fits);
            match self.segments.back_mut() {
                Some(segment) if fits > 0 => segment.push_str(now),
                Some(_) | None => self.begin_segment(),
            }
            lines = later;
            // A line longer than a segment: there is none, for all its parts are cut.
            if room == SEGMENT_BYTES && fits == 0 {
                return;
            }
        }
    }

    fn begin_segment(&mut self) {
        let mut segment = if self.segments.len() >= self.segments_max {
            self.segments.pop_front().unwrap_or_default()
        } else {
            String::with_capacity(SEGMENT_BYTES)
        };
        segment.clear();
        self.segments.push_back(segment);
    }

    /// The line of a request, newest first.
    pub(crate) fn find(&self, request: RequestId) -> Option<&str> {
        let id = request.to_string();
        let is_its = |line: &&str| line.get(ID_AT..ID_AT + id.len()) == Some(id.as_str());
        self.segments.iter().rev().find_map(|segment| segment.lines().rfind(is_its))
    }
}

/// How many bytes of `lines` are whole lines within `room`.
fn whole_lines(lines: &str, room: usize) -> usize {
    if lines.len() <= room {
        return lines.len();
    }
    lines.as_bytes()[..room].iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1)
}

const SEGMENT_BYTES: usize = 256 << 10;

#[cfg(test)]
mod tests {
    use super::super::line::Line;
    use super::*;

    fn line(id: u128) -> String {
        let mut out = String::new();
        Line::begin(&mut out, "2026-01-01T00:00:00.000Z", RequestId(id)).text("path", &"é".repeat(300), 1 << 10);
        out + "}\n"
    }

    #[test]
    fn the_latest_are_found_and_the_oldest_give_way() {
        let mut recent = Recent::new(1 << 20);
        for id in (0..10_000).step_by(4) {
            recent.push(&(line(id) + &line(id + 1) + &line(id + 2) + &line(id + 3)));
        }
        assert_eq!(recent.find(RequestId(9_999)), Some(line(9_999).trim_end()));
        assert_eq!(recent.find(RequestId(0)), None, "given way");
        assert_eq!(recent.find(RequestId(10_000)), None, "never was");
        let kept: usize = recent.segments.iter().map(String::len).sum();
        assert!(kept > 700 << 10 && recent.segments.iter().all(|segment| segment.capacity() <= SEGMENT_BYTES));
        let is_kept = |id: u128| recent.find(RequestId(id)).is_some();
        let first = (0..10_000).step_by(500).find(|id| is_kept(*id)).unwrap();
        assert!((first..10_000).step_by(333).all(is_kept), "no gaps");
    }
}
