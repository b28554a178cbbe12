// Dead letters: by error, one bar of actions, the table, and one item's whole story opened in place.

import { button, el, fill, mark, order, say, shape, svg } from "./dom.js";
import { brief, clip, clock, count, day, items, json, lines, progress, span, utc } from "./format.js";
import { ask, path } from "./request.js";

const EXPIRED = "the lease expired"; // what the server notes where nothing was heard of a holder

const PAGE = 25;
const SIGN = 6; // pixels of a letter beneath an attempt
const MOST = 500; // dead letters that are asked for anew when others died
const COUNTED = 10_000; // the newest dead letters, of which the server counts the errors

export class Dead {
  constructor(page, name) {
    this.page = page;
    this.name = name;
    this.error = null; // the chosen one
    this.picked = new Set();
    this.rows = [];
    this.opened = new Map();
    this.note = el("span", { class: "note" });
    this.chips = el("div", { class: "chips framed", role: "group", "aria-label": "Filter by error" });
    this.bar = el("div", { class: "bar" });
    this.rate = el("input", { class: "field", type: "number", min: "1", step: "1", value: "50", "aria-label": "Items a second", inputmode: "numeric" });
    this.rate.addEventListener("input", () => this.tell());
    this.all = button("", { icon: "again", kind: "small primary", onclick: () => this.redriveAll() });
    this.takes = el("span");
    this.some = button("", { kind: "small", onclick: () => this.redrive([...this.picked]) });
    this.purge = button("Purge…", { kind: "small danger", onclick: () => page.dialogs.purge(this.name, this.data, this.results, ["dead"]) });
    this.chosen = el("span");
    fill(this.bar, this.all, "at", this.rate, el("span", {}, "a second", this.takes), el("span", { class: "right" }, this.chosen, this.some, this.purge));
    this.body = el("tbody", { role: "rowgroup" }); // on a phone rows are laid out as blocks: the roles are set
    const pick = page.may("operate");
    const heads = [pick && el("th", { scope: "col", role: "columnheader" }, el("span", { class: "offscreen" }, "Select")), ...["Seq", "Last error", "Attempts", "Worker", "Died"].map((text, n) => el("th", { scope: "col", role: "columnheader", class: n === 4 ? "num" : null }, text))];
    this.frame = el("table", { role: "table" }, el("caption", { class: "offscreen" }, "Dead letters, newest first"), el("thead", { role: "rowgroup" }, el("tr", { role: "row" }, heads)), this.body);
    this.older = el("button", { type: "button", class: "link", onclick: () => this.more() }, "Show older");
    this.shown = el("p", { class: "all" });
    this.results = el("div");
    this.root = el("section", { class: "card dead-card" }, el("header", {}, el("h2", {}, "Dead letters"), this.note), this.chips, pick ? this.bar : null, this.results, this.frame, this.shown);
  }

  show(data) {
    const before = this.data;
    this.data = data;
    const none = data.dead.count === 0;
    mark(this.root, "hidden", none && !this.results.childElementCount);
    for (const part of [this.frame, this.shown]) mark(part, "hidden", none);
    say(this.note, none ? "none" : `${count(data.dead.count)}; newest first${data.dead.count > COUNTED ? `; by error: of the ${count(COUNTED)} newest` : ""}`);
    const errors = data.dead.errors;
    if (this.error !== null && !errors.some((each) => each.error === this.error)) this.choose(null);
    const known = new Map([...this.chips.children].map((chip) => [chip.dataset.error, chip]));
    order(
      this.chips,
      errors.map((each) => {
        const chip = known.get(each.error) ?? el("button", { type: "button", class: "chip", "data-error": each.error, title: clip(each.error), onclick: () => this.choose(this.error === each.error ? null : each.error) }, el("span", {}, brief(each.error || "no error was told", 60)), el("b"));
        mark(chip, "aria-pressed", String(this.error === each.error));
        say(chip.lastChild, count(each.count));
        return chip;
      }),
    );
    this.tell();
    if (!before || before.dead.count !== data.dead.count || before.dead.newest !== data.dead.newest) this.load();
  }

