// The proof for the eye: each seq in the colour of the client that got it, and a lane for each client, so that
// every column has exactly one mark.

import { button, el, fill, mark, say, svg } from "./dom.js";
import { clip, clock, count, items, rate } from "./format.js";

const WIDE = 1080;
const LEFT = 30;
const FRAME = 40;
const LETTERS = "ABCDEFGH";
const REST = 8;

const colour = (client) => (client === null ? "c-none" : client >= REST ? "c-rest" : `c-${LETTERS[client].toLowerCase()}`);
const letter = (client) => (client >= REST ? "+" : LETTERS[client]);

export class ProofView {
  constructor(page, name) {
    this.page = page;
    this.name = name;
    this.held = null;
    this.alone = null;
    this.at = null; // the frame's place, from the right; null follows the newest
    this.title = el("h1", { "aria-live": "polite" }, "The proof");
    this.vitals = el("dl", { class: "card vitals proved" });
    this.picker = el("select", { class: "field", "aria-label": "Queue", onchange: () => (location.hash = `#/proof/${this.picker.value}`) });
    this.hold = button("Hold", { icon: "paused", kind: "small", "aria-pressed": "false", onclick: () => this.toggle() });
    this.picture = svg("svg", { role: "img", tabindex: "0", viewBox: `0 0 ${WIDE} 280` });
    this.picture.addEventListener("keydown", (event) => {
      if (event.key === "ArrowLeft" || event.key === "ArrowRight") {
        event.preventDefault();
        this.move(event.key === "ArrowLeft" ? -1 : 1);
      }
    });
    this.picture.addEventListener("pointerdown", (event) => this.place(event));
    this.near = el("h2");
    this.cells = el("ol", { class: "cells" });
    this.list = el("div", { class: "clients" });
    const strip = el("section", { class: "card strip" }, el("header", {}, el("h2", {}, "Who got each seq"), el("span", { class: "note" }, el("span", { class: "wide-only" }, "every column has one mark, in the lane of one client; newest at the right"), el("span", { class: "narrow-only" }, "newest at the end")), el("span", { class: "right" }, this.picker, this.hold)), this.picture);
    const cells = el("section", { class: "card" }, el("header", {}, this.near, el("span", { class: "note" }, "the framed part; move it with ", el("kbd", {}, "["), " ", el("kbd", {}, "]"))), this.cells);
    const clients = el("section", { class: "card" }, el("header", {}, el("h2", {}, "Clients"), el("span", { class: "note" }, "choose one to see it alone")), this.list);
    this.full = el("div", { hidden: true }, this.vitals, strip, cells, clients);
    this.none = el("section", { class: "card" }, el("p", {}, "Nothing has been handed out since this view was opened. Start some clients:"), el("pre", { class: "sunk" }, `dibs loadtest --clients 8 --total 20000 --url ${location.origin} --queue ${name}`), el("p", { class: "note" }, "Each client is one connection, or the worker that a lease names. While this view is open, the server notes who got each of the last 600 seqs."));
    this.root = el("div", {}, this.title, this.none, this.full);
    this.still = matchMedia("(prefers-reduced-motion: reduce)");
    this.narrow = matchMedia("(max-width: 720px)");
    this.narrow.addEventListener("change", () => this.shown && this.draw(this.shown));
  }

  get query() {
    return new URLSearchParams({ view: "proof", queue: this.name }).toString();
  }

  show(data) {
    this.newest = data;
    if (this.picker.dataset.names !== data.names.join()) {
      this.picker.dataset.names = data.names.join();
      fill(this.picker, data.names.map((name) => el("option", { value: name, selected: name === this.name }, name)));
    }
    const nothing = data.seqs.length === 0;
    mark(this.full, "hidden", nothing);
    mark(this.none, "hidden", !nothing);
    if (nothing) {
      this.page.sentence(this.title, { key: "none", nodes: ["Who gets what of ", el("a", { href: `#/queues/${this.name}` }, this.name), el("span", { class: "rest" }, " is drawn here, live.")] });
      return;
    }
    const now = performance.now();
    if (this.held || (this.drawn && now - this.drawn < (this.still.matches ? 2000 : 240))) {
      this.figures(data);
      return;
    }
    this.drawn = now;
    this.figures(data);
    this.draw(data);
  }

