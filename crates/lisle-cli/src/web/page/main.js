// The frame: what comes from the server, what is chosen, keys, colours.

const ENDPOINT = `events${location.search}`;
/** After so long without a snapshot the page says that there is none. */
const SILENCE_MS = 3000;
/** A deadlock that was over so shortly before the page was opened is said as if it had been seen. */
const RECENT_US = 10e6;

class App {
  views = {};
  view = null;
  /** { thread: ident } or { object: key }, or null. */
  selection = null;
  /** Whether the picture is held. What threads do is recorded all the same. */
  paused = false;
  #details;
  #state = "connecting";
  #heard = performance.now();
  #why = "";
  #waiting = false;
  #back = null;

  get history() {
    return model.history;
  }

  start() {
    this.views = {
      threads: new ThreadsView(byId("view-threads")), graph: new GraphView(byId("view-graph")), contention: new ContentionView(byId("view-contention")),
      timeline: new TimelineView(byId("view-timeline")), reports: new ReportsView(byId("view-reports")),
    };
    this.#details = new Details(byId("details"));
    const tabs = document.querySelectorAll('[role="tab"]');
    for (const tab of tabs) tab.addEventListener("click", () => this.go(tab.id.slice("tab-".length)));
    document.querySelector('[role="tablist"]').addEventListener("keydown", (event) => this.#tabKey(event, [...tabs]));
    byId("pause").addEventListener("click", () => this.#pause());
    byId("theme").addEventListener("click", () => theme.next());
    byId("help-button").addEventListener("click", () => byId("help").showModal());
    document.addEventListener("keydown", (event) => this.#key(event));
    addEventListener("hashchange", () => this.#fromHash());
    this.#fromHash();
    setInterval(() => this.#listen(), 500);
    this.#connect();
  }

  #fromHash() {
    const wanted = location.hash.slice(1);
    if (wanted in this.views && wanted === this.view) return;
    this.#open(wanted in this.views ? wanted : "threads");
  }

  /** Opens a view. */
  go(view, { cycle = false } = {}) {
    if (view !== this.view) {
      // In the address, so that the browser's Back leads back.
      history.pushState(null, "", `${location.pathname}${location.search}#${view}`);
      this.#open(view);
    } else this.views[view].enter();
    if (cycle) this.views.graph.showCycle();
  }

  #open(view) {
    this.view = view;
    for (const id of Object.keys(this.views)) {
      byId(`view-${id}`).hidden = id !== view;
      const tab = byId(`tab-${id}`);
      attribute(tab, "aria-selected", id === view);
      tab.tabIndex = id === view ? 0 : -1;
    }
    this.views[view].update();
    this.views[view].enter();
  }

  /** Chooses a thread or an object: all views mark it, and beside them is what is known of it. */
  select(selection) {
    if (selection && !this.selection) this.#back = document.activeElement;
    this.selection = selection;
    this.#details.update();
    this.views[this.view].update();
    if (!selection && this.#back?.isConnected) this.#back.focus({ preventScroll: true });
  }

  #pause() {
    this.paused = !this.paused;
    byId("pause").textContent = this.paused ? "Go on" : "Pause";
    attribute(byId("pause"), "aria-pressed", this.paused);
    if (!this.paused && this.held) {
      this.#show(this.held.splice(0));
    }
    this.#listen();
  }

  /** Deadlocks that are over, by their text and when they were found: those that were said, or were there before. */
  #known = null;

  /** Deadlocks that were found, and ended by failing a wait, while this page was open: that takes some milliseconds. */
  #news() {
    const { past_reports: past, taken_at_us: now } = model.snapshot;
    const all = past.filter((report) => report.failed !== null).map((report) => ({ report, at: now - report.age_us }));
    const first = this.#known === null;
    this.#known = (this.#known ?? []).filter((known) => all.some((other) => isSame(known, other)));
    if (first) this.#known.push(...all.filter(({ report }) => report.age_us > RECENT_US));
    return all.filter((one) => !this.#known.some((known) => isSame(known, one)));
  }

  /** Snapshots that came while the picture was held: not more than the time line could use. */
  held = [];

  #take(snapshot) {
    this.#heard = performance.now();
    this.#state = "live";
    if (this.paused && model.snapshot) {
      this.held.push(snapshot);
      if (this.held.length * snapshot.threads.length > KEEP_PIECES / 4 || this.held.length > 240) this.held.shift();
    } else this.#show([snapshot]);
    this.#listen();
  }

  #show(snapshots) {
    if (snapshots.length === 0) return;
    for (const snapshot of snapshots) model.take(snapshot);
    if (this.#waiting) return;
    this.#waiting = true;
    // One picture per frame, however many snapshots there are; and none while nobody sees it.
    requestAnimationFrame(() => {
      this.#waiting = false;
      this.#head();
      this.views[this.view].update();
      this.#details.update();
    });
    // The title is seen while the page is not.
    this.#title();
  }

  #title() {
    const { process } = model.snapshot;
    const dead = model.cycles.some((cycle) => cycle.level === "dead");
    const title = `${dead ? "⛔ deadlock · " : ""}${harmless(program(process))} (${process.pid})`;
    if (document.title !== title) document.title = title;
    // Neither is drawn nor asked for: it is in the address itself.
    const icon = `data:image/svg+xml,${encodeURIComponent(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><circle cx="8" cy="8" r="6" fill="none" stroke="${dead ? "#d1242f" : "#2f7d5d"}" stroke-width="4"/></svg>`)}`;
    attribute(byId("icon"), "href", icon);
  }

  #head() {
    const { process, reports, threads } = model.snapshot;
    say(byId("command"), harmless(process.command.length > 0 ? short([program(process), ...process.command.slice(1)].join(" "), 120) : "a program"));
    attribute(byId("command"), "title", harmless(process.command.join(" ")));
    const facts = [`pid ${process.pid}`, process.interpreter, process.lisle && `lisle ${process.lisle}`, `up ${duration(process.age_us)}`, `snapshot in ${duration(model.snapshot.took_us)}`];
    say(byId("process"), harmless(facts.filter(Boolean).join(" · ")));
    say(byId("count-threads"), number(threads.length));
    say(byId("count-contention"), number(ContentionView.rows().length));
    say(byId("count-reports"), reports.length > 0 ? number(reports.length) : "");
    attribute(byId("tab-reports"), "data-level", reports.length > 0 ? WORSE[Math.max(...reports.map((report) => WORSE.indexOf(levelOf(report))))] : null);
    const news = this.#news();
    if (reports.length > 0 || news.length === 0) this.#alarm(reports, null);
    else this.#alarm([news.at(-1).report], news);
  }

  /** Says the worst of these, which are there now, or were until lately. */
  #alarm(reports, over) {
    const alarm = byId("alarm");
    const worst = reports.slice().sort((a, b) => WORSE.indexOf(levelOf(b)) - WORSE.indexOf(levelOf(a)))[0];
    alarm.hidden = !worst;
    if (!worst) {
      alarm.dataset.text = "";
      attribute(document.body, "data-alarm", null);
      return;
    }
    const names = worst.threads.slice(0, worst.cycle || undefined).map(threadName);
    const many = names.length > 4 ? [...names.slice(0, 3), `${names.length - 3} more`] : names;
    const who = many.length > 1 ? `${many.slice(0, -1).join(", ")} and ${many.at(-1)}` : many[0] ?? "";
    const [wait, waits] = over ? ["waited", "waited"] : ["wait", "waits"];
    const does = worst.cycle === 0 ? `${who} ${worst.threads.length > 1 ? wait : waits} for a lock whose holder has ended`
      : worst.cycle === 1 ? `${who} ${waits} for itself` : `${who} ${wait} for each other`;
    attribute(document.body, "data-alarm", levelOf(worst));
    const more = (over ?? reports).length - 1;
    const others = more > 0 ? ` (and ${counted(more, "other report")})` : "";
    const failed = worst.failed === null ? "" : `; the wait of ${threadName(worst.failed)} was failed, which ended it`;
    const isOrphan = worst.confidence === "orphaned";
    const [line] = worst.text.split("\n");
    // What is neither a cycle nor an orphan says in its first line what it is.
    const text = harmless(worst.cycle === 0 && !isOrphan ? `${line.charAt(0).toUpperCase()}${line.slice(1)}${others}`
      : `${over ? "There was a deadlock" : REPORT_NAMES[worst.confidence] ?? "Report"}: ${does}${over ? failed : ""}${others}`);
    attribute(alarm, "data-level", levelOf(worst));
    // Not again with every snapshot: it is read out.
    if (alarm.dataset.text === text) return;
    alarm.dataset.text = text;
    alarm.replaceChildren(el("strong", { dir: "auto" }, text),
      worst.cycle > 0 && !over ? el("button", { title: "d", click: () => this.go("graph", { cycle: true }) }, "Show in the graph") : "",
      el("button", { click: () => this.go("reports") }, "Full report"),
      over ? el("button", { click: () => {
        const said = this.#news();
        this.#known.push(...said);
        this.#head();
      } }, "Dismiss") : "");
  }

  /** Says how things are between the program and this page. */
  #listen() {
    const silent = performance.now() - this.#heard;
    let [is, words] = [this.#state, { connecting: "connecting", live: "live", gone: "ended", lost: "no server" }[this.#state]];
    let notice = "";
    if (this.#state === "gone") notice = `${this.#why} This is the last picture of it.`;
    else if (this.#state === "lost") notice = `${this.#why} This is the last picture.`;
    else if (silent > SILENCE_MS) {
      [is, words] = ["silent", "no answer"];
      notice = `The program has not answered for ${Math.round(silent / 1000)} s: it may be stopped, or very busy.`;
    } else if (this.paused) {
      [is, words] = ["paused", "held"];
    }
    attribute(byId("live"), "data-is", is);
    say(byId("live-words"), words);
    const box = byId("notice");
    box.hidden = !notice;
    if (box.dataset.text === notice) return;
    box.dataset.text = notice;
    box.replaceChildren(el("span", { dir: "auto" }, harmless(notice)), this.#state === "lost" ? el("button", { click: () => this.#connect() }, "Try again") : "");
  }

  /**
   * Reads what the server sends. Not an `EventSource`: that takes all that comes, however long this page needs for
   * it. Here the server makes the next snapshot when the last one was read.
   */
  async #connect() {
    this.#state = "connecting";
    this.#heard = performance.now();
    this.#listen();
    try {
      const answer = await fetch(ENDPOINT, { cache: "no-store", credentials: "omit", referrerPolicy: "no-referrer" });
      if (!answer.ok) throw new Error(await answer.text());
      const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      let rest = [];
      for (;;) {
        const { done, value } = await reader.read();
        if (done) break;
        // Only the end of what has come can be the end of an event: what is long is not looked through again.
        const parts = value.split("\n\n");
        if (parts.length === 1 && !(value.startsWith("\n") && rest.at(-1)?.endsWith("\n"))) {
          rest.push(value);
          continue;
        }
        const events = (rest.join("") + value).split("\n\n");
        rest = [events.pop()];
        for (const event of events) this.#event(event);
      }
      this.#lose("The server of this page has ended.");
    } catch (error) {
      this.#lose(error instanceof TypeError ? "The server of this page has ended or cannot be reached." : error.message.trim());
    }
  }

  /** Nothing more will come. If the program has ended, that was to be expected. */
  #lose(why) {
    if (this.#state === "gone") return;
    [this.#state, this.#why] = ["lost", why];
    this.#listen();
  }

  #event(text) {
    const field = (name) => text.match(new RegExp(`^${name}: ?(.*)$`, "m"))?.[1];
    if (field("event") === "snapshot") this.#take(JSON.parse(text.slice(text.indexOf("\ndata: ") + 7)));
    else if (field("event") === "gone") {
      this.#why = /[.!]$/.test(field("data")) ? field("data") : `${field("data")}.`;
      this.#state = "gone";
      this.#listen();
    }
  }

  #tabKey(event, tabs) {
    const at = tabs.indexOf(document.activeElement);
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: tabs.length - 1 }[event.key];
    if (at === -1 || to === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    const tab = tabs[(to + tabs.length) % tabs.length];
    tab.click();
    tab.focus();
  }

