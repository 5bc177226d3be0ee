// The table of threads.

const DOING = {
  running: "running", waiting: "waiting", idle: "idle", blocked: "blocked", started: "starting", other: "?", ended: "ended",
};
const DOING_MEANS = {
  running: "It runs, or would if it had a processor",
  waiting: "It waits for something that certain threads alone can give it",
  idle: "It waits for something that anybody can give it, or for a time",
  blocked: "It sleeps in the system, in no wait of lisle's",
  started: "It was started and has not begun",
  other: "This page is older than the program and does not know what that is",
};
const LEVELS = { dead: "deadlocked", suspect: "deadlocked?", orphan: "orphaned", stuck: "stuck" };

/** What a thread does as a coloured word; what is wrong with it goes first. */
function showState(cell, thread) {
  const level = model.trouble.get(thread.ident);
  const is = level ?? doing(thread);
  let pill = cell.firstElementChild;
  if (!pill) cell.append(pill = el("span", { class: "pill" }));
  attribute(pill, "data-is", is);
  attribute(pill, "title", level === "stuck" ? "It waits for a thread that is in a deadlock" : DOING_MEANS[is] ?? null);
  say(pill, LEVELS[is] ?? DOING[is] ?? is);
}

function waitText(thread) {
  return thread.wait ? harmless(`${thread.wait.kind} ${thread.wait.object}`) : "";
}

class ThreadsView {
  #grid;
  #search;
  #only = "all";
  #buttons = new Map();
  #found = el("span", { class: "found", role: "status" });
  #strangers = el("p", { class: "footnote" });

