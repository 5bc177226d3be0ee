// A table of any number of rows: only those in sight are there. One stop for the Tab key, then the arrow keys.

const ROW = 32;

class Grid {
  /** What is shown, sorted. */
  rows = [];
  /** The key of the row that the arrow keys are at. */
  active = null;
  #options;
  #sort;
  #box;
  #body;
  #empty;
  #heads = new Map();
  #pool = [];

  /**
   * `columns`: { id, title, width, value(row) to sort by, show(cell, row) or text(row), end: right-aligned,
   * down: whether the largest comes first, wide: the least width of the table at which it is there }.
   * `key(row)`, `open(row)`, `level(row)`, `label`, `sort`: the id of a column, `first(row)`: what is more than others
   * there comes before them, however the rows are sorted.
   */
  constructor(place, options) {
    this.#options = options;
    this.#sort = { id: options.sort, down: Boolean(this.#column(options.sort).down) };
    const head = el("div", { role: "row", class: "head", "aria-rowindex": 1 });
    for (const [at, column] of options.columns.entries()) {
      const button = el("button", { tabindex: -1, click: () => this.#sortBy(column) }, column.title, el("span", { class: "arrow", "aria-hidden": "true" }));
      const cell = el("div", { role: "columnheader", "aria-colindex": at + 1, "data-wide": column.wide ?? null, class: column.end ? "end" : null }, button);
      this.#heads.set(column.id, cell);
      head.append(cell);
    }
    this.#body = el("div", { role: "rowgroup", class: "rows" });
    this.#empty = el("p", { class: "empty" });
    this.#box = el("div", {
      class: "grid", role: "grid", tabindex: 0, "aria-label": options.label, "aria-colcount": options.columns.length,
      keydown: (event) => this.#key(event), scroll: () => this.#draw(), focus: () => this.#draw(), blur: () => this.#draw(),
    }, el("div", { role: "rowgroup", class: "heads" }, head), this.#body, this.#empty);
    place.append(this.#box);
    new ResizeObserver(() => this.#resize()).observe(this.#box);
    this.#resize();
    this.#arrows();
  }

  get element() {
    return this.#box;
  }

  /** Shows these rows; the sentence if there are none. */
  update(rows, empty) {
    const { id, down } = this.#sort;
    const { value } = this.#column(id);
    const { key } = this.#options;
    const first = this.#options.first ?? (() => 0);
    const order = (a, b) => first(b) - first(a) || compare(value(a), value(b)) * (down ? -1 : 1) || compare(key(a), key(b));
    this.rows = rows.sort(order);
    say(this.#empty, rows.length === 0 ? empty : "");
    attribute(this.#box, "aria-rowcount", rows.length + 1);
    this.#body.style.height = `${rows.length * ROW}px`;
    this.#draw();
  }

  /** Goes to that row. */
  select(key, { focus = false } = {}) {
    this.active = key;
    this.#show(this.#at());
    this.#draw();
    if (focus) this.#box.focus();
  }

  #column(id) {
    return this.#options.columns.find((column) => column.id === id);
  }

  #at() {
    return this.rows.findIndex((row) => this.#options.key(row) === this.active);
  }

  #sortBy(column) {
    const down = this.#sort.id === column.id ? !this.#sort.down : Boolean(column.down);
    this.#sort = { id: column.id, down };
    this.#arrows();
    this.update(this.rows, this.#empty.textContent);
  }

  #arrows() {
    for (const [id, cell] of this.#heads) {
      const here = id === this.#sort.id;
      attribute(cell, "aria-sort", here ? (this.#sort.down ? "descending" : "ascending") : null);
      say(cell.querySelector(".arrow"), here ? (this.#sort.down ? "▾" : "▴") : "");
    }
  }

  #resize() {
    const width = this.#box.clientWidth;
    const shown = this.#options.columns.filter((column) => (column.wide ?? 0) <= width);
    this.#box.style.setProperty("--columns", shown.map((column) => column.width).join(" "));
    this.#hidden = new Set(this.#options.columns.filter((column) => !shown.includes(column)).map((column) => column.id));
    for (const [id, cell] of this.#heads) cell.hidden = this.#hidden.has(id);
    this.#draw();
  }

  #hidden = new Set();

  #draw() {
    const first = Math.max(0, Math.floor(this.#box.scrollTop / ROW) - 4);
    const count = Math.min(this.rows.length - first, Math.ceil(this.#box.clientHeight / ROW) + 8);
    while (this.#pool.length < count) this.#pool.push(this.#makeRow());
    let active = null;
    for (const [at, line] of this.#pool.entries()) {
      const row = at < count ? this.rows[first + at] : undefined;
      line.element.hidden = !row;
      if (!row) continue;
      const isActive = this.#options.key(row) === this.active;
      if (isActive) active = line.element.id;
      line.row = row;
      line.element.style.transform = `translateY(${(first + at) * ROW}px)`;
      attribute(line.element, "aria-rowindex", first + at + 2);
      attribute(line.element, "aria-selected", isActive);
      attribute(line.element, "data-level", this.#options.level?.(row) ?? null);
      for (const [n, column] of this.#options.columns.entries()) {
        const cell = line.cells[n];
        cell.hidden = this.#hidden.has(column.id);
        if (cell.hidden) continue;
        if (column.show) column.show(cell, row);
        else {
          const text = column.text(row);
          say(cell, text);
          attribute(cell, "title", text.length > 12 ? text : null);
        }
      }
    }
    attribute(this.#box, "aria-activedescendant", active);
  }

  #makeRow() {
    const cells = this.#options.columns.map((column, at) =>
      el("div", { role: "gridcell", "aria-colindex": at + 1, dir: "auto", class: [column.end ? "end" : "", column.mono ? "mono" : ""].join(" ").trim() || null }));
    const line = { cells, row: null };
    Grid.made += 1;
    line.element = el("div", {
      role: "row", class: "row", id: `row-${Grid.made}`,
      click: () => {
        this.active = this.#options.key(line.row);
        this.#draw();
        this.#options.open(line.row);
      },
    }, ...cells);
    this.#body.append(line.element);
    return line;
  }

  static made = 0;

  #key(event) {
    const page = Math.max(1, Math.floor(this.#box.clientHeight / ROW) - 2);
    const by = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity }[event.key];
    if (event.target !== this.#box || event.ctrlKey || event.altKey || event.metaKey) return;
    if (by !== undefined && this.rows.length > 0) {
      event.preventDefault();
      const at = this.#at();
      const to = at === -1 ? (by === Infinity ? this.rows.length - 1 : 0) : Math.min(this.rows.length - 1, Math.max(0, at + by));
      this.active = this.#options.key(this.rows[to]);
      this.#show(to);
      this.#draw();
      this.#options.moved?.(this.rows[to]);
    } else if (event.key === "Enter" && this.#at() !== -1) {
      event.preventDefault();
      this.#options.open(this.rows[this.#at()]);
    }
  }

  /** Scrolls so that row is in sight. */
  #show(at) {
    if (at < 0) return;
    const room = this.#box.clientHeight - ROW; // the heads are over the rows
    const top = at * ROW;
    if (top < this.#box.scrollTop) this.#box.scrollTop = top;
    else if (top + ROW > this.#box.scrollTop + room) this.#box.scrollTop = top + ROW - room;
  }
}

const collator = new Intl.Collator("en", { numeric: true });

/** Numbers by size, texts as people sort them; what is not there is least. */
function compare(a, b) {
  if (a === b) return 0;
  if (a === null || a === undefined) return -1;
  if (b === null || b === undefined) return 1;
  if (typeof a === "number" && typeof b === "number") return a - b;
  return collator.compare(a, b);
}
