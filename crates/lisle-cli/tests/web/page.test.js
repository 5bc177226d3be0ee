// The page in a real browser, with a program that does what the test says (`play.rs`).

import assert from "node:assert/strict";
import { createServer } from "node:http";
import { after, before, beforeEach, test } from "node:test";
import { browser, open, play } from "./support.js";

const VIEWS = ["threads", "graph", "contention", "timeline", "reports"];
let program;
let chromium;

before(async () => {
  [program, chromium] = await Promise.all([play(), browser()]);
});
after(async () => {
  await chromium?.close();
  await program?.end();
});
beforeEach(() => program.scene("bank"));

/** Opens the page, and closes it after the test, which fails if the page has complained or asked others. */
async function look(t, options = {}) {
  const opened = await open(chromium.context, options.url ?? program.url, options);
  t.after(() => opened.page.close());
  opened.isClean = () => {
    assert.deepEqual(opened.elsewhere, [], "nothing was asked of anybody else");
    assert.deepEqual(opened.complaints, []);
  };
  return opened;
}

/** The row of the thread of this name; in the table of contention, of the lock. */
const row = (page, name) => page.locator(`.row:visible:has(> :is([aria-colindex="1"], [aria-colindex="2"]):text-is(${JSON.stringify(name)}))`).first();
/** Two pictures later. */
const drawn = (page) => page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
const live = (page) => page.locator("#live[data-is=live]").waitFor();

/** Waits until the text there is another than now. */
async function changes(locator) {
  const before = await locator.textContent();
  await locator.page().waitForFunction(([element, before]) => element.textContent !== before, [await locator.elementHandle(), before]);
}

test("loads with nothing but itself, in every view", async (t) => {
  const { page, asked, isClean } = await look(t);
  await live(page);
  for (const view of VIEWS) {
    await page.locator(`#tab-${view}`).click();
    await page.locator(`#view-${view}:visible`).waitFor();
    assert.equal(await page.locator("[role=tabpanel]:visible").count(), 1);
    await changes(page.locator("#process"));
  }
  assert.deepEqual(asked.map((request) => request.replace(/http:..127\.0\.0\.1:\d+/, "")), ["GET /", "GET /events"]);
  isClean();
});

test("shows what happens while it happens", async (t) => {
  const { page, isClean } = await look(t);
  await row(page, "teller-0").waitFor();
  await changes(page.locator("#process"));
  await changes(row(page, "teller-0"));
  assert.equal(await page.locator("#count-threads").textContent(), "15");
  await page.getByRole("tab", { name: "Contention" }).click();
  await changes(row(page, '"accounts"'));
  isClean();
});

test("a deadlock that closes while it watches turns up red", async (t) => {
  const { page, isClean } = await look(t);
  await row(page, "teller-0").waitFor();
  assert.equal(await page.locator("#alarm").isVisible(), false);
  const before = Date.now();
  await program.scene("deadlock");
  await page.locator("#alarm:visible").waitFor();
  // A second is what it may take. Not asserted: a machine that is busy elsewhere would fail it.
  t.diagnostic(`seen ${Date.now() - before} ms after it had closed`);
  assert.match(await page.locator("#alarm").textContent(), /^Deadlock: transfer and audit wait for each other/);
  const colour = await page.locator("#alarm").evaluate((alarm) => getComputedStyle(alarm).backgroundColor);
  const [red, green, blue] = colour.match(/\d+/g).map(Number);
  assert.ok(red > 150 && green < 70 && blue < 70, colour);
  assert.match(await page.title(), /deadlock/);
  for (const name of ["transfer", "audit"]) assert.equal(await row(page, name).getAttribute("data-level"), "dead");
  assert.equal(await row(page, "statement").getAttribute("data-level"), "stuck");
  assert.deepEqual(await page.locator(".row:visible .pill").evaluateAll((pills) => pills.slice(0, 3).map((pill) => pill.textContent)),
    ["deadlocked", "deadlocked", "stuck"], "they come first");

  await page.getByRole("button", { name: "Show in the graph" }).click();
  assert.equal(await page.locator(".edge[data-level=dead]").count(), 4);
  assert.equal(await page.locator(".node[data-level=dead]").count(), 4);
  assert.deepEqual((await page.locator(".unseen li").allTextContents()).filter((line) => line.endsWith("in a deadlock")).sort(), [
    '"account a" held by transfer, in a deadlock', '"account b" held by audit, in a deadlock',
    'audit waits for "account a", in a deadlock', 'transfer waits for "account b", in a deadlock',
  ]);
  await page.getByRole("button", { name: "Full report" }).click();
  const text = await page.locator(".card[data-when=now] pre").textContent();
  assert.match(text, /^deadlock: 2 threads wait for each other\n  thread "transfer" \(ident 40\)/);
  assert.match(text, /held by thread "transfer" \(ident 40\), taken at src\/bank.rs:30:20$/);

  await program.scene("bank");
  await page.locator("#alarm").waitFor({ state: "hidden" });
  assert.equal(await page.locator(".card[data-when=past] pre").count(), 1);
  assert.doesNotMatch(await page.title(), /deadlock/);
  isClean();
});