  figures(data) {
    const { twice, missing, clients } = data;
    const queue = el("a", { href: `#/queues/${this.name}` }, this.name);
    const good = !twice && !missing;
    const rest = good ? ", each seq to exactly one: none twice, none missing." : ".";
    const bad = [twice && `${items(twice, "seq")} went out twice`, missing && `${items(missing, "seq")} went to nobody yet`].filter(Boolean).join(", ");
    this.page.sentence(this.title, {
      key: `${good} ${clients.length} ${twice} ${missing > 0}`,
      nodes: [`The last ${count(data.seqs.length)} seqs of `, queue, ` went to ${items(clients.length, "client")}`, el("span", { class: "rest" }, rest), bad ? el("span", { class: twice ? "bad" : "hold" }, ` ${bad}.`) : null].filter(Boolean),
    });
    const figure = (label, value, below, kind = "") => el("div", {}, el("dt", {}, label), el("dd", { class: kind }, value), el("dd", {}, below));
    const since = `since ${clock(data.since)}`;
    fill(
      this.vitals,
      figure("Seen", count(data.seen), `of ${count(data.seqs.length)} in line`),
      figure("Twice", count(twice), since, twice ? "bad" : ""),
      figure("Missing", count(missing), missing ? "on their way, or lost" : since, missing ? "hold" : ""),
      figure("Changes of hand", count(data.changes), `of ${count(Math.max(data.seqs.length - 1, 0))} neighbours`),
      figure("Handed out", [rate(data.rate), el("small", {}, "/s")], `to ${items(clients.length, "client")}`),
    );
    const most = Math.max(...clients.map((client) => client.count), 1);
    const known = new Map([...this.list.children].map((node) => [node.dataset.client, node]));
    fill(
      this.list,
      clients.slice(0, REST + 1).map((client, n) => {
        const node = known.get(String(n)) ?? el("button", { type: "button", "data-client": n, onclick: () => this.choose(n) });
        const bar = svg("svg", { viewBox: "0 0 100 6", preserveAspectRatio: "none", "aria-hidden": "true" }, svg("rect", { class: colour(n), width: (client.count / most) * 100, height: 6, rx: 3 }));
        mark(node, "aria-pressed", String(this.alone === n));
        const lane = `${items(client.count, "seq")}, ${count(client.first)} to ${count(client.last)}`;
        mark(node, "aria-label", `${clip(client.name, 40)}: ${lane}`);
        fill(node, el("span", { class: `letter ${colour(n)}` }, letter(n)), el("bdi", { class: "clip" }, clip(client.name, 40)), bar, el("b", {}, count(client.count)));
        return node;
      }),
    );
  }

  choose(client) {
    this.alone = this.alone === client ? null : client;
    this.figures(this.shown);
    this.draw(this.shown);
  }

  toggle() {
    this.held = this.held ? null : this.newest;
    mark(this.hold, "aria-pressed", String(Boolean(this.held)));
    say(this.hold.lastChild, this.held ? "Go on" : "Hold");
    if (!this.held && this.newest) this.draw(this.newest);
  }

  move(by) {
    const most = Math.max((this.shown?.seqs.length ?? FRAME) - FRAME, 0);
    this.at = Math.min(Math.max((this.at ?? 0) - by * 20, 0), most);
    if (this.shown) this.draw(this.shown);
  }

  place(event) {
    if (!this.shown || this.narrow.matches) return;
    const box = this.picture.getBoundingClientRect();
    const n = this.shown.seqs.length;
    const at = (((event.clientX - box.left) / box.width) * WIDE - LEFT) / ((WIDE - LEFT) / n);
    this.at = Math.round(Math.min(Math.max(n - at - FRAME / 2, 0), Math.max(n - FRAME, 0)));
    this.draw(this.shown);
  }

  draw(data) {
    this.shown = data;
    this.picture.setAttribute("aria-label", `${count(data.seqs.length)} seqs, ${items(data.clients.length, "client")}, ${count(data.twice)} twice, ${count(data.missing)} missing`);
    const n = data.seqs.length;
    const from = Math.max(n - FRAME - (this.at ?? 0), 0);
    if (this.narrow.matches) this.rows(data, from);
    else this.lanes(data, from);
    this.large(data, from);
  }

