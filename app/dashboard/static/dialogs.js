// What is asked before something is lost or changed. Each says what is lost; its way out is named by what it does.

import { button, el, fill, mark, say } from "./dom.js";
import { count, items, progress } from "./format.js";
import { newKey, path } from "./request.js";

const SECONDS = [["backoff", "Wait before a second attempt, seconds"], ["backoff_max", "Longest wait between attempts, seconds"], ["key_ttl", "Keep answers under their keys, seconds (empty: for ever)"], ["item_key_ttl", "Keep the keys of items, seconds (empty: for ever)"], ["history", "Keep who took or acked what, seconds (0: not at all; empty: for ever)"]];
const NUMBERS = [["max_attempts", "Attempts before an item is dead"], ["jitter", "Jitter of the waits, 0 to 1"], ["max_ready", "Items that producers may have waiting (empty: no limit)"]];

export class Dialogs {
  constructor(page) {
    this.page = page;
  }

  open(title, ...content) {
    const id = `t-${Math.random().toString(36).slice(2)}`;
    const dialog = el("dialog", { "aria-labelledby": id }, el("h2", { id }, title), content);
    const from = document.activeElement;
    dialog.addEventListener("close", () => {
      dialog.remove();
      from?.focus?.();
    });
    document.body.append(dialog);
    dialog.showModal();
    return dialog;
  }

  /** Something that loses items: the queue's name has to be typed. `tell` says what is lost as of now. */
  typed({ title, tell, name, keep, act }) {
    const input = el("input", { class: "field", autocomplete: "off", spellcheck: "false", "aria-label": `Type ${name} to go on` });
    const lost = el("p");
    const go = button("", { kind: "danger", "aria-disabled": "true" });
    const results = el("div");
    const show = () => {
      const told = tell();
      say(lost, told.lost);
      say(go, go.dataset.busy && told.going ? told.going : told.verb);
    };
    input.addEventListener("input", () => mark(go, "aria-disabled", input.value === name ? null : "true"));
    const run = async () => {
      if (input.value !== name) return;
      if (await act(go, results)) dialog.close();
    };
    go.addEventListener("click", run);
    input.addEventListener("keydown", (event) => event.key === "Enter" && run());
    show();
    const dialog = this.open(title, lost, el("label", {}, "Type ", el("b", {}, name), " to go on"), input, results, el("div", { class: "acts" }, go, button(keep, { kind: "quiet", onclick: () => dialog.close() })));
    const timer = setInterval(show, 500);
    dialog.addEventListener("close", () => clearInterval(timer));
    input.focus();
  }

  /** Drop what is dead, what waits, or both. */
  purge(name, data, at, states) {
    const both = states.length > 1;
    const left = states.includes("waiting") ? "What is leased stays with its workers." : "What waits or is leased stays.";
    let total = 0; // while it is under way
    const tell = () => {
      const { audit } = this.page.view.name === name ? this.page.view.last : data;
      const n = states.reduce((sum, state) => sum + audit[state], 0);
      const parts = both ? `: ${count(audit.waiting)} that wait, and ${items(audit.dead, "dead letter")}` : "";
      const again = states.includes("dead") ? "Nobody can redrive them. " : "";
      return { lost: `${items(n)} ${n === 1 ? "is" : "are"} dropped for good${parts}. ${again}${left}`, verb: `Purge ${count(n)}`, going: total ? progress("Purging", total, n) : "", n };
    };
    this.typed({
      title: both ? `Purge ${name}?` : states[0] === "dead" ? `Purge the dead letters of ${name}?` : `Purge what waits in ${name}?`,
      tell,
      name,
      keep: "Keep them",
      act: (from, results) => {
        total = tell().n;
        const body = { confirm: name, states, expect: total };
        return this.page.act({ at: results, told: at, button: from, busy: "Purging", method: "POST", path: path(name, "/purge"), body, say: (found) => [`${items(found.purged)} dropped.`, ""] }).finally(() => (total = 0));
      },
    });
  }

  more(data, at) {
    const name = data.queue;
    const post = (what, busy, done) => (event) =>
      this.page.act({ at: results, told: at, button: event.currentTarget, busy, method: "POST", path: path(name, `/${what}`), say: () => [done, ""] }).then((good) => good && dialog.close());
    const results = el("div");
    const found = [];
    if (data.source === null || data.state === "open" || data.state === "paused") found.push(["Close", "No more pushes or draws; what is inside still goes out. It stays closed.", post("close", "Closing", "It is closed; what is inside still goes out.")]);
    if (data.state === "failed") found.push(["Retry the source", "Opens the source again at the next seq.", post("retry", "Retrying", "The source is opened again.")]);
    const purge = (text, note, ...states) => found.push([text, note, () => (dialog.close(), this.purge(name, data, at, states))]);
    const { waiting, dead } = data.audit;
    if (waiting) purge("Purge what waits…", "Drops what is ready and what is delayed, for good.", "waiting");
    if (dead) purge("Purge the dead letters…", "Drops what is dead, for good.", "dead");
    if (waiting && dead) purge("Purge both…", "Drops what waits and what is dead, for good.", "waiting", "dead");
    const rows = found.map(([text, note, act]) => el("div", { class: "more" }, button(text, { kind: text.startsWith("Purge") ? "danger" : "", onclick: act }), el("p", { class: "help" }, note)));
    const dialog = this.open(`More of ${name}`, rows.length ? rows : el("p", {}, "There is nothing else to do to it."), results, el("div", { class: "acts" }, button("Back", { kind: "quiet", onclick: () => dialog.close() })));
  }