test("a deadlock that was over at once is said all the same, until somebody has seen it", async (t) => {
  const { page, isClean } = await look(t);
  await row(page, "teller-0").waitFor();
  await program.scene("failed");
  const alarm = page.locator("#alarm:visible");
  await alarm.waitFor();
  assert.match(await alarm.textContent(), /^There was a deadlock: thread 40 and thread 41 waited for each other; the wait of thread 41 was failed, which ended it/);
  assert.equal(await alarm.getAttribute("data-level"), "dead");
  for (let n = 0; n < 3; n += 1) await changes(page.locator("#process"));
  assert.equal(await alarm.count(), 1);
  await alarm.getByRole("button", { name: "Dismiss" }).click();
  for (let n = 0; n < 3; n += 1) await changes(page.locator("#process"));
  assert.equal(await alarm.count(), 0, "once is enough");
  isClean();
});

test("a suspicion is no deadlock, and lisle's own threads are not the program's", async (t) => {
  await program.scene("suspect");
  const { page, isClean } = await look(t);
  await page.locator("#alarm[data-level=suspect]:visible", { hasText: "Suspected deadlock: transfer and audit wait for each other" }).waitFor();
  assert.doesNotMatch(await page.title(), /deadlock/);
  assert.equal(await row(page, "transfer").getAttribute("data-level"), "suspect");
  assert.equal(await row(page, "report").getAttribute("data-level"), "stuck");
  assert.equal(await page.locator(".row:visible [aria-colindex='2']").last().textContent(), "lisle frames", "they come last");
  await page.keyboard.press("2");
  await page.locator(".node[data-level=suspect]").first().waitFor();
  assert.equal(await page.locator(".edge[data-level=suspect]").count(), 4);
  assert.equal(await page.locator(".node", { hasText: "ticker" }).count(), 2, "the thread, and what it sleeps for");
  assert.equal(await page.locator(".node", { hasText: "lisle frames" }).count(), 0);
  isClean();
});

