//! Which thread runs where.

use std::{io, mem};

/// Where the threads of a case may run.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Cores {
    All,
    One,
}

/// While it lives, this thread and those that it starts run on one core.
pub(crate) struct OneCore {
    before: libc::cpu_set_t,
}

impl OneCore {
    pub(crate) fn pin() -> OneCore {
        let before = allowed();
        pin(numbers(&before)[0]);
        OneCore { before }
    }
}

impl Drop for OneCore {
    fn drop(&mut self) {
        allow(&self.before);
    }
}

/// Gives this thread a core of its own, where there are enough for all `threads`. Two that wake
/// each other would otherwise share a core in some rounds and not in others, as the kernel likes,
/// and the table would compare its moods. More threads than cores are left to the kernel.
pub(crate) fn spread(index: usize, threads: usize) {
    let cores = numbers(&allowed());
    if threads <= cores.len() {
        pin(cores[index]);
    }
}

fn pin(core: usize) {
    // SAFETY: a set of cores is plain bits, and all zero is the empty one.
    let mut one = unsafe { mem::zeroed() };
    // SAFETY: the core comes from a set of the same size.
    unsafe { libc::CPU_SET(core, &mut one) };
    allow(&one);
}

/// The cores that this thread may run on.
fn allowed() -> libc::cpu_set_t {
    // SAFETY: a set of cores is plain bits, and all zero is the empty one.
    let mut cores = unsafe { mem::zeroed() };
    // SAFETY: the kernel writes no more than the size that it is told; 0 is this thread.
    let failed = unsafe { libc::sched_getaffinity(0, size_of_val(&cores), &mut cores) } != 0;
    assert!(!failed, "cannot ask for the cores: {}", io::Error::last_os_error());
    cores
}

/// Lets this thread run on these cores.
fn allow(cores: &libc::cpu_set_t) {
    // SAFETY: the kernel reads the set and keeps nothing; 0 is this thread.
    let failed = unsafe { libc::sched_setaffinity(0, size_of_val(cores), cores) } != 0;
    assert!(!failed, "cannot choose the cores: {}", io::Error::last_os_error());
}

fn numbers(cores: &libc::cpu_set_t) -> Vec<usize> {
    // SAFETY: every number is below the size of the set.
    (0..libc::CPU_SETSIZE as usize).filter(|&core| unsafe { libc::CPU_ISSET(core, cores) }).collect()
}
