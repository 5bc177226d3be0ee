// What each thread did in the last minute. Drawn on a canvas: a thousand threads have some ten thousand pieces.

const AXIS = 28;
const LANE = 24;
const LEAST_SPAN = 50_000;

class TimelineView {
  #canvas;
  #search;
  #note = el("p", { class: "note", role: "status" });
  #follow;
  #span = 10e6;
  /** Whether the span grows with what is known, up to the whole minute, until somebody zooms. */
  #grows = true;
  /** The time at the right edge; `null`: now, whenever that is. */
  #end = null;
  #top = 0;
  #rows = [];
  /** What is pointed at: { ident, at }. */
  #cursor = null;
  #colours = null;

  constructor(place) {
    this.#search = el("input", { type: "search", placeholder: "Search  ( / )", "aria-label": "Search threads by name or number, or by what they waited for", input: () => this.update(),
      keydown: (event) => {
        if (event.key === "Escape") {
          this.#search.value = "";
          this.update();
          this.#canvas.focus();
        } else if (event.key === "Enter" || event.key === "ArrowDown") {
          event.preventDefault();
          this.#canvas.focus();
        }
      } });
    this.#follow = el("button", { "aria-pressed": "true", title: "Keep the present at the right edge (End)", click: () => this.#followNow() }, "Follow");
    const legend = el("div", { class: "legend" }, ...[["running", "runs"], ["waiting", "waits for a thread"], ["idle", "idle"], ["blocked", "blocked in the system"], ["dead", "in a deadlock"]]
      .map(([is, words]) => el("span", { class: "sample", "data-is": is }, words)));
    const zoom = el("div", { class: "zoom", role: "group", "aria-label": "Zoom" },
      el("button", { title: "Earlier (←)", "aria-label": "Earlier", click: () => this.#pan(-0.25) }, "←"),
      el("button", { title: "Later (→)", "aria-label": "Later", click: () => this.#pan(0.25) }, "→"),
      el("button", { title: "Farther (−)", "aria-label": "Farther", click: () => this.#zoom(1.5) }, "−"),
      el("button", { title: "Closer (+)", "aria-label": "Closer", click: () => this.#zoom(1 / 1.5) }, "+"),
      el("button", { title: "All that is known, up to a minute (0)", click: () => this.#all() }, "All"), this.#follow);
    this.#canvas = el("canvas", {
      class: "timeline", tabindex: 0, role: "application",
      "aria-label": "Time line of the threads. Up and down choose a thread, left and right move in time, comma and point go from one thing that it did to the next.",
      keydown: (event) => this.#key(event), wheel: (event) => this.#wheel(event), pointerdown: (event) => this.#drag(event),
      pointermove: (event) => this.#point(event), pointerleave: () => this.#leave(), dblclick: (event) => this.#zoom(0.5, this.#timeAt(event.offsetX)),
      focus: () => this.#draw(), blur: () => this.#draw(),
    });
    place.append(el("div", { class: "tools" }, this.#search, legend, zoom), el("div", { class: "canvas" }, this.#canvas), this.#note);
    new ResizeObserver(() => this.#draw()).observe(this.#canvas.parentElement);
  }

  recolour() {
    this.#colours = null;
    this.#draw();
  }

  update() {
    const wanted = this.#search.value.trim().toLowerCase();
    if (this.#grows && this.#end === null) this.#span = Math.min(KEEP_US, Math.max(10e6, this.#now() - (app.history.start ?? 0)));
    const rows = [...app.history.threads.values()].sort((a, b) => a.ident - b.ident);
    this.#rows = wanted ? rows.filter((row) => `${row.name} ${row.ident}`.toLowerCase().includes(wanted) || row.pieces.some((piece) => `${piece.kind} ${piece.object}`.toLowerCase().includes(wanted))) : rows;
    this.#draw();
    this.#tell();
  }

  enter() {
    if (app.selection?.thread !== undefined) this.#choose(app.selection.thread);
    this.update();
    this.#canvas.focus({ preventScroll: true });
  }

  key(event) {
    if (event.key !== "/") return false;
    this.#search.focus();
    return true;
  }

  #names() {
    return Math.max(90, Math.min(210, this.#canvas.clientWidth * 0.24));
  }

  #now() {
    return app.history.end ?? 0;
  }

  #right() {
    return this.#end ?? this.#now();
  }

  #timeAt(x) {
    const left = this.#names();
    return this.#right() - this.#span + ((x - left) / Math.max(1, this.#canvas.clientWidth - left)) * this.#span;
  }

  #xOf(time) {
    const left = this.#names();
    return left + ((time - this.#right() + this.#span) / this.#span) * (this.#canvas.clientWidth - left);
  }

  #draw() {
    const canvas = this.#canvas;
    const { clientWidth: width, clientHeight: height } = canvas.parentElement;
    if (!width || !height || canvas.closest("[hidden]")) return;
    const dense = devicePixelRatio || 1;
    if (canvas.width !== Math.round(width * dense) || canvas.height !== Math.round(height * dense)) {
      canvas.width = Math.round(width * dense);
      canvas.height = Math.round(height * dense);
      canvas.style.width = `${width}px`;
      canvas.style.height = `${height}px`;
    }
    const c = (this.#colours ??= colours());
    const pen = canvas.getContext("2d");
    pen.setTransform(dense, 0, 0, dense, 0, 0);
    pen.clearRect(0, 0, width, height);
    pen.font = c.font;
    pen.textBaseline = "middle";
    const left = this.#names();
    this.#top = Math.max(0, Math.min(this.#top, this.#rows.length * LANE - (height - AXIS)));
    const first = Math.floor(this.#top / LANE);
    const last = Math.min(this.#rows.length, Math.ceil((this.#top + height - AXIS) / LANE));
    this.#drawAxis(pen, c, left, width, height);
    pen.save();
    pen.beginPath();
    pen.rect(0, AXIS, width, height - AXIS);
    pen.clip();
    for (let at = first; at < last; at += 1) this.#drawRow(pen, c, this.#rows[at], AXIS + at * LANE - this.#top, left, width);
    pen.restore();
    if (this.#rows.length === 0) {
      pen.fillStyle = c.quiet;
      pen.textAlign = "left";
      pen.fillText(app.history.threads.size === 0 ? "Nothing has been seen yet." : "No thread is like that.", left + 12, AXIS + 20);
    }
    if (this.#cursor) {
      const x = this.#xOf(this.#cursor.at);
      if (x >= left) {
        pen.fillStyle = c.text;
        pen.fillRect(Math.round(x), AXIS - 6, 1, height);
      }
    }
  }

  #drawAxis(pen, c, left, width, height) {
    const [from, to] = [this.#right() - this.#span, this.#right()];
    const step = [1e4, 2e4, 5e4, 1e5, 2e5, 5e5, 1e6, 2e6, 5e6, 1e7, 2e7].find((step) => (step / this.#span) * (width - left) > 76) ?? 3e7;
    pen.textAlign = "center";
    for (let at = Math.ceil((from - this.#now()) / step) * step; this.#now() + at <= to; at += step) {
      const x = this.#xOf(this.#now() + at);
      pen.fillStyle = c.line;
      pen.fillRect(Math.round(x), AXIS, 1, height);
      pen.fillStyle = c.quiet;
      const words = at === 0 ? "now" : `${(at / 1e6).toFixed(step < 1e5 ? 2 : step < 1e6 ? 1 : 0).replace("-", "−")} s`;
      const half = pen.measureText(words).width / 2 + 4;
      pen.fillText(words, Math.min(width - half, Math.max(left + half, x)), AXIS / 2);
    }
    // Before that nothing was seen.
    const start = Math.min(width, this.#xOf(app.history.start ?? to));
    if (start > left) {
      pen.fillStyle = c.unknown;
      pen.fillRect(left, AXIS, start - left, height);
    }
  }

  #drawRow(pen, c, row, y, left, width) {
    if (this.#cursor?.ident === row.ident) {
      pen.fillStyle = c.chosen;
      pen.fillRect(0, y, width, LANE);
    }
    pen.fillStyle = row.ended ? c.quiet : c.text;
    pen.textAlign = "left";
    pen.fillText(this.#fit(pen, harmless(row.name), left - 16), 8, y + LANE / 2);
    pen.save();
    pen.beginPath();
    pen.rect(left, y, width - left, LANE);
    pen.clip();
    let done = -1;
    for (const piece of row.pieces) {
      const x = Math.max(left - 2, this.#xOf(piece.from));
      const end = Math.min(width + 2, this.#xOf(piece.to));
      if (end < left || x > width) continue;
      // What is narrower than a point and beside what was drawn would not be seen.
      if (end <= done) continue;
      done = Math.max(end, Math.ceil(x));
      const look = c.pieces[piece.level ?? piece.doing] ?? c.pieces.other;
      pen.fillStyle = look.fill;
      const wide = Math.max(1, end - x - (end - x > 3 ? 1 : 0));
      pen.fillRect(x, y + 3, wide, LANE - 6);
      if (wide > 34 && piece.object) {
        pen.fillStyle = look.text;
        pen.fillText(this.#fit(pen, harmless(piece.object), wide - 10), Math.max(x, left) + 5, y + LANE / 2 + 0.5);
      }
    }
    pen.restore();
  }

  #widths = new Map();

  /** The text, cut to that width. */
  #fit(pen, text, width) {
    if (width < 12) return "";
    const measure = (text) => {
      let is = this.#widths.get(text);
      if (is === undefined) {
        if (this.#widths.size > 5000) this.#widths.clear();
        this.#widths.set(text, is = pen.measureText(text).width);
      }
      return is;
    };
    const whole = text.length > 80 ? short(text, 80) : text;
    if (measure(whole) <= width) return whole;
    const letters = Array.from(whole);
    const can = Math.floor((letters.length * width) / measure(whole)) - 1;
    return can < 1 ? "" : `${letters.slice(0, can).join("")}…`;
  }

  /** Says what is pointed at. */
  #tell() {
    const whole = `${counted(app.history.threads.size, "thread")}, ${duration(Math.min(this.#span, this.#now() - (app.history.start ?? 0)))} in sight. Seen some times a second: what is shorter than that may be missing.`;
    if (!this.#cursor) return say(this.#note, whole);
    const row = app.history.threads.get(this.#cursor.ident);
    const piece = row?.pieces.findLast((piece) => piece.from <= this.#cursor.at && this.#cursor.at <= piece.to);
    if (!row) return say(this.#note, whole);
    const ago = duration(Math.max(0, this.#now() - this.#cursor.at));
    if (!piece) return say(this.#note, `${harmless(row.name)}, ${ago} ago: not known`);
    const did = { running: "ran", waiting: "waited", idle: "waited", blocked: "was blocked in the system", started: "was starting" }[piece.doing] ?? piece.doing;
    const what = piece.object ? ` for ${piece.kind} ${piece.object}` : "";
    const on = piece.holders ? `, depending on ${piece.holders}` : "";
    const trouble = { dead: " — a deadlock", suspect: " — perhaps a deadlock", orphan: " — orphaned", stuck: " — stuck behind a deadlock" }[piece.level] ?? "";
    say(this.#note, harmless(`${row.name}, ${ago} ago: ${did}${what}${on}${trouble}, ${duration(piece.to - piece.from)} as far as seen`));
  }

  #choose(ident) {
    const at = this.#rows.findIndex((row) => row.ident === ident);
    this.#cursor = { ident, at: this.#cursor?.at ?? this.#now() };
    if (at === -1) return;
    const room = this.#canvas.clientHeight - AXIS;
    if (at * LANE < this.#top) this.#top = at * LANE;
    else if ((at + 1) * LANE > this.#top + room) this.#top = (at + 1) * LANE - room;
  }

  #redraw() {
    attribute(this.#follow, "aria-pressed", this.#end === null);
    this.#draw();
    this.#tell();
  }

  #followNow() {
    this.#end = this.#end === null ? this.#now() : null;
    this.#redraw();
  }

  #all() {
    this.#grows = true;
    this.#end = null;
    this.update();
    this.#redraw();
  }

  #pan(share) {
    this.#shift(share * this.#span);
    this.#redraw();
  }

  /** Moves by that time, not beyond what is known. */
  #shift(us) {
    const to = this.#right() + us;
    const least = Math.min(this.#now(), (app.history.start ?? 0) + this.#span * 0.2);
    this.#end = to >= this.#now() ? null : Math.max(least, to);
  }

  #zoom(by, around = this.#cursor && this.#inSight(this.#cursor.at) ? this.#cursor.at : this.#right()) {
    const span = Math.min(KEEP_US, Math.max(LEAST_SPAN, this.#span * by));
    const right = around + ((this.#right() - around) * span) / this.#span;
    this.#span = span;
    this.#grows = false;
    this.#end = right >= this.#now() - 1000 ? null : right;
    this.#redraw();
  }

  #inSight(time) {
    return time >= this.#right() - this.#span && time <= this.#right();
  }

  #key(event) {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    const at = this.#rows.findIndex((row) => row.ident === this.#cursor?.ident);
    const page = Math.max(1, Math.floor((this.#canvas.clientHeight - AXIS) / LANE) - 1);
    const by = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page }[event.key];
    if (by !== undefined && this.#rows.length > 0) {
      const to = at === -1 ? 0 : Math.max(0, Math.min(this.#rows.length - 1, at + by));
      this.#choose(this.#rows[to].ident);
      if (app.selection) app.select({ thread: this.#rows[to].ident });
      this.#redraw();
    } else if (event.key === "ArrowLeft" || event.key === "a") this.#pan(-0.15);
    else if (event.key === "ArrowRight") this.#pan(0.15);
    else if (event.key === "+" || event.key === "=") this.#zoom(1 / 1.5);
    else if (event.key === "-") this.#zoom(1.5);
    else if (event.key === "0") this.#all();
    else if (event.key === "End") {
      this.#end = null;
      this.#redraw();
    } else if (event.key === "Home") {
      this.#end = Math.min(this.#now(), (app.history.start ?? 0) + this.#span);
      this.#redraw();
    } else if ((event.key === "," || event.key === ".") && at !== -1) this.#step(this.#rows[at], event.key === "." ? 1 : -1);
    else if (event.key === "Enter" && this.#cursor) app.select({ thread: this.#cursor.ident });
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  /** To the next thing that the thread did, or the one before. */
  #step(row, by) {
    const here = row.pieces.findLastIndex((piece) => piece.from <= this.#cursor.at);
    const piece = row.pieces[Math.max(0, Math.min(row.pieces.length - 1, here + by))];
    this.#cursor.at = (Math.max(piece.from, app.history.start) + piece.to) / 2;
    if (!this.#inSight(this.#cursor.at)) this.#shift(this.#cursor.at - this.#right() + this.#span / 2);
    this.#redraw();
  }

  #wheel(event) {
    event.preventDefault();
    if (event.ctrlKey || event.metaKey) this.#zoom(Math.exp(event.deltaY / 300), this.#timeAt(event.offsetX));
    else {
      const sideways = event.shiftKey ? event.deltaY : event.deltaX;
      if (sideways) this.#shift((sideways / Math.max(1, this.#canvas.clientWidth)) * this.#span);
      if (!event.shiftKey) this.#top += event.deltaY;
      this.#redraw();
    }
  }

  #dragging = false;

  #drag(event) {
    if (event.button !== 0) return;
    let [x, y, far] = [event.clientX, event.clientY, 0];
    const at = this.#rowAt(event.offsetY);
    const move = (to) => {
      far += Math.abs(to.clientX - x) + Math.abs(to.clientY - y);
      this.#dragging = far > 4;
      if (this.#dragging) {
        this.#shift(((x - to.clientX) / Math.max(1, this.#canvas.clientWidth - this.#names())) * this.#span);
        this.#top += y - to.clientY;
        this.#redraw();
      }
      [x, y] = [to.clientX, to.clientY];
    };
    const stop = () => {
      window.removeEventListener("pointermove", move);
      window.removeEventListener("pointerup", stop);
      window.removeEventListener("pointercancel", stop);
      if (!this.#dragging && at) app.select({ thread: at.ident });
      this.#dragging = false;
    };
    window.addEventListener("pointermove", move);
    window.addEventListener("pointerup", stop);
    window.addEventListener("pointercancel", stop);
  }

  #rowAt(y) {
    return y < AXIS ? undefined : this.#rows[Math.floor((y - AXIS + this.#top) / LANE)];
  }

  #point(event) {
    const row = this.#rowAt(event.offsetY);
    if (this.#dragging || !row) return;
    this.#cursor = { ident: row.ident, at: Math.min(this.#now(), this.#timeAt(Math.max(event.offsetX, this.#names()))) };
    this.#redraw();
  }

  #leave() {
    if (document.activeElement === this.#canvas) return;
    this.#cursor = null;
    this.#redraw();
  }
}

/** The colours as the style has them, for the canvas. */
function colours() {
  const style = getComputedStyle(document.documentElement);
  const of = (name) => style.getPropertyValue(`--${name}`).trim();
  const pieces = {};
  for (const is of ["running", "waiting", "idle", "blocked", "dead", "suspect", "orphan", "stuck", "other"]) pieces[is] = { fill: of(`piece-${is}`), text: of(`piece-${is}-text`) };
  pieces.started = pieces.idle;
  return { text: of("text"), quiet: of("quiet"), line: of("line"), chosen: of("chosen"), unknown: of("unknown"), font: `12px ${of("sans")}`, pieces };
}