test("can be used by keyboard alone", async (t) => {
  const { page, isClean } = await look(t);
  await row(page, "teller-0").waitFor();
  const active = () => page.evaluate(() => {
    const grid = document.activeElement;
    return document.getElementById(grid.getAttribute("aria-activedescendant"))?.querySelector("[aria-colindex='2']").textContent;
  });
  assert.equal(await page.evaluate(() => document.activeElement.getAttribute("role")), "grid", "one can begin at once");
  await page.keyboard.press("ArrowDown");
  assert.equal(await active(), "main");
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("ArrowDown");
  assert.equal(await active(), "teller-0");
  await page.keyboard.press("End");
  assert.equal(await active(), "writer");
  await page.keyboard.press("Home");
  await page.keyboard.press("Enter");
  const details = page.locator("#details");
  assert.equal(await details.locator("h2").textContent(), "main");
  assert.match(await details.textContent(), /Waits forjoin "listener".*called atsrc\/main.rs:52:14.*run by listener/);
  await page.keyboard.press("ArrowDown");
  assert.equal(await details.locator("h2").textContent(), "listener", "they follow");
  await page.keyboard.press("Escape");
  await details.waitFor({ state: "hidden" });
  assert.equal(await page.evaluate(() => document.activeElement.getAttribute("role")), "grid");

  await page.keyboard.press("/");
  await page.keyboard.type("RESIZE");
  assert.equal(await page.locator(".row:visible").count() <= 1, true);
  await page.keyboard.press("Escape");
  assert.equal(await page.locator("#view-threads .grid").getAttribute("aria-rowcount"), "16");

  for (const [at, view] of VIEWS.entries()) {
    await page.keyboard.press(String(at + 1));
    await page.locator(`#view-${view}:visible`).waitFor();
  }
  assert.match(page.url(), /#reports$/);
  await page.goBack();
  await page.locator("#view-timeline:visible").waitFor();

  await page.keyboard.press("2");
  await page.keyboard.press("ArrowRight");
  await page.keyboard.press("ArrowLeft");
  assert.equal(await page.locator(".node[aria-pressed=true]").count(), 1);
  const moved = page.locator(".graph > g");
  for (const key of ["+", "-", "Shift+ArrowLeft", "0"]) {
    const was = await moved.getAttribute("transform");
    await page.keyboard.press(key);
    assert.notEqual(await moved.getAttribute("transform"), was, key);
  }

  await page.keyboard.press("?");
  await page.locator("#help[open]").waitFor();
  await page.keyboard.press("Escape");
  assert.equal(await page.locator("#help[open]").count(), 0);

  await page.keyboard.press("Space");
  await page.locator("#live[data-is=paused]").waitFor();
  const held = await page.locator("#process").textContent();
  const asked = await program.asked();
  while ((await program.asked()) < asked + 3);
  assert.equal(await page.locator("#process").textContent(), held, "the picture is held");
  await page.keyboard.press("Space");
  await changes(page.locator("#process"));

  // Every stop of the Tab key shows where it is.
  await page.keyboard.press("1");
  const stops = new Set();
  for (let n = 0; n < 25; n += 1) {
    await page.keyboard.press("Tab");
    const stop = await page.evaluate(() => {
      const at = document.activeElement;
      const style = getComputedStyle(at);
      return at === document.body ? "" : `${at.id || at.textContent.trim() || at.getAttribute("aria-label")} ${style.outlineStyle} ${style.outlineWidth}`;
    });
    if (stop) assert.match(stop, /(solid|auto) [1-9]/, stop);
    stops.add(stop.split(" ")[0]);
  }
  for (const stop of ["pause", "theme", "help-button", "tab-threads", "all"]) assert.ok(stops.has(stop), `${stop} of ${[...stops]}`);
  isClean();
});

test("tabs are tabs", async (t) => {
  const { page } = await look(t);
  await page.locator("#tab-threads").focus();
  await page.keyboard.press("ArrowRight");
  await page.locator("#view-graph:visible").waitFor();
  assert.equal(await page.evaluate(() => document.activeElement.id), "tab-graph");
  await page.keyboard.press("End");
  await page.keyboard.press("ArrowRight");
  assert.equal(await page.locator("[role=tab][aria-selected=true]").getAttribute("id"), "tab-threads");
  assert.equal(await page.locator("[role=tab][tabindex='0']").count(), 1);
});

for (const colorScheme of ["light", "dark"]) {
  test(`can be read in ${colorScheme} colours`, async (t) => {
    const { page, isClean } = await look(t, { colorScheme });
    await row(page, "teller-0").waitFor();
    await program.scene("deadlock");
    await page.locator("#alarm:visible").waitFor();
    await row(page, "transfer").click();
    for (const view of VIEWS) {
      await page.locator(`#tab-${view}`).click();
      const faint = await page.evaluate(contrasts);
      assert.deepEqual(faint, [], view);
    }
    const back = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor.match(/\d+/g).map(Number)[0]);
    assert.equal((await back()) > 128, colorScheme === "light");
    // The button goes before the system's choice, and lasts.
    const other = colorScheme === "light" ? "dark" : "light";
    while ((await page.locator("html").getAttribute("data-theme")) !== other) await page.keyboard.press("t");
    assert.equal((await back()) > 128, other === "light");
    await page.reload();
    assert.equal(await page.locator("html").getAttribute("data-theme"), other);
    while (!(await page.locator("#theme").textContent()).includes("Auto")) await page.locator("#theme").click();
    assert.equal(await page.locator("html").getAttribute("data-theme"), colorScheme);
    isClean();
  });
}

