// The page: one stream, the view that the address names, who may do what, keys.

import { ActionsView } from "./actions.js";
import { Dialogs } from "./dialogs.js";
import { button, change, el, fill, mark, say, shape } from "./dom.js";
import { clock, span, uptime } from "./format.js";
import { Keys } from "./keys.js";
import { login } from "./login.js";
import { Overview } from "./overview.js";
import { ProofView } from "./proof.js";
import { QueueView } from "./queue.js";
import { ask, newKey, path, Unknown } from "./request.js";
import { Stream } from "./stream.js";

const RESTARTED = 120; // seconds for which a restart is told
const MEANING = 10_000; // milliseconds between two changes of the sentence that are read aloud

const at = (id) => document.getElementById(id);

class Page {
  constructor() {
    this.main = at("main");
    this.dialogs = new Dialogs(this);
    this.keys = new Keys(this);
    this.server = null;
    this.overview = null;
    this.said = []; // the nodes of the view's sentence
    this.stream = new Stream((name, data) => this.heard(name, data), (state, tries) => this.told(state, tries));
    addEventListener("hashchange", () => this.route());
    at("theme").addEventListener("click", () => this.turn());
    this.paint(localStorage.getItem("dibs.theme") ?? "system");
    setInterval(() => this.tick(), 1000);
  }

  async start() {
    let session;
    try {
      session = await ask("GET", "page/session");
    } catch (error) {
      if (error.problem?.status === 401) {
        login(this, at("main"));
        return;
      }
      session = null;
    }
    if (session) this.greet(session);
    this.route();
  }

  greet(server) {
    const again = this.server && this.server.began !== server.began;
    this.server = { ...server, skew: Date.now() - server.now };
    if (again) this.restart = Date.now();
    say(at("who"), server.who);
    say(at("role"), server.read_only ? "read only" : server.role);
    mark(at("only-read"), "hidden", !server.read_only && server.show_values);
    say(at("only-read-text"), server.read_only ? `You may look, not change: this server is read only${server.show_values ? "" : ", and values are hidden"}.` : "Values are hidden on this server.");
    mark(at("logout"), "hidden", !server.login);
    this.held(server.restored);
  }

  /** What a restored backup says of itself until somebody accepts it. */
  held(told) {
    mark(at("restored"), "hidden", !told);
    say(at("restored-text"), told ? `This server was ${told}.` : "");
  }

  /** Whether whoever looks may do it; what a role lacks is absent. */
  may(role) {
    return Boolean(this.server && !this.server.read_only && this.server.may.includes(role));
  }

  route() {
    const [, view = "", ...rest] = location.hash.split("/");
    const name = decodeURIComponent(rest.join("/"));
    let next;
    if (view === "queues" && name) next = new QueueView(this, name);
    else if (view === "proof") next = new ProofView(this, name || this.server?.first || "default");
    else if (view === "actions") next = new ActionsView(this);
    else next = this.overview ??= new Overview(this);
    const current = view === "proof" ? "proof" : view === "actions" ? "actions" : "queues";
    for (const link of document.querySelectorAll(".views a")) mark(link, "aria-current", link.dataset.view === current ? "page" : null);
    document.title = view === "queues" && name ? `${name} · dibs` : current === "queues" ? "dibs" : `${current[0].toUpperCase()}${current.slice(1)} · dibs`;
    this.view = next;
    this.said = [];
    this.spoken = 0;
    fill(this.main, next.root);
    scrollTo(0, 0);
    this.watch();
  }

  watch() {
    this.stream.watch(this.view.query);
  }

  heard(name, data) {
    if (name === "hello") this.greet(data);
    else if (name === "gone") this.view.lost?.();
    else if (this.view.query.startsWith(`view=${name}`)) {
      if ("restored" in data) this.held(data.restored);
      this.view.show(data);
      this.now = data.now;
    }
    this.tick();
  }

  told(state, tries) {
    if (state === "login") {
      login(this, this.main);
      return;
    }
    const node = at("stream");
    mark(node, "data-state", state);
    say(node.lastElementChild, { live: "live", silent: "no word", held: "held: this tab was hidden", again: `joining again, try ${tries}` }[state]);
  }

  tick() {
    if (this.server) say(at("uptime"), `up ${uptime((Date.now() - this.server.began - this.server.skew) / 1000)}`);
    const { silence } = this.stream;
    this.main.classList.toggle("stale", silence !== null);
    if (silence !== null && at("stream").dataset.state === "live") this.told("silent", 0);
    if (silence === null || !this.view) return;
    const place = this.view.told ?? this.view.title;
    const head = el("span", { class: "hold" }, shape("old"), ` No word from the server for ${span(silence)}.`);
    const kept = place.contains(document.activeElement) ? [...this.said, " "] : []; // what has focus stays, and so does focus
    this.tell(place, { key: "silence", nodes: [...kept, head, el("span", { class: "rest" }, ` What you see is from ${clock(this.stream.at)}.`)] });
  }

