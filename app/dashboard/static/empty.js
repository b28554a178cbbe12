// What a newcomer types next.

import { button, el, say, shape } from "./dom.js";

const WORDS = [
  ["seq", "An item’s number in its queue: 1, 2, 3…"],
  ["cursor", "The highest seq so far."],
  ["waiting", "Inside, and nobody has it."],
  ["leased", "With one worker, until a deadline."],
  ["acked", "Done, for good."],
  ["dead", "Failed for the last time; it can be redriven."],
];

export function empty(page) {
  const url = location.host;
  const at = location.protocol === "http:" && location.port === "8000" && ["localhost", "127.0.0.1"].includes(location.hostname) ? "" : ` \\\n  --url ${location.origin}`;
  const shown = page.server?.login ? ` \\\n  -H "Authorization: Bearer $DIBS_TOKEN"` : "";
  const cards = [
    ["Numbers, for anyone who asks", "A queue that counts. Each request gets the next number, and nobody else gets it.",
      `curl -X PUT ${url}/queues/ids \\\n  -H 'Content-Type: application/json' \\\n  -d '{"source":"count"}'${shown}\n\ncurl -X POST${shown} \\\n  ${url}/queues/ids/next`, ["gives ", el("code", {}, '{"queue":"ids","seq":1,"value":1}')]],
    ["Work, for workers", "Each line is an item. A worker leases it, runs the command, and acks it at exit 0.",
      `dibs push jobs pictures.txt --create${at}\n\ndibs work jobs -j 8${at} -- \\\n  convert {} -resize 50% small/{}`, ["on as many machines as you like"]],
    ["Your own generator", "Named when the server starts, so that nobody can name code over HTTP.",
      `dibs serve \\\n  --queue 'sweep=mymodule:generate'\n\ndibs next sweep -n 10${at}`, ["gives what it yields, one value a line"]],
  ].map(([title, text, command, gives]) => {
    const copy = button("Copy", { icon: "copy", kind: "small", "aria-label": `Copy: ${title}` });
    copy.addEventListener("click", async () => {
      await page.copy(command);
      say(copy.lastChild, "Copied");
    });
    return el("section", { class: "card" }, el("h2", {}, title), el("p", {}, text), el("div", { class: "type" }, el("pre", {}, command), copy), el("p", { class: "gives" }, gives));
  });
  const words = WORDS.map(([word, meaning]) => el("div", {}, el("dt", {}, word), el("dd", {}, meaning)));
  return el(
    "div",
    {},
    el("div", { class: "first" }, cards),
    el("p", { class: "card listen" }, shape("starting"), el("span", {}, "Listening on ", el("code", {}, url), ". The first queue shows up here by itself.")),
    el("h2", { class: "words-title" }, "Words on this page"),
    el("dl", { class: "words" }, words),
  );
}