/** In the page: texts whose contrast with what is behind them is less than 4.5 : 1. */
function contrasts() {
  const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  const over = (colour, below) => {
    canvas.fillStyle = `rgb(${below.join()})`;
    canvas.fillRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data.slice(0, 3)];
  };
  const behind = (element) => {
    const below = element.parentElement ? behind(element.parentElement) : [255, 255, 255];
    return over(getComputedStyle(element).backgroundColor, below);
  };
  const light = (colour) => {
    const [r, g, b] = colour.map((c) => (c / 255 <= 0.04045 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const faint = [];
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const element = texts.currentNode.parentElement;
    if (!texts.currentNode.textContent.trim() || !element.checkVisibility() || element.closest("svg, script, style, noscript, .skip, .unseen")) continue;
    const below = behind(element);
    const [a, b] = [light(over(getComputedStyle(element).color, below)), light(below)].sort((a, b) => b - a);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < 4.5) faint.push(`${texts.currentNode.textContent.trim()} ${ratio.toFixed(2)}`);
  }
  return [...new Set(faint)];
}

test("names that would do harm are only names", async (t) => {
  await program.scene("hostile");
  const { page, isClean } = await look(t);
  await row(page, "__proto__").waitFor();
  const names = await page.locator(".row:visible [aria-colindex='2']").allTextContents();
  assert.ok(names.includes("<script>window.harmed = 1</script>"), names);
  assert.ok(names.includes("\\u{1b}]0;title\\u{7}\\u{1b}[2J\\u{d}\\u{a}next line\\u{202e}drawkcab"), names);
  assert.ok(names.includes("data: x\\u{a}\\u{a}event: gone\\u{a}data: fooled\\u{a}\\u{a}"), names);
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("Enter");
  for (const view of VIEWS) {
    await page.locator(`#tab-${view}`).click();
    await drawn(page);
    for (const node of await page.locator(".node:visible").all()) await node.click();
    assert.equal(await page.locator("#live").getAttribute("data-is"), "live");
    assert.deepEqual(await page.evaluate(() => [window.harmed, document.querySelectorAll("img, body script + script, #views b, #details b, iframe, object").length]), [undefined, 0]);
    assert.equal(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), true, "a long name does not break the page");
  }
  isClean();
});

test("a script that got in all the same would not run", async (t) => {
  const { page, complaints } = await look(t);
  await live(page);
  await page.evaluate(() => {
    const script = document.createElement("script");
    script.text = "window.harmed = 4";
    document.body.append(script);
  }).catch(() => {});
  await page.evaluate(() => {
    document.body.setAttribute("onclick", "window.harmed = 5");
  }).catch(() => {});
  await page.locator("body").click();
  await page.evaluate(() => {
    document.body.innerHTML = "<b>bold</b>";
  }).then(() => assert.fail("text became markup"), () => {});
  assert.equal(await page.evaluate(() => window.harmed), undefined);
  await page.evaluate(() => fetch("http://127.0.0.1:9/")).then(() => assert.fail("it may talk to others"), () => {});
  assert.match(complaints.join("\n"), /Content Security Policy/);
});

