// What the page keeps, and where it puts nodes: without a browser.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import vm from "node:vm";

const source = ["words", "model", "layout"].map((name) => readFileSync(new URL(`../../src/web/page/${name}.js`, import.meta.url), "utf8")).join("\n");
const { Model, Growth, layOut, duration, harmless, fitting, KEEP_US, KEEP_PIECES, NODE } =
  vm.runInThisContext(`(() => {\n${source}\nreturn { Model, Growth, layOut, duration, harmless, fitting, KEEP_US, KEEP_PIECES, NODE }; })()`);

const snapshot = (at, threads, more = {}) => ({ taken_at_us: at, threads, objects: [], reports: [], ...more });
const running = (ident) => ({ ident, name: `t${ident}`, state: "running", cpu_us: null, wait: null });
const waiting = (ident, key, waited_us, owners = []) => ({
  ident, name: `t${ident}`, state: "waiting", cpu_us: null,
  wait: { kind: "mutex", object: `"${key}"`, key, waited_us, ends_in_us: null, owners: owners.map((owner) => ({ ident: owner, name: `t${owner}`, bond: "held by", need: 0, ended: false })) },
});
const pieces = (model, ident) => [...model.history.threads.get(ident).pieces].map(({ from, to, doing }) => [from, to, doing]);

test("a wait is known since it began, whenever it was seen first", () => {
  const model = new Model();
  const s = 1e6;
  model.take(snapshot(100 * s, [running(1)]));
  model.take(snapshot(101 * s, [running(1)]));
  model.take(snapshot(102 * s, [waiting(1, 7, 0.7 * s, [2])]));
  model.take(snapshot(103 * s, [waiting(1, 7, 1.7 * s, [2])]));
  assert.deepEqual(pieces(model, 1), [[100 * s, 101.3 * s, "running"], [101.3 * s, 103 * s, "waiting"]]);
  // It has ended between two looks, and another begun since.
  model.take(snapshot(104 * s, [waiting(1, 7, 0.2 * s, [2])]));
  assert.deepEqual(pieces(model, 1).slice(1), [
    [101.3 * s, 103.4 * s, "waiting"], [103.4 * s, 103.8 * s, "running"], [103.8 * s, 104 * s, "waiting"],
  ]);
  // Older than what is kept, for ever one piece.
  for (let n = 0; n < 5; n += 1) model.take(snapshot((105 + n) * s, [waiting(2, 8, (100 + n) * s, [1])]));
  assert.equal(pieces(model, 2).length, 1);
});

test("what is kept has a bound in time and in number", () => {
  const model = new Model();
  for (let n = 0; n < 400; n += 1) {
    const at = 1e9 + n * 250_000;
    model.take(snapshot(at, Array.from({ length: 3000 }, (_, ident) => (n + ident) % 2 ? running(ident + 1) : waiting(ident + 1, n, 1000))));
  }
  const rows = [...model.history.threads.values()];
  const count = rows.reduce((sum, row) => sum + row.pieces.length, 0);
  assert.ok(count < KEEP_PIECES * 1.5, String(count));
  assert.ok(model.history.start > 1e9, "the rest was forgotten");
  const few = new Model();
  for (let n = 0; n < 1000; n += 1) few.take(snapshot(1e9 + n * 250_000, [n % 2 ? running(1) : waiting(1, n, 1000)]));
  const [first] = few.history.threads.get(1).pieces;
  assert.ok(first.to >= few.history.end - KEEP_US - 1 && first.to < few.history.end - KEEP_US + 1e6);
  few.take(snapshot(2e9, [running(2)]));
  assert.deepEqual([...few.history.threads.keys()], [2], "threads that have ended go too");
});

test("a clock that is set back begins anew", () => {
  const model = new Model();
  model.take(snapshot(5e9, [running(1)]));
  model.take(snapshot(1e9, [running(1)]));
  model.take(snapshot(1e9 + 1e6, [running(1)]));
  assert.deepEqual(pieces(model, 1), [[1e9, 1e9 + 1e6, "running"]]);
});