  /** How many match: sent along with the action, which is refused if it has become another number. */
  get matching() {
    if (this.error === null) return this.data.dead.count;
    return this.data.dead.errors.find((each) => each.error === this.error)?.count ?? 0;
  }

  tell() {
    if (!this.data) return; // a rate may be typed before anything was heard
    const n = this.matching;
    mark(this.bar, "hidden", this.data.dead.count === 0 && !this.going); // the word on what was done stays
    const rate = Number(this.rate.value);
    const all = `Redrive ${count(n)}${this.error === null ? "" : " that match"}`;
    say(this.all.lastChild, this.going ? progress("Redriving", this.going, n) : all);
    say(this.takes, rate > 0 && n > 0 ? `: takes about ${span(n / rate)}` : " (no number: all at once)");
    say(this.chosen, this.picked.size ? `${count(this.picked.size)} selected` : "");
    mark(this.some, "hidden", !this.picked.size);
    say(this.some, `Redrive ${count(this.picked.size)}`);
  }

  choose(error) {
    this.error = error;
    this.rows = [];
    this.picked.clear();
    this.opened.clear();
    this.load();
    this.show(this.data);
  }

  /** Read older ones, or what is shown anew: as many as were shown. */
  async load(before = null) {
    const query = new URLSearchParams({ limit: before ? PAGE : Math.min(Math.max(this.rows.length, PAGE), MOST) });
    if (this.error !== null) query.set("error", this.error);
    if (before) query.set("before", before);
    const turn = (this.turn = Symbol("turn"));
    try {
      const found = await ask("GET", path(this.name, `/dead?${query}`));
      if (turn !== this.turn) return;
      this.rows = before ? [...this.rows, ...found.items] : found.items;
      this.next = found.next;
      this.place();
    } catch (error) {
      this.page.result(this.results, "bad", "The dead letters could not be read.", error.message);
    }
  }

  more() {
    if (this.next) this.load(this.next);
  }

  place() {
    const known = new Map([...this.body.children].map((row) => [row.dataset.key, row]));
    const nodes = [];
    for (const item of this.rows) {
      const row = known.get(`${item.seq}`) ?? this.row(item);
      nodes.push(row);
      const story = this.opened.get(item.seq);
      if (story) nodes.push(story);
      row.classList.toggle("opened", Boolean(story));
      mark(row.querySelector("button"), "aria-expanded", String(Boolean(story)));
      const pick = row.querySelector("input");
      if (pick) pick.checked = this.picked.has(item.seq);
    }
    order(this.body, nodes);
    const more = this.next ? this.older : null;
    fill(this.shown, `${count(this.rows.length)} of ${count(this.matching)} shown. `, more);
  }

  row(item) {
    const pick = el("input", { type: "checkbox", "aria-label": `Select item ${item.seq}` });
    pick.addEventListener("change", () => {
      if (pick.checked) this.picked.add(item.seq);
      else this.picked.delete(item.seq);
      this.tell();
    });
    const row = el(
      "tr",
      { class: "row", role: "row", tabindex: "0", "data-key": item.seq },
      this.page.may("operate") ? el("td", { role: "cell" }, el("label", { class: "tick" }, pick)) : null,
      el("td", { role: "cell", class: "seq" }, el("button", { type: "button", class: "link", tabindex: "-1", "aria-expanded": "false" }, count(item.seq))),
      el("td", { role: "cell", class: "error" }, el("bdi", {}, brief(item.error || "no error was told", 120))),
      el("td", { role: "cell", class: "attempts" }, this.attempts(item.attempt)),
      el("td", { role: "cell", class: "worker" }, el("bdi", {}, clip(item.worker || "no name", 40))),
      el("td", { role: "cell", class: "num" }, el("time", { datetime: item.at, title: item.at }, day(Date.parse(item.at), Date.now()))),
    );
    row.addEventListener("click", (event) => event.target.closest("input, label") || this.flip(item));
    row.addEventListener("keydown", (event) => {
      if (event.target !== row) return;
      if (event.key === "Enter") this.flip(item);
      else if (event.key === " ") {
        event.preventDefault();
        pick.click();
      } else if (event.key === "Escape" && this.opened.has(item.seq)) this.flip(item);
    });
    return row;
  }