test("a thousand threads", async (t) => {
  await program.scene("many 1000");
  const { page, isClean } = await look(t);
  await row(page, "worker-1").waitFor();
  const grid = page.locator("#view-threads .grid");
  assert.equal(await grid.getAttribute("aria-rowcount"), "1001");
  assert.ok((await page.locator("#view-threads .row").count()) < 100, "only those in sight are there");
  await page.keyboard.press("End");
  const last = row(page, "worker-1000");
  await last.waitFor();
  assert.equal(await last.getAttribute("aria-rowindex"), "1001");
  await changes(last);
  await page.keyboard.press("2");
  await page.locator(".node", { hasText: "and 893 more" }).click();
  await page.locator("#view-threads:visible").waitFor();
  assert.equal(await page.locator(".found").textContent(), "900 of 1,000 threads");

  await program.scene("crowd 1000");
  await page.keyboard.press("2");
  const note = page.locator("#view-graph .note");
  await note.filter({ hasText: "Not shown, to keep this readable: " }).waitFor();
  assert.ok((await page.locator(".node").count()) <= 300);
  await page.keyboard.press("1");
  await page.locator("#view-threads input").fill("cell-998");
  await row(page, "cell-998").click();
  await page.keyboard.press("g");
  await page.locator(".node[aria-pressed=true]", { hasText: "cell-998" }).waitFor();
  for (const view of VIEWS) {
    await page.locator(`#tab-${view}`).click();
    await drawn(page);
  }
  isClean();
});

test("the time line can be moved and magnified", async (t) => {
  const { page, isClean } = await look(t, { view: "timeline" });
  await live(page);
  const note = page.locator("#view-timeline .note");
  const canvas = page.locator("canvas");
  await note.filter({ hasText: "15 threads" }).waitFor();
  const asked = await program.asked();
  while ((await program.asked()) < asked + 8);
  const painted = (name) => canvas.evaluate((canvas, name) => {
    const probe = new OffscreenCanvas(1, 1).getContext("2d");
    probe.fillStyle = getComputedStyle(document.documentElement).getPropertyValue(`--${name}`);
    probe.fillRect(0, 0, 1, 1);
    const [r, g, b] = probe.getImageData(0, 0, 1, 1).data;
    const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext("2d", { willReadFrequently: true });
    copy.drawImage(canvas, 0, 0);
    const { data } = copy.getImageData(0, 0, canvas.width, canvas.height);
    let count = 0;
    for (let at = 0; at < data.length; at += 4) if (data[at] === r && data[at + 1] === g && data[at + 2] === b) count += 1;
    return count;
  }, name);
  for (const is of ["running", "waiting", "idle", "blocked"]) assert.ok((await painted(`piece-${is}`)) > 50, is);
  assert.equal(await painted("piece-dead"), 0);
  await program.scene("deadlock");
  await page.locator("#alarm:visible").waitFor();
  await changes(page.locator("#process"));
  assert.ok((await painted("piece-dead")) > 5);

  await page.keyboard.press("ArrowDown");
  await note.filter({ hasText: /^main, .* ago: waited for join "listener", depending on listener/ }).waitFor();
  for (let n = 0; n < 2; n += 1) await page.keyboard.press("ArrowDown");
  await note.filter({ hasText: /^teller-0, / }).waitFor();
  await page.keyboard.press(",");
  await page.keyboard.press(",");
  await note.filter({ hasText: /^teller-0, .* ago: (ran|waited for (mutex "accounts"|queue empty "orders"))/ }).waitFor();
  const follow = page.getByRole("button", { name: "Follow" });
  await page.keyboard.press("+");
  await page.keyboard.press("+");
  await page.keyboard.press("ArrowLeft");
  assert.equal(await follow.getAttribute("aria-pressed"), "false", "what was moved away from the present stays there");
  await page.keyboard.press("End");
  assert.equal(await follow.getAttribute("aria-pressed"), "true");
  const box = await canvas.boundingBox();
  await page.mouse.move(box.x + box.width * 0.6, box.y + 60);
  await page.mouse.down();
  await page.mouse.move(box.x + box.width * 0.8, box.y + 60, { steps: 4 });
  await page.mouse.up();
  assert.equal(await follow.getAttribute("aria-pressed"), "false");
  await follow.click();
  await page.mouse.move(box.x + box.width * 0.9, box.y + 60);
  await note.filter({ hasText: /^listener, .* was blocked in the system/ }).waitFor();
  await page.mouse.click(box.x + box.width * 0.9, box.y + 60);
  assert.equal(await page.locator("#details h2").textContent(), "listener");
  isClean();
});

