// Who waits for whom, as a picture.

/** More nodes than that are not drawn, and of those who wait for one thing alone not more than so many. */
const MOST_NODES = 300;
const MOST_ALIKE = 8;

class GraphView {
  #svg;
  #stage;
  #edges;
  #nodes;
  #note = el("p", { class: "note", role: "status" });
  #words = el("ul", { class: "unseen", "aria-label": "Who waits for what" });
  #empty = el("p", { class: "empty" });
  #idle;
  #view = { x: 0, y: 0, scale: 1 };
  /** Whether the picture follows what is in it, until somebody moves it. */
  #fits = true;
  #shape = "";
  #laid = { places: new Map(), width: 0, height: 0 };
  #shown = new Map();
  #order = new Map();

  constructor(place) {
    this.#idle = el("input", { type: "checkbox", checked: true, change: () => this.update() });
    const zoom = el("div", { class: "zoom", role: "group", "aria-label": "Zoom" },
      el("button", { title: "Farther (−)", "aria-label": "Farther", click: () => this.#zoom(1 / 1.25) }, "−"),
      el("button", { title: "Closer (+)", "aria-label": "Closer", click: () => this.#zoom(1.25) }, "+"),
      el("button", { title: "All of it (0)", click: () => this.#fit() }, "Fit"));
    const legend = el("div", { class: "legend" },
      el("span", { class: "sample thread" }, "thread"), el("span", { class: "sample object" }, "what it waits for"),
      el("span", { class: "sample cycle" }, "deadlock"), el("span", { class: "sample any" }, "one of these"), el("span", { class: "sample timed" }, "has a time limit"));
    this.#svg = svg("svg", {
      class: "graph", tabindex: 0, role: "group", "aria-label": "The wait-for graph. Arrow keys go from node to node.",
      keydown: (event) => this.#key(event),
      wheel: (event) => this.#wheel(event), pointerdown: (event) => this.#drag(event),
    });
    const defs = svg("defs");
    for (const kind of ["plain", "dead", "suspect", "orphan"]) {
      defs.append(svg("marker", { id: `tip-${kind}`, class: `tip ${kind}`, viewBox: "0 0 10 10", refX: 9, refY: 5, markerUnits: "userSpaceOnUse", markerWidth: kind === "plain" ? 9 : 13, markerHeight: kind === "plain" ? 9 : 13, orient: "auto-start-reverse" }, svg("path", { d: "M0 1 L9 5 L0 9 z" })));
    }
    this.#edges = svg("g", { class: "edges" });
    this.#nodes = svg("g", { class: "nodes" });
    this.#stage = svg("g", {}, this.#edges, this.#nodes);
    this.#svg.append(defs, this.#stage);
    place.append(
      el("div", { class: "tools" }, el("label", {}, this.#idle, "waits that anybody can end"), legend, zoom),
      el("div", { class: "canvas" }, this.#svg, this.#empty), this.#note, this.#words);
    new ResizeObserver(() => this.#fits && this.#fit()).observe(this.#svg);
  }

  update() {
    if (!model.snapshot) return;
    const graph = this.#choose();
    this.#draw(graph);
  }

  enter() {
    this.update();
    if (app.selection) this.#reveal(nodeOf(app.selection));
    this.#svg.focus({ preventScroll: true });
  }

  /** Brings the first deadlock into sight. */
  showCycle() {
    const cycle = model.cycles[0];
    if (cycle) {
      app.select({ thread: cycle.threads[0] });
      this.#fit();
      this.#reveal(`t${cycle.threads[0]}`);
    }
  }

  /** What is drawn: all who wait, what for, and who has that; of many the part that matters. */
  #choose() {
    const hot = new Map(); // edges of cycles
    for (const { threads, keys, level } of model.cycles) {
      for (const [at, ident] of threads.entries()) {
        hot.set(`t${ident}>o${keys[at]}`, level);
        hot.set(`o${keys[at]}>t${threads[(at + 1) % threads.length]}`, level);
      }
    }
    const chosen = nodeOf(app.selection);
    const shows = (awaited) => (this.#idle.checked || awaited.owners.size > 0) && awaited.waiters.some((ident) => !model.threads.get(ident).service);
    const objects = [...model.awaited.values()].filter((awaited) => shows(awaited) || [nodeOf({ object: awaited.key }), ...awaited.waiters.map((ident) => `t${ident}`)].includes(chosen));
    const nodes = new Map();
    const edges = [];
    const put = (id, node) => {
      if (!nodes.has(id)) nodes.set(id, { id, ...node });
    };
    const owning = new Set(objects.flatMap((awaited) => [...awaited.owners.keys()]));
    for (const awaited of objects) {
      const id = `o${awaited.key}`;
      put(id, { object: awaited, level: [...awaited.owners.values()].some((owner) => owner.ended) ? "orphan" : null });
      const alone = awaited.waiters.filter((ident) => !owning.has(ident) && `t${ident}` !== chosen && !hot.has(`t${ident}>${id}`));
      const left = alone.length > MOST_ALIKE ? new Set(alone.slice(MOST_ALIKE - 1)) : new Set();
      for (const ident of awaited.waiters) {
        if (left.has(ident)) continue;
        const thread = model.threads.get(ident);
        put(`t${ident}`, { thread });
        edges.push({ from: `t${ident}`, to: id, level: hot.get(`t${ident}>${id}`), timed: thread.wait.ends_in_us !== null });
      }
      if (left.size > 0) {
        put(`m${awaited.key}`, { more: left.size, awaited });
        edges.push({ from: `m${awaited.key}`, to: id });
      }
      for (const owner of awaited.owners.values()) {
        if (owner.ident === 0) continue;
        put(`t${owner.ident}`, { thread: model.threads.get(owner.ident), owner });
        edges.push({ from: id, to: `t${owner.ident}`, bond: owner.bond, level: hot.get(`${id}>t${owner.ident}`) ?? (owner.ended ? "orphan" : null), any: owner.alternatives > 1 });
      }
    }
    // Nodes keep the order in which they came, so that what was there stays where it is.
    for (const id of this.#order.keys()) if (!nodes.has(id)) this.#order.delete(id);
    for (const id of [...nodes.keys()].sort(collator.compare)) if (!this.#order.has(id)) this.#order.set(id, (GraphView.came += 1));
    const rings = model.cycles.map(({ threads, keys }) => threads.flatMap((ident, at) => [`t${ident}`, `o${keys[at]}`]))
      .filter((ring) => ring.every((id) => nodes.has(id)) && new Set(ring).size === ring.length);
    return this.#limit({ nodes, edges, rings }, chosen);
  }

  static came = 0;

  #limit(graph, chosen) {
    if (graph.nodes.size <= MOST_NODES) return { ...graph, left: "" };
    const links = new Map([...graph.nodes.keys()].map((id) => [id, { id, order: this.#order.get(id), out: [], into: [] }]));
    for (const { from, to } of graph.edges) links.get(from).out.push(links.get(to)), links.get(to).into.push(links.get(from));
    const ringed = new Set(graph.rings.flat());
    const worth = (part) => (part.some((node) => ringed.has(node.id)) ? 2e9 : 0) + (part.some((node) => node.id === chosen) ? 1e9 : 0) + part.length;
    const kept = new Set();
    let [groups, threads] = [0, 0];
    for (const part of components([...links.values()]).sort((a, b) => worth(b) - worth(a))) {
      // One part that is too large by itself is shown as far as there is room, from what matters outward.
      const room = MOST_NODES - kept.size;
      if (part.length <= room) part.forEach((node) => kept.add(node.id));
      else if (kept.size === 0 || worth(part) >= 1e9) nearest(part, (node) => ringed.has(node.id) || node.id === chosen, room).forEach((node) => kept.add(node.id));
      const out = part.filter((node) => !kept.has(node.id));
      if (out.length > 0) groups += 1;
      threads += out.filter((node) => node.id[0] === "t").length;
    }
    const nodes = new Map([...graph.nodes].filter(([id]) => kept.has(id)));
    const edges = graph.edges.filter(({ from, to }) => kept.has(from) && kept.has(to));
    const left = `Not shown, to keep this readable: ${counted(threads, "thread")} in ${counted(groups, "group")} without a deadlock. Select a thread in the table, then press g, to see it here.`;
    return { nodes, edges, rings: graph.rings, left };
  }

  #draw({ nodes, edges, rings, left }) {
    say(this.#note, left);
    say(this.#empty, nodes.size > 0 ? "" : this.#idle.checked ? "No thread waits for anything." : "No thread waits for another.");
    const ids = [...nodes.keys()].sort((a, b) => this.#order.get(a) - this.#order.get(b));
    const shape = JSON.stringify([ids, edges.map(({ from, to }) => from + to), rings]);
    if (shape !== this.#shape && ids.length > 0) {
      this.#shape = shape;
      const { clientWidth, clientHeight } = this.#svg;
      this.#laid = layOut(ids, edges, rings, Math.max(0.5, clientWidth / Math.max(1, clientHeight)));
      if (this.#fits) this.#fitAgain();
    }
    this.#shown = nodes;
    this.#drawEdges(edges);
    this.#drawNodes(nodes);
    this.#write(edges);
  }

  #nodeElements = new Map();

  #drawNodes(nodes) {
    for (const [id, element] of this.#nodeElements) {
      if (!nodes.has(id)) {
        element.remove();
        this.#nodeElements.delete(id);
      }
    }
    for (const [id, node] of nodes) {
      let element = this.#nodeElements.get(id);
      if (!element) {
        element = svg("g", { class: "node", id: `node-${id}`, role: "button", click: () => this.#open(this.#shown.get(id)) },
          svg("title"), svg("path", { class: "shape" }), svg("text", { class: "name", y: -3 }), svg("text", { class: "what", y: 13 }));
        this.#nodeElements.set(id, element);
        this.#nodes.append(element);
      }
      const { x, y } = this.#laid.places.get(id);
      attribute(element, "transform", `translate(${x} ${y})`);
      const { kind, name, what, level, title } = describe(node);
      attribute(element, "data-kind", kind);
      attribute(element, "data-level", level);
      attribute(element, "aria-pressed", nodeOf(app.selection) === id);
      attribute(element, "aria-label", title);
      const [hint, shape, first, second] = element.children;
      say(hint, title);
      attribute(shape, "d", SHAPES[kind]);
      say(first, fitting(harmless(name), 19));
      say(second, fitting(harmless(what), 26));
    }
  }

  #edgeElements = new Map();

  #drawEdges(edges) {
    const seen = new Set();
    const all = new Set(edges.map(({ from, to }) => `${from}>${to}`));
    for (const edge of edges) {
      const id = `${edge.from}>${edge.to}`;
      seen.add(id);
      let element = this.#edgeElements.get(id);
      if (!element) {
        element = svg("g", { class: "edge" }, svg("path", { class: "line" }), svg("text", { class: "bond" }));
        this.#edgeElements.set(id, element);
        this.#edges.append(element);
      }
      const [line, bond] = element.children;
      const { path, middle } = route(this.#laid.places.get(edge.from), this.#laid.places.get(edge.to), all.has(`${edge.to}>${edge.from}`));
      attribute(element, "data-level", edge.level ?? null);
      attribute(element, "data-any", edge.any ? "" : null);
      attribute(element, "data-timed", edge.timed ? "" : null);
      attribute(line, "d", path);
      attribute(line, "marker-end", `url(#tip-${edge.level ?? "plain"})`);
      attribute(bond, "x", middle.x);
      attribute(bond, "y", middle.y - 5);
      attribute(bond, "text-anchor", middle.beside ? "start" : "middle");
      say(bond, edge.bond ? fitting(harmless(edge.bond), 13) : "");
    }
    for (const [id, element] of this.#edgeElements) {
      if (!seen.has(id)) {
        element.remove();
        this.#edgeElements.delete(id);
      }
    }
  }

  /** The same in words, for who does not see the picture. */
  #write(edges) {
    const name = (id) => describe(this.#shown.get(id)).name;
    const lines = edges.slice(0, 300).map((edge) => harmless(edge.from[0] === "o"
      ? `${name(edge.from)} ${edge.bond} ${name(edge.to)}` : `${name(edge.from)} waits for ${name(edge.to)}`) + (edge.level === "dead" ? ", in a deadlock" : ""));
    const text = lines.join("\n");
    if (this.#words.dataset.text === text) return;
    this.#words.dataset.text = text;
    this.#words.replaceChildren(...lines.map((line) => el("li", {}, line)));
  }

  #open(node) {
    if (node.more) {
      app.go("threads");
      app.views.threads.search(`${[...node.awaited.kinds][0]} ${node.awaited.object}`);
    } else if (node.object) app.select({ object: node.object.key });
    else if (node.thread) app.select({ thread: node.thread.ident });
  }

  #key(event) {
    const by = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    if (by && event.shiftKey) {
      this.#move(by[0] * -80, by[1] * -80);
    } else if (by) {
      const next = this.#neighbour(nodeOf(app.selection), by);
      if (next) {
        const node = this.#shown.get(next);
        app.select(node.object ? { object: node.object.key } : { thread: node.thread.ident });
        this.#reveal(next);
      }
    } else if (event.key === "Enter" && app.selection) app.select(app.selection);
    else if (event.key === "+" || event.key === "=") this.#zoom(1.25);
    else if (event.key === "-") this.#zoom(1 / 1.25);
    else if (event.key === "0") this.#fit();
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  /** The node next to that one in this direction; some node if there is none to begin with. */
  #neighbour(id, [dx, dy]) {
    const { places } = this.#laid;
    const can = [...this.#shown.keys()].filter((other) => other !== id && (this.#shown.get(other).object || this.#shown.get(other).thread));
    const here = places.get(id);
    if (!here) return can[0];
    let [best, least] = [null, Infinity];
    for (const other of can) {
      const to = places.get(other);
      const [along, across] = [(to.x - here.x) * dx + (to.y - here.y) * dy, Math.abs((to.x - here.x) * dy) + Math.abs((to.y - here.y) * dx)];
      const far = along + across * 2;
      if (along > 8 && far < least) [best, least] = [other, far];
    }
    return best;
  }

  #apply() {
    const { x, y, scale } = this.#view;
    attribute(this.#stage, "transform", `translate(${x} ${y}) scale(${scale})`);
  }

  #fit() {
    const { clientWidth, clientHeight } = this.#svg;
    const { width, height } = this.#laid;
    if (!clientWidth || !width) return;
    this.#fits = true;
    const scale = Math.min(1.15, (clientWidth - 48) / width, (clientHeight - 48) / height);
    this.#view = { scale, x: (clientWidth - width * scale) / 2, y: (clientHeight - height * scale) / 2 };
    this.#apply();
  }

  /** Only when it no longer fits, or much room is left: a picture that breathes is hard to read. */
  #fitAgain() {
    const { clientWidth, clientHeight } = this.#svg;
    const { x, y, scale } = this.#view;
    const [right, bottom] = [x + this.#laid.width * scale, y + this.#laid.height * scale];
    const outside = x < 0 || y < 0 || right > clientWidth || bottom > clientHeight;
    const lost = scale < 1.1 && this.#laid.width * scale < clientWidth * 0.6 && this.#laid.height * scale < clientHeight * 0.6;
    if (outside || lost) this.#fit();
  }

  #zoom(by, at = { x: this.#svg.clientWidth / 2, y: this.#svg.clientHeight / 2 }) {
    const { x, y, scale } = this.#view;
    const next = Math.min(4, Math.max(0.05, scale * by));
    this.#view = { scale: next, x: at.x - ((at.x - x) * next) / scale, y: at.y - ((at.y - y) * next) / scale };
    this.#fits = false;
    this.#apply();
  }

  #move(dx, dy) {
    this.#view.x += dx;
    this.#view.y += dy;
    this.#fits = false;
    this.#apply();
  }

  #wheel(event) {
    event.preventDefault();
    const { left, top } = this.#svg.getBoundingClientRect();
    this.#zoom(Math.exp(-event.deltaY / 400), { x: event.clientX - left, y: event.clientY - top });
  }

  #drag(event) {
    if (event.button !== 0) return;
    let [x, y, far] = [event.clientX, event.clientY, 0];
    const move = (to) => {
      far += Math.abs(to.clientX - x) + Math.abs(to.clientY - y);
      if (far > 4) this.#move(to.clientX - x, to.clientY - y);
      [x, y] = [to.clientX, to.clientY];
    };
    const stop = () => {
      window.removeEventListener("pointermove", move);
      window.removeEventListener("pointerup", stop);
      window.removeEventListener("pointercancel", stop);
    };
    window.addEventListener("pointermove", move);
    window.addEventListener("pointerup", stop);
    window.addEventListener("pointercancel", stop);
  }

  /** Moves the picture if that node is not in it. */
  #reveal(id) {
    const place = this.#laid.places.get(id);
    if (!place) return;
    const { x, y, scale } = this.#view;
    const { clientWidth, clientHeight } = this.#svg;
    const [px, py, edge] = [place.x * scale + x, place.y * scale + y, 60];
    const into = (at, size) => (at < edge ? edge - at : at > size - edge ? size - edge - at : 0);
    const [dx, dy] = [into(px, clientWidth), into(py, clientHeight)];
    if (dx || dy) this.#move(dx, dy);
    if (scale < 0.5) this.#zoom(0.8 / scale, { x: px + dx, y: py + dy });
  }
}

/** The id of a node for what is selected. */
function nodeOf(selection) {
  if (!selection) return null;
  return selection.thread === undefined ? `o${selection.object}` : `t${selection.thread}`;
}

/** So many of a part's nodes, outward from those that matter. */
function nearest(part, matters, room) {
  const start = part.filter(matters);
  const seen = new Set(start.length > 0 ? start : part.slice(0, 1));
  const found = [...seen];
  for (let at = 0; at < found.length && found.length < room; at += 1) {
    for (const next of [...found[at].out, ...found[at].into]) {
      if (!seen.has(next) && found.length < room) {
        seen.add(next);
        found.push(next);
      }
    }
  }
  return found.slice(0, room);
}

function describe(node) {
  if (node.more) {
    return { kind: "more", name: `and ${number(node.more)} more`, what: "wait for it too", level: null, title: `${counted(node.more, "more thread")} wait for it too. Opens the table.` };
  }
  if (node.object) {
    const kinds = [...node.object.kinds].join(" / ");
    const level = WORSE[Math.max(0, ...model.cycles.filter(({ keys }) => keys.includes(node.object.key)).map((cycle) => WORSE.indexOf(cycle.level)))];
    const waiting = counted(node.object.waiters.length, "waiter");
    return { kind: "object", name: node.object.object || kinds, what: `${kinds}, ${waiting}`, level: level ?? node.level, title: harmless(`${kinds} ${node.object.object}: ${waiting}`) };
  }
  const { thread, owner } = node;
  if (!thread) return { kind: "thread", name: owner.name || `thread ${owner.ident}`, what: "has ended", level: "orphan", title: harmless(`thread ${owner.name} (${owner.ident}) has ended`) };
  const level = model.trouble.get(thread.ident) ?? null;
  const time = thread.wait ? ` ${duration(thread.wait.waited_us)}` : "";
  const words = LEVELS[level] ?? DOING[doing(thread)] ?? thread.state;
  return { kind: "thread", name: thread.name, what: `${thread.ident} · ${words}${time}`, level, title: harmless(`thread ${thread.name} (${thread.ident}), ${words}${time}`) };
}

const [W, H] = [NODE.width / 2, NODE.height / 2];
const SHAPES = {
  thread: `M${-W + 10} ${-H} H${W - 10} a10 10 0 0 1 10 10 V${H - 10} a10 10 0 0 1 -10 10 H${-W + 10} a10 10 0 0 1 -10 -10 V${-H + 10} a10 10 0 0 1 10 -10 z`,
  object: `M${-W + 12} ${-H} H${W - 12} L${W} 0 L${W - 12} ${H} H${-W + 12} L${-W} 0 z`,
};
SHAPES.more = SHAPES.thread;

/** An edge's way from one node's border to the other's, and where its words go. */
function route(from, to, both) {
  const [dx, dy] = [to.x - from.x, to.y - from.y];
  if (Math.abs(dx) < NODE.width / 2 || from.above || to.above) {
    // One above the other.
    const down = Math.sign(dy) || 1;
    const [y1, y2] = [from.y + down * H, to.y - down * H];
    const reach = (y2 - y1) / 2;
    return { path: `M${from.x} ${y1} C${from.x} ${y1 + reach} ${to.x} ${y2 - reach} ${to.x} ${y2}`, middle: { x: (from.x + to.x) / 2 + 8, y: (y1 + y2) / 2 + 9, beside: true } };
  }
  const right = Math.sign(dx);
  const start = { x: from.x + right * W, y: from.y };
  const end = { x: to.x - right * W, y: to.y };
  const middle = { x: (start.x + end.x) / 2, y: (start.y + end.y) / 2 };
  if (both) {
    const bend = right * -34;
    return { path: `M${start.x} ${start.y + bend / 6} Q${middle.x} ${middle.y + bend} ${end.x} ${end.y + bend / 6}`, middle: { x: middle.x, y: middle.y + bend / 2 + (right > 0 ? 0 : 14) } };
  }
  const reach = (end.x - start.x) / 2;
  return { path: `M${start.x} ${start.y} C${start.x + reach} ${start.y} ${end.x - reach} ${end.y} ${end.x} ${end.y}`, middle };
}
