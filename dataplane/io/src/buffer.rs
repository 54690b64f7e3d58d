//! Receive buffers: a ring of buffers the kernel picks from (`IORING_REGISTER_PBUF_RING`,
//! kernel 5.19), or a list that epoll picks from, and [`Chunk`], one received piece that goes back to the ring when dropped.

use std::{
    cell::{Cell, RefCell},
    io,
    ops::{Deref, DerefMut},
    ptr::NonNull,
    rc::Rc,
    sync::atomic::{AtomicU16, Ordering},
};

use io_uring::{IoUring, types::BufRingEntry};

use crate::limits::{RECV_BUFFER_BYTES, RECV_BUFFERS, RECV_BUFFERS_LOW};

/// The buffer group of the one ring of a worker.
pub(crate) const GROUP: u16 = 0;

/// Anonymous memory that lives until dropped; the kernel is given addresses inside it.
struct Mapping {
    base: NonNull<u8>,
    bytes: usize,
}

impl Mapping {
    fn new(bytes: usize) -> io::Result<Self> {
        // SAFETY: an anonymous private mapping at an address of the kernel's choice touches no
        // memory that anyone else owns.
        let base = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                bytes,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_POPULATE,
                -1,
                0,
            )
        };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let base = NonNull::new(base.cast()).expect("mmap never returns null without MAP_FIXED");
        Ok(Self { base, bytes })
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: this is exactly the range that `new` mapped, and nothing refers to it: chunks
        // hold the pool alive, and the pool outlives the ring (see `BufferPool`).
        unsafe {
            libc::munmap(self.base.as_ptr().cast(), self.bytes);
        }
    }
}

/// The receive buffers of one worker.
///
/// A ring of descriptors and the buffers are owned here; the `IoUring` must be dropped before
/// the last `Rc` of the pool, which the uring backend guarantees by holding one beside the ring.
pub(crate) struct BufferPool {
    supply: Supply,
    buffers: Mapping,
    free: Cell<usize>,
    /// Sockets whose receive ended for want of buffers; armed again when one comes back.
    pub(crate) starved: RefCell<Vec<u32>>,
}

/// Who picks a free buffer.
enum Supply {
    /// The kernel, from descriptors up to `tail`.
    Ring { descriptors: Mapping, tail: Cell<u16> },
    /// [`BufferPool::pick`], from the end.
    List(RefCell<Vec<u16>>),
}

impl BufferPool {
    /// Maps the memory; the kernel knows nothing of it.
    pub(crate) fn unregistered() -> io::Result<Rc<Self>> {
        Self::filled(Supply::List(RefCell::default()), || Ok(()))
    }

    /// Maps the memory, registers the ring and fills it.
    pub(crate) fn register(ring: &IoUring) -> io::Result<Rc<Self>> {
        let descriptors = Mapping::new(usize::from(RECV_BUFFERS) * size_of::<BufRingEntry>())?;
        let address = descriptors.base.as_ptr() as u64;
        Self::filled(Supply::Ring { descriptors, tail: Cell::new(0) }, || {
            // SAFETY: the address is page aligned (mmap), holds `RECV_BUFFERS` descriptors, and stays
            // mapped until the pool is dropped, which happens after the ring is gone.
            unsafe { ring.submitter().register_buf_ring_with_flags(address, RECV_BUFFERS, GROUP, 0) }
        })
    }

    fn filled(supply: Supply, register: impl FnOnce() -> io::Result<()>) -> io::Result<Rc<Self>> {
        let pool = Rc::new(Self {
            supply,
            buffers: Mapping::new(usize::from(RECV_BUFFERS) * RECV_BUFFER_BYTES)?,
            free: Cell::new(0),
            starved: RefCell::new(Vec::new()),
        });
        register()?;
        for id in 0..RECV_BUFFERS {
            pool.give_back(id);
        }
        Ok(pool)
    }

    /// True when so few buffers are free that received bytes should be copied out at once.
    pub(crate) fn is_low(&self) -> bool {
        self.free.get() < RECV_BUFFERS_LOW
    }

    /// True when the kernel has no buffer to pick from.
    pub(crate) fn is_empty(&self) -> bool {
        self.free.get() == 0
    }

    /// A free buffer, whole. None when all are in use.
    pub(crate) fn pick(self: &Rc<Self>) -> Option<Chunk> {
        let Supply::List(list) = &self.supply else { return None };
        let id = list.borrow_mut().pop()?;
        Some(self.take(id, RECV_BUFFER_BYTES))
    }

