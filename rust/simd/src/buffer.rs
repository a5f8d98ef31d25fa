//! Growable arrays aligned to cache lines, on huge pages if the system has them.

use std::alloc::Layout;
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::panic::resume_unwind;
use std::ptr::NonNull;

/// A cache line.
const LINE: usize = 64;

/// A huge page. Arrays of several are aligned to it, so that each random access costs one entry
/// less in a small TLB.
const HUGE_PAGE: usize = 2 << 20;

/// What an array unwinds with if there is no memory for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoMemory {
    /// The size of the array.
    pub bytes: usize,
}

impl fmt::Display for NoMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no memory for {} bytes", self.bytes)
    }
}

/// Plain values that may consist of any bytes, including zeros.
///
/// # Safety
///
/// Every bit pattern is a value, and the type has no padding and no destructor.
pub unsafe trait Plain: Copy + Send + Sync + 'static {}
// SAFETY: any bits are a valid integer or float.
unsafe impl Plain for i8 {}
// SAFETY: as above.
unsafe impl Plain for u8 {}
// SAFETY: as above.
unsafe impl Plain for u16 {}
// SAFETY: as above.
unsafe impl Plain for u32 {}
// SAFETY: as above.
unsafe impl Plain for u64 {}
// SAFETY: as above.
unsafe impl Plain for f32 {}

/// A growable array whose memory begins on a cache line (on a huge page, if it is large).
///
/// Memory past the length becomes resident only when it is used.
pub struct Buffer<T: Plain> {
    data: NonNull<T>,
    len: usize,
    capacity: usize,
}

// SAFETY: a buffer owns plain values and may be moved and shared like a `Vec` of them.
unsafe impl<T: Plain> Send for Buffer<T> {}
// SAFETY: as above.
unsafe impl<T: Plain> Sync for Buffer<T> {}

impl<T: Plain> Buffer<T> {
    /// Make an empty array, without allocating.
    pub const fn new() -> Self {
        Self { data: NonNull::dangling(), len: 0, capacity: 0 }
    }

    /// Make an array of `len` zeros.
    pub fn zeroed(len: usize) -> Self {
        let mut buffer = Self::new();
        buffer.reallocate(len);
        // SAFETY: the memory holds `len` values, and zeros are values of a plain type.
        unsafe { buffer.data.as_ptr().write_bytes(0, len) };
        buffer.len = len;
        buffer
    }

    /// Make an empty array with room for `capacity` values.
    pub(crate) fn with_capacity(capacity: usize) -> Self {
        let mut buffer = Self::new();
        buffer.reallocate(capacity);
        buffer
    }

    /// Return the start of the memory, which includes the part past the length.
    pub(crate) const fn start(&self) -> *mut T {
        self.data.as_ptr()
    }

    fn layout(capacity: usize) -> Layout {
        let bytes = capacity.checked_mul(size_of::<T>()).expect("array size fits an address");
        let align = if bytes >= 2 * HUGE_PAGE { HUGE_PAGE } else { LINE };
        Layout::from_size_align(bytes, align).expect("array size fits an address")
    }

    /// Move to memory of `capacity` values, at least the length.
    fn reallocate(&mut self, capacity: usize) {
        debug_assert!(capacity >= self.len);
        let mut moved = Self::new();
        moved.len = self.len;
        if capacity > 0 {
            let layout = Self::layout(capacity);
            // SAFETY: the layout is not empty, since the capacity is above 0 and no plain type is
            // empty.
            let memory = unsafe { pages::allocate(layout) };
            // Unwind, which callers may survive, while a `Vec` would end the process.
            let no_memory = || resume_unwind(Box::new(NoMemory { bytes: layout.size() }));
            moved.data = NonNull::new(memory.cast()).unwrap_or_else(no_memory);
            // Only now, since a buffer frees its capacity, even when a panic drops it.
            moved.capacity = capacity;
            // SAFETY: both hold at least `len` values and do not overlap.
            unsafe { std::ptr::copy_nonoverlapping(self.data.as_ptr(), moved.data.as_ptr(), self.len) };
        }
        std::mem::swap(self, &mut moved);
    }