  constructor(place) {
    this.#search = el("input", {
      type: "search", placeholder: "Search  ( / )", "aria-label": "Search threads by name, number, or what they wait for",
      input: () => this.update(), keydown: (event) => {
        if (event.key === "Escape") {
          this.#search.value = "";
          this.update();
          this.#grid.element.focus();
        } else if (event.key === "Enter" || event.key === "ArrowDown") {
          event.preventDefault();
          this.#grid.element.focus();
        }
      },
    });
    const only = el("div", { class: "only", role: "group", "aria-label": "Show only" });
    for (const [id, word] of [["all", "all"], ["running", "running"], ["waiting", "waiting"], ["idle", "idle"], ["blocked", "blocked"], ["trouble", "deadlocked"]]) {
      const count = el("span", { class: "count" });
      const button = el("button", {
        "data-only": id, "aria-pressed": id === "all", title: DOING_MEANS[id] ?? null,
        click: () => this.#show(id),
      }, `${word} `, count);
      this.#buttons.set(id, { button, count });
      only.append(button);
    }
    place.append(el("div", { class: "tools" }, this.#search, only, this.#found));
    this.#grid = new Grid(place, {
      label: "Threads", sort: "ident", key: (thread) => thread.ident,
      level: (thread) => model.trouble.get(thread.ident) ?? (thread.service ? "service" : null),
      // Lisle's own come last.
      first: (thread) => (thread.service ? -1 : WORSE.indexOf(model.trouble.get(thread.ident))),
      open: (thread) => app.select({ thread: thread.ident }),
      moved: (thread) => app.selection && app.select({ thread: thread.ident }),
      columns: [
        { id: "state", title: "State", width: "118px", value: (t) => stateOrder(t), show: showState },
        { id: "name", title: "Name", width: "minmax(100px, 2fr)", value: (t) => t.name, text: (t) => harmless(t.name) },
        { id: "ident", title: "Ident", width: "76px", end: true, wide: 480, value: (t) => t.ident, text: (t) => String(t.ident) },
        { id: "native", title: "Native id", width: "88px", end: true, wide: 1000, value: (t) => t.native_id, text: (t) => (t.native_id ? String(t.native_id) : "") },
        { id: "daemon", title: "Daemon", width: "88px", wide: 900, value: (t) => (t.service ? 2 : t.daemon ? 1 : 0), down: true, text: (t) => (t.service ? "lisle's" : t.daemon ? "daemon" : "") },
        { id: "cpu", title: "CPU %", width: "78px", end: true, wide: 400, down: true, value: (t) => model.cpuShare(t.ident), text: cpuText },
        { id: "wait", title: "Waits for", width: "minmax(120px, 3fr)", wide: 330, value: (t) => waitText(t), text: waitText },
        { id: "holder", title: "Depends on", width: "minmax(100px, 1.6fr)", wide: 640, value: (t) => (t.wait ? holders(t.wait) : ""), text: (t) => (t.wait ? harmless(holders(t.wait)) : "") },
        { id: "since", title: "For", width: "92px", end: true, down: true, value: (t) => t.wait?.waited_us ?? null, text: (t) => duration(t.wait?.waited_us) },
        { id: "ends", title: "Ends in", width: "84px", end: true, wide: 1100, value: (t) => t.wait?.ends_in_us ?? Infinity, text: (t) => duration(t.wait?.ends_in_us) },
      ],
    });
    place.append(this.#strangers);
  }

  #show(id) {
    this.#only = id;
    for (const [other, { button }] of this.#buttons) attribute(button, "aria-pressed", other === id);
    this.update();
  }

  update() {
    if (!model.snapshot) return;
    const { threads, strangers } = model.snapshot;
    const counts = { all: threads.length, running: 0, waiting: 0, idle: 0, blocked: 0, trouble: model.trouble.size };
    for (const thread of threads) counts[doing(thread)] = (counts[doing(thread)] ?? 0) + 1;
    for (const [id, { button, count }] of this.#buttons) {
      say(count, number(counts[id]));
      attribute(button, "data-some", id === "trouble" && counts.trouble > 0 ? "trouble" : null);
    }
    const wanted = this.#search.value.trim().toLowerCase();
    const rows = threads.filter((thread) => this.#wants(thread) && (!wanted || matches(thread, wanted)));
    say(this.#found, rows.length === threads.length ? "" : `${number(rows.length)} of ${counted(threads.length, "thread")}`);
    this.#grid.update(rows, threads.length === 0 ? "The program has no threads that lisle knows." : "No thread is like that.");
    say(this.#strangers, strangers.length === 0 ? "" :
      `${counted(strangers.length, "thread has", "threads have")} never called lisle: ${harmless(short(strangers.map((s) => `${s.name} (${s.native_id})`).join(", "), 300))}`);
  }

  #wants(thread) {
    if (this.#only === "all") return true;
    if (this.#only === "trouble") return model.trouble.has(thread.ident);
    return doing(thread) === this.#only;
  }

  enter() {
    if (app.selection?.thread !== undefined) this.#grid.select(app.selection.thread);
    this.#grid.element.focus({ preventScroll: true });
  }

  key(event) {
    if (event.key !== "/") return false;
    this.#search.focus();
    this.#search.select();
    return true;
  }

  /** Shows those who have to do with this text. */
  search(text) {
    this.#search.value = text;
    this.#show("all");
  }
}

function stateOrder(thread) {
  const level = model.trouble.get(thread.ident);
  return level ? -WORSE.indexOf(level) : ["running", "started", "blocked", "waiting", "idle"].indexOf(doing(thread)) + 1;
}

function cpuText(thread) {
  const share = model.cpuShare(thread.ident);
  return share === null ? "" : share < 0.05 ? "0" : figuresOfShare(share);
}

function figuresOfShare(share) {
  return share < 9.95 ? share.toFixed(1) : share.toFixed(0);
}

function matches(thread, wanted) {
  const wait = thread.wait;
  const texts = [thread.name, String(thread.ident), String(thread.native_id), doing(thread)];
  if (wait) texts.push(wait.kind, wait.object, `${wait.kind} ${wait.object}`, wait.called_at, holders(wait));
  return texts.some((text) => text.toLowerCase().includes(wanted));
}
