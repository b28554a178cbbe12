// Who took or acked what, newest first, where the queue keeps it; of one item, if its seq is asked for.

import { button, el, fill, mark, say } from "./dom.js";
import { clip, count, day, utc } from "./format.js";
import { ask, path } from "./request.js";

const PAGE = 10;
const EVERY = 5; // looks at the queue between two reads, while something goes out

export class History {
  constructor(name) {
    this.name = name;
    this.rows = [];
    this.looks = 0;
    this.note = el("span", { class: "note" });
    this.seq = el("input", { class: "field", type: "number", min: "1", step: "1", inputmode: "numeric", "aria-label": "Of the item with this seq", placeholder: "seq" });
    this.seq.addEventListener("input", () => this.load());
    this.body = el("tbody");
    const heads = ["When", "What", "Seqs", "By", "Key"].map((text) => el("th", { scope: "col" }, text));
    this.frame = el("div", { class: "scrolls", tabindex: "0", role: "group", "aria-label": "Who took or acked what" }, el("table", { class: "plain" }, el("caption", { class: "offscreen" }, "Who took or acked what, newest first"), el("thead", {}, el("tr", {}, heads)), this.body));
    this.told = el("p", { class: "note after", role: "status" });
    this.older = button("Show older", { kind: "small", onclick: () => this.next && this.load(this.next) });
    this.root = el("section", { class: "card history", hidden: true }, el("header", {}, el("h2", {}, "History"), this.note, el("span", { class: "right" }, el("label", {}, "Who got item ", this.seq))), this.frame, this.told, el("p", { class: "after" }, this.older));
  }

  show({ settings, audit, now }) {
    const kept = settings.history !== 0;
    mark(this.root, "hidden", !kept);
    if (!kept) return;
    this.now = now;
    say(this.note, `who took or acked what${settings.history === null ? ", for ever" : ""}`);
    const moved = `${audit.taken} ${audit.acked}`;
    if (moved === this.moved || (this.looks++ % EVERY && this.rows.length) || this.rows.length > PAGE) return;
    this.moved = moved;
    if (!this.seq.value) this.load();
  }

  async load(before = null) {
    const query = new URLSearchParams({ limit: PAGE });
    if (this.seq.value) query.set("seq", this.seq.value);
    else query.set("before", before ?? Number.MAX_SAFE_INTEGER);
    const turn = (this.turn = Symbol("turn"));
    try {
      const found = await ask("GET", path(this.name, `/history?${query}`));
      if (turn !== this.turn) return;
      this.rows = before ? [...this.rows, ...found.history] : found.history;
      this.next = this.seq.value ? null : found.next;
      say(this.told, this.rows.length ? "" : this.seq.value ? `Nobody took or acked item ${this.seq.value}, as far as is kept.` : "Nothing was taken or acked yet.");
    } catch (error) {
      if (turn === this.turn) say(this.told, `The history could not be read: ${error.message}`);
    }
    this.place();
  }

  place() {
    fill(
      this.body,
      this.rows.map((row) => {
        const seqs = row.first === row.last ? count(row.first) : `${count(row.first)} to ${count(row.last)}`;
        const who = [row.worker, row.caller].filter((name) => name && name !== "anybody").map((name) => el("bdi", {}, clip(name, 40)));
        const by = who.length ? who.flatMap((name, n) => (n ? [" of ", name] : [name])) : "anybody";
        return el("tr", {}, el("td", {}, el("time", { datetime: row.at, title: utc(Date.parse(row.at)) }, day(Date.parse(row.at), this.now))), el("td", {}, row.verb), el("td", {}, seqs), el("td", {}, by), el("td", {}, row.key ? el("code", {}, el("bdi", {}, clip(row.key, 40))) : "–"));
      }),
    );
    mark(this.frame, "hidden", !this.rows.length);
    mark(this.older.parentNode, "hidden", !this.next);
  }
}