test("keeps the last picture when the program does not answer, and when it ends", async (t) => {
  const other = await play();
  t.after(() => other.end());
  const { page, isClean } = await look(t, { url: other.url });
  await row(page, "teller-0").waitFor();
  await other.scene("hang");
  await page.locator("#live[data-is=silent]").waitFor();
  assert.match(await page.locator("#notice").textContent(), /^The program has not answered for \d+ s/);
  await other.scene("bank");
  await live(page);
  await other.scene("end");
  await page.locator("#live[data-is=gone]").waitFor();
  assert.equal(await page.locator("#notice").textContent(), "the process 4242 has ended. This is the last picture of it.");
  assert.equal(await page.locator("#count-threads").textContent(), "15");
  for (const view of VIEWS) {
    await page.locator(`#tab-${view}`).click();
    await page.locator(`#view-${view}:visible`).waitFor();
  }
  // Who opens it afterwards has that picture too.
  await page.reload();
  await page.locator("#live[data-is=gone]").waitFor();
  assert.equal(await page.locator("#count-threads").textContent(), "15");
  isClean();
});

test("keeps the last picture when the server goes", async (t) => {
  const other = await play();
  const { page, elsewhere } = await look(t, { url: other.url });
  await row(page, "teller-0").waitFor();
  await other.end();
  await page.locator("#live[data-is=lost]").waitFor();
  assert.match(await page.locator("#notice").textContent(), /^The server of this page has ended.* This is the last picture\.Try again$/);
  await row(page, "teller-0").click();
  assert.equal(await page.locator("#details h2").textContent(), "teller-0");
  await page.getByRole("button", { name: "Try again" }).click();
  await page.locator("#notice", { hasText: "cannot be reached" }).waitFor();
  assert.deepEqual(elsewhere, []);
});

test("without the token there is a sentence and nothing else", async (t) => {
  const { page } = await look(t, { url: program.url.replace(/token=./, "token=_") });
  assert.match(await page.locator("body").textContent(), /^the URL lacks the token/);
});

test("another site can neither read it nor show it", async (t) => {
  const evil = createServer((_, answer) => answer.setHeader("content-type", "text/html").end("<!doctype html><iframe></iframe>"));
  await new Promise((ready) => evil.listen(0, "127.0.0.1", ready));
  t.after(() => evil.close());
  const page = await chromium.context.newPage();
  t.after(() => page.close());
  await page.goto(`http://127.0.0.1:${evil.address().port}/`);
  const read = (url, options) => page.evaluate(([url, options]) => fetch(url, options).then((answer) => `${answer.type} ${answer.status}`, () => "failed"), [url, options]);
  const snapshot = program.url.replace("/?", "/snapshot?");
  assert.equal(await read(snapshot), "failed");
  assert.equal(await read(snapshot, { mode: "no-cors" }), "failed", "not even blindly: Cross-Origin-Resource-Policy");
  await page.evaluate((url) => new Promise((loaded) => {
    document.querySelector("iframe").addEventListener("load", loaded);
    document.querySelector("iframe").src = url;
  }), program.url);
  assert.equal(page.frames().some((frame) => frame.url() === program.url && frame !== page.mainFrame()), false);
});

test("nothing moves by itself for who does not like that", async (t) => {
  const { page } = await look(t, { reducedMotion: "reduce" });
  await live(page);
  assert.equal(await page.evaluate(() => document.getAnimations().length), 0);
});

test("a narrow window", async (t) => {
  const { page, isClean } = await look(t);
  await page.setViewportSize({ width: 360, height: 640 });
  await row(page, "teller-0").waitFor();
  assert.equal(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), true);
  await row(page, "teller-0").click();
  await page.locator("#details:visible").waitFor();
  await page.keyboard.press("Escape");
  isClean();
});
