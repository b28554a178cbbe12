// The first screen: how everything is, in a sentence; the vitals; the queues, sorted by trouble.

import { button, change, el, fill, mark, order, say, shape, stateOf } from "./dom.js";
import { ago, bytes, clip, count, inert, items, rate, source, span, words } from "./format.js";
import { minute, spark } from "./chart.js";
import { empty } from "./empty.js";
import { servers } from "./servers.js";

const STEPS = 90; // of a sparkline, each of 10 s
/** The line of a queue at rest: it begins when the server did. */
const rest = (now, began) => Array.from({ length: STEPS }, (_, n) => (now - (STEPS - n) * 10_000 < began - 10_000 ? null : 0));
const STATES = ["open", "failed", "paused", "exhausted", "closed"];

const link = (name, kind = "") => el("a", { href: `#/queues/${name}`, class: kind }, name);

/** The sentence's parts: {key, nodes}; the key changes when the meaning does. */
export function sentence(data) {
  if (data.restored) return { key: "restored", nodes: ["A restored backup: nothing is handed out yet."] };
  const { findings, count: all, look } = data;
  const well = all - look;
  const worst = findings[0];
  if (!worst) {
    const text = all === 1 ? "The queue is well." : `All ${count(all)} queues are well.`;
    return { key: "well", nodes: [text] };
  }
  const head = well ? `${count(well)} queue${well === 1 ? " is" : "s are"} well; ` : "";
  const age = words(Math.max(data.now - worst.since, 0) / 1000);
  if (worst.kind === "failed") {
    const others = data.states.failed - 1;
    const more = others > 0 ? ` and ${others} more failed` : ` failed ${age} ago`;
    const nodes = [head, el("span", { class: "bad" }, link(worst.queue, "bad"), more)];
    nodes.push(el("span", { class: "rest" }, `: ${clip(worst.type, 60)} at item ${count(worst.seq)}.`));
    return { key: `failed ${worst.queue} ${others}`, nodes };
  }
  if (worst.kind === "paused") {
    const nodes = [head, el("span", { class: "hold" }, link(worst.queue, "hold"), " has been paused")];
    nodes.push(el("span", { class: "rest" }, ` for ${age}; ${count(worst.waiting)} wait${worst.waiting === 1 ? "s" : ""}.`));
    return { key: `paused ${worst.queue}`, nodes };
  }
  if (worst.kind === "dead") {
    const nodes = [head, el("span", { class: "bad" }, link(worst.queue, "bad"), ` has ${items(worst.dead, "dead letter")}`)];
    nodes.push(el("span", { class: "rest" }, `; ${count(worst.died)} died within the hour.`));
    return { key: `dead ${worst.queue}`, nodes };
  }
  const nodes = [head, el("span", { class: "hold" }, "an item of ", link(worst.queue, "hold"), " has waited")];
  nodes.push(el("span", { class: "rest" }, ` for ${words(worst.oldest)}.`));
  return { key: `old ${worst.queue}`, nodes };
}

function finding(found, now) {
  const age = words(Math.max(now - found.since, 0) / 1000);
  const told = {
    failed: ["failed", ` failed ${age} ago: ${clip(found.type ?? "", 60)} at item ${count(found.seq ?? 0)}`],
    dead: ["dead", ` has ${items(found.dead ?? 0, "dead letter")}; ${count(found.died ?? 0)} died within the hour`],
    paused: ["paused", ` has been paused for ${age}; ${count(found.waiting ?? 0)} wait`],
    old: ["old", ` has an item that has waited for ${words(found.oldest ?? 0)}`],
  }[found.kind];
  const colour = found.kind === "failed" || found.kind === "dead" ? "bad" : "hold";
  return el("li", {}, el("span", { class: colour }, shape(told[0])), el("span", {}, link(found.queue), told[1]));
}

/** By how many workers something is leased, of those that say a name. */
function holders({ count: named, unnamed, more }) {
  if (!named) return unnamed ? "by workers without a name" : "until acked or expired";
  return `by ${more ? "at least " : ""}${items(named, "worker")}${unnamed ? " and others" : ""}`;
}

