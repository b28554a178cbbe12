// Curves, bars and the axes beneath them. A chart starts at zero, has gaps where nothing was measured, and is
// drawn by attributes alone, so that the page's policy needs no exception.

import { el, svg, fill } from "./dom.js";

/** Round numbers from zero to at least `most`, about `steps` of them. */
export function ticks(most, steps = 3) {
  if (!(most > 0)) return [0, 1];
  const raw = most / steps;
  const size = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 2.5, 5, 10].map((n) => n * size).find((n) => n >= raw - 1e-12);
  const found = [];
  for (let at = 0; at < most + step - 1e-9; at += step) found.push(Number(at.toPrecision(12)));
  return found;
}

/** The `d` of a curve through what was measured; null is a gap. */
export function curve(values, x, y) {
  const known = (at) => values[at] !== null && values[at] !== undefined;
  let path = "";
  values.forEach((value, at) => {
    if (!known(at)) return;
    path += `${known(at - 1) ? "L" : "M"}${x(at).toFixed(1)} ${y(value).toFixed(1)}`;
  });
  return path;
}

/** What was measured between two gaps, with nothing beside it to draw a line to: dots. */
function dots(values, x, y, kind) {
  const known = (at) => values[at] !== null && values[at] !== undefined;
  return values.flatMap((value, at) => (known(at) && !known(at - 1) && !known(at + 1) ? [svg("circle", { class: `dot ${kind}`, cx: x(at), cy: y(value), r: 1 })] : []));
}

/** The area under a curve, closed at zero on both sides of each gap. */
export function area(values, x, y) {
  let path = "";
  let from = -1;
  for (let at = 0; at <= values.length; at += 1) {
    const there = at < values.length && values[at] !== null && values[at] !== undefined;
    if (there && from < 0) from = at;
    if (!there && from >= 0) {
      const part = values.slice(from, at);
      const begin = from;
      path += `M${x(begin).toFixed(1)} ${y(0).toFixed(1)}`;
      part.forEach((value, n) => (path += `L${x(begin + n).toFixed(1)} ${y(value).toFixed(1)}`));
      path += `L${x(at - 1).toFixed(1)} ${y(0).toFixed(1)}Z`;
      from = -1;
    }
  }
  return path;
}

const figure = new Intl.NumberFormat("en-US", { maximumFractionDigits: 4 }); // a tick is never rounded

const LETTER = 7; // pixels of a letter of a label, at most
const DIED = () => el("span", { class: "legend" }, svg("svg", { viewBox: "0 0 4 12", "aria-hidden": "true" }, svg("path", { class: "death", d: "M2 1v10" })), "an item died");
const ENDS = {
  failed: (x, y) => svg("path", { class: "end", d: `M${x - 3} ${y - 3}l6 6M${x + 3} ${y - 3}l-6 6` }),
  paused: (x, y) => svg("path", { class: "end", d: `M${x - 3} ${y - 7}v7M${x} ${y - 7}v7` }),
  exhausted: (x, y) => svg("path", { class: "end", d: `M${x} ${y - 7}v7` }),
  closed: (x, y) => svg("path", { class: "end", d: `M${x} ${y - 7}v7` }),
};

/** A small curve that ends in its queue's state. */
export function spark(values, state) {
  const most = Math.max(...values.filter((value) => value !== null), 0);
  const x = (at) => 1 + (at * 121) / Math.max(values.length - 1, 1);
  const y = (value) => 25 - (most ? (value / most) * 20 : 0);
  const last = values.at(-1) ?? 0;
  const end = ENDS[state] ?? ((at, to) => svg("circle", { class: "end", cx: at, cy: to, r: 2.4 }));
  return svg(
    "svg",
    { class: `spark ${state}`, viewBox: "0 0 128 28", "aria-hidden": "true", preserveAspectRatio: "none" },
    svg("path", { class: "area", d: area(values, x, y) }),
    svg("path", { class: "curve", d: curve(values, x, y) }),
    end(x(Math.max(values.length - 1, 0)), y(last)),
  );
}

/** The last 60 seconds as bars. */
export function minute(values) {
  const most = Math.max(...values, 1);
  const bars = values.map((value, at) => {
    const high = Math.max((value / most) * 40, value ? 1 : 0);
    return svg("rect", { class: at === values.length - 1 ? "last" : null, x: at * 3, y: 42 - high, width: 2, height: high });
  });
  return svg("svg", { class: "minute", viewBox: "0 0 180 42", preserveAspectRatio: "none", "aria-hidden": "true" }, bars);
}

const LEFT = 46;
const RIGHT = 96;
const LEAST = 320;

/**
 * A chart over time, with its figures as a table for those who can't see it.
 *
 * `lines` are {name, kind, values, tell}; `from` and `step` (ms) place them; `marks` are {at, text} (actions),
 * `deaths` how many items died in each step. Nothing was measured before the server `began`.
 */
export class Chart {
  constructor({ title, note, unit, height, tools }) {
    this.high = height;
    this.unit = unit;
    this.picture = svg("svg", { role: "img", height: height + 24 });
    this.wide = 0;
    new ResizeObserver(() => this.last && this.picture.clientWidth !== this.wide && this.show(this.last)).observe(this.picture);
    this.table = el("table", { class: "plain", hidden: true });
    this.toggle = el("button", { type: "button", class: "link note", "aria-expanded": "false", onclick: () => this.flip() }, "Show as table");
    this.title = title;
    this.legend = el("span");
    this.root = el(
      "section",
      { class: "card chart" },
      el("header", {}, el("h2", {}, title), el("span", { class: "note" }, note), el("span", { class: "right" }, this.legend, tools ?? "")),
      this.picture,
      el("p", { class: "note" }, this.toggle),
      this.table,
    );
  }

