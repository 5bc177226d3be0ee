// All that is known of one thread, or of one thing that threads wait for.

class Details {
  #place;

  constructor(place) {
    this.#place = place;
  }

  update() {
    const selection = app.selection;
    if (!selection) {
      this.#place.hidden = true;
      return;
    }
    // Not under the hands of somebody who copies from it.
    const marked = getSelection();
    if (!this.#place.hidden && !marked.isCollapsed && this.#place.contains(marked.anchorNode) && this.#is === selection) return;
    this.#is = selection;
    this.#place.hidden = false;
    const focused = this.#place.contains(document.activeElement) ? document.activeElement.dataset.id : null;
    const scrolled = this.#place.scrollTop;
    const inside = selection.thread === undefined ? objectDetails(selection.object) : threadDetails(selection.thread);
    const close = el("button", { class: "close", "data-id": "close", "aria-label": "Close the details", title: "Esc", click: () => app.select(null) }, "×");
    this.#place.replaceChildren(close, ...inside);
    this.#place.scrollTop = scrolled;
    if (focused) this.#place.querySelector(`[data-id="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
  }

  #is = null;
}

/** Pairs of a word and what it is; those that are nothing are left out. */
function facts(...pairs) {
  const list = el("dl", { class: "facts" });
  for (const [word, value] of pairs) {
    if (value === null || value === undefined || value === "") continue;
    list.append(el("dt", {}, word), el("dd", {}, value));
  }
  return list;
}

/** A thread's name that leads to it. */
function threadLink(ident, name, id) {
  const thread = model.threads.get(ident);
  const text = thread ? thread.name : name || `thread ${ident}`;
  if (!thread) return own(text, { class: "gone" });
  return el("button", { class: "link", "data-id": id ?? `thread-${ident}`, click: () => app.select({ thread: ident }) }, own(text));
}

function objectLink(awaited, id) {
  return el("button", { class: "link", "data-id": id ?? `object-${awaited.key}`, click: () => app.select({ object: awaited.key }) },
    own(`${[...awaited.kinds].join(" / ")} ${awaited.object}`));
}

function threadDetails(ident) {
  const thread = model.threads.get(ident);
  const row = model.history.threads.get(ident);
  if (!thread) {
    return [el("h2", {}, own(row?.name ?? `Thread ${ident}`)), el("p", {}, "This thread has ended.")];
  }
  const pill = el("span");
  showState(pill, thread);
  const out = [
    el("h2", {}, own(thread.name)),
    el("p", { class: "state" }, pill, el("button", { class: "link", "data-id": "to-graph", title: "g", click: () => app.go("graph") }, "in the graph"), el("button", { class: "link", "data-id": "to-timeline", click: () => app.go("timeline") }, "on the time line")),
    facts(
      ["ident", String(thread.ident)],
      ["native id", thread.native_id ? String(thread.native_id) : null],
      ["kind", { made: null, main: "main thread", adopted: "adopted: made elsewhere" }[thread.origin]],
      ["service", thread.service ? "it is lisle's own and does nothing for the program" : null],
      ["daemon", thread.daemon ? "yes: the process may end without it" : "no"],
      ["CPU", thread.cpu_us === null ? null : `${duration(thread.cpu_us)}${cpuText(thread) ? `, now ${cpuText(thread)} %` : ""}`],
      ["interrupted", thread.interrupted ? "yes, and has not noticed yet" : null],
      ["read", model.snapshot.unread.includes(ident) ? "its wait kept changing and could not be read" : null],
    ),
  ];
  const wait = thread.wait;
  if (wait) {
    const awaited = model.awaited.get(keyOf(thread));
    out.push(el("h3", {}, "Waits for"), el("p", {}, objectLink(awaited, "awaited")), facts(
      ["for", duration(wait.waited_us)],
      ["called at", wait.called_at && el("code", {}, harmless(wait.called_at))],
      ["in the call", wait.running && own(wait.running)],
      ["ends in", wait.ends_in_us === null ? "never by itself" : duration(wait.ends_in_us)],
      ["interrupt", wait.interruptible ? "ends it" : "does not end it"],
    ));
    if (wait.owners.length === 0) out.push(el("p", { class: "quiet" }, "Anybody can end this wait."));
    else {
      const list = el("ul", { class: "owners" });
      const needs = new Set(wait.owners.map((owner) => owner.need)).size;
      for (const [at, owner] of wait.owners.entries()) {
        list.append(el("li", {},
          `${harmless(owner.bond)} `, owner.ident === 0 ? "anybody" : threadLink(owner.ident, owner.name, `owner-${at}`),
          owner.ended ? el("strong", { class: "orphan" }, " which has ended") : null,
          owner.taken_at ? el("span", { class: "site" }, "taken at ", el("code", {}, harmless(owner.taken_at))) : null));
      }
      out.push(list);
      if (wait.owners.length > 1) out.push(el("p", { class: "quiet" }, needs === 1 ? "One of them is enough." : `All of ${needs} needs have to be met.`));
    }
  }
  const held = model.heldBy(ident);
  if (held.length > 0) {
    out.push(el("h3", {}, "Others wait for it"), el("ul", {}, ...held.map((awaited) => el("li", {}, objectLink(awaited), ` ${counted(awaited.waiters.length, "thread")}`))));
  }
  if (thread.frames.length > 0) {
    out.push(el("h3", {}, "Frames, the innermost first"), el("ol", { class: "frames" }, ...thread.frames.map((frame) =>
      el("li", {}, own(frame.function, { class: "function" }), el("code", {}, harmless(frame.line ? `${frame.file}:${frame.line}` : frame.file))))));
  } else if (model.snapshot.frames_missing) {
    out.push(el("p", { class: "quiet" }, `No frames: ${harmless(model.snapshot.frames_missing)}`));
  }
  if (thread.waited.length > 0) {
    out.push(el("h3", {}, "Has waited so far"), el("table", {},
      el("thead", {}, el("tr", {}, ...["for", "times", "together", "longest"].map((word) => el("th", { scope: "col" }, word)))),
      el("tbody", {}, ...thread.waited.slice().sort((a, b) => b.total_us - a.total_us).map((waited) => el("tr", {},
        el("td", {}, harmless(waited.kind)), el("td", {}, number(waited.count)), el("td", {}, duration(waited.total_us)), el("td", {}, duration(waited.longest_us)))))));
  }
  return out;
}

function objectDetails(key) {
  const awaited = model.awaited.get(key);
  const counters = model.snapshot.objects.filter((object) => `k${object.key}` === key);
  const known = awaited ?? (counters[0] && { object: counters[0].object, kinds: new Set(counters.map((object) => object.kind)), waiters: [], owners: new Map() });
  if (!known) return [el("h2", {}, "Nobody waits for it any more")];
  const out = [
    el("h2", {}, own(known.object)),
    el("p", { class: "state" }, el("button", { class: "link", "data-id": "to-graph", click: () => app.go("graph") }, "in the graph")),
    facts(["what", harmless([...known.kinds].join(" / "))], ["address", key[0] === "k" ? el("code", {}, `0x${Number(key.slice(1)).toString(16)}`) : null]),
  ];
  if (known.owners.size > 0) {
    out.push(el("h3", {}, "Depends on"), el("ul", { class: "owners" }, ...[...known.owners.values()].map((owner) =>
      el("li", {}, `${harmless(owner.bond)} `, owner.ident === 0 ? "anybody" : threadLink(owner.ident, owner.name), owner.ended ? el("strong", { class: "orphan" }, " which has ended") : null,
        owner.taken_at ? el("span", { class: "site" }, "taken at ", el("code", {}, harmless(owner.taken_at))) : null))));
  }
  const waiters = known.waiters.map((ident) => model.threads.get(ident)).sort((a, b) => b.wait.waited_us - a.wait.waited_us);
  out.push(el("h3", {}, waiters.length === 0 ? "Nobody waits for it" : `${counted(waiters.length, "thread waits", "threads wait")} for it`));
  if (waiters.length > 0) {
    out.push(el("ul", { class: "waiters" }, ...waiters.slice(0, 50).map((thread) => el("li", {}, threadLink(thread.ident, thread.name), ` ${duration(thread.wait.waited_us)}`))));
    if (waiters.length > 50) out.push(el("p", { class: "quiet" }, `and ${number(waiters.length - 50)} more`));
  }
  for (const object of counters) {
    out.push(el("h3", {}, counters.length > 1 ? harmless(object.kind) : "Since somebody looks"), facts(
      ["waits", number(object.waits)], ["together", duration(object.total_us)], ["longest", duration(object.longest_us)],
      ["length", object.length === null ? null : number(object.length)]));
  }
  return out;
}
