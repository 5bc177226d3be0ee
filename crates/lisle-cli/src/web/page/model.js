// What is known: the last snapshot, what follows from it, and what each thread did in the last minute.

/** The longest that is kept of what threads did, and how many pieces of it, whatever their time. */
const KEEP_US = 60e6;
const KEEP_PIECES = 150_000;

/** How much something that only grows has grown, in about the last `window` microseconds. */
class Growth {
  #window;
  #samples = [];

  constructor(window) {
    this.#window = window;
  }

  /** Values by key, at this time. */
  add(at, values) {
    this.#samples.push({ at, values });
    while (this.#samples.length > 2 && at - this.#samples[1].at >= this.#window) this.#samples.shift();
  }

  /** By how much a second; `null` if that is not known yet. */
  of(key) {
    const [first, last] = [this.#samples[0], this.#samples.at(-1)];
    if (!first || last.at <= first.at) return null;
    const [before, now] = [first.values.get(key), last.values.get(key)];
    return before === undefined || now === undefined ? null : Math.max(0, now - before) / ((last.at - first.at) / 1e6);
  }
}

class Model {
  /** The snapshot that is shown; empty before the first. */
  snapshot = null;
  /** Threads by ident. */
  threads = new Map();
  /** What is waited for now, by key: { key, kinds, object, waiters, owners }. */
  awaited = new Map();
  /** What is wrong with a thread: `dead`, `suspect`, `orphan`, or `stuck` behind such. */
  trouble = new Map();
  /** What threads wait for in cycles: { threads, keys, level }. */
  cycles = [];
  /** By kind of wait, whether certain threads alone can end one, as far as was seen. */
  kinds = new Map();
  cpu = new Growth(1e6);
  waits = new Growth(2e6);
  history = new History();

  /** Takes a snapshot in. */
  take(snapshot) {
    this.history.take(snapshot, this.snapshot?.taken_at_us ?? snapshot.taken_at_us);
    this.snapshot = snapshot;
    this.threads = new Map(snapshot.threads.map((thread) => [thread.ident, thread]));
    const at = snapshot.taken_at_us;
    this.cpu.add(at, new Map(snapshot.threads.filter((t) => t.cpu_us !== null).map((t) => [t.ident, t.cpu_us])));
    this.waits.add(at, new Map(snapshot.objects.map((object) => [object.id, object.waits])));
    this.#await();
    this.#troubles();
    this.history.mark(this.trouble, at);
  }

  #await() {
    this.awaited = new Map();
    for (const thread of this.snapshot.threads) {
      const wait = thread.wait;
      if (!wait) continue;
      this.kinds.set(wait.kind, wait.owners.length > 0 || this.kinds.get(wait.kind) === true);
      const key = keyOf(thread);
      let found = this.awaited.get(key);
      if (!found) {
        found = { key, kinds: new Set(), object: wait.object, waiters: [], owners: new Map() };
        this.awaited.set(key, found);
      }
      found.kinds.add(wait.kind);
      found.waiters.push(thread.ident);
      for (const owner of wait.owners) {
        const alike = wait.owners.filter((other) => other.need === owner.need).length;
        // Who waits for a lock and has it names others as its owners than who doesn't; all of them count.
        if (!found.owners.has(owner.ident)) found.owners.set(owner.ident, { ...owner, alternatives: alike });
      }
    }
  }

  #troubles() {
    this.trouble = new Map();
    this.cycles = [];
    for (const report of this.snapshot.reports) {
      const level = levelOf(report);
      const cycle = report.threads.slice(0, report.cycle);
      if (cycle.length > 0) {
        const keys = cycle.map((ident) => this.threads.get(ident)?.wait && keyOf(this.threads.get(ident)));
        if (keys.every((key) => key)) this.cycles.push({ threads: cycle, keys, level, report });
      }
      const concerned = cycle.length > 0 ? cycle : report.threads;
      for (const ident of concerned) {
        if (WORSE.indexOf(level) > WORSE.indexOf(this.trouble.get(ident))) this.trouble.set(ident, level);
      }
    }
    // Who waits for one of those is stuck too, and who waits for him.
    if (this.trouble.size > 0) {
      const waitersOf = new Map();
      for (const { owners, waiters } of this.awaited.values()) {
        for (const owner of owners.values()) {
          if (owner.alternatives > 1) continue;
          waitersOf.set(owner.ident, (waitersOf.get(owner.ident) ?? []).concat(waiters));
        }
      }
      const next = [...this.trouble.keys()];
      while (next.length > 0) {
        for (const ident of waitersOf.get(next.pop()) ?? []) {
          if (this.trouble.has(ident)) continue;
          this.trouble.set(ident, "stuck");
          next.push(ident);
        }
      }
    }
  }

  /** What a thread is known to hold, because others wait for it. */
  heldBy(ident) {
    return [...this.awaited.values()].filter((awaited) => awaited.owners.has(ident));
  }