export class Overview {
  constructor(page) {
    this.page = page;
    this.rows = new Map();
    this.find = "";
    this.state = "";
    this.after = [];
    this.root = el("div");
    this.title = el("h1", { "aria-live": "polite" });
    this.findings = el("ul", { class: "findings" });
    this.vitals = el("dl", { class: "card vitals" });
    this.servers = el("section", { class: "servers", "aria-label": "Servers", hidden: true });
    this.input = el("input", { class: "field", type: "search", id: "find", placeholder: "Filter by name", autocomplete: "off", spellcheck: "false", "aria-label": "Filter by name" });
    for (const name of ["input", "search"]) {
      this.input.addEventListener(name, () => this.filter(this.input.value.trim().toLowerCase(), this.state));
    }
    this.chips = el("div", { class: "chips", role: "group", "aria-label": "Filter by state" });
    this.body = el("tbody", { role: "rowgroup" }); // on a phone rows are laid out as blocks: the roles are set
    this.foot = el("span");
    this.before = button("Before", { kind: "small", onclick: () => this.turn(this.after.length > 0, () => this.after.pop()) });
    this.next = button("Next 100", { kind: "small", onclick: () => this.turn(this.last.next !== null, () => this.after.push(this.last.next)) });
    this.pager = el("nav", { class: "pager", "aria-label": "Pages", hidden: true }, this.before, this.next);
    this.none = el("p", { class: "card", hidden: true }, "No queue matches.");
    this.full = el("div", {}, this.vitals, this.servers, this.tools(), this.table(), this.none, this.pager, this.footer());
    this.empty = empty(page);
    this.root.append(this.title, this.findings, this.full, this.empty);
    this.root.addEventListener("focusout", () => queueMicrotask(() => this.last && this.place(this.last)));
  }

  get query() {
    const query = new URLSearchParams({ view: "overview" });
    if (this.find) query.set("find", this.find);
    if (this.state) query.set("state", this.state);
    if (this.after.length) query.set("after", this.after.at(-1));
    return query.toString();
  }

  filter(find, state) {
    this.find = find;
    this.state = state;
    this.after = [];
    this.page.watch();
  }

  tools() {
    return el(
      "div",
      { class: "tools" },
      el("div", { class: "find" }, this.input, el("kbd", { "aria-hidden": "true" }, "/")),
      this.chips,
      el("span", { class: "right" }, "Sorted by trouble"),
    );
  }

  table() {
    const heads = [["Queue"], ["State"], ["Out/s", 1], ["Settled/s", 1], ["Waiting", 1], ["Leased", 1], ["Dead", 1], ["Oldest waiting", 1], ["Out/s, 15 min", 1]];
    const row = el("tr", { role: "row" }, heads.map(([text, num]) => el("th", { scope: "col", role: "columnheader", class: num ? "num" : null }, text)));
    const caption = el("caption", { class: "offscreen" }, "Queues, sorted by trouble");
    this.frame = el("table", { class: "queues", role: "table" }, caption, el("thead", { role: "rowgroup" }, row), this.body);
    return el("div", { class: "card table" }, this.frame);
  }

  footer() {
    const keys = [[["j", "k"], "move"], [["Enter"], "open"], [["/"], "filter"], [["?"], "all keys"]];
    const list = keys.map(([signs, text]) => el("li", {}, signs.map((sign) => el("kbd", {}, sign)), ` ${text}`));
    return el("div", { class: "foot" }, el("ul", { "aria-hidden": "true" }, list), this.foot);
  }

