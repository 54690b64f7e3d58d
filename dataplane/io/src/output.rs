//! Output buffers: initialised once, reused through a small per-thread store, so that sealing
//! into them neither allocates nor zeroes in the steady state.

use crate::core::with_core;
use crate::limits::{OUTPUT_SPARE_BYTES_MAX, OUTPUT_SPARES_MAX};

/// A byte buffer whose whole length is initialised; `len` says how much is in use.
#[derive(Debug, Default)]
pub(crate) struct OutBuf {
    bytes: Vec<u8>,
    len: usize,
}

impl OutBuf {
    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn as_slice(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    pub(crate) fn extend_from_slice(&mut self, data: &[u8]) {
        self.tail(data.len())[..data.len()].copy_from_slice(data);
        self.advance(data.len());
    }

    /// At least `need` writable bytes behind what is in use.
    pub(crate) fn tail(&mut self, need: usize) -> &mut [u8] {
        if self.bytes.is_empty() {
            // Only now, so that an idle connection holds no buffer.
            *self = with_core(|core| core.spares.borrow_mut().take());
        }
        let wanted = self.len + need;
        if self.bytes.len() < wanted {
            self.bytes.resize(wanted.next_power_of_two().max(2048), 0);
        }
        &mut self.bytes[self.len..]
    }

    pub(crate) fn advance(&mut self, written: usize) {
        self.len += written;
        assert!(self.len <= self.bytes.len(), "more was written than the tail had room for");
    }

    pub(crate) fn clear(&mut self) {
        self.len = 0;
    }
}

/// Spare buffers of one thread, last used first.
#[derive(Debug, Default)]
pub(crate) struct OutBufs(Vec<OutBuf>);

impl OutBufs {
    pub(crate) fn take(&mut self) -> OutBuf {
        self.0.pop().unwrap_or_default()
    }

    pub(crate) fn put(&mut self, mut buffer: OutBuf) {
        if self.0.len() < OUTPUT_SPARES_MAX && !buffer.bytes.is_empty() && buffer.bytes.len() <= OUTPUT_SPARE_BYTES_MAX
        {
            buffer.clear();
            self.0.push(buffer);
        }
    }
}
