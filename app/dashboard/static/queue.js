// One queue: its sentence, where every seq is, rates and times, who holds what, dead letters, who did what.

import { Audit } from "./audit.js";
import { Chart } from "./chart.js";
import { Dead } from "./dead.js";
import { button, el, fill, mark, say, shape, stateOf } from "./dom.js";
import { Flight } from "./flight.js";
import { actions } from "./actions.js";
import { History } from "./history.js";
import { bare, brief, clip, count, items, lines, moment, rate, source, span, words } from "./format.js";
import { ask, path } from "./request.js";

const SPANS = [["15m", "15 min"], ["1h", "1 h"], ["1d", "1 d"], ["7d", "7 d"]];

export class QueueView {
  constructor(page, name) {
    this.page = page;
    this.name = name;
    this.span = "15m";
    this.title = el("h1", {}, name);
    this.state = el("span");
    this.acts = el("div", { class: "acts" });
    this.told = el("p", { class: "sentence2" });
    this.results = el("div");
    this.cause = el("section", { class: "card cause-card", hidden: true });
    this.audit = new Audit();
    this.segments = el("span", { class: "segments", role: "group", "aria-label": "How far back" }, SPANS.map(([span, text]) => el("button", { type: "button", "aria-pressed": String(span === this.span), onclick: () => this.reach(span) }, text)));
    this.rates = new Chart({ title: "Rates", note: "items a second", unit: "/s", height: 220, tools: this.segments });
    this.times = new Chart({ title: "Time to answer", note: "from the request to the reply, commit included", unit: "", height: 150 });
    this.flight = new Flight();
    this.waiting = el("section", { class: "card" });
    this.dead = new Dead(page, name);
    this.history = new History(name);
    this.log = el("section", { class: "card" });
    this.gone = el("p", { class: "card", hidden: true }, "There is no queue of this name any more. ", el("a", { href: "#/" }, "All queues"));
    const crumb = el("nav", { class: "crumb", "aria-label": "Where" }, el("a", { href: "#/" }, "Queues"), " / ", el("span", { "aria-current": "page" }, name));
    this.full = el("div", {}, this.cause, this.audit.root, el("div", { class: "columns" }, el("div", {}, this.rates.root, this.times.root), el("div", {}, this.flight.root, this.waiting)), this.dead.root, this.history.root, this.log);
    this.root = el("div", {}, crumb, el("div", { class: "title" }, this.title, this.state, this.acts), this.told, this.results, this.full, this.gone);
  }

  get query() {
    return new URLSearchParams({ view: "queue", queue: this.name, span: this.span }).toString();
  }

  show(data) {
    this.last = data;
    mark(this.gone, "hidden", true);
    mark(this.full, "hidden", false);
    const key = `${data.state} ${this.page.may("operate")} ${data.paused}`;
    if (this.key !== key) {
      this.key = key;
      fill(this.state, stateOf(data.state));
      fill(this.acts, this.buttons(data));
    }
    this.say(data);
    this.failed(data);
    this.audit.show(data.audit);
    this.charts(data);
    const counts = data.audit.leased + data.audit.waiting + data.audit.dead + data.audit.acked;
    const numbers = data.source !== null && counts === 0;
    for (const card of [this.flight.root, this.waiting]) mark(card, "hidden", numbers);
    this.rates.root.parentNode.parentNode.classList.toggle("columns", !numbers);
    this.flight.show(data.flight);
    this.waits(data);
    this.dead.show(data);
    this.history.show(data);
    const log = `${data.actions.length} ${data.actions[0]?.at}`;
    if (this.logged !== log) {
      this.logged = log;
      fill(this.log, el("header", {}, el("h2", {}, `Actions on ${this.name}`), el("span", { class: "note" }, "who did what")), actions(data.actions, "Nobody has done anything to it."));
    }
  }

  lost() {
    mark(this.gone, "hidden", false);
    mark(this.full, "hidden", true);
    fill(this.acts);
    say(this.told, "");
  }

  buttons(data) {
    if (!this.page.may("operate")) return [];
    const post = (what, busy, done) => (event) =>
      this.page.act({ at: this.results, button: event.currentTarget, busy, method: "POST", path: path(this.name, `/${what}`), say: () => [done, ""] });
    const ended = data.state === "closed";
    const found = [];
    if (data.paused) found.push(button("Resume", { icon: "open", kind: "primary", onclick: post("resume", "Resuming", "It hands out again.") }));
    else if (!ended) found.push(button("Pause", { icon: "paused", onclick: post("pause", "Pausing", "It hands out nothing until it is resumed.") }));
    if (!ended && data.source === null && this.page.may("produce")) found.push(button("Push items…", { icon: "push", onclick: () => this.page.dialogs.push(this.name, this.results) }));
    if (this.page.may("admin")) found.push(button("Settings", { onclick: () => this.page.dialogs.settings(this.last, this.results) }));
    found.push(button("", { icon: "more", "aria-label": "More actions", onclick: () => this.page.dialogs.more(this.last, this.results) }));
    return found;
  }