  /** The share of a processor that it uses, in per cent. */
  cpuShare(ident) {
    const growth = this.cpu.of(ident);
    return growth === null ? null : growth / 1e4;
  }
}

const WORSE = [undefined, "stuck", "orphan", "suspect", "dead"];

/** How bad that is. */
function levelOf(report) {
  return { proven: "dead", timed: "dead", suspected: "suspect", orphaned: "orphan" }[report.confidence] ?? "suspect";
}

/** A thread's name, also if it has ended while this page was open. */
function threadName(ident) {
  return (model.threads.get(ident) ?? model.history.threads.get(ident))?.name ?? `thread ${ident}`;
}

const REPORT_NAMES = {
  proven: "Deadlock",
  timed: "Deadlock that ends by itself",
  suspected: "Suspected deadlock",
  orphaned: "Orphaned lock",
};

/** What a thread waits for, as text that is the same for all who wait for it. */
function keyOf(thread) {
  return thread.wait.key ? `k${thread.wait.key}` : `t${thread.ident}`;
}

/** What a thread does, in one word: that by which it is sorted, counted and coloured. */
function doing(thread) {
  if (thread.state !== "waiting") return thread.state;
  return thread.wait && thread.wait.owners.length === 0 ? "idle" : "waiting";
}

/** Pieces of what threads did, from snapshots: a wait says since when it lasts, other changes were between two. */
class History {
  /** By ident: { ident, name, ended, pieces: [{ from, to, doing, kind, object, key, holders, level }] }. */
  threads = new Map();
  /** From when on there is something. */
  start = null;
  end = null;
  #keep = KEEP_US;

  take(snapshot, before) {
    const now = snapshot.taken_at_us;
    this.start ??= now;
    // After a clock that was set back nothing fits together any more.
    if (this.end !== null && now < this.end) {
      this.threads.clear();
      this.start = before = now;
    }
    this.end = now;
    let pieces = 0;
    for (const row of this.threads.values()) row.ended = true;
    for (const thread of snapshot.threads) {
      let row = this.threads.get(thread.ident);
      if (!row) {
        row = { ident: thread.ident, name: thread.name, ended: false, pieces: [] };
        this.threads.set(thread.ident, row);
      }
      row.name = thread.name;
      row.ended = false;
      this.#extend(row, thread, now, before);
      pieces += row.pieces.length;
    }
    this.#forget(now, pieces);
  }

  #extend(row, thread, now, before) {
    const wait = thread.wait;
    const since = wait ? now - wait.waited_us : null;
    const last = row.pieces.at(-1);
    // The program measures how long a wait lasts a little before or after it looks at the clock.
    const same = last && last.doing === doing(thread) && last.key === (wait?.key ?? null)
      && (since === null || Math.abs(since - last.since) < 20_000 || since <= last.from);
    if (same) {
      last.to = now;
      last.holders = wait ? holders(wait) : "";
      return;
    }
    let from = now;
    if (last) {
      const middle = (last.to + now) / 2;
      from = since === null ? middle : Math.max(since, last.to);
      if (last.doing === "running") last.to = from;
      else if (from > last.to) {
        // It ended at some time, and until the next began it ran.
        last.to = (last.to + from) / 2;
        if (since !== null && from > last.to) {
          row.pieces.push({ from: last.to, to: from, doing: "running", kind: "", object: "", key: null, since: null });
        }
      }
    } else {
      from = Math.max(since ?? Math.min(before, now), now - this.#keep);
    }
    row.pieces.push({
      from, to: now, since, doing: doing(thread), key: wait?.key ?? null,
      kind: wait?.kind ?? "", object: wait?.object ?? "", holders: wait ? holders(wait) : "", level: null,
    });
  }

  /** Marks what threads are doing now as part of that trouble. */
  mark(trouble, now) {
    for (const [ident, level] of trouble) {
      const last = this.threads.get(ident)?.pieces.at(-1);
      if (last && last.to === now) last.level = level;
    }
  }

  #forget(now, pieces) {
    if (pieces > KEEP_PIECES) this.#keep *= 0.8;
    else if (pieces < KEEP_PIECES / 2) this.#keep = Math.min(KEEP_US, this.#keep * 1.1);
    const horizon = now - this.#keep;
    for (const [ident, row] of this.threads) {
      let old = 0;
      while (old < row.pieces.length && row.pieces[old].to < horizon) old += 1;
      // Not one by one: taking out the first of many moves all.
      if (old > 0) row.pieces.splice(0, old);
      if (row.pieces.length === 0) this.threads.delete(ident);
    }
    this.start = Math.max(this.start, horizon);
  }
}

/** Who a wait depends on, in words. */
function holders(wait) {
  return wait.owners.map((owner) => nameOf(owner)).join(", ");
}

/** An owner's name. */
function nameOf(owner) {
  if (owner.ident === 0) return "anybody";
  return owner.ended ? `${owner.name || owner.ident} (ended)` : owner.name || String(owner.ident);
}

const model = new Model();