  #key(event) {
    if (event.ctrlKey || event.altKey || event.metaKey || byId("help").open) return;
    const into = event.target.matches?.("input, textarea, select");
    if (into && event.target.type !== "checkbox") return;
    const view = Object.keys(this.views)[Number(event.key) - 1];
    if (view) this.go(view);
    else if (event.key === "?") byId("help").showModal();
    else if (event.key === "Escape" && this.selection) this.select(null);
    else if (event.key === "t") theme.next();
    else if (event.key === "g") this.go("graph");
    else if (event.key === "d" && model.cycles.length > 0) this.go("graph", { cycle: true });
    else if (event.key === " " && !event.target.matches?.("button, input")) this.#pause();
    else if (!this.views[this.view].key?.(event)) return;
    event.preventDefault();
  }
}

/** Whether that is one report. The clocks of its age and of the snapshot are not quite the same. */
function isSame(one, other) {
  return one.report.text === other.report.text && Math.abs(one.at - other.at) < 100_000;
}

/** What a program is called, without the directory. */
function program(process) {
  const [first = ""] = process.command;
  return (/^\.{0,2}\//.test(first) ? first.split("/").at(-1) : first) || "a program";
}

/** Light, dark, or as the system has it. */
const theme = {
  all: ["auto", "light", "dark"],
  is: "auto",
  start() {
    try {
      this.is = localStorage.getItem("lisle-theme") ?? "auto";
    } catch {
      // Some browsers forbid it; then it is not remembered.
    }
    if (!this.all.includes(this.is)) this.is = "auto";
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.apply());
    this.apply();
  },
  next() {
    this.is = this.all[(this.all.indexOf(this.is) + 1) % this.all.length];
    try {
      localStorage.setItem("lisle-theme", this.is);
    } catch {
      // See above.
    }
    this.apply();
  },
  apply() {
    const dark = this.is === "dark" || (this.is === "auto" && matchMedia("(prefers-color-scheme: dark)").matches);
    document.documentElement.dataset.theme = dark ? "dark" : "light";
    byId("theme").textContent = { auto: "◐ Auto", light: "☀ Light", dark: "☾ Dark" }[this.is];
    app.views.timeline?.recolour();
  },
};

const app = new App();
theme.start();
app.start();