test("who is in a cycle, who waits behind it, and who does not", () => {
  const model = new Model();
  const reports = [{ confidence: "proven", text: "", threads: [1, 2], cycle: 2, age_us: 0, failed: null }];
  model.take(snapshot(1, [waiting(1, 10, 5, [2]), waiting(2, 20, 5, [1]), waiting(3, 10, 5, [2]), waiting(4, 30, 5, [3]), waiting(5, 40, 5, [6]), running(6)], { reports }));
  assert.deepEqual([...model.trouble].sort(), [[1, "dead"], [2, "dead"], [3, "stuck"], [4, "stuck"]]);
  assert.deepEqual([...model.cycles[0].keys], ["k10", "k20"]);
  // One of several is enough: that one of them is stuck says nothing.
  const either = waiting(7, 50, 5, [1, 6]);
  model.take(snapshot(2, [waiting(1, 10, 5, [2]), waiting(2, 20, 5, [1]), running(6), either], { reports }));
  assert.equal(model.trouble.has(7), false);
});

test("growth is per second, over a window", () => {
  const growth = new Growth(1e6);
  assert.equal(growth.of("a"), null);
  for (let n = 0; n < 10; n += 1) growth.add(n * 250_000, new Map([["a", n < 5 ? 0 : (n - 4) * 1000]]));
  assert.equal(growth.of("a"), 4000);
  assert.equal(growth.of("b"), null);
});

test("nodes never lie upon each other, and lie the same every time", () => {
  let seed = 1;
  const random = (n) => (seed = (seed * 48271) % 2147483647) % n;
  for (let round = 0; round < 60; round += 1) {
    const size = 2 + random(60);
    const threads = Array.from({ length: size }, (_, n) => `t${n}`);
    const objects = Array.from({ length: 1 + random(size) }, (_, n) => `o${n}`);
    const edges = new Map();
    for (const thread of threads) if (random(4)) {
      const to = objects[random(objects.length)];
      edges.set(`${thread}>${to}`, { from: thread, to });
    }
    for (const object of objects) for (let n = random(3); n > 0; n -= 1) {
      const to = threads[random(size)];
      edges.set(`${object}>${to}`, { from: object, to });
    }
    // Some with a ring.
    const rings = [];
    const length = random(Math.min(size, objects.length, 7));
    if (round % 2 && length > 0) {
      const ring = Array.from({ length }, (_, n) => [`t${n}`, `o${n}`]).flat();
      ring.forEach((from, at) => edges.set(`${from}>${ring[(at + 1) % ring.length]}`, { from, to: ring[(at + 1) % ring.length] }));
      rings.push(ring);
    }
    const nodes = [...threads, ...objects];
    const once = layOut(nodes, [...edges.values()], rings, 2);
    const twice = layOut(nodes, [...edges.values()], rings, 2);
    assert.deepEqual([...once.places], [...twice.places]);
    assert.equal(once.places.size, nodes.length);
    const places = [...once.places];
    for (const [at, [a, one]] of places.entries()) {
      assert.ok(one.x >= 0 && one.y >= 0 && one.x <= once.width && one.y <= once.height, a);
      for (const [b, two] of places.slice(at + 1)) {
        const apart = Math.abs(one.x - two.x) >= NODE.width || Math.abs(one.y - two.y) >= NODE.height;
        assert.ok(apart, `round ${round}: ${a} and ${b} at ${JSON.stringify([one, two])}`);
      }
    }
  }
});

test("who waits is left of what it waits for", () => {
  const { places } = layOut(["a", "b", "L", "h"], [{ from: "a", to: "L" }, { from: "b", to: "L" }, { from: "L", to: "h" }], [], 2);
  assert.ok(places.get("a").x < places.get("L").x && places.get("L").x < places.get("h").x);
  assert.equal(places.get("a").x, places.get("b").x);
});

test("words", () => {
  assert.deepEqual([0, 850, 4_200, 99_999, 1_250_000, 59_999_999, 123_000_000, 11_520_000_000, 187_200_000_000].map(duration),
    ["0 µs", "850 µs", "4.20 ms", "100 ms", "1.25 s", "60.0 s", "2 min 03 s", "3 h 12 min", "2 d 04 h"]);
  assert.equal(harmless("a\u001b[2J\u202eb\u2028c\ufeff"), "a\\u{1b}[2J\\u{202e}b\\u{2028}c\\u{feff}");
  assert.equal(harmless("线程 خيط 👩‍💻 é"), "线程 خيط 👩‍💻 é");
  assert.equal(fitting("abcdef", 6), "abcdef");
  assert.equal(fitting("abcdefg", 6), "abcde…");
  assert.equal(fitting("线程线程", 6), "线程…");
});
