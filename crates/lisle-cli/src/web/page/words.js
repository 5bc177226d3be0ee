// Small things that all views use. Text of the program gets into the page through `textContent` alone, and what
// could not be seen in it is written as its escape.

const HIDDEN =
  /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]/g;

/** The text, with controls, and marks that turn the direction of a line, made visible. */
function harmless(text) {
  return text.replace(HIDDEN, (c) => `\\u{${c.charCodeAt(0).toString(16)}}`);
}

/** `text`, at most `length` long. */
function short(text, length) {
  const letters = Array.from(text);
  return letters.length <= length ? text : `${letters.slice(0, length - 1).join("")}…`;
}

/** The text, cut to so many columns; letters of East Asia and pictures take two. */
function fitting(text, columns) {
  let room = columns;
  let out = "";
  for (const letter of text) {
    room -= /[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\u{1f000}-\u{3fffd}]/u.test(letter) ? 2 : 1;
    if (room < 0) return `${Array.from(out).slice(0, -1).join("")}…`;
    out += letter;
  }
  return out;
}

/** A length of time for people: `850 µs`, `4.2 ms`, `1.25 s`, `2 min 03 s`, `3 h 12 min`. */
function duration(us) {
  if (us === null || us === undefined) return "";
  if (us < 1000) return `${Math.round(us)} µs`;
  if (us < 1e6) return `${figures(us / 1e3)} ms`;
  if (us < 60e6) return `${figures(us / 1e6)} s`;
  const s = Math.floor(us / 1e6);
  const two = (n) => String(n).padStart(2, "0");
  if (s < 3600) return `${Math.floor(s / 60)} min ${two(s % 60)} s`;
  if (s < 86400) return `${Math.floor(s / 3600)} h ${two(Math.floor(s / 60) % 60)} min`;
  return `${Math.floor(s / 86400)} d ${two(Math.floor(s / 3600) % 24)} h`;
}

/** A number with three figures. */
function figures(n) {
  return n >= 99.95 ? n.toFixed(0) : n >= 9.995 ? n.toFixed(1) : n.toFixed(2);
}

/** `3,200`. */
function number(n) {
  return n.toLocaleString("en");
}

/** `1 thread`, `2 threads`. */
function counted(n, one, many = `${one}s`) {
  return `${number(n)} ${n === 1 ? one : many}`;
}

/** An element with these attributes; those that are functions listen. */
function el(tag, attributes = {}, ...inside) {
  return set(document.createElement(tag), attributes, inside);
}

/** Likewise of SVG. */
function svg(tag, attributes = {}, ...inside) {
  return set(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, inside);
}

function set(made, attributes, inside) {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") made.addEventListener(name, value);
    else if (value === true) made.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) made.setAttribute(name, value);
  }
  made.append(...inside.filter((child) => child !== null && child !== undefined));
  return made;
}

/** Sets the text if it is another: what has not changed is not drawn again, nor read out. */
function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

function attribute(node, name, value) {
  if (value === null || value === undefined) node.removeAttribute(name);
  else if (node.getAttribute(name) !== String(value)) node.setAttribute(name, value);
}

/** Text of the program as an element of its own, in whatever direction it runs. */
function own(text, attributes = {}) {
  return el("bdi", attributes, harmless(text));
}

const byId = (id) => document.getElementById(id);
