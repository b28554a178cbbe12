// The servers of a ledger that several share: who owns it, how far it is, what an operator should know.

import { el, shape } from "./dom.js";
import { clip, count, inert, items, span } from "./format.js";

const host = (url) => inert(url).replace(/^https?:\/\//u, "");

/** Which servers could take over without loading anything. */
const warm = (copies) => copies.length ? `warm copy on ${copies.map((copy) => `${host(copy.url)}${copy.lag ? `, ${count(copy.lag)} behind` : ""}`).join(", ")}` : "no warm copy";

/** The line below the vitals, and what is not well. */
export function servers(found) {
  const { inbox } = found;
  const parts = [
    found.owner ? ["Owner ", el("b", {}, host(found.owner))] : [el("b", { class: "bad" }, "No owner")],
    [`term ${count(found.term)}, for ${span(found.lasts)}`],
    [found.takeovers > 1 ? `${items(found.takeovers, "takeover")} in 1 h` : ""],
    [`position ${count(found.position)}, ${span(found.age)} ago`],
    [`${items(found.count, "server")}${found.versions.length > 1 ? ` of versions ${found.versions.map(inert).join(", ")}` : ""}`],
    [found.count > 1 ? warm(found.warm) : ""],
    [inbox ? `${items(inbox.rows, "row")} in the inbox${inbox.rows ? `, oldest ${span(inbox.oldest)}` : ""}${inbox.refused ? `, ${count(inbox.refused)} refused` : ""}${inbox.stopped ? `, ${count(inbox.stopped)} stopped` : ""}` : ""],
  ].filter(([text]) => text);
  const line = el("p", { class: "note" }, parts.flatMap((part, n) => (n ? [" · ", ...part] : part)));
  const wrong = [...found.warnings, ...[...found.unfit, ...found.troubles].map((server) => `${host(server.url)}: ${server.note}`)];
  const told = wrong.map((text) => el("li", {}, el("span", { class: "hold" }, shape("paused")), el("span", {}, clip(text, 600))));
  return told.length ? [line, el("ul", { class: "findings" }, told)] : [line];
}
