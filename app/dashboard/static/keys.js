// The keyboard. Single letters are off in fields, and can be turned off altogether; none performs an action.

const VIEWS = { q: "#/", p: "#/proof", a: "#/actions" };

export class Keys {
  constructor(page) {
    this.page = page;
    this.on = localStorage.getItem("dibs.keys") !== "off";
    this.before = "";
    document.addEventListener("keydown", (event) => this.pressed(event));
  }

  set(on) {
    this.on = on;
    localStorage.setItem("dibs.keys", on ? "on" : "off");
  }

  pressed(event) {
    const { target, key } = event;
    const field = target.closest("input:not([type=checkbox]), textarea, select");
    if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    if (field) {
      if (key === "Escape") field.blur();
      return;
    }
    const { view } = this.page;
    const moves = { ArrowDown: 1, ArrowUp: -1 };
    if (key in moves && target.closest("tbody")) {
      event.preventDefault();
      view.move?.(moves[key]);
      return;
    }
    if (!this.on) return;
    const before = this.before;
    this.before = key === "g" ? "g" : "";
    if (before === "g" && key in VIEWS) location.hash = VIEWS[key];
    else if (key === "j" || key === "k") view.move?.(key === "j" ? 1 : -1);
    else if (key === "/" && view.focusFilter) {
      event.preventDefault();
      view.focusFilter();
    } else if (key === "[" || key === "]") view.at !== undefined && view.move(key === "[" ? -1 : 1);
    else if (key === "h" && view.toggle) view.toggle();
    else if (key === "?") this.page.dialogs.keys();
  }
}
