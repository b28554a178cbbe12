// Logging in with a token. Nothing about queues or versions is said before.

import { button, el, fill, mark, say, shape } from "./dom.js";

const COMMAND = "dibs token new --role read";

/** What went wrong, and how many seconds to wait before another try. */
async function tried(token) {
  const answer = await fetch("page/login", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ token }) }).catch(() => null);
  if (answer?.ok) return null;
  const wait = Number(answer?.headers.get("Retry-After") ?? 0);
  if (answer === null) return ["No word from the server; try again.", 0];
  if (answer.status === 403) return ["This token may not look: that needs the role read, operate or admin.", 0];
  if (wait) return ["Too many tries from this address.", wait];
  return ["This server doesn’t know that token. It may be mistyped, expired or revoked.", 0];
}

export function login(page, main) {
  const input = el("input", { class: "field", type: "password", id: "token", autocomplete: "current-password", spellcheck: "false", required: true, "aria-describedby": "wrong" });
  const show = button("Show", { icon: "eye", kind: "small quiet", "aria-pressed": "false" });
  const wrong = el("p", { class: "wrong", id: "wrong", role: "alert" });
  const go = button("Log in", { kind: "primary", type: "submit" });
  const copy = button("Copy", { icon: "copy", kind: "small", "aria-label": "Copy the command" });
  const form = el("form", {}, el("label", { for: "token" }, "Token"), el("div", { class: "secret" }, input, show), wrong, go);
  let timer = 0;

  show.addEventListener("click", () => {
    const hidden = input.type === "text";
    input.type = hidden ? "password" : "text";
    mark(show, "aria-pressed", String(!hidden));
    say(show.lastChild, hidden ? "Show" : "Hide");
  });
  copy.addEventListener("click", async () => {
    await page.copy(COMMAND);
    say(copy.lastChild, "Copied");
  });

  /** Say it, with the time that is left until another try. Read aloud once: the count is not. */
  function tell([text, wait]) {
    clearTimeout(timer);
    mark(input, "aria-invalid", text ? "true" : null);
    if (!text) {
      fill(wrong);
      return;
    }
    const until = Date.now() + wait * 1000;
    const left = el("span", { "aria-hidden": "true" });
    const count = () => {
      const seconds = Math.ceil((until - Date.now()) / 1000);
      say(left, seconds > 0 ? ` Try again in ${seconds} s.` : wait ? " Try again." : "");
      if (seconds > 0) timer = setTimeout(count, 1000);
    };
    fill(wrong, shape("failed"), el("span", {}, text, wait ? el("span", { class: "offscreen" }, ` Try again in ${wait} s.`) : "", left));
    count();
  }

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    tell(["", 0]);
    const failed = await tried(input.value.trim());
    if (failed === null) {
      location.reload();
      return;
    }
    tell(failed);
    input.select();
  });

  document.body.classList.add("logging-in");
  const name = el("p", { class: "mark" }, document.querySelector(".mark svg").cloneNode(true), "dibs");
  const none = el("div", { class: "none" }, el("p", {}, "No token? Whoever runs this server makes one:"), el("div", { class: "type" }, el("pre", {}, COMMAND), copy));
  fill(main, el("section", { class: "login" }, name, el("h1", {}, "Log in with a token"), el("p", { class: "note" }, "It says what you may see and do here."), form, none));
  input.focus();
}
