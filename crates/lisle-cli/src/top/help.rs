//! What the keys do, and what the columns mean.
#![forbid(unsafe_code)]

use super::writing::Writing;

/// Parts of the page: a head, and lines of a key (or column) and what it does.
const PARTS: &[(&str, &[(&str, &str)])] = &[
    (
        "Everywhere",
        &[
            ("Tab 1 2 3", "threads; locks and queues; deadlocks"),
            ("↑ ↓ k j", "up and down; PgUp PgDn Home End too"),
            ("Enter", "one of them in full; Esc or q goes back"),
            ("/ F3", "show only what has this text; Esc: all"),
            ("< > F6", "sort by another column"),
            ("r", "sort the other way round"),
            ("Space", "pause, go on"),
            ("+ -", "faster, slower"),
            ("F5", "look now"),
            ("? h F1", "this page"),
            ("q F10 Ctrl-C", "quit; the program goes on untouched"),
        ],
    ),
    (
        "Threads, sorted by",
        &[
            ("S", "state: deadlocks, what runs, what waits (default)"),
            ("M", "longest wait now"),
            ("P", "CPU%, of one processor, since the last look"),
            ("T", "CPU time in total"),
            ("N A", "ident, name"),
        ],
    ),
    (
        "Locks and queues, sorted by",
        &[
            ("T", "total time waited (default)"),
            ("M", "longest wait"),
            ("P", "waits per second"),
            ("N", "number of waits that have ended"),
            ("S", "threads that wait now"),
            ("L", "length of the queue, or permits"),
            ("A", "kind and name"),
            ("a", "also what is neither: events, joins, sleeps"),
        ],
    ),
    (
        "States",
        &[
            ("deadlock", "it waits for threads that wait for it"),
            ("suspect", "likewise, if nobody else releases the lock"),
            ("orphaned", "it waits for a lock whose holder has ended"),
            ("running", "it runs, or would with a processor"),
            ("blocked", "it sleeps in something that lisle does not see"),
            ("waiting", "it waits in lisle"),
            ("started", "it has been started and has not begun"),
            ("service", "it works for lisle, not for the program"),
            ("foreign", "it has never called lisle"),
        ],
    ),
];

pub(super) fn write(out: &mut Writing) {
    for (head, lines) in PARTS {
        out.head(head);
        for (key, does) in *lines {
            match out.is_narrow() {
                false => out.put(&format!("  {key:<13}"), "               ", does, Default::default()),
                true => {
                    out.put("", "  ", key, out.look.bold());
                    out.put("  ", "  ", does, Default::default());
                }
            }
        }
    }
}