  show(data) {
    this.last = data;
    const nothing = data.count === 0;
    mark(this.full, "hidden", nothing);
    mark(this.empty, "hidden", !nothing);
    const none = data.partly ? "There are no queues here that you may look at. " : "This server is ready, and has no queues yet. ";
    this.page.sentence(this.title, nothing ? { key: "empty", nodes: [none, el("span", { class: "rest" }, "Type one of these in a terminal.")] } : sentence(data));
    const others = data.findings.slice(1, 3).map((found) => finding(found, data.now));
    const left = data.look - 1 - others.length;
    if (left > 0) others.push(el("li", {}, `and ${count(left)} more`));
    change(this.findings, others);
    if (nothing) return;
    this.figures(data);
    mark(this.servers, "hidden", !data.servers);
    if (data.servers) change(this.servers, ...servers(data.servers));
    this.counts(data);
    this.place(data);
    const plain = data.count === 1 ? "The account adds up" : `All ${count(data.count)} accounts add up`;
    const wrong = data.unbalanced ? `${items(data.unbalanced, "account")} do not add up` : plain;
    say(this.foot, `${wrong}: every seq is taken, acked, purged, jumped, waiting, leased or dead.`);
  }

  figures(data) {
    const { totals: t } = data;
    const figure = (label, value, unit, below, kind = "", last = "") =>
      el("div", { class: last }, el("dt", {}, label), el("dd", { class: kind }, value, unit && el("small", {}, unit)), el("dd", {}, below));
    const out = figure("Handed out", rate(t.out), "/s", "last 60 seconds");
    const room = t.bytes === null ? "" : t.free === null ? `${bytes(t.bytes)} used` : `${bytes(t.bytes)} used, ${bytes(t.free)} free`;
    fill(
      this.vitals,
      el("div", { class: "wide" }, [...out.children, el("dd", { class: "bars" }, minute(data.minute))]),
      figure("Settled", rate(t.settled), "/s", `${rate(t.nacked)}/s nacked`),
      figure("Waiting", count(t.waiting), "", t.oldest !== null ? `oldest ${span(t.oldest)}` : data.restored ? "held" : t.waiting ? "none is due" : "none waits"),
      figure("Leased", count(t.leased), "", t.leased ? holders(t.workers) : "nobody holds one"),
      figure("Dead", count(t.dead), "", t.died ? `+${count(t.died)} in 1 h` : "none in 1 h", t.dead ? "bad" : ""),
      figure("Commit, p99", t.commit_p99 ? span(t.commit_p99).split(" ")[0] : "–", t.commit_p99 ? span(t.commit_p99).split(" ")[1] : "", room, "", "last"),
    );
  }

  counts(data) {
    const chips = [["", "All", data.count], ["look", "Needs a look", data.look], ...STATES.map((state) => [state, state, data.states[state] ?? 0])];
    if (data.states.starting) chips.push(["starting", "starting", data.states.starting]);
    const known = new Map([...this.chips.children].map((chip) => [chip.dataset.state, chip]));
    order(
      this.chips,
      chips.map(([state, text, n]) => {
        const chip = known.get(state) ?? el("button", { type: "button", class: "chip", "data-state": state, onclick: () => this.filter(this.find, state) }, STATES.includes(state) || state === "starting" ? shape(state) : null, text, el("b"));
        say(chip.lastChild, count(n));
        mark(chip, "aria-pressed", String(this.state === state));
        return chip;
      }),
    );
  }

  /** Rows move only where neither pointer nor focus is among them. */
  place(data) {
    const nodes = [];
    const seen = new Set();
    for (const queue of data.queues) {
      seen.add(queue.queue);
      let row = this.rows.get(queue.queue);
      if (!row) this.rows.set(queue.queue, (row = new Row(this.page, queue.queue)));
      row.show(queue, data.now);
      nodes.push(row.node);
      if (row.cause.isConnected || queue.failure) if (queue.failure) nodes.push(row.cause);
    }
    for (const name of [...this.rows.keys()]) if (!seen.has(name)) this.rows.delete(name);
    const busy = this.body.matches(":hover") || this.body.contains(document.activeElement);
    const same = nodes.length === this.body.children.length && nodes.every((node) => node.parentNode === this.body);
    if (!busy || !same) order(this.body, nodes);
    mark(this.none, "hidden", data.queues.length > 0);
    mark(this.frame.parentNode, "hidden", data.queues.length === 0);
    const pages = this.after.length > 0 || data.next !== null;
    mark(this.pager, "hidden", !pages);
    mark(this.before, "aria-disabled", this.after.length ? null : "true");
    mark(this.next, "aria-disabled", data.next === null ? "true" : null);
  }

