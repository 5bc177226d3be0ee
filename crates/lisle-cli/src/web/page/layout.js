// Where the nodes of a graph go. Who waits is left of what it waits for, and that left of who holds it; a cycle is
// a ring. The same graph always looks the same: order is by the order in which nodes are given, nothing is chance.

const NODE = { width: 160, height: 42 };
const COLUMN = 224;
const LINE = 50;
const RING = 90;
const GAP = 34;

/**
 * `nodes`: ids. `edges`: { from, to }. `rings`: lists of ids, each leading to the next and the last to the first.
 * `aspect`: how much wider than high the whole should be. Gives { places: Map of { x, y } by id, the middle of each
 * node, width, height }.
 */
function layOut(nodes, edges, rings, aspect) {
  const graph = new Map(nodes.map((id, order) => [id, { id, order, out: [], into: [] }]));
  for (const { from, to } of edges) {
    graph.get(from).out.push(graph.get(to));
    graph.get(to).into.push(graph.get(from));
  }
  const boxes = components([...graph.values()]).map((members) => {
    const inside = new Set(members.map((node) => node.id));
    const ring = rings.find((ids) => ids.every((id) => inside.has(id)));
    const box = ring ? around(ring.map((id) => graph.get(id)), members) : layered(members);
    box.hasRing = Boolean(ring);
    return box;
  });
  return pack(boxes, aspect);
}

/** The parts that hang together, in the order of their first nodes. */
function components(nodes) {
  const seen = new Set();
  const out = [];
  for (const start of nodes) {
    if (seen.has(start)) continue;
    seen.add(start);
    const members = [start];
    for (let at = 0; at < members.length; at += 1) {
      for (const next of [...members[at].out, ...members[at].into]) {
        if (!seen.has(next)) {
          seen.add(next);
          members.push(next);
        }
      }
    }
    out.push(members.sort((a, b) => a.order - b.order));
  }
  return out;
}

/** Without a ring: the column is the longest way to an end. */
function layered(members) {
  const depth = new Map();
  const above = new Set();
  const measure = (node) => {
    if (depth.has(node)) return depth.get(node);
    if (above.has(node)) return -1; // a loop that is no deadlock: cut here
    above.add(node);
    let most = 0;
    for (const next of node.out) most = Math.max(most, measure(next) + 1);
    above.delete(node);
    depth.set(node, most);
    return most;
  };
  for (const node of members) measure(node);
  const places = new Map();
  const roots = members.filter((node) => !node.out.some((next) => depth.get(next) < depth.get(node)));
  let line = 0;
  for (const root of roots) line = grow(root, line, (node) => -depth.get(node), (node) => parents(node, depth), places);
  return box(places);
}

/** Those who hang on a node: who waits for it and has no earlier way. */
function parents(node, depth) {
  return node.into.filter((from) => depth.get(from) > depth.get(node) && from.out.find((next) => depth.get(next) < depth.get(from)) === node);
}

/**
 * Puts a node, and in front of it what hangs on it, into lines from `line` on; gives the next free one. A node is at the
 * middle of those that hang on it.
 */
function grow(node, line, column, hanging, places) {
  if (places.has(node.id)) return line;
  places.set(node.id, { x: 0, y: 0 });
  let next = line;
  const lines = [];
  for (const child of hanging(node)) {
    if (places.has(child.id)) continue;
    next = grow(child, next, column, hanging, places);
    lines.push(places.get(child.id).y / LINE);
  }
  const at = lines.length > 0 ? (lines[0] + lines.at(-1)) / 2 : line;
  places.set(node.id, { x: column(node) * COLUMN, y: at * LINE });
  return Math.max(next, line + 1);
}

/**
 * With a ring in the middle, in two rows. The rest hangs on it: on its ends to the left and right, on what is between
 * them above and below.
 */
