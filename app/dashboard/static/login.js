// Logging in with a token. Nothing about queues or versions is said before.

import { button, el, fill, say } from "./dom.js";
import { span } from "./format.js";

export function login(page, main) {
  const input = el("input", { class: "field", type: "password", id: "token", autocomplete: "current-password", spellcheck: "false", required: true });
  const wrong = el("p", { class: "wrong", role: "alert" });
  const go = button("Log in", { kind: "primary", type: "submit" });
  const form = el("form", {}, el("label", { for: "token" }, "Token"), input, go, wrong);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    say(wrong, "");
    const answer = await fetch("page/login", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ token: input.value.trim() }) }).catch(() => null);
    if (answer?.ok) {
      location.reload();
      return;
    }
    const wait = Number(answer?.headers.get("Retry-After") ?? 0);
    say(wrong, answer === null ? "No word from the server; try again." : answer.status === 403 ? "This token may not look: that needs the role read, operate or admin." : wait ? `Too many tries from this address; try again in ${span(wait)}.` : "This token is not valid here: it may be mistyped, expired or revoked.");
    input.select();
  });
  document.body.classList.add("logging-in");
  for (const node of document.querySelectorAll(".views, .about .stream, .about .uptime, .about .who")) node.hidden = true;
  fill(main, el("section", { class: "card login" }, el("h1", {}, "Log in"), el("p", { class: "note" }, "dibs token new makes one."), form));
  input.focus();
}