    /// Make room for `more` values past the length.
    pub fn reserve(&mut self, more: usize) {
        let needed = self.len.checked_add(more).expect("array length fits an address");
        if needed > self.capacity {
            self.reallocate(needed.max(self.capacity + self.capacity / 2));
        }
    }

    /// Set the length; new values are `value`.
    pub fn resize(&mut self, len: usize, value: T) {
        if len > self.len {
            self.reserve(len - self.len);
            for at in self.len..len {
                // SAFETY: `reserve` made room up to `len`.
                unsafe { self.data.as_ptr().add(at).write(value) };
            }
        }
        self.len = len;
    }

    /// Append values.
    pub fn extend_from_slice(&mut self, values: &[T]) {
        self.reserve(values.len());
        // SAFETY: `reserve` made room, and `values` cannot overlap memory that this array owns.
        unsafe { std::ptr::copy_nonoverlapping(values.as_ptr(), self.data.as_ptr().add(self.len), values.len()) };
        self.len += values.len();
    }

    /// Reinterpret the memory as values of another type, dropping bytes past the last whole
    /// value.
    pub fn cast<U: Plain>(self) -> Buffer<U> {
        let (from, to) = (size_of::<T>(), size_of::<U>());
        assert!((self.capacity * from).is_multiple_of(to), "memory of whole values");
        if self.capacity == 0 {
            // The dangling pointer of an empty buffer is not aligned for larger values.
            return Buffer::new();
        }
        let this = std::mem::ManuallyDrop::new(self);
        // Memory begins on a cache line, which is aligned for every plain type, and any bytes are a
        // plain value.
        Buffer { data: this.data.cast(), len: this.len * from / to, capacity: this.capacity * from / to }
    }

    /// Free the memory past the length.
    pub fn shrink(&mut self) {
        if self.capacity > self.len {
            self.reallocate(self.len);
        }
    }

    /// Memory taken, in bytes.
    pub const fn bytes(&self) -> usize {
        self.capacity * size_of::<T>()
    }
}

/// Memory of arrays. Large ones are mapped from the system and unmapped when they are freed: in the
/// heap, the advice to use huge pages would stay with their addresses, and each small object that
/// comes to lie there would take a whole huge page.
// Miri does not support these calls.
#[cfg(all(target_os = "linux", not(miri)))]
mod pages {
    use std::alloc::{Layout, alloc, dealloc};
    use std::ptr::null_mut;

    use super::HUGE_PAGE;

    fn is_mapped(layout: Layout) -> bool {
        layout.align() == HUGE_PAGE
    }