  flip() {
    this.table.hidden = !this.table.hidden;
    this.toggle.setAttribute("aria-expanded", String(!this.table.hidden));
    this.toggle.textContent = this.table.hidden ? "Show as table" : "Hide the table";
    if (this.last) this.show(this.last);
  }

  show(data) {
    this.last = data;
    const { lines, from, step, now, clock, write, marks = [], deaths = [], began = from } = data;
    const length = Math.max(...lines.map((line) => line.values.length), 2);
    const most = Math.max(...lines.flatMap((line) => line.values.filter((value) => value !== null)), 0);
    const scale = ticks(most);
    const top = scale.at(-1) || 1;
    this.wide = this.picture.clientWidth;
    const wide = Math.max(this.wide || 640, LEAST);
    this.picture.setAttribute("viewBox", `0 0 ${wide} ${this.high + 24}`);
    const right = wide - RIGHT;
    const x = (at) => LEFT + (at * (right - LEFT)) / (length - 1);
    const y = (value) => this.high - (value / top) * (this.high - 14);
    const at = (time) => x((time - from) / step);
    const grid = scale.flatMap((tick, n) => [
      svg("path", { class: "grid", d: `M${LEFT} ${y(tick)}H${right}` }),
      svg("text", { x: LEFT - 8, y: y(tick) + 4, "text-anchor": "end" }, figure.format(tick) + (n === scale.length - 1 ? this.unit : "")),
    ]);
    const parts = wide < 480 ? [0, 1] : [0, 1 / 3, 2 / 3, 1];
    const times = parts.map((part) => {
      const when = clock(from + part * (length - 1) * step);
      const anchor = part === 0 ? "start" : part === 1 ? "end" : "middle";
      return svg("text", { x: x(part * (length - 1)), y: this.high + 18, "text-anchor": anchor }, part === 1 ? `now, ${clock(now)}` : when);
    });
    const drawn = lines.flatMap((line) => [
      line.area && svg("path", { class: "area", d: area(line.values, x, y) }),
      svg("path", { class: line.kind, d: curve(line.values, x, y) }),
      dots(line.values, x, y, line.kind),
    ]);
    const died = deaths.flatMap((n, step) => (n ? [svg("path", { class: "death", d: `M${x(step)} ${this.high}v-8` })] : []));
    if ((died.length > 0) !== (this.legend.childElementCount > 0)) fill(this.legend, died.length ? DIED() : "");
    let free = Infinity; // to the left of the label drawn last: one that has no room is a line alone
    const acts = marks
      .filter((act) => act.at >= from && act.at <= from + (length - 1) * step)
      .sort((one, other) => other.at - one.at)
      .flatMap((act) => {
        const place = at(act.at);
        const line = svg("path", { class: "act", d: `M${place} 4V${this.high}` });
        if (place + 4 + LETTER * act.text.length > free) return [line];
        free = place;
        return [line, svg("text", { x: place + 4, y: 12 }, act.text)];
      });
    const tell = spread(lines.map((line) => ({ y: y(line.values.findLast((value) => value !== null) ?? 0), text: line.tell })), this.high);
    const told = svg("g", { class: "tell" }, tell.map((each) => svg("text", { x: right + 6, y: each.y + 4 }, each.text)));
    this.picture.setAttribute("aria-label", `${this.title}: ${lines.map((line) => line.tell).join(", ")}`);
    const [gap, reason] = this.before(began, clock, Math.min(at(began), right));
    fill(this.picture, gap, grid, reason, times, drawn, died, acts, told);
    if (!this.table.hidden) this.tell(lines, from, step, length, clock, write);
  }

  /** What was before the server began: a gap, with its reason where there is room. */
  before(began, clock, until) {
    if (until <= LEFT + 1) return [[], []];
    const wide = until - LEFT;
    const when = clock(began);
    const text = [`Charts begin at ${when}, when the server started`, `The server started at ${when}`].find((words) => words.length * LETTER < wide);
    return [
      svg("rect", { class: "gap", x: LEFT, y: 14, width: wide, height: this.high - 14 }),
      text ? svg("text", { class: "reason", x: LEFT + wide / 2, y: this.high / 2 + 10, "text-anchor": "middle" }, text) : [],
    ];
  }

  tell(lines, from, step, length, clock, write) {
    const rows = [];
    const every = Math.max(Math.floor(length / 30), 1);
    for (let n = length - 1; n >= 0; n -= every) {
      const cells = lines.map((line) => el("td", { class: "num" }, line.values[n] == null ? "–" : write(line.values[n])));
      rows.push(el("tr", {}, el("th", { scope: "row" }, clock(from + n * step)), cells));
    }
    const head = el("tr", {}, el("th", { scope: "col" }, "Time"), lines.map((line) => el("th", { scope: "col", class: "num" }, line.name)));
    fill(this.table, el("caption", { class: "offscreen" }, this.title), el("thead", {}, head), el("tbody", {}, rows));
  }
}

/** Labels that would stand on one another, moved apart. */
function spread(labels, high) {
  const sorted = [...labels].sort((a, b) => a.y - b.y);
  sorted.forEach((label, n) => {
    if (n && label.y < sorted[n - 1].y + 13) label.y = sorted[n - 1].y + 13;
  });
  let least = high;
  for (const label of sorted.reverse()) {
    if (label.y > least) label.y = least;
    least = label.y - 13;
  }
  return labels;
}