  async flip(item) {
    if (this.opened.delete(item.seq)) {
      this.place();
      return;
    }
    try {
      const found = await ask("GET", path(this.name, `/items/${item.seq}`));
      const story = el("tr", { role: "row", "data-key": `story-${item.seq}`, class: "opened" }, el("td", { role: "cell", colspan: "6" }, this.story(found)));
      story.addEventListener("keydown", (event) => {
        if (event.key !== "Escape") return;
        this.flip(item);
        this.body.querySelector(`tr.row[data-key="${item.seq}"]`)?.focus();
      });
      this.opened.set(item.seq, story);
      this.place();
    } catch (error) {
      this.page.result(this.results, "bad", `Item ${item.seq} could not be read.`, error.message);
    }
  }

  attempts(n) {
    const most = this.data.settings.max_attempts;
    return most ? `${n} of ${most}` : `${n}`;
  }

  /** The story in words with times, and the attempts on one line to scale; beside it value and last error. */
  story(item) {
    const parts = item.history.map((part) => ({ ...part, at: Date.parse(part.at), began: Date.parse(part.began_at ?? ""), expired: part.error === EXPIRED }));
    const steps = parts.map((part, n) => {
      const took = part.began ? ` after ${span((part.at - part.began) / 1000)}` : "";
      const who = [`Attempt ${part.attempt}, `, el("b", {}, el("bdi", {}, clip(part.worker || "no name", 40)))];
      const why = part.expired ? "nothing was heard of it" : brief(part.error || "no error was told", 200);
      const next = parts[n + 1]?.began ? `; out again ${span((parts[n + 1].began - part.at) / 1000)} later` : "";
      return step(part.began || part.at, part.expired ? "hold" : "old", [...who, `: ${part.expired ? "its lease expired" : "nacked"}${took} `, el("i", {}, why), next]);
    });
    const last = parts.at(-1);
    if (item.state === "dead" && last) steps.push(step(last.at, "dead", [el("b", { class: "bad" }, "Dead"), last.attempt < this.data.settings.max_attempts ? `: after ${items(last.attempt, "attempt")}` : `: ${this.attempts(last.attempt)} attempts are used`]));
    if (!parts.length) steps.push(el("li", {}, el("time"), shape("old"), el("span", {}, "Nothing is kept of its attempts.")));
    if (parts.length && parts[0].attempt > 1) steps.unshift(el("li", {}, el("time"), shape("more"), el("span", {}, el("i", {}, "earlier attempts are no longer kept"))));
    if (item.kept_at) steps.unshift(step(Date.parse(item.kept_at), "push", this.data.source ? ["Drawn from the source"] : pushed(item)));
    const may = this.page.may("operate") && item.state === "dead";
    return el(
      "div",
      { class: "story" },
      el("div", {}, line(parts), el("ol", {}, steps)),
      el(
        "div",
        {},
        el("p", { class: "label" }, "Value"),
        shown(item, this.page.server.show_values),
        item.error ? [el("p", { class: "label" }, item.worker ? ["Last error, from ", el("bdi", {}, clip(item.worker, 40))] : "Last error"), el("pre", { class: "sunk" }, lines(item.error.slice(0, 4096)))] : null,
        el("div", { class: "acts" }, may ? button("Redrive this one", { icon: "again", kind: "small", onclick: () => this.redrive([item.seq]) }) : null, this.page.server.show_values ? button("Copy value", { icon: "copy", kind: "small", onclick: () => this.page.copy(JSON.stringify(item.value)) }) : null),
      ),
    );
  }

