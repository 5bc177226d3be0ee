// `lisle web` with real programs.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtemp, readFile, readdir, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import { browser, open, start } from "./support.js";

const { LISLE, LISLE_KNOTS, LISLE_CLOSING } = process.env;
let chromium;

before(async () => {
  chromium = await browser();
});
after(() => chromium?.close());

/** A program, `lisle web` for it, and the page. */
async function watch(t, command, args, options) {
  const program = await start(command, args, /^ready$/, { env: { ...process.env, LISLE_AGENT: "1" }, stdio: ["pipe", "pipe", "ignore"] });
  t.after(() => program.end());
  const web = await start(LISLE, ["web", String(program.pid)], /^(http:\S+)$/, { stdio: ["ignore", "pipe", "ignore"] });
  t.after(() => web.end());
  const opened = await open(chromium.context, web.found[1], options);
  t.after(() => opened.page.close());
  await opened.page.locator("#live[data-is=live]").waitFor();
  return { program, web, ...opened };
}

test("a deadlock that closes while it watches, and stays", async (t) => {
  const { page, program, complaints, elsewhere } = await watch(t, LISLE_CLOSING, []);
  await page.locator(".row:visible", { hasText: "transfer" }).waitFor();
  assert.equal(await page.locator("#alarm").isVisible(), false);
  const before = Date.now();
  program.program.stdin.write("timed\n");
  await page.locator("#alarm[data-level=dead]:visible").waitFor();
  t.diagnostic(`seen ${Date.now() - before} ms after it was asked for`);
  assert.match(await page.locator("#alarm").textContent(), /^Deadlock that ends by itself: (transfer and audit|audit and transfer) wait for each other/);
  await page.keyboard.press("d");
  assert.equal(await page.locator(".edge[data-level=dead]").count(), 4);
  await page.keyboard.press("1");
  await page.locator(".row:visible", { hasText: "transfer" }).first().click();
  await page.locator("#details", { hasText: /held by audit.*taken at .*closing\.rs:\d+/ }).waitFor();
  assert.deepEqual([complaints, elsewhere], [[], []]);
});

test("a deadlock that is proven, and failed at once", async (t) => {
  const { page, program, complaints } = await watch(t, LISLE_CLOSING, []);
  await page.locator(".row:visible", { hasText: "transfer" }).waitFor();
  const before = Date.now();
  program.program.stdin.write("proven\n");
  await page.locator("#alarm[data-level=dead]:visible").waitFor();
  t.diagnostic(`seen ${Date.now() - before} ms after it was asked for`);
  await page.locator("#alarm", { hasText: /There was a deadlock: .* waited for each other; the wait of (transfer|audit) was failed/ }).waitFor();
  await page.keyboard.press("5");
  await page.locator(".card[data-when=past] pre", { hasText: /^deadlock: 2 threads wait for each other/ }).waitFor();
  assert.deepEqual(complaints, []);
});

for (const [scene, level] of [
  ["timed-two-locks", "dead"], ["orphan", "orphan"], ["no-producer", "suspect"], ["contention", null], ["reader-reader-writer", "dead"],
  ["two-locks", "dead"], ["three-locks", "dead"], ["join-while-holding", "dead"], ["starved-pool", "dead"],
]) {
  test(`the knot ${scene}`, async (t) => {
    const { page, complaints } = await watch(t, LISLE_KNOTS, [scene]);
    if (level) await page.locator(`#alarm[data-level=${level}]:visible`).waitFor();
    await page.locator(".row:visible", { hasText: "main" }).waitFor();
    for (const view of ["graph", "contention", "timeline", "reports"]) {
      await page.locator(`#tab-${view}`).click();
      await page.locator(`#view-${view}:visible`).waitFor();
    }
    if (!level) assert.equal(await page.locator("#alarm").isVisible(), false);
    assert.deepEqual(complaints, []);
  });
}

test("a program that is stopped and goes on, and one that is killed", async (t) => {
  const { page, program, complaints } = await watch(t, LISLE_KNOTS, ["contention"]);
  program.program.kill("SIGSTOP");
  await page.locator("#live[data-is=silent]").waitFor();
  program.program.kill("SIGCONT");
  await page.locator("#live[data-is=live]").waitFor();
  program.program.kill("SIGKILL");
  await page.locator("#live[data-is=gone]").waitFor();
  assert.match(await page.locator("#notice").textContent(), new RegExp(`^process ${program.pid} \\(.*\\) has ended\\. This is the last picture of it\\.$`));
  assert.ok((await page.locator(".row:visible").count()) > 4);
  assert.deepEqual(complaints, []);
});

test("Ctrl-C ends the page, not the program", async (t) => {
  const { page, program, web } = await watch(t, LISLE_KNOTS, ["contention"]);
  web.program.kill("SIGINT");
  await page.locator("#live[data-is=lost]").waitFor();
  assert.equal(program.program.exitCode, null);
  if (web.program.exitCode === null) await new Promise((done) => web.program.on("exit", done));
  assert.equal(web.program.exitCode, 0);
});

test("--open leads the browser to the page by a file that only its user can read", async (t) => {
  const folder = await mkdtemp(path.join(tmpdir(), "lisle-open-"));
  t.after(() => rm(folder, { recursive: true, force: true }));
  // In the place of the desktop's: says what it was told to open.
  await writeFile(path.join(folder, "xdg-open"), `#!/bin/sh\necho "$1" > '${folder}/told.new' && mv '${folder}/told.new' '${folder}/told'\n`, { mode: 0o755 });
  const program = await start(LISLE_KNOTS, ["contention"], /^ready$/, { env: { ...process.env, LISLE_AGENT: "1" }, stdio: ["pipe", "pipe", "ignore"] });
  t.after(() => program.end());
  const env = { ...process.env, PATH: `${folder}:${process.env.PATH}`, XDG_RUNTIME_DIR: folder };
  const web = await start(LISLE, ["web", "--open", String(program.pid)], /^(http:\S+)$/, { env, stdio: ["ignore", "pipe", "ignore"] });
  t.after(() => web.end());
  let told = "";
  while (!told) {
    told = (await readFile(path.join(folder, "told"), "utf8").catch(() => "")).trim();
    await new Promise(setImmediate);
  }
  assert.ok(!told.includes("token") && !told.includes("http"), told);
  assert.equal((await stat(told)).mode & 0o777, 0o600);
  const { page } = await open(chromium.context, `file://${told}`);
  t.after(() => page.close());
  await page.locator("#live[data-is=live]").waitFor();
  assert.equal(page.url().split("#")[0], web.found[1]);
  await web.end();
  assert.deepEqual((await readdir(folder)).sort(), ["told", "xdg-open"], "nothing is left behind");
});

test("what cannot be shown is said in one sentence", async (t) => {
  const run = (...args) => spawnSync(LISLE, ["web", ...args], { encoding: "utf8" });
  const nobody = run("4194305");
  assert.deepEqual([nobody.status, nobody.stdout, nobody.stderr], [1, "", "lisle: there is no process 4194305\n"]);
  const { program, web } = await watch(t, LISLE_KNOTS, ["contention"]);
  const port = new URL(web.found[1]).port;
  const taken = run("--port", port, String(program.pid));
  assert.deepEqual([taken.status, taken.stdout, taken.stderr], [1, "", `lisle: port ${port} is taken\n`]);
  const without = await start("sh", ["-c", "echo ready; read line"], /^ready$/);
  t.after(() => without.end());
  const answer = run(String(without.pid));
  assert.equal(answer.status, 1);
  assert.match(answer.stderr, /^lisle: process \d+ \(.*\) runs without the agent.*\n$/);
});