  say(data) {
    const { audit } = data;
    const head = data.state === "failed" ? `Its source failed ${words((data.now - data.since) / 1000)} ago.` : data.paused ? `It has been paused for ${words((data.now - data.since) / 1000)}.` : data.out || data.settled ? `${rate(data.out)} a second go out${data.settled === null ? "" : ` and ${rate(data.settled)} are settled`}.` : audit.waiting || audit.leased ? "Nothing goes out just now." : "It is quiet.";
    const parts = [el("b", {}, head)];
    const top = data.dead.errors[0];
    const most = brief(top?.error ?? "", 60);
    if (audit.dead) {
      const many = data.died ? `; ${count(data.died)} died within the hour` : "";
      parts.push(` ${items(audit.dead)} ${audit.dead === 1 ? "is" : "are"} dead${many}${top?.error ? ": mostly " : "."}`);
      if (top?.error) parts.push(el("b", {}, most), most.endsWith("…") ? "" : ".");
    }
    if (data.oldest !== null) parts.push(` The oldest has waited ${span(data.oldest)}.`);
    parts.push(" ", el("span", { class: "nil" }, source(data) === "pushed by producers" ? "Pushed by producers." : source(data)));
    const busy = data.out || data.settled ? "moves" : audit.waiting || audit.leased ? "stands" : "rests";
    this.page.sentence(this.told, { key: `${data.state} ${data.paused} ${busy} ${Boolean(data.died)} ${top?.error}`, nodes: parts });
  }

  failed(data) {
    mark(this.cause, "hidden", !data.failure);
    if (!data.failure) return;
    const key = JSON.stringify(data.failure);
    if (this.caused === key) return;
    this.caused = key;
    const { type, seq, message } = data.failure;
    const where = el("span");
    fill(
      this.cause,
      el("h2", {}, shape("failed"), `${clip(type, 80)} at item ${count(seq)}`),
      el("pre", {}, lines(message.slice(0, 4096)), where),
      el("p", {}, seq > 1 ? `Seqs 1 to ${count(seq - 1)} were handed out or are inside, and stay so. The next one is ${count(seq)}.` : "Nothing was handed out."),
      data.source?.includes(":") ? el("p", {}, "The server’s log has the whole traceback. If you mend the code, start the server again before you retry: a module is loaded once.") : null,
      this.page.may("operate") ? el("p", { class: "after" }, button("Retry the source", { icon: "again", onclick: () => this.page.retry(this.name, this.results) })) : null,
    );
    this.place(where);
  }

  /** Where in its author's code the source failed: told to those alone who may operate the queue. */
  async place(where) {
    if (!this.page.may("operate")) return;
    try {
      const { failure } = await ask("GET", path(this.name));
      if (failure?.where) say(where, `\n  ${clip(failure.where)}`);
    } catch {
      // the cause stands there without it
    }
  }

  /** Show charts of the last so long. */
  reach(span) {
    this.span = span;
    [...this.segments.children].forEach((button, n) => mark(button, "aria-pressed", String(SPANS[n][0] === span)));
    this.page.watch();
  }

  charts(data) {
    const { series } = data;
    const last = (values) => values.findLast((value) => value !== null) ?? 0;
    const at = (time) => moment(time, data.now);
    const shown = [{ name: "out", kind: "out", values: series.out, tell: `out ${rate(last(series.out))}`, area: true }];
    if (data.audit.acked || last(series.settled)) shown.push({ name: "settled", kind: "settled", values: series.settled, tell: `settled ${rate(last(series.settled))}` });
    if (data.source === null) shown.unshift({ name: "pushed", kind: "pushed", values: series.pushed, tell: `pushed ${rate(last(series.pushed))}` });
    const began = this.page.server?.began;
    this.rates.show({ lines: shown, from: series.from, step: series.step, began, now: data.now, clock: at, write: rate, deaths: series.died, marks: data.actions.map((act) => ({ at: act.at, text: act.brief })) });
    const ms = (value) => (value === null ? null : value * 1000);
    const write = (value) => `${value >= 10 || Number.isInteger(value) ? Math.round(value) : value.toFixed(1)}`;
    const time = (name) => ({ name, kind: name, values: series[name].map(ms), tell: `${name} ${series[name].some((value) => value !== null) ? span(last(series[name])) : "–"}` });
    this.times.unit = " ms";
    this.times.show({ lines: [time("p99"), time("p90"), time("p50")], from: series.from, step: series.step, began, now: data.now, clock: at, write });
  }

  waits(data) {
    const { next, audit } = data;
    const ready = audit.waiting - audit.delayed;
    const key = JSON.stringify([next, ready, audit.delayed]);
    if (this.waited === key) return;
    this.waited = key;
    const head = el("header", {}, el("h2", {}, "Waiting"), el("span", { class: "note" }, audit.waiting ? `${count(ready)} ready, ${count(audit.delayed)} delayed` : data.source === null ? "nothing waits" : "nothing waits; more is drawn as it is asked for"));
    if (!next.length) {
      fill(this.waiting, head);
      return;
    }
    const rows = next.map((item) =>
      el("tr", {}, el("td", {}, count(item.seq)), el("td", { class: "value" }, item.hidden ? el("span", { class: "nil" }, `value hidden, ${count(item.bytes)} bytes`) : el("bdi", { class: "clip", title: clip(bare(item.text)) }, clip(bare(item.text)))), el("td", { class: "num" }, item.due > data.now ? `in ${span((item.due - data.now) / 1000)}` : span((data.now - item.due) / 1000))),
    );
    const heads = el("tr", {}, el("th", { scope: "col", width: "28%" }, "Next out"), el("th", { scope: "col" }, "Value"), el("th", { scope: "col", class: "num", width: "26%" }, "Has waited"));
    fill(this.waiting, head, el("table", { class: "plain fixed" }, el("caption", { class: "offscreen" }, "What goes out next"), el("thead", {}, heads), el("tbody", {}, rows)));
  }

  move(by) {
    const rows = [...this.dead.body.querySelectorAll("tr.row")];
    const at = rows.indexOf(document.activeElement);
    rows[Math.min(Math.max(at + by, 0), rows.length - 1)]?.focus();
  }
}