    /// Takes over the buffer that a completion named.
    pub(crate) fn take(self: &Rc<Self>, id: u16, len: usize) -> Chunk {
        assert!(
            id < RECV_BUFFERS && len <= RECV_BUFFER_BYTES,
            "the kernel returned buffer {id} with {len} bytes, which was never provided"
        );
        self.free.set(self.free.get() - 1);
        Chunk(Store::Provided { pool: Rc::clone(self), id, len })
    }

    fn buffer(&self, id: u16) -> NonNull<u8> {
        // SAFETY: `id` is below `RECV_BUFFERS` (checked in `take`, by construction in
        // `register`), so the offset is inside the mapping.
        unsafe { self.buffers.base.add(usize::from(id) * RECV_BUFFER_BYTES) }
    }

    fn give_back(&self, id: u16) {
        self.free.set(self.free.get() + 1);
        match &self.supply {
            Supply::List(list) => list.borrow_mut().push(id),
            Supply::Ring { descriptors, tail } => self.provide(descriptors, tail, id),
        }
    }

    fn provide(&self, descriptors: &Mapping, tail: &Cell<u16>, id: u16) {
        let slot = usize::from(tail.get() & (RECV_BUFFERS - 1));
        let ring = descriptors.base.cast::<BufRingEntry>();
        // SAFETY: `slot` is inside the descriptor array, and this thread is the only writer; the
        // kernel reads an entry only after the tail store below.
        let entry = unsafe { &mut *ring.add(slot).as_ptr() };
        entry.set_addr(self.buffer(id).as_ptr() as u64);
        entry.set_len(u32::try_from(RECV_BUFFER_BYTES).expect("a buffer is shorter than 4 GiB"));
        entry.set_bid(id);
        tail.set(tail.get().wrapping_add(1));
        // SAFETY: `ring` is the address of the first entry, whose reserved field is the tail that
        // the kernel reads; it is 2-byte aligned and shared only with the kernel.
        let shared = unsafe { AtomicU16::from_ptr(BufRingEntry::tail(ring.as_ptr()).cast_mut()) };
        shared.store(tail.get(), Ordering::Release);
    }
}

enum Store {
    Provided { pool: Rc<BufferPool>, id: u16, len: usize },
    Heap(Vec<u8>),
}

/// Received bytes: a provided buffer (returned when dropped) or a heap copy.
pub struct Chunk(Store);

impl Chunk {
    pub(crate) fn from_heap(bytes: Vec<u8>) -> Self {
        Self(Store::Heap(bytes))
    }

    /// Only the first `len` bytes of what it is.
    pub(crate) fn truncate(&mut self, len: usize) {
        match &mut self.0 {
            Store::Provided { len: whole, .. } => *whole = len.min(*whole),
            Store::Heap(bytes) => bytes.truncate(len),
        }
    }

    /// The same bytes on the heap, with the provided buffer returned.
    pub(crate) fn into_heap(self) -> Self {
        match &self.0 {
            Store::Provided { .. } => Self(Store::Heap(self.to_vec())),
            Store::Heap(_) => self,
        }
    }
}

impl std::fmt::Debug for Chunk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Chunk({} bytes)", self.len())
    }
}

impl Deref for Chunk {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.0 {
            // SAFETY: the completion handed this buffer to user space, so the kernel no longer
            // writes it until `Drop` gives it back, and `len` bytes of it were written.
            Store::Provided { pool, id, len } => unsafe { std::slice::from_raw_parts(pool.buffer(*id).as_ptr(), *len) },
            Store::Heap(bytes) => bytes,
        }
    }
}

impl DerefMut for Chunk {
    fn deref_mut(&mut self) -> &mut [u8] {
        match &mut self.0 {
            // SAFETY: as in `deref`; a buffer id is held by one chunk only, and `&mut self`
            // excludes every other view of it.
            Store::Provided { pool, id, len } => unsafe {
                std::slice::from_raw_parts_mut(pool.buffer(*id).as_ptr(), *len)
            },
            Store::Heap(bytes) => bytes,
        }
    }
}

impl Drop for Chunk {
    fn drop(&mut self) {
        if let Store::Provided { pool, id, .. } = &self.0 {
            pool.give_back(*id);
        }
    }
}
