// The connection to the twin: server-sent events that come again after a break, and the silence
// between. The browser resumes a stream by itself with Last-Event-ID; where it gave up, the page
// asks anew.

export const SILENCE_MAX_MS = 4_000;
const RETRY_MS = 2_000;
const TICK_MS = 1_000;

/** Listen at `url` for as long as the page is open, and tell `on` what comes. */
export class Stream {
  /** `on` has `status(document)`, `event(event)` and `silent(seconds, everHeard)`. */
  constructor(url, on) {
    this.url = url;
    this.on = on;
    this.heard = null;
    this.opened = performance.now();
    this.source = null;
  }

  /** Connect, and go on watching. */
  start() {
    this.connect();
    setInterval(() => this.tick(), TICK_MS);
  }

  /** Begin a new stream, which gives the last events and the status at once. */
  connect() {
    this.source?.close();
    const source = new EventSource(this.url);
    source.addEventListener("status", (message) => {
      this.heard = performance.now();
      this.on.status(JSON.parse(message.data));
    });
    source.addEventListener("timeline", (message) => {
      this.heard = performance.now();
      this.on.event(JSON.parse(message.data));
    });
    source.addEventListener("error", () => {
      if (source.readyState === EventSource.CLOSED && source === this.source) {
        setTimeout(() => this.connect(), RETRY_MS);
      }
    });
    this.source = source;
  }

  tick() {
    const quiet = performance.now() - (this.heard ?? this.opened);
    if (quiet > SILENCE_MAX_MS) this.on.silent(quiet / 1000, this.heard !== null);
  }
}