  /** Show another page, if there is one. */
  turn(there, go) {
    if (!there) return;
    go();
    this.page.watch();
  }

  focusFilter() {
    this.input.focus();
    this.input.select();
  }

  /** Move the mark among the rows; `j` and `k`. */
  move(by) {
    const rows = [...this.body.querySelectorAll("tr.row")];
    const at = rows.indexOf(document.activeElement);
    rows[Math.min(Math.max(at + by, 0), rows.length - 1)]?.focus();
  }
}

class Row {
  constructor(page, name) {
    this.page = page;
    const cell = (kind, label) => el("td", { role: "cell", class: `num ${kind}`, "data-label": label });
    this.name = el("a", { class: "name", href: `#/queues/${name}`, tabindex: "-1", title: name }, name);
    this.source = el("span", { class: "source" });
    this.state = el("td", { role: "cell", class: "s" });
    this.out = cell("out", "Out/s");
    this.settled = cell("settled", "Settled/s");
    this.waiting = cell("waiting", "Waiting");
    this.leased = cell("leased", "Leased");
    this.dead = cell("dead", "Dead");
    this.oldest = cell("oldest", "Oldest waiting");
    this.line = el("td", { role: "cell", class: "line" });
    this.node = el(
      "tr",
      { class: "row", role: "row", tabindex: "0", "data-queue": name },
      el("td", { role: "cell", class: "q" }, this.name, this.source), this.state, this.out, this.settled, this.waiting, this.leased, this.dead, this.oldest, this.line,
    );
    this.node.addEventListener("click", (event) => event.target.closest("a, button") || (location.hash = `#/queues/${name}`));
    this.node.addEventListener("keydown", (event) => event.key === "Enter" && event.target === this.node && (location.hash = `#/queues/${name}`));
    this.type = el("b");
    this.message = el("code");
    this.retry = el("button", { type: "button", class: "link", onclick: () => page.retry(name) }, "Retry the source");
    this.cause = el("tr", { role: "row", class: "cause" }, el("td", { role: "cell", colspan: "9" }, el("p", {}, this.type, this.message, page.may("operate") ? this.retry : null)));
  }

  show(queue, now) {
    say(this.source, source(queue));
    mark(this.source, "class", queue.source ? "source mono" : "source");
    const since = queue.since && queue.state !== "open" ? ago(Math.max(now - queue.since, 0) / 1000) : "";
    const key = `${queue.state} ${since}`;
    if (this.key !== key) {
      this.key = key;
      fill(this.state, stateOf(queue.state), since && el("span", { class: "since" }, since));
    }
    const figure = (node, value, write = count) => {
      say(node, value === null ? "–" : write(value));
      node.classList.toggle("nil", !value);
    };
    figure(this.out, queue.out, rate);
    figure(this.settled, queue.settled, rate);
    for (const node of [this.out, this.settled]) node.classList.toggle("whole", !node.textContent.includes("."));
    figure(this.waiting, queue.waiting);
    figure(this.leased, queue.leased);
    if (queue.died) fill(this.dead, el("b", {}, count(queue.dead)), el("small", {}, `+${count(queue.died)} in 1 h`));
    else figure(this.dead, queue.dead);
    figure(this.oldest, queue.oldest, span);
    this.oldest.classList.toggle("hold", queue.old === true);
    const line = queue.line.length ? queue.line : rest(now, this.page.server?.began ?? 0);
    const drawn = `${queue.state} ${line.join(" ")}`;
    if (this.drawn !== drawn) {
      this.drawn = drawn;
      fill(this.line, spark(line, queue.state));
    }
    if (queue.failure) {
      say(this.type, `${clip(queue.failure.type, 60)} at item ${count(queue.failure.seq)}`);
      say(this.message, clip(queue.failure.message));
      mark(this.message, "title", inert(queue.failure.message).slice(0, 500));
    }
  }
}
