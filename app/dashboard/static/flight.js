// Items in flight: a row a worker, a mark a lease, on an axis of what is left of it.

import { el, fill, say, svg } from "./dom.js";
import { ticks } from "./chart.js";
import { clip, count, items, rate, span } from "./format.js";

const SOON = 5;

export class Flight {
  constructor() {
    this.note = el("span", { class: "note" });
    this.list = el("ul", { class: "leases" });
    this.told = el("p", { class: "note" });
    this.root = el("section", { class: "card flight" }, el("header", {}, el("h2", {}, "In flight"), this.note), this.list, this.told);
  }

  show(flight) {
    const { workers } = flight;
    const least = flight.counted === null ? "" : "at least ";
    say(this.note, flight.items ? `${items(flight.items)}, ${least}${items(flight.worker_count, "worker")}, ${least}${items(flight.lease_count, "lease")}` : "nobody holds a lease");
    const longest = Math.max(...workers.flatMap((worker) => worker.leases), SOON * 2);
    const [unit, size] = longest >= 7200 ? ["h", 3600] : longest >= 120 ? ["min", 60] : ["s", 1];
    const scale = ticks(longest / size);
    const most = scale.at(-1) * size;
    fill(this.list, workers.length ? axis(scale, unit) : [], workers.map((worker) => row(worker, most)));
    const more = flight.worker_count - workers.length;
    const part = flight.counted === null ? "" : `Counted are the first ${count(flight.runs)} runs of leased items: ${count(flight.counted)} of ${count(flight.items)}. `;
    const mean = "One mark is one lease. It moves left until it is settled or extended; amber means less than 5 s are left.";
    say(this.told, workers.length ? `${part}${more > 0 ? `And ${items(more, "worker")} more. ` : ""}${mean}` : "A lease shows up here while a worker has it.");
  }
}

const x = (left, most) => `${(Math.min(left / most, 1) * 97 + 1).toFixed(2)}%`;

/** Round times of one unit; the one before the last would stand on its words. */
function axis(scale, unit) {
  const end = scale.length - 1;
  const marks = scale.map((left, n) => {
    if (n > 0 && n === end - 1) return null;
    return svg("text", { x: x(left, scale[end]), y: 15, "text-anchor": n === 0 ? "start" : n === end ? "end" : "middle" }, n === 0 ? `0 ${unit}` : n === end ? `${rate(left)} ${unit} left` : rate(left));
  });
  return el("li", { "aria-hidden": "true" }, el("span"), svg("svg", {}, marks.filter(Boolean)), el("span"));
}

function row(worker, most) {
  const least = Math.min(...worker.leases);
  const short = least < SOON;
  const marks = worker.leases.map((left) =>
    svg("rect", { class: left < SOON ? "lease short" : "lease", x: x(left, most), y: left < SOON ? 4 : 6, width: 3, height: left < SOON ? 16 : 12, rx: 1 }),
  );
  const soon = short ? svg("rect", { class: "soon", x: "0", y: 4, width: x(Math.min(SOON, most), most), height: 16, rx: 3 }) : null;
  const name = clip(worker.worker || "no name", 60);
  return el(
    "li",
    {},
    el("span", { class: "who", title: name }, el("bdi", {}, name)),
    svg("svg", { role: "img", "aria-label": `${items(worker.leases.length, "lease")}, the first ends in ${span(least)}` }, soon, svg("line", { class: "axis", x1: "0", x2: "100%", y1: 12, y2: 12 }), marks),
    el("span", { class: "left" }, count(worker.items), el("small", { class: short ? "hold" : "" }, span(Math.max(least, 0)))),
  );
}
