// Where every seq is: the sum in figures, then as a bar, then what is inside drawn larger.

import { el, fill, mark, say, shape, svg } from "./dom.js";
import { count } from "./format.js";

const WIDE = 1000;
const PARTS = ["acked", "taken", "purged", "jumped", "leased", "waiting", "dead"];
const DONE = ["acked", "taken", "purged", "jumped"];

export class Audit {
  constructor() {
    this.range = el("span", { class: "note" });
    this.verdict = el("span", { class: "right" });
    this.sum = el("dl", { class: "sum" });
    this.bar = svg("svg", { viewBox: `0 0 ${WIDE} 54`, preserveAspectRatio: "none", height: "54", role: "img" });
    this.names = svg("svg", { class: "names", "aria-hidden": "true" });
    this.note = el("p", { class: "note" });
    const heading = el("header", {}, el("h2", {}, "Where every seq is"), this.range, this.verdict);
    this.root = el("section", { class: "card audit" }, heading, this.sum, this.bar, this.names, this.note);
  }

  show(audit) {
    const key = JSON.stringify(audit);
    if (this.key === key) return;
    this.key = key;
    const all = audit.cursor - audit.base;
    say(this.range, all > 0 ? `${count(audit.base + 1)} to ${count(audit.cursor)}, each counted once` : "nothing was drawn or pushed yet");
    this.judge(audit);
    this.figures(audit);
    const inside = audit.leased + audit.waiting + audit.dead;
    this.draw(audit, Math.max(all, 1), inside);
    mark(this.bar, "hidden", all === 0);
    say(this.note, inside && inside < all ? `Above: all seqs. Below: the ${count(inside)} that are still inside, drawn larger: leased, ready, delayed, dead.` : inside ? "" : "Nothing is inside.");
  }

  judge(audit) {
    const sum = PARTS.reduce((total, part) => total + audit[part], 0);
    const off = audit.cursor - audit.base - sum;
    const good = audit.balanced;
    const text = good ? `adds up, ${count(audit.overlaps)} overlaps` : `off by ${count(Math.abs(off))}, ${count(audit.overlaps)} overlaps`;
    fill(this.verdict, el("span", { class: good ? "good" : "good bad" }, shape(good ? "good" : "failed"), text));
  }

  figures(audit) {
    const shown = PARTS.filter((part) => audit[part] > 0);
    const zero = PARTS.filter((part) => audit[part] === 0);
    const term = (text, value, part) =>
      el("div", {}, el("dt", {}, part && el("span", { class: `box fill-${part === "jumped" ? "purged" : part}` }), text), el("dd", { class: part === "dead" ? "bad" : value ? "" : "nil" }, count(value)));
    const terms = shown.map((part) => term(part, audit[part], part));
    if (zero.length) terms.push(term(zero.join(", "), 0));
    terms.push(term(audit.base ? `cursor, from ${count(audit.base)}` : "cursor", audit.cursor - audit.base));
    fill(this.sum, terms);
  }

  draw(audit, all, inside) {
    const parts = [];
    let x = 0;
    for (const part of [...DONE, "leased", "waiting", "dead"]) {
      const wide = (audit[part] / all) * WIDE;
      if (wide > 0) parts.push(svg("rect", { class: `fill-${part === "jumped" ? "purged" : part}`, x, y: 0, width: Math.max(wide, 1.5), height: 13, rx: 2 }));
      x += wide;
    }
    const labels = [];
    if (inside) {
      const from = WIDE - Math.max((inside / all) * WIDE, 1.5);
      parts.push(svg("path", { class: "fan", d: `M${from} 15H${WIDE}V28H0Z` }));
      const big = [["leased", audit.leased, "leased"], ["waiting", audit.waiting - audit.delayed, "ready to go out"], ["delayed", audit.delayed, "delayed"], ["dead", audit.dead, "dead"]].filter(([, n]) => n > 0);
      let at = 0;
      for (const [part, n, word] of big) {
        const wide = Math.max((n / inside) * (WIDE - (big.length - 1) * 3), 3);
        parts.push(svg("rect", { class: `fill-${part}`, x: at, y: 28, width: wide, height: 26, rx: 2 }));
        labels.push({ from: at / 10, wide: wide / 10, text: word === "leased" || word === "dead" ? word : `${word} ${count(n)}` });
        at += wide + 3;
      }
    }
    this.bar.setAttribute("aria-label", PARTS.filter((part) => audit[part]).map((part) => `${part} ${count(audit[part])}`).join(", ") || "empty");
    fill(this.bar, parts);
    fill(this.names, apart(labels));
    mark(this.names, "hidden", !inside);
    this.bar.setAttribute("viewBox", `0 0 ${WIDE} ${inside ? 54 : 13}`);
    this.bar.setAttribute("height", inside ? "54" : "13");
  }
}

/** Labels of narrow parts would stand on one another: one moves to the right beneath its own part, or is left out. */
function apart(labels) {
  const sign = innerWidth < 720 ? 2.2 : 0.75; // percent of the width that a letter takes
  let free = 0;
  return labels.flatMap(({ from, wide, text }) => {
    const long = text.length * sign;
    const begin = Math.min(Math.max(from, free), Math.max(100 + sign - long, 0));
    if (begin < free || (begin > from && begin + long > from + wide)) return [];
    free = begin + long + sign;
    return [svg("text", { x: `${begin.toFixed(2)}%`, y: 15 }, text)];
  });
}