  /** The view's sentence, which ends with a restart that was just now. */
  sentence(node, { key, nodes }) {
    this.said = nodes;
    const since = this.restart ? (Date.now() - this.restart) / 1000 : Infinity;
    if (since > RESTARTED) this.tell(node, { key, nodes });
    else this.tell(node, { key: `${key} restarted`, nodes: [...nodes, el("span", { class: "rest" }, ` The server restarted ${span(Math.max(since, 1))} ago; charts begin there.`)] });
  }

  /** Changed at once for the eye, read aloud only when the meaning changes. */
  tell(node, { key, nodes }) {
    const text = nodes.map((part) => part?.textContent ?? part ?? "").join("");
    if (node.textContent === text) return;
    const now = Date.now();
    const speak = node.dataset.key !== key && now - (this.spoken || 0) > MEANING;
    mark(node, "aria-live", speak ? "polite" : "off");
    if (speak) this.spoken = now;
    node.dataset.key = key;
    change(node, nodes);
  }

  /**
   * Do something and say beside it what came of it, until that is dismissed.
   *
   * An outcome that nobody knows is asked for again with the same key, and is done once. Returns whether it
   * was done.
   */
  async act({ at: place, told, button: from, busy, method, path: to, body, key = newKey(), say: words }) {
    if (from?.getAttribute("aria-disabled") === "true" || from?.dataset.busy) return false;
    const text = from?.lastChild?.textContent;
    if (from) {
      from.dataset.busy = "1";
      if (from.lastChild?.nodeType === Node.TEXT_NODE) from.lastChild.textContent = `${busy}…`;
    }
    try {
      const found = await ask(method, to, body, key);
      this.result(told ?? place, "", ...words(found ?? {}));
      return true;
    } catch (error) {
      if (error instanceof Unknown) {
        const again = button("Ask again", { kind: "small", onclick: () => this.act({ at: place, told, button: again, busy: "Asking", method, path: to, body, key, say: words }) });
        this.result(place, "hold", "Nobody knows whether it was done.", "The answer was lost.", again);
      } else {
        this.result(place, "bad", "Refused.", error.message);
      }
      return false;
    } finally {
      if (from) {
        delete from.dataset.busy;
        if (from.lastChild?.nodeType === Node.TEXT_NODE && from.lastChild.textContent === `${busy}…`) from.lastChild.textContent = text;
      }
    }
  }

  result(place, kind, head, rest, more) {
    const dismiss = button("Dismiss", { kind: "small quiet", onclick: () => note.remove() });
    const icon = kind === "bad" ? "failed" : kind === "hold" ? "old" : "good";
    const note = el("p", { class: `result ${kind}`, role: "status" }, shape(icon), el("span", {}, el("b", {}, head), rest ? ` ${rest}` : ""), more, dismiss);
    fill(place, note);
  }

  retry(name, place) {
    return this.act({ at: place ?? this.note(), method: "POST", busy: "Retrying", path: path(name, "/retry"), say: () => [`The source of ${name} is opened again.`, ""] });
  }

  note() {
    this.notes ??= el("div");
    if (!this.notes.isConnected) this.main.prepend(this.notes);
    return this.notes;
  }

  async copy(text) {
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      const field = el("textarea", { class: "offscreen" });
      field.value = text;
      document.body.append(field);
      field.select();
      document.execCommand("copy");
      field.remove();
    }
  }

  turn() {
    const order = ["system", "light", "dark"];
    const next = order[(order.indexOf(localStorage.getItem("dibs.theme") ?? "system") + 1) % 3];
    localStorage.setItem("dibs.theme", next);
    this.paint(next);
  }

  paint(theme) {
    mark(document.documentElement, "data-theme", theme === "system" ? null : theme);
    const dark = theme === "dark" || (theme === "system" && matchMedia("(prefers-color-scheme: dark)").matches);
    fill(at("theme"), shape(theme === "system" ? (dark ? "sun" : "moon") : theme === "dark" ? "sun" : "moon"), el("span", { class: "offscreen" }, `Theme: ${theme}`));
    at("theme").title = `Theme: ${theme}`;
  }
}

at("logout").addEventListener("click", async () => {
  await ask("POST", "page/logout").catch(() => null);
  location.reload();
});

const page = new Page();
page.start();
