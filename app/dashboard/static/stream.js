// The one stream of a tab: joined again when it breaks, left while the tab is hidden.

const QUIET = 10_000; // after so long without a word the figures are told to be old
const GAP = 3_000; // between two ticks of a second: the tab did not run
const TRIES = [500, 1000, 2000, 4000, 8000];

export class Stream {
  /** `heard(event, data)` gets what comes; `changed(state, tries)` is told "live", "held", "again" or "login". */
  constructor(heard, changed) {
    this.heard = heard;
    this.changed = changed;
    this.query = "";
    this.tries = 0;
    this.at = 0;
    this.awake = Date.now();
    this.slept = 0;
    document.addEventListener("visibilitychange", () => this.visible());
  }

  /** Listen to another view. */
  watch(query) {
    if (query === this.query && this.source) return;
    this.query = query;
    this.tries = 0;
    this.join();
  }

  /**
   * How many seconds ago the server was heard, once that is too long; asked each second.
   *
   * A tab that was hidden, or whose machine slept, has not listened meanwhile: the server gets its time anew.
   */
  get silence() {
    const now = Date.now();
    if (now - this.awake > GAP) this.slept = now;
    this.awake = now;
    return this.at && now - Math.max(this.at, this.slept) > QUIET ? (now - this.at) / 1000 : null;
  }

  visible() {
    if (document.hidden) {
      this.leave();
      this.changed("held", 0);
    } else if (!this.source) {
      this.tries = 0;
      this.join();
    }
  }

  leave() {
    clearTimeout(this.timer);
    this.source?.close();
    this.source = null;
  }

  join() {
    this.leave();
    if (document.hidden) return;
    const source = new EventSource(`events?${this.query}`);
    this.source = source;
    for (const name of ["hello", "overview", "queue", "proof", "actions", "gone"]) {
      source.addEventListener(name, (event) => {
        this.at = Date.now();
        this.tries = 0;
        this.changed("live", 0);
        this.heard(name, JSON.parse(event.data));
      });
    }
    source.addEventListener("beat", () => {
      this.at = Date.now();
      this.changed("live", 0);
    });
    source.addEventListener("error", () => {
      if (this.source !== source) return;
      this.leave();
      this.tries += 1;
      this.changed("again", this.tries);
      this.timer = setTimeout(() => this.again(), TRIES[Math.min(this.tries, TRIES.length) - 1]);
    });
  }

  /** An event source does not tell why it broke; a token that is no longer good does not come back. */
  async again() {
    const answer = await fetch("page/session", { cache: "no-store" }).catch(() => null);
    if (answer?.status === 401) this.changed("login", 0);
    else this.join();
  }
}