  lanes(data, from) {
    const { seqs, clients } = data;
    const n = seqs.length;
    const step = (WIDE - LEFT) / n;
    const lanes = Math.min(clients.length, REST + 1);
    const strip = 52;
    const high = strip + 18 + lanes * 23;
    const paths = Array.from({ length: lanes }, () => ["", ""]);
    const odd = [];
    seqs.forEach(([, client, twice], at) => {
      const x = (LEFT + at * step).toFixed(2);
      const wide = Math.max(step - 0.3, 0.8).toFixed(2);
      if (client === null) {
        odd.push(svg("path", { class: "missing", d: `M${x} 0v${strip}` }));
        return;
      }
      const lane = Math.min(client, REST);
      paths[lane][0] += `M${x} 0h${wide}v${strip}h-${wide}z`;
      paths[lane][1] += `M${x} ${strip + 20 + lane * 23}h${wide}v16h-${wide}z`;
      if (twice) odd.push(svg("path", { class: "twice", d: `M${x} -6h${Math.max(step, 3)}v${strip + 12}h-${Math.max(step, 3)}z` }));
    });
    const nodes = [];
    paths.forEach(([band, marks], lane) => {
      const faint = this.alone !== null && this.alone !== lane ? " faint" : "";
      const y = strip + 28 + lane * 23;
      nodes.push(svg("path", { class: `lane${faint}`, d: `M${LEFT} ${y}H${WIDE}` }));
      nodes.push(svg("text", { class: `letter${faint}`, x: 6, y: y + 4 }, letter(lane)));
      nodes.push(svg("path", { class: colour(lane) + faint, d: band }), svg("path", { class: colour(lane) + faint, d: marks }));
    });
    const left = LEFT + from * step - 1;
    nodes.push(...odd, svg("rect", { class: "frame", x: left, y: -5, width: Math.min(FRAME, n) * step + 2, height: high + 2, rx: 3 }));
    const every = Math.max(Math.ceil(n / 6 / 100) * 100, 20);
    for (let at = 0; at < n - every / 2; at += every) nodes.push(svg("text", { x: LEFT + at * step, y: high + 18 }, count(seqs[at][0])));
    nodes.push(svg("text", { x: WIDE, y: high + 18, "text-anchor": "end" }, count(seqs.at(-1)[0])));
    this.picture.setAttribute("viewBox", `0 -8 ${WIDE} ${high + 30}`);
    fill(this.picture, nodes);
  }

  rows(data, from) {
    const per = 40;
    const size = 9;
    const side = 46; // for the first seq of each row
    const paths = Array.from({ length: REST + 1 }, () => "");
    const odd = [];
    data.seqs.forEach(([, client, twice], at) => {
      const x = side + (at % per) * size;
      const y = Math.floor(at / per) * 14;
      if (client === null) odd.push(svg("path", { class: "missing", d: `M${x + 4} ${y}v11` }));
      else paths[Math.min(client, REST)] += `M${x} ${y}h8v11h-8z`;
      if (twice) odd.push(svg("rect", { class: "twice", x: x - 1, y: y - 2, width: 10, height: 15 }));
    });
    const faint = (lane) => (this.alone !== null && this.alone !== lane ? " faint" : "");
    const nodes = paths.map((d, lane) => svg("path", { class: colour(lane) + faint(lane), d }));
    const top = Math.floor(from / per) * 14;
    for (let at = 0; at < data.seqs.length; at += per) nodes.push(svg("text", { x: 0, y: Math.floor(at / per) * 14 + 10 }, String(data.seqs[at][0]).slice(-6)));
    nodes.push(...odd, svg("rect", { class: "frame", x: side - 2, y: top - 2, width: per * size + 2, height: 15, rx: 2 }));
    this.picture.setAttribute("viewBox", `-1 -4 ${side + per * size + 3} ${Math.ceil(data.seqs.length / per) * 14 + 6}`);
    fill(this.picture, nodes);
  }

  large(data, from) {
    const part = data.seqs.slice(from, from + FRAME);
    say(this.near, part.length ? `Seqs ${count(part[0][0])} to ${count(part.at(-1)[0])}` : "");
    fill(
      this.cells,
      part.map(([seq, client]) => el("li", { class: colour(client === null ? null : Math.min(client, REST)) + (this.alone !== null && this.alone !== client ? " faint" : "") }, el("b", {}, client === null ? "–" : letter(client)), `…${String(seq).slice(-3).padStart(3, "0")}`)),
    );
  }
}