  redriveAll() {
    const rate = Number(this.rate.value);
    const body = { expect: this.matching };
    if (this.error !== null) body.error = this.error;
    if (rate > 0) body.rate = rate;
    this.going = body.expect;
    this.act(body, this.all).finally(() => {
      this.going = 0;
      this.tell();
    });
  }

  redrive(seqs) {
    this.act({ seqs: [...seqs].sort((a, b) => a - b).map((seq) => [seq, seq]) }, this.some);
  }

  async act(body, from) {
    const done = await this.page.act({
      at: this.results,
      button: from,
      busy: "Redriving",
      method: "POST",
      path: path(this.name, "/redrive"),
      body,
      say: (found) => [`${items(found.redriven)} wait${found.redriven === 1 ? "s" : ""} again.`, body.rate && found.redriven > 1 ? `They go out at ${count(body.rate)} a second until ${clock(Date.now() + (found.redriven / body.rate) * 1000)}.` : ""],
    });
    if (done) {
      this.picked.clear();
      this.opened.clear();
      this.load();
    }
  }
}

/** A value, as JSON; long ones are shown in part, with a download. */
export function shown(item, visible) {
  if (!visible) return el("p", { class: "result" }, shape("eye"), el("span", {}, `Value hidden on this server: ${count(item.bytes ?? 0)} bytes.`));
  const text = json(item.value);
  if (text.length <= 4096) return el("pre", { class: "sunk" }, lines(text));
  const href = URL.createObjectURL(new Blob([text], { type: "application/json" }));
  const file = el("a", { class: "link", download: `item-${item.seq}.json`, href }, `Download all ${count(text.length)} characters`);
  return el("div", {}, el("pre", { class: "sunk" }, `${lines(text.slice(0, 4096))}…`), el("p", { class: "note" }, file));
}

/** By whom an item was pushed, and under which key, as far as that is known. */
function pushed(item) {
  const by = item.pushed_by ? [" by ", el("b", {}, el("bdi", {}, clip(item.pushed_by, 40)))] : [];
  const key = item.key === null ? [] : [" under the key ", el("code", {}, el("bdi", {}, clip(item.key, 80)))];
  return ["Pushed", ...by, ...key];
}

function step(at, icon, words) {
  const sign = icon === "hold" ? el("span", { class: "hold" }, shape("old")) : icon === "dead" ? el("span", { class: "bad" }, shape("dead")) : shape(icon);
  return el("li", {}, el("time", { datetime: utc(at), title: utc(at) }, clock(at, { tenths: true })), sign, el("span", {}, words));
}

/** The failed attempts on one line, to scale: from when to when each lasted, with its number where there is room. */
function line(parts) {
  const [begin, end] = [parts[0]?.began || parts[0]?.at, parts.at(-1)?.at];
  if (!(end > begin)) return null;
  const wide = matchMedia("(max-width: 720px)").matches ? 280 : 560; // letters are drawn about as large as they are
  const x = (at) => 2 + ((at - begin) / (end - begin)) * (wide - 12);
  const drawn = [svg("path", { class: "axis", d: `M0 6.5H${wide}` })];
  let free = 0;
  parts.forEach((part, n) => {
    const last = n === parts.length - 1;
    const from = x(part.began || part.at);
    const long = Math.max(x(part.at) - from, 7);
    drawn.push(svg("rect", { class: part.expired ? "fill-expired" : last ? "fill-dead" : "fill-leased", x: from, y: 2, width: long, height: 9, rx: 2 }));
    const text = `${part.attempt}${part.expired ? ": lease expired" : ""}${last ? ": dead" : ""}`;
    const place = last ? wide - text.length * SIGN : from;
    if (place < free) return;
    free = place + (text.length + 1) * SIGN;
    drawn.push(svg("text", { x: place, y: 24 }, text));
  });
  return svg("svg", { class: "span", viewBox: `0 0 ${wide} 26`, "aria-hidden": "true" }, drawn);
}
