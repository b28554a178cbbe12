// Who did what, when.

import { el, fill } from "./dom.js";
import { clip, day, utc } from "./format.js";

export function actions(list, none) {
  if (!list.length) return el("p", { class: "note" }, none);
  return el(
    "ol",
    { class: "acts-list" },
    list.map((act) => el("li", {}, el("time", { datetime: utc(act.at), title: utc(act.at) }, day(act.at, Date.now())), el("b", {}, el("bdi", {}, clip(act.who, 40))), el("span", {}, clip(act.what, 300)))),
  );
}

export class ActionsView {
  constructor(page) {
    this.page = page;
    this.title = el("h1", {}, "Actions");
    this.list = el("section", { class: "card" });
    this.root = el("div", {}, this.title, this.list);
    this.query = "view=actions";
  }

  show(data) {
    const key = `${data.actions.length} ${data.actions[0]?.at}`;
    if (this.key === key) return;
    this.key = key;
    const n = data.actions.length;
    const many = n === 1 ? "One action" : `${n} actions`;
    const nodes = n ? [many, el("span", { class: "rest" }, " on this server, newest first.")] : ["Nobody has changed anything."];
    this.page.sentence(this.title, { key, nodes });
    fill(this.list, actions(data.actions, "What is done on the page, by the command or over HTTP is told here."));
  }
}
