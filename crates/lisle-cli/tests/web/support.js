// A program that plays, or a real one, and a browser that looks at it.

import { chromium } from "playwright-core";
import { spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { createInterface } from "node:readline";
import { tmpdir } from "node:os";
import path from "node:path";

const FLAGS = [
  "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
  "--disable-background-networking", "--disable-component-update", "--disable-sync",
];

/** What a process prints, line by line. */
class Lines {
  #got = [];
  #wanted = [];
  #over = null;

  constructor(stream, what) {
    const lines = createInterface(stream);
    lines.on("line", (line) => {
      this.#got.push(line);
      this.#look();
    });
    lines.on("close", () => {
      this.#over = new Error(`${what} has ended; it said:\n${this.#got.join("\n")}`);
      this.#look();
    });
  }

  /** The next line that is like that; what is before it is dropped. */
  async next(pattern) {
    return new Promise((found, failed) => {
      this.#wanted.push({ pattern, found, failed });
      this.#look();
    });
  }

  #look() {
    while (this.#wanted.length > 0) {
      const { pattern, found, failed } = this.#wanted[0];
      const at = this.#got.findIndex((line) => pattern.test(line));
      if (at === -1 && !this.#over) return;
      this.#wanted.shift();
      if (at === -1) failed(this.#over);
      else found(this.#got.splice(0, at + 1).at(-1).match(pattern));
    }
  }
}

/** Starts the program of `play.rs`. */
export async function play() {
  const program = spawn(process.env.LISLE_PLAY_PROGRAM, ["--exact", "web::play::play", "--nocapture"], {
    env: { ...process.env, LISLE_PLAY: "1" }, stdio: ["pipe", "pipe", "inherit"],
  });
  const lines = new Lines(program.stdout, "the program that plays");
  const [, url] = await lines.next(/^url (\S+)$/);
  const command = async (word) => {
    program.stdin.write(`${word}\n`);
    return Number((await lines.next(/^asked (\d+)$/))[1]);
  };
  return {
    url,
    /** From now on the program does that. */
    scene: command,
    /** How often it was asked for a snapshot. */
    asked: () => command("asked"),
    end: () => {
      program.stdin.end();
      return ended(program);
    },
  };
}

/** Starts a real program, whose first line of output has to be like that. */
export async function start(command, args, pattern, options = {}) {
  const program = spawn(command, args, { stdio: ["pipe", "pipe", "inherit"], ...options });
  const lines = new Lines(program.stdout, command);
  return { pid: program.pid, program, found: await lines.next(pattern), lines, end: () => (program.kill(), ended(program)) };
}

function ended(program) {
  return new Promise((done) => {
    if (program.exitCode !== null || program.signalCode !== null) return done();
    program.on("exit", done);
  });
}

/** A browser of its own, without a past. */
export async function browser() {
  const folder = await mkdtemp(path.join(tmpdir(), "lisle-web-"));
  const context = await chromium.launchPersistentContext(folder, {
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: FLAGS, viewport: { width: 1280, height: 800 },
  });
  context.setDefaultTimeout(15_000);
  return {
    context,
    async close() {
      await context.close();
      await rm(folder, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}

/** A page at that URL, with what it asked for of whom, and what it complained about. */
export async function open(context, url, { view = "", ...media } = {}) {
  const page = await context.newPage();
  const elsewhere = [];
  const asked = [];
  const complaints = [];
  const home = new URL(url).origin;
  page.on("request", (request) => {
    const { protocol, origin, pathname } = new URL(request.url());
    if (protocol === "data:") return;
    (origin === home ? asked : elsewhere).push(`${request.method()} ${origin}${pathname}`);
  });
  page.on("pageerror", (error) => complaints.push(error.stack ?? String(error)));
  page.on("console", (message) => ["error", "warning"].includes(message.type()) && complaints.push(message.text()));
  page.on("dialog", (dialog) => {
    complaints.push(`a dialog: ${dialog.message()}`);
    void dialog.dismiss();
  });
  if (Object.keys(media).length > 0) await page.emulateMedia(media);
  await page.goto(view ? `${url}#${view}` : url);
  return { page, elsewhere, asked, complaints };
}
