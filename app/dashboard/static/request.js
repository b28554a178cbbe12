// What the page asks of the server besides its stream.

/** Ask once; a problem is thrown as `Refused`, an answer that was lost as `Unknown`. */
export async function ask(method, path, body, key) {
  const headers = { Accept: "application/json" };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  if (key) headers["Idempotency-Key"] = key;
  let answer;
  try {
    answer = await fetch(path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body), cache: "no-store" });
  } catch {
    throw method === "GET" ? new Refused({ title: "No word from the server", detail: "it could not be reached" }) : new Unknown();
  }
  const text = await answer.text();
  let found = null;
  try {
    found = text ? JSON.parse(text) : null;
  } catch {
    found = null;
  }
  if (answer.ok) return found;
  throw new Refused(found ?? { status: answer.status, title: `the server said ${answer.status}`, detail: "" });
}

/** The server said no; nothing was done. */
export class Refused extends Error {
  constructor(problem) {
    super(problem.detail || problem.title);
    this.problem = problem;
  }
}

/** Nobody knows whether it was done; the same key asks again. */
export class Unknown extends Error {}

export const newKey = () => crypto.randomUUID?.() ?? `${Date.now()}-${Math.random().toString(36).slice(2)}`;

export const path = (name, rest = "") => `queues/${encodeURIComponent(name)}${rest}`;
