//! Memory in which a read past either end of a slice is detected.

use std::slice::from_raw_parts_mut;

/// The place of a slice in its memory, in elements.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Place {
    /// Distance from the first byte.
    Start(usize),
    /// Distance from the last byte.
    End(usize),
}

/// Places of two operands: both ends against the guards, and alignments that differ.
pub(crate) const PLACES: [(Place, Place); 6] = [
    (Place::End(0), Place::End(0)),
    (Place::Start(0), Place::Start(0)),
    (Place::End(1), Place::End(0)),
    (Place::End(0), Place::End(3)),
    (Place::Start(5), Place::Start(2)),
    (Place::Start(13), Place::Start(31)),
];

/// The largest distance in [`PLACES`].
const MARGIN: usize = 31;

/// Types for which any bytes, including zeros, are a value.
pub(crate) trait Element: Copy + 'static {}
impl Element for u8 {}
impl Element for i8 {}
impl Element for u16 {}
impl Element for f32 {}

/// Memory between two pages that fault on any access; all but the slice in use holds poison.
///
/// Other systems than Linux only have the poison.
pub(crate) struct Guarded<T: Element> {
    memory: &'static mut [T],
    poison: T,
}

impl<T: Element> Guarded<T> {
    /// Make memory for slices of up to `longest` elements.
    pub(crate) fn new(longest: usize, poison: T) -> Self {
        let memory = between_guards(longest + MARGIN);
        memory.fill(poison);
        Self { memory, poison }
    }

    /// Copy `values` to a place; one copy at a time.
    pub(crate) fn put(&mut self, values: &[T], place: Place) -> &mut [T] {
        self.memory.fill(self.poison);
        let start = match place {
            Place::Start(distance) => distance,
            Place::End(distance) => self.memory.len() - distance - values.len(),
        };
        let slice = &mut self.memory[start..start + values.len()];
        slice.copy_from_slice(values);
        slice
    }
}

#[cfg(target_os = "linux")]
fn page() -> usize {
    // SAFETY: the call reads a constant of the system.
    usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).expect("the size of a page")
}

/// Allocate at least `len` zeros between two pages without access.
#[cfg(target_os = "linux")]
fn between_guards<T: Element>(len: usize) -> &'static mut [T] {
    let bytes = (len * size_of::<T>()).next_multiple_of(page());
    // SAFETY: a new private mapping touches no other memory. Its inner pages are made readable and
    // writable, hold zeros, which are values of an element, are aligned to a page, and belong to
    // the slice until `drop` unmaps them.
    unsafe {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        let mapping = libc::mmap(std::ptr::null_mut(), bytes + 2 * page(), libc::PROT_NONE, flags, -1, 0);
        assert_ne!(mapping, libc::MAP_FAILED, "mmap");
        let inner = mapping.byte_add(page());
        assert_eq!(libc::mprotect(inner, bytes, libc::PROT_READ | libc::PROT_WRITE), 0, "mprotect");
        from_raw_parts_mut(inner.cast(), bytes / size_of::<T>())
    }
}

#[cfg(target_os = "linux")]
impl<T: Element> Drop for Guarded<T> {
    fn drop(&mut self) {
        // SAFETY: the mapping is the one of `between_guards`, and no slice of it outlives `self`.
        unsafe {
            let mapping = self.memory.as_mut_ptr().byte_sub(page());
            libc::munmap(mapping.cast(), size_of_val(self.memory) + 2 * page());
        }
    }
}

#[cfg(not(target_os = "linux"))]
fn between_guards<T: Element>(len: usize) -> &'static mut [T] {
    let memory = Box::leak(vec![0u64; (len * size_of::<T>()).div_ceil(8)].into_boxed_slice());
    // SAFETY: the memory is never freed, is aligned for any element, and zeros are valid elements.
    unsafe { from_raw_parts_mut(memory.as_mut_ptr().cast(), size_of_val(memory) / size_of::<T>()) }
}
