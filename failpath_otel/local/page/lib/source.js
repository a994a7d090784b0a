// The receiver's stream of changes: one EventSource that is made anew, with backoff, from where the last one ended.
const FIRST_WAIT = 250;
const LONGEST_WAIT = 2000;

// `emit` gets {type: "state", state} | {type: "hello", storeId, revision, offset, resumed}
//           | {type: "changes", revision, offset, count, rows, more} | {type: "reset"}.
export class Source {
  constructor(emit) {
    this.emit = emit;
    this.state = "connecting";
    this.hello = null;
    this.reached = null; // The id of the newest change that was received: where the next connection begins.
    this.wait = FIRST_WAIT;
    this.timer = null;
    this.events = null;
  }

  open() {
    if (this.events !== null || this.timer !== null) return;
    const after = this.reached === null ? "" : `?after=${encodeURIComponent(this.reached)}`;
    const events = new EventSource(`/api/page/stream${after}`);
    this.events = events;
    events.addEventListener("hello", (event) => this.greeted(JSON.parse(event.data)));
    events.addEventListener("changes", (event) => this.changed(JSON.parse(event.data), event.lastEventId));
    events.addEventListener("reset", (event) => this.begunAnew(event.lastEventId));
    // An EventSource gives up for good after an answer that is no stream, and waits a fixed time otherwise.
    events.onerror = () => this.lost();
  }

  close() {
    clearTimeout(this.timer);
    this.timer = null;
    this.events?.close();
    this.events = null;
  }

  // The page is visible, or the network is back: reconnect at once.
  hurry() {
    if (this.timer === null) return;
    this.close();
    this.wait = FIRST_WAIT;
    this.open();
  }

  lost() {
    this.close();
    this.to("lost");
    this.timer = setTimeout(() => {
      this.timer = null;
      this.open();
    }, this.wait);
    this.wait = Math.min(this.wait * 2, LONGEST_WAIT);
  }

  greeted(hello) {
    const known = this.hello;
    const resumed = this.reached !== null && known?.storeId === hello.storeId;
    this.wait = FIRST_WAIT;
    this.hello = { storeId: hello.storeId, revision: hello.revision, offset: offsetOf(hello.now) };
    // What was missed comes after this: only `changes` move on where a resumed stream has got to.
    if (!resumed) this.reached = `${hello.storeId}-${hello.revision}`;
    this.emit({ type: "hello", resumed, ...this.hello });
    if (known !== null && !resumed) this.emit({ type: "reset" });
    this.to("connected");
  }

  changed(changes, id) {
    this.hello = { ...this.hello, revision: changes.revision, offset: offsetOf(changes.now) };
    this.reached = id || `${this.hello.storeId}-${changes.revision}`;
    const { revision, count, rows, more } = changes;
    this.emit({ type: "changes", revision, count, rows, more, offset: this.hello.offset });
  }

  begunAnew(id) {
    this.reached = id || null;
    this.emit({ type: "reset" });
  }

  to(state) {
    if (state === this.state) return;
    this.state = state;
    this.emit({ type: "state", state });
  }
}

// What to add to this machine's clock to get the receiver's.
function offsetOf(now) {
  const time = typeof now === "number" ? now : Date.parse(now);
  return Number.isNaN(time) ? 0 : time - Date.now();
}