function around(ring, members) {
  const columns = Math.max(2, Math.ceil(ring.length / 2));
  const distance = new Map();
  const side = new Map();
  const places = new Map();
  for (const [at, node] of ring.entries()) {
    const isTop = at < columns;
    const column = isTop ? at : columns * 2 - 1 - at;
    places.set(node.id, { x: column * COLUMN, y: ring.length === 2 ? 0 : isTop ? -RING / 2 : RING / 2 });
    distance.set(node, 0);
    side.set(node, column === 0 ? "left" : column === columns - 1 ? "right" : isTop ? "above" : "below");
  }
  // From the ring outward: who waits for it, then all else that hangs on those.
  const order = [...ring];
  const hangs = new Map(members.map((node) => [node, []]));
  for (let at = 0; at < order.length; at += 1) {
    const node = order[at];
    for (const next of [...node.into, ...node.out].sort((a, b) => a.order - b.order)) {
      if (distance.has(next)) continue;
      distance.set(next, distance.get(node) + 1);
      side.set(next, side.get(node));
      hangs.get(node).push(next);
      order.push(next);
    }
  }
  const from = [...ring].sort((a, b) => places.get(a.id).x - places.get(b.id).x || places.get(a.id).y - places.get(b.id).y);
  const trees = (which) => {
    const mine = new Map();
    let line = 0;
    for (const root of from) {
      if (side.get(root) !== which) continue;
      for (const child of hangs.get(root)) line = grow(child, line, (node) => distance.get(node), (node) => hangs.get(node), mine);
    }
    return [...mine].map(([id, { x, y }]) => ({ id, away: x / COLUMN, along: y / LINE - (line - 1) / 2 }));
  };
  const middle = ((columns - 1) * COLUMN) / 2;
  let [left, right] = [0, (columns - 1) * COLUMN];
  for (const [which, down] of [["above", -1], ["below", 1]]) {
    for (const { id, away, along } of trees(which)) {
      const x = middle + along * (NODE.width + 20);
      places.set(id, { x, y: down * (RING / 2 + away * RING), above: true });
      // What hangs on the ends goes beside that.
      [left, right] = [Math.min(left, x), Math.max(right, x)];
    }
  }
  for (const { id, away, along } of trees("left")) places.set(id, { x: left - away * COLUMN, y: along * LINE });
  for (const { id, away, along } of trees("right")) places.set(id, { x: right + away * COLUMN, y: along * LINE });
  return box(places);
}

/** The places, from the corner of what they take. */
function box(places) {
  const all = [...places.values()];
  const left = Math.min(...all.map((place) => place.x)) - NODE.width / 2;
  const top = Math.min(...all.map((place) => place.y)) - NODE.height / 2;
  const right = Math.max(...all.map((place) => place.x)) + NODE.width / 2;
  const bottom = Math.max(...all.map((place) => place.y)) + NODE.height / 2;
  for (const place of all) {
    place.x -= left;
    place.y -= top;
  }
  return { places, width: right - left, height: bottom - top };
}

/**
 * Boxes side by side, those with rings first, each as high up as there is room, and there as far left. Of some widths
 * for the whole the one is taken that makes the picture largest.
 */
function pack(boxes, aspect) {
  boxes.sort((a, b) => Number(b.hasRing) - Number(a.hasRing));
  const widest = Math.max(...boxes.map(({ width }) => width));
  const area = boxes.reduce((sum, { width, height }) => sum + (width + GAP) * (height + GAP), 0);
  let best = null;
  for (const factor of [0.8, 0.9, 1, 1.1, 1.25, 1.45, 1.7]) {
    const packed = packInto(Math.max(widest, Math.sqrt(area * aspect) * factor), boxes);
    packed.size = Math.max(packed.width / aspect, packed.height);
    if (!best || packed.size < best.size * 0.97) best = packed;
  }
  const places = new Map();
  for (const [at, { places: inside }] of boxes.entries()) {
    for (const [id, place] of inside) places.set(id, { ...place, x: place.x + best.corners[at].x, y: place.y + best.corners[at].y });
  }
  return { places, width: best.width, height: best.height };
}

function packInto(limit, boxes) {
  const corners = [];
  let [width, height] = [0, 0];
  for (const box of boxes) {
    let corner = { x: 0, y: Infinity };
    for (const x of [0, ...corners.map((other) => other.right)]) {
      if (x + box.width > limit + 1) continue;
      const y = Math.max(0, ...corners.filter((other) => other.x < x + box.width + GAP && x < other.right).map((other) => other.bottom));
      if (y < corner.y || (y === corner.y && x < corner.x)) corner = { x, y };
    }
    corner.right = corner.x + box.width + GAP;
    corner.bottom = corner.y + box.height + GAP;
    corners.push(corner);
    width = Math.max(width, corner.right - GAP);
    height = Math.max(height, corner.bottom - GAP);
  }
  return { corners, width, height };
}
