// What costs most time: locks, queues and the rest, by how long threads have waited for them.

class ContentionView {
  #grid;
  #search;
  #most = 1;

  constructor(place) {
    this.#search = el("input", { type: "search", placeholder: "Search  ( / )", "aria-label": "Search by kind, name or place", input: () => this.update(),
      keydown: (event) => {
        if (event.key === "Escape") {
          this.#search.value = "";
          this.update();
          this.#grid.element.focus();
        } else if (event.key === "Enter" || event.key === "ArrowDown") {
          event.preventDefault();
          this.#grid.element.focus();
        }
      } });
    place.append(el("div", { class: "tools" }, this.#search,
      el("span", { class: "quiet" }, "Counted since the first look at the program. Hatched: waits that go on now. Grey: waits that anybody can end.")));
    this.#grid = new Grid(place, {
      label: "Contention", sort: "total", key: (row) => row.id,
      level: (row) => row.level,
      open: (row) => app.select({ object: row.key }),
      moved: (row) => app.selection && app.select({ object: row.key }),
      columns: [
        { id: "object", title: "Lock, queue …", width: "minmax(150px, 2fr)", value: (r) => r.object, text: (r) => harmless(r.object) },
        { id: "kind", title: "Kind", width: "minmax(108px, 0.9fr)", wide: 560, value: (r) => r.kind, text: (r) => harmless(r.kind) },
        { id: "total", title: "Waited, all together", width: "minmax(170px, 2.4fr)", down: true, value: (r) => r.total + r.going, show: (cell, row) => this.#bar(cell, row) },
        { id: "rate", title: "Waits/s", width: "80px", end: true, down: true, value: (r) => r.rate, text: (r) => (r.rate === null ? "" : r.rate < 0.05 ? "0" : figures(r.rate)) },
        { id: "waits", title: "Waits", width: "84px", end: true, down: true, wide: 760, value: (r) => r.waits, text: (r) => number(r.waits) },
        { id: "longest", title: "Longest", width: "88px", end: true, down: true, value: (r) => r.longest, text: (r) => duration(r.longest) },
        { id: "waiting", title: "Waiting now", width: "104px", end: true, down: true, wide: 680, value: (r) => r.waiting, text: (r) => (r.waiting ? number(r.waiting) : "") },
        { id: "holder", title: "Depends on", width: "minmax(96px, 1.2fr)", wide: 620, value: (r) => r.holder, text: (r) => harmless(r.holder) },
        { id: "length", title: "Length", width: "72px", end: true, down: true, wide: 860, value: (r) => r.length, text: (r) => (r.length === null ? "" : number(r.length)) },
      ],
    });
  }

  /** Objects with counters, and those for which no wait has ended yet. */
  static rows() {
    const going = new Map(); // by kind and key: [how long, the longest, how many, what trouble]
    for (const thread of model.snapshot.threads) {
      if (!thread.wait || thread.service) continue;
      const id = `${thread.wait.kind} ${keyOf(thread)}`;
      const row = going.get(id) ?? { thread, sum: 0, longest: 0, count: 0, level: null };
      row.sum += thread.wait.waited_us;
      row.longest = Math.max(row.longest, thread.wait.waited_us);
      row.count += 1;
      const level = model.trouble.get(thread.ident);
      if (WORSE.indexOf(level) > WORSE.indexOf(row.level ?? undefined)) row.level = level;
      going.set(id, row);
    }
    const rows = [];
    for (const object of model.snapshot.objects) {
      const id = `${object.kind} k${object.key}`;
      const now = going.get(id);
      going.delete(id);
      rows.push({
        id: `#${object.id}`, key: `k${object.key}`, kind: object.kind, object: object.object, total: object.total_us, waits: object.waits,
        longest: Math.max(object.longest_us, now?.longest ?? 0), going: now?.sum ?? 0, waiting: now?.count ?? object.waiting,
        rate: model.waits.of(object.id), length: object.length, level: now?.level ?? null,
        holder: holdersOf(`k${object.key}`, object.holders),
      });
    }
    for (const [id, { thread, sum, longest, count, level }] of going) {
      rows.push({
        id, key: keyOf(thread), kind: thread.wait.kind, object: thread.wait.object, total: 0, waits: 0, longest, going: sum, waiting: count,
        rate: null, length: null, level, holder: holdersOf(keyOf(thread), []),
      });
    }
    return rows;
  }

  update() {
    if (!model.snapshot) return;
    const wanted = this.#search.value.trim().toLowerCase();
    const rows = ContentionView.rows();
    this.#most = Math.max(1, ...rows.map((row) => row.total + row.going));
    this.#grid.update(wanted ? rows.filter((row) => `${row.kind} ${row.object} ${row.holder}`.toLowerCase().includes(wanted)) : rows,
      rows.length === 0 ? "No thread has waited for anything since somebody looks." : "Nothing is like that.");
  }

  #bar(cell, row) {
    let [bar, words] = cell.children;
    if (!bar) {
      cell.append(bar = el("span", { class: "bar", "aria-hidden": "true" }, el("span", { class: "ended" }), el("span", { class: "going" })), words = el("span", { class: "words" }));
      cell.classList.add("bars");
    }
    bar.children[0].style.width = `${(row.total / this.#most) * 100}%`;
    bar.children[1].style.width = `${(row.going / this.#most) * 100}%`;
    say(words, duration(row.total + row.going));
    attribute(cell.parentElement, "data-idle", model.kinds.get(row.kind) === false ? "" : null);
    attribute(cell, "title", row.going ? `${duration(row.total)} ended, ${duration(row.going)} going on` : null);
  }

  enter() {
    this.#grid.element.focus({ preventScroll: true });
  }

  key(event) {
    if (event.key !== "/") return false;
    this.#search.focus();
    return true;
  }
}

function holdersOf(key, idents) {
  const names = idents.map((ident) => model.threads.get(ident)?.name ?? `thread ${ident}`);
  if (names.length === 0) for (const owner of model.awaited.get(key)?.owners.values() ?? []) names.push(nameOf(owner));
  return names.join(", ");
}
