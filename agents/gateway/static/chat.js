// The open conversation: its exchanges, and what happens to them.

import { HOME } from "./address.js";
import { ApiError, readConversation } from "./api.js";
import { byId, identity } from "./dom.js";
import { Exchange } from "./exchange.js";

const LOST = "The answer was interrupted before it was complete.";
const QUIET_MS = 2500;
const GIVEN_UP_MS = 130_000; // a little longer than the gateway waits for an answer that it attached to
const NEAR_END = 120;

export class Chat {
  #connection;
  #hooks;
  #loading = 0;
  #exchanges = new Map();
  #messages = byId("messages");
  #scroller = byId("scroller");
  #follow = true;

  /** `hooks`: changed() when something about the conversation changed, openSource(exchange, number), forget(exchange). */
  constructor(hooks) {
    this.#hooks = hooks;
    this.project = HOME;
    this.conversation = "";
    this.title = "";
    this.fresh = true;
    this.temporary = false;
    const toEnd = byId("to-end");
    this.#scroller.addEventListener("scroll", () => {
      this.#follow = this.#fromEnd() < NEAR_END;
      toEnd.hidden = this.#follow || !this.#exchanges.size;
    }, { passive: true });
    this.#messages.addEventListener("grown", () => this.#keepAtEnd());
    toEnd.addEventListener("click", () => this.#toEnd());
    new ResizeObserver(() => this.#keepAtEnd()).observe(this.#scroller);
  }

  use(connection) {
    this.#connection = connection;
  }

  get running() {
    return [...this.#exchanges.values()].find((exchange) => exchange.running) ?? null;
  }

  get empty() {
    return this.#exchanges.size === 0;
  }

  /** The first question, until there is a title. */
  get beginning() {
    const [first] = this.#exchanges.values();
    return first ? first.question.slice(0, 80) : "";
  }

  /** Show an empty conversation that begins with the next question; a temporary one is kept nowhere. */
  begin(project, temporary = false) {
    this.#show(project, identity(), { fresh: true, temporary });
    this.#connection.watch(project, "");
    this.#hooks.changed();
  }

  /** Show a conversation that there is. */
  async open(project, conversation) {
    if (conversation === this.conversation && project === this.project) return;
    this.#show(project, conversation, { fresh: false, temporary: false });
    this.#connection.watch(project, conversation);
    this.#hooks.changed();
    // Once the gateway says that it watches, nothing that follows can be missed: then we read.
    if (!this.#connection.open) await this.reload();
  }

  #show(project, conversation, { fresh, temporary }) {
    this.#clear();
    Object.assign(this, { project, conversation, fresh, temporary, title: "" });
  }

  /** Bring what is shown up to what the log holds; with `forgotten`, remove what it holds no more. */
  async reload(forgotten = false) {
    const { conversation } = this;
    if (this.fresh || this.temporary) return;
    const loading = ++this.#loading;
    let history;
    try {
      history = await readConversation(this.project, conversation);
    } catch (error) {
      if (conversation !== this.conversation || loading !== this.#loading) return;
      if (error instanceof ApiError && error.status === 404) {
        if (this.empty || forgotten) this.#hooks.missing();
        return;
      }
      this.#hooks.trouble(error.message);
      return;
    }
    if (conversation !== this.conversation || loading !== this.#loading) return;
    this.title = history.title;
    if (forgotten) this.#drop(new Set(history.turns.map((turn) => turn.answer)));
    for (const turn of history.turns) {
      if (turn.role === "user") this.#ensure({ answer: turn.answer, question: turn.text, at: turn.at });
    }
    for (const turn of history.turns) {
      const exchange = this.#exchanges.get(turn.answer);
      // A stream that we read ends by itself; the log's word counts for all others.
      if (turn.role === "assistant" && exchange && exchange.state !== "done" && !this.#live(exchange)) {
        this.#connection.forget(turn.answer);
        exchange.complete(turn);
      }
    }
    for (const exchange of this.#exchanges.values()) {
      if (!exchange.running || this.#connection.reads(exchange.answer)) continue;
      if (exchange.answer === history.answering) this.#read(exchange);
      else exchange.fail(LOST);
    }
    this.#keepAtEnd();
    this.#hooks.changed();
  }

  #drop(known) {
    for (const [answer, exchange] of this.#exchanges) {
      if (known.has(answer) || exchange.running) continue;
      this.#exchanges.delete(answer);
      exchange.element.remove();
    }
  }

  ask(text, retrieve) {
    const answer = identity();
    const exchange = this.#ensure({ answer, question: text });
    exchange.retrieve = retrieve;
    const { project, conversation, temporary } = this;
    this.#connection.ask({ type: "ask", answer, conversation, project, text, retrieve, temporary });
    if (this.fresh) {
      this.fresh = false;
      this.#connection.watch(project, temporary ? "" : conversation);
    }
    this.#watchFor(exchange);
    this.#toEnd();
    this.#hooks.changed();
  }

  stop() {
    if (this.running) this.#connection.cancel(this.running.answer);
  }

  /** An event of an answer that is read. */
  event(event) {
    const exchange = this.#exchanges.get(event.answer);
    if (!exchange) return;
    exchange.heard = performance.now();
    exchange.take(event);
    if (event.type === "done" || event.type === "failed" || event.type === "accepted") this.#hooks.changed(event.type);
    if (event.type !== "delta") this.#keepAtEnd();
  }

  /** Somebody else asked in this conversation. */
  started({ conversation, answer, text, at }) {
    if (conversation !== this.conversation || this.#exchanges.has(answer)) return;
    this.#read(this.#ensure({ answer, question: text, at }));
    this.#hooks.changed();
  }

  problem(problem) {
    const exchange = this.#exchanges.get(problem.ref);
    if (!exchange?.running) return false;
    this.#connection.forget(exchange.answer);
    exchange.fail(problem.message);
    this.#hooks.changed("failed");
    return true;
  }

  #read(exchange) {
    this.#connection.attach(exchange.answer, -1);
    this.#watchFor(exchange);
  }

  /** An answer of which nothing comes may have ended while nobody listened: the log knows. */
  #watchFor(exchange) {
    exchange.heard = performance.now();
    const timer = setInterval(() => {
      if (!exchange.running || !this.#exchanges.has(exchange.answer)) clearInterval(timer);
      else if (this.temporary) this.#giveUp(exchange);
      else if (!this.#live(exchange) && !document.hidden) this.reload();
    }, QUIET_MS);
  }

  /** Of a temporary answer no log knows how it ended. */
  #giveUp(exchange) {
    if (performance.now() - exchange.heard < GIVEN_UP_MS) return;
    this.#connection.forget(exchange.answer);
    exchange.fail(LOST);
    this.#hooks.changed("failed");
  }

  #live(exchange) {
    return this.#connection.reads(exchange.answer) && performance.now() - (exchange.heard ?? -QUIET_MS) < QUIET_MS;
  }

  #ensure(what) {
    let exchange = this.#exchanges.get(what.answer);
    if (!exchange) {
      exchange = new Exchange({ ...what, project: this.project }, {
        openSource: this.#hooks.openSource,
        forget: this.temporary ? null : this.#hooks.forget,
        retry: (failed) => this.ask(failed.question, failed.retrieve ?? this.#hooks.retrieve()),
      });
      this.#exchanges.set(what.answer, exchange);
      this.#messages.append(exchange.element);
    }
    return exchange;
  }

  #clear() {
    for (const answer of this.#exchanges.keys()) this.#connection.forget(answer);
    this.#exchanges.clear();
    this.#messages.replaceChildren();
    this.#follow = true;
    byId("to-end").hidden = true;
  }

  #fromEnd() {
    const { scrollHeight, scrollTop, clientHeight } = this.#scroller;
    return scrollHeight - scrollTop - clientHeight;
  }

  #keepAtEnd() {
    if (this.#follow && !this.empty) this.#scroller.scrollTop = this.#scroller.scrollHeight;
  }

  #toEnd() {
    this.#follow = true;
    this.#keepAtEnd();
  }
}
