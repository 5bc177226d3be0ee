// Deadlocks, suspicions and orphaned locks: now, and those that are over.

class ReportsView {
  #now = el("div", { class: "cards" });
  #past = el("div", { class: "cards" });
  #known = new Map();

  constructor(place) {
    place.append(el("div", { class: "reports" }, el("h2", {}, "Now"), this.#now, el("h2", {}, "Past"), this.#past));
    place.tabIndex = 0;
  }

  update() {
    if (!model.snapshot) return;
    this.#fill(this.#now, model.snapshot.reports, "now", "No deadlock, no suspicion, no orphaned lock.");
    this.#fill(this.#past, model.snapshot.past_reports, "past", "None so far.");
  }

  #fill(place, reports, when, none) {
    const seen = new Set();
    const cards = reports.map((report) => {
      // Its text names the times that waits have lasted, and changes; its threads do not.
      const base = `${when} ${report.confidence} ${report.threads.join(",")}`;
      let id = base;
      for (let n = 2; seen.has(id); n += 1) id = `${base} ${n}`;
      seen.add(id);
      let card = this.#known.get(id);
      if (!card) this.#known.set(id, card = new Card(when));
      card.update(report);
      return card.element;
    });
    for (const id of this.#known.keys()) if (id.startsWith(`${when} `) && !seen.has(id)) this.#known.delete(id);
    if (cards.length === 0) cards.push(this[`none-${when}`] ??= el("p", { class: "quiet" }, none));
    if (cards.length !== place.children.length || cards.some((card, at) => card !== place.children[at])) place.replaceChildren(...cards);
  }

  enter() {
    byId("view-reports").focus({ preventScroll: true });
  }
}

class Card {
  #when;
  #title = el("h3");
  #age = el("p", { class: "quiet" });
  #text = el("pre", { dir: "auto", tabindex: 0 });
  #threads = el("p", { class: "chips" });
  #shown = "";

  constructor(when) {
    this.#when = when;
    this.element = el("article", { class: "card", "data-when": when }, this.#title, this.#age, this.#text, this.#threads);
  }

  update(report) {
    attribute(this.element, "data-level", levelOf(report));
    say(this.#title, REPORT_NAMES[report.confidence] ?? "Report");
    const failed = report.failed === null ? "" : `; the wait of ${harmless(threadName(report.failed))} was failed`;
    say(this.#age, this.#when === "now" ? `for ${duration(report.age_us)}` : `${duration(report.age_us)} ago${failed}`);
    // What is being marked stays as it is.
    const marked = getSelection();
    if (marked.isCollapsed || !this.#text.contains(marked.anchorNode)) say(this.#text, report.text.split("\n").map(harmless).join("\n"));
    const shown = report.threads.map((ident) => `${ident} ${model.threads.get(ident)?.name}`).join();
    if (shown !== this.#shown) {
      this.#shown = shown;
      this.#threads.replaceChildren(...report.threads.map((ident) => threadLink(ident, `thread ${ident}`)),
        ...(this.#when === "now" && report.cycle > 0 ? [el("button", { click: () => app.go("graph", { cycle: true }) }, "Show in the graph")] : []));
    }
  }
}
