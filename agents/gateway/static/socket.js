// The WebSocket: reconnects by itself, asks again what was not accepted, continues answers where they stopped.

const PAUSES = [0, 200, 400, 800, 1500, 2000];

/**
 * Handlers: event(frame) for answer events and accepted; notice(frame) for what others do;
 * problem(frame); state(connected).
 */
export class Connection {
  #socket = null;
  #attempt = 0;
  #timer = 0;
  #watch = null;
  #asks = new Map();
  #reading = new Map();
  #handlers;

  constructor(handlers) {
    this.#handlers = handlers;
    const soon = () => {
      if (document.visibilityState === "visible" && this.#timer) this.#connect();
    };
    addEventListener("online", soon);
    document.addEventListener("visibilitychange", soon);
  }

  get open() {
    return this.#socket?.readyState === WebSocket.OPEN;
  }

  start() {
    this.#connect();
  }

  /** Ask; sent again after a lost connection until it is accepted. */
  ask(frame) {
    this.#asks.set(frame.answer, frame);
    this.#reading.set(frame.answer, -1);
    this.#send(frame);
  }

  /** Read an answer that runs already, behind the index after. */
  attach(answer, after) {
    this.#reading.set(answer, after);
    this.#send({ type: "attach", answer, after });
  }

  /** Read an answer no more. */
  forget(answer) {
    this.#asks.delete(answer);
    this.#reading.delete(answer);
  }

  reads(answer) {
    return this.#reading.has(answer);
  }

  cancel(answer) {
    this.#send({ type: "cancel", answer });
  }

  watch(project, conversation) {
    this.#watch = { type: "watch", project, conversation };
    this.#send(this.#watch);
  }

  #send(frame) {
    if (this.open) this.#socket.send(JSON.stringify(frame));
  }

  #connect() {
    clearTimeout(this.#timer);
    this.#timer = 0;
    const socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/ws`);
    this.#socket = socket;
    let opened = false;
    socket.onopen = () => {
      opened = true;
      this.#attempt = 0;
      if (this.#watch) this.#send(this.#watch);
      for (const [answer, after] of this.#reading) {
        this.#send(this.#asks.get(answer) ?? { type: "attach", answer, after });
      }
      this.#handlers.state(true);
    };
    socket.onmessage = (event) => this.#take(JSON.parse(event.data));
    socket.onclose = () => {
      if (this.#socket !== socket) return;
      this.#handlers.state(false, opened);
      const pause = PAUSES[Math.min(this.#attempt++, PAUSES.length - 1)];
      this.#timer = setTimeout(() => this.#connect(), pause);
    };
  }

  #take(frame) {
    switch (frame.type) {
      case "accepted":
        this.#asks.delete(frame.answer);
        this.#handlers.event(frame);
        break;
      case "sources":
      case "delta":
      case "done":
      case "failed": {
        const last = this.#reading.get(frame.answer);
        const end = frame.type === "done" || frame.type === "failed";
        // An end may come below the index that was seen: whoever ended the answer had nothing left of it.
        if (last === undefined || (frame.index <= last && !end)) return;
        if (frame.index > last + 1) {
          this.#send({ type: "attach", answer: frame.answer, after: last });
          return;
        }
        this.#reading.set(frame.answer, frame.index);
        this.#asks.delete(frame.answer);
        if (end) this.#reading.delete(frame.answer);
        this.#handlers.event(frame);
        break;
      }
      case "problem":
        this.#handlers.problem(frame);
        break;
      default:
        this.#handlers.notice(frame);
    }
  }
}