  push(name, at) {
    const input = el("textarea", { class: "field", rows: "6", id: "items", spellcheck: "false", placeholder: '{"order": 88121}\n"a text"\n42' });
    const results = el("div");
    const key = newKey();
    const go = button("Push", { icon: "push", kind: "primary" });
    const read = () => input.value.split("\n").map((line) => line.trim()).filter(Boolean);
    input.addEventListener("input", () => say(go.lastChild, read().length ? `Push ${count(read().length)}` : "Push"));
    go.addEventListener("click", async () => {
      let values;
      try {
        values = read().map((line, n) => ({ value: parse(line, n) }));
      } catch (error) {
        this.page.result(results, "bad", "Not pushed.", error.message);
        return;
      }
      if (!values.length) return;
      const good = await this.page.act({ at: results, told: at, button: go, busy: "Pushing", method: "POST", path: path(name, "/items"), body: { items: values }, key, say: (found) => [`${items(found.items.length)} pushed.`, ""] });
      if (good) dialog.close();
    });
    const dialog = this.open(`Push items to ${name}`, el("label", { for: "items" }, "One JSON value a line"), input, el("p", { class: "help" }, "A line that is no JSON is refused, and nothing is pushed."), results, el("div", { class: "acts" }, go, button("Push nothing", { kind: "quiet", onclick: () => dialog.close() })));
    input.focus();
  }

  settings(data, at) {
    const { settings } = data;
    const inputs = new Map();
    const rows = [...NUMBERS, ...SECONDS].map(([name, label]) => {
      const input = el("input", { class: "field", id: `s-${name}`, value: settings[name] ?? "", inputmode: "decimal", autocomplete: "off" });
      inputs.set(name, input);
      return [el("label", { for: `s-${name}` }, label, " ", el("code", { class: "nil" }, name)), input];
    });
    const results = el("div");
    const go = button("Change", { kind: "primary" });
    go.addEventListener("click", async () => {
      const changed = {};
      for (const [name, input] of inputs) {
        const text = input.value.trim();
        const value = text === "" ? null : Number(text);
        if (Number.isNaN(value)) {
          this.page.result(results, "bad", "Not changed.", `${name} is not a number.`);
          return;
        }
        if (value !== settings[name]) changed[name] = value;
      }
      if (!Object.keys(changed).length) {
        this.page.result(results, "", "Nothing was changed.", "");
        return;
      }
      const good = await this.page.act({ at: results, told: at, button: go, busy: "Changing", method: "PUT", path: path(data.queue), body: { settings: changed }, say: () => [`Changed ${Object.keys(changed).join(", ")}.`, ""] });
      if (good) dialog.close();
    });
    const dialog = this.open(`Settings of ${data.queue}`, rows, results, el("div", { class: "acts" }, go, button("Leave them", { kind: "quiet", onclick: () => dialog.close() })));
  }

  keys() {
    const keys = [["/", "filter by name"], ["j", "next row"], ["k", "row before"], ["Enter", "open"], ["Space", "select"], ["Esc", "close"], ["g q", "queues"], ["g p", "the proof"], ["g a", "actions"], ["[  ]", "move the frame of the proof"], ["h", "hold the proof"], ["?", "this list"]];
    const box = el("input", { type: "checkbox", id: "letters" });
    box.checked = this.page.keys.on;
    box.addEventListener("change", () => this.page.keys.set(box.checked));
    const dialog = this.open("Keys", el("dl", { class: "keys" }, keys.flatMap(([sign, text]) => [el("dt", {}, sign.split(/\s+/).map((one) => [el("kbd", {}, one), " "])), el("dd", {}, text)])), el("label", { for: "letters", class: "check" }, box, " Single letters are keys"), el("p", { class: "help" }, "No key performs an action by itself."), el("div", { class: "acts" }, button("Close", { onclick: () => dialog.close() })));
  }
}

function parse(line, n) {
  try {
    return JSON.parse(line);
  } catch {
    throw new Error(`Line ${n + 1} is no JSON: ${line.slice(0, 60)}`);
  }
}