    /// Allocate memory; null if there is none.
    ///
    /// # Safety
    ///
    /// The size is not 0.
    pub(super) unsafe fn allocate(layout: Layout) -> *mut u8 {
        if !is_mapped(layout) {
            // SAFETY: as promised by the caller.
            return unsafe { alloc(layout) };
        }
        let length = whole_pages(layout);
        // An aligned range lies somewhere within one that is longer by the alignment.
        let size = length + HUGE_PAGE;
        let (protection, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        // SAFETY: a new anonymous mapping at an address of the system's choice touches no other.
        let mapped = unsafe { libc::mmap(null_mut(), size, protection, flags, -1, 0) };
        if mapped == libc::MAP_FAILED {
            return null_mut();
        }
        let mapped = mapped.cast::<u8>();
        let before = mapped.align_offset(HUGE_PAGE);
        // SAFETY: the offset is below the alignment, by which the mapping is longer; what is
        // unmapped lies within the mapping and outside of the returned range. The rest is only
        // advice.
        unsafe {
            let memory = mapped.add(before);
            unmap(mapped, before);
            unmap(memory.add(length), HUGE_PAGE - before);
            libc::madvise(memory.cast(), length, libc::MADV_HUGEPAGE);
            memory
        }
    }

    /// Free memory.
    ///
    /// # Safety
    ///
    /// The memory came from [`allocate`] with this layout and is not used any more.
    pub(super) unsafe fn free(memory: *mut u8, layout: Layout) {
        // SAFETY: as promised by the caller.
        unsafe {
            if is_mapped(layout) {
                unmap(memory, whole_pages(layout));
            } else {
                dealloc(memory, layout);
            }
        }
    }

    /// The largest base page of the architectures that have pages of 2 MiB above it.
    const PAGE: usize = 64 << 10;

    /// The size as whole pages: no layout comes closer than this to the largest number.
    const fn whole_pages(layout: Layout) -> usize {
        layout.size().next_multiple_of(PAGE)
    }

    /// # Safety
    ///
    /// The range is mapped, begins on a page, and is not used any more.
    unsafe fn unmap(memory: *mut u8, length: usize) {
        if length > 0 {
            // SAFETY: as promised by the caller.
            unsafe { libc::munmap(memory.cast(), length) };
        }
    }
}

#[cfg(any(not(target_os = "linux"), miri))]
mod pages {
    pub(super) use std::alloc::{alloc as allocate, dealloc as free};
}

impl<T: Plain> Drop for Buffer<T> {
    fn drop(&mut self) {
        if self.capacity > 0 {
            // SAFETY: the memory was allocated with this layout and is freed once.
            unsafe { pages::free(self.data.as_ptr().cast(), Self::layout(self.capacity)) };
        }
    }
}

impl<T: Plain> Clone for Buffer<T> {
    fn clone(&self) -> Self {
        let mut copy = Self::new();
        copy.extend_from_slice(self);
        copy
    }
}

impl<T: Plain> Default for Buffer<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: Plain> Deref for Buffer<T> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        // SAFETY: `len` values after the pointer are initialized.
        unsafe { std::slice::from_raw_parts(self.data.as_ptr(), self.len) }
    }
}

impl<T: Plain> DerefMut for Buffer<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: `len` values after the pointer are initialized, and the array is borrowed
        // exclusively.
        unsafe { std::slice::from_raw_parts_mut(self.data.as_ptr(), self.len) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_become_values_also_when_there_are_none() {
        let mut bytes = Buffer::<u8>::zeroed(16);
        bytes[4] = 1;
        assert_eq!(&bytes.cast::<u32>()[..], [0, 1, 0, 0]);
        assert!(Buffer::<u8>::new().cast::<u32>().is_empty());
    }

    #[test]
    fn grows_like_a_vec() {
        let (mut buffer, mut model) = (Buffer::<u32>::new(), Vec::new());
        for step in 0..300u32 {
            let values: Vec<u32> = (0..step % 7 * if cfg!(miri) { 10 } else { 1000 }).collect();
            buffer.extend_from_slice(&values);
            model.extend_from_slice(&values);
            if step % 5 == 0 {
                model.resize(model.len() / 2 + 3, step);
                buffer.resize(buffer.len() / 2 + 3, step);
            }
            assert_eq!(&buffer[..], &model[..]);
            assert_eq!(buffer.as_ptr() as usize % LINE, 0);
        }
        buffer.shrink();
        assert_eq!(buffer.bytes(), model.len() * 4);
        assert_eq!(&buffer.clone()[..], &model[..]);
    }

    #[test]
    #[cfg_attr(miri, ignore = "takes minutes")]
    fn keeps_its_values_when_it_moves_to_huge_pages_and_back() {
        let values: Vec<u64> = (0..3 * HUGE_PAGE as u64 / 8).collect();
        let mut buffer = Buffer::new();
        for part in values.chunks(10_000) {
            buffer.extend_from_slice(part);
        }
        assert_eq!(&buffer[..], &values[..]);
        assert_eq!(buffer.as_ptr() as usize % HUGE_PAGE, 0);
        buffer.resize(5, 0);
        buffer.shrink();
        assert_eq!((&buffer[..], buffer.bytes()), (&values[..5], 40));
        assert!(Buffer::<u32>::zeroed(values.len()).iter().all(|value| *value == 0));
    }

    #[test]
    #[should_panic(expected = "array size fits an address")]
    fn a_size_past_every_address_panics_and_gives_back_nothing() {
        Buffer::<u64>::new().reserve(usize::MAX / 4);
    }
}
