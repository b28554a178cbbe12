// Numbers, times and texts as the page writes them.

const whole = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });
const one = new Intl.NumberFormat("en-US", { minimumFractionDigits: 1, maximumFractionDigits: 1 });

export const count = (n) => whole.format(n);

const small = new Intl.NumberFormat("en-US", { maximumSignificantDigits: 2 });

/** A rate: one decimal below 100, none where it is whole and zero; two figures of one below 0.1, which is not zero. */
export const rate = (n) => (n > 0 && n < 0.095 ? small.format(n) : n < 100 && !Number.isInteger(n) ? one.format(n) : whole.format(n));

export const items = (n, word = "item") => `${count(n)} ${word}${n === 1 ? "" : "s"}`;

/** A duration in two figures with its unit: 8.2 s, 26 min. */
export function span(seconds) {
  if (seconds > 0 && seconds < 0.9995) return `${figures(seconds * 1000)} ms`;
  if (seconds < 59.5) return `${figures(seconds)} s`;
  const minutes = seconds / 60;
  if (minutes < 59.5) return `${Math.round(minutes)} min`;
  const hours = minutes / 60;
  if (hours < 23.5) return `${figures(hours)} h`;
  return `${figures(hours / 24)} d`;
}

const figures = (n) => (n < 9.95 && n !== 0 ? one.format(n) : whole.format(n));

/** An age in words: "3 minutes", "12 s". */
export function words(seconds) {
  if (seconds < 60) return `${Math.round(seconds)} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 60) return `${minutes} minute${minutes === 1 ? "" : "s"}`;
  const hours = Math.round(seconds / 3600);
  if (hours < 24) return `${hours} hour${hours === 1 ? "" : "s"}`;
  const days = Math.round(seconds / 86400);
  return `${days} day${days === 1 ? "" : "s"}`;
}

export function ago(seconds) {
  if (seconds >= 86400 && seconds < 2 * 86400) return "yesterday";
  return `${span(seconds)} ago`;
}

/** How long a server has run: 12 d 4 h, 4 h 12 min, 9 s. */
export function uptime(seconds) {
  const at = Math.floor(seconds);
  if (at < 60) return `${at} s`;
  const minutes = Math.floor(at / 60);
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return `${hours} h ${minutes % 60} min`;
  return `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

export function bytes(n) {
  for (const [unit, size] of [["GiB", 2 ** 30], ["MiB", 2 ** 20], ["KiB", 2 ** 10]]) {
    if (n >= size) return `${figures(n / size)} ${unit}`;
  }
  return `${count(n)} bytes`;
}

const pad = (n, width = 2) => String(n).padStart(width, "0");

/** The time of day in the reader's zone; with tenths of a second where asked for. */
export function clock(milliseconds, { seconds = true, tenths = false } = {}) {
  const at = new Date(milliseconds);
  let text = `${pad(at.getHours())}:${pad(at.getMinutes())}`;
  if (seconds) text += `:${pad(at.getSeconds())}`;
  if (tenths) text += `.${Math.floor(at.getMilliseconds() / 100)}`;
  return text;
}

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/** The time of day for an axis, with day and month where it was another day. */
export function moment(milliseconds, now) {
  const at = new Date(milliseconds);
  const time = clock(milliseconds, { seconds: false });
  return at.toDateString() === new Date(now).toDateString() ? time : `${at.getDate()} ${MONTHS[at.getMonth()]} ${time}`;
}

/** The time of day, with the date where it was another day. */
export function day(milliseconds, now) {
  const at = new Date(milliseconds);
  if (at.toDateString() === new Date(now).toDateString()) return clock(milliseconds);
  return `${at.getFullYear()}-${pad(at.getMonth() + 1)}-${pad(at.getDate())} ${clock(milliseconds, { seconds: false })}`;
}

export const utc = (milliseconds) => new Date(milliseconds).toISOString();

/** Characters of an error by which dead letters are told apart; it is cut to these. */
const ERROR_MOST = 200;
const CONTROLS = /[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/gu;

/** Control characters as symbols, so that a text shows what is in it and changes nothing around it. */
export function inert(text) {
  return String(text).replace(CONTROLS, (sign) => {
    const code = sign.codePointAt(0);
    if (code < 0x20) return String.fromCodePoint(0x2400 + code);
    if (code === 0x7f) return "\u2421";
    return `\u27e8${code.toString(16).toUpperCase().padStart(4, "0")}\u27e9`;
  });
}

/** The same for a text of several lines. */
export const lines = (text) => String(text).split(/\r?\n/u).map(inert).join("\n");

/** The first and the last line of an error, as `dibs dead` shows it; of one that was cut, the first. */
export function brief(error, most) {
  const parts = String(error).trim().split(/\r?\n/u);
  const [first] = parts, last = parts.at(-1);
  return clip(last === first || String(error).length === ERROR_MOST ? first : `${first}: ${last}`, most);
}

/** The first part of a text that may be long. */
export function clip(text, most = 200) {
  const shown = inert(text);
  return shown.length > most ? `${shown.slice(0, most)}…` : shown;
}

/** A value as JSON over several lines. */
export const json = (value) => JSON.stringify(value, null, 1);

/** JSON text of a value on one line; a plain text without its quotes. */
export const bare = (text) => (/^"[^"\\]*"$/u.test(text) ? text.slice(1, -1) : text);

/** A source as it was named: count(start=100). */
export function source(queue) {
  if (!queue.source) return "pushed by producers";
  const named = Object.entries(queue.args ?? {}).map(([name, value]) => `${name}=${short(value)}`);
  return inert(named.length || !queue.source.includes(":") ? `${queue.source}(${named.join(", ")})` : queue.source);
}

const short = (value) => (value !== null && typeof value === "object" ? "…" : JSON.stringify(value));

/** How far an action has come that began with so many, of which some are left: "Purging, 412 of 1,041". */
export const progress = (verb, total, left) => `${verb}, ${count(Math.min(Math.max(total - left, 0), total))} of ${count(total)}`;
