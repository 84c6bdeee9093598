// One question with its answer, as it stands in the conversation.

import { withMarks } from "./citations.js";
import { copyButton, h, icon } from "./dom.js";
import { MarkdownView } from "./markdown.js";
import { sourceName } from "./sources.js";

const ENDINGS = {
  length: "The answer reached its greatest length.",
  cancelled: "Stopped.",
};

// What is said of an answer that no passage supports.
const GROUNDINGS = {
  nothing_found: "Nothing in your files and memory fits this question.",
  unsupported: "None of the passages read supports this answer.",
  not_searched: "Your files and memory could not be searched just now.",
};

export class Exchange {
  /** `actions` holds openSource(exchange, number), retry(exchange) and, for one that is kept, forget(exchange). */
  constructor({ answer, question, project, at = Date.now() / 1000 }, actions) {
    this.answer = answer;
    this.project = project;
    this.question = question;
    this.at = at;
    this.text = "";
    this.passages = [];
    this.cited = [];
    this.state = "waiting"; // waiting, streaming, done, failed
    this.actions = actions;
    this.body = h("div.markdown");
    this.view = new MarkdownView(this.body, (number) => this.#citation(number));
    this.dots = h("div.dots", { "aria-label": "Thinking" }, h("i"), h("i"), h("i"));
    this.foot = h("footer.foot");
    this.reply = h("article.answer", { "aria-busy": "true", "aria-label": "Answer" }, this.dots, this.body, this.foot);
    this.element = h(
      "section.exchange",
      { dataset: { answer, state: this.state } },
      h("article.question", { "aria-label": "Question" }, h("p", {}, question)),
      this.reply,
    );
  }

  get running() {
    return this.state === "waiting" || this.state === "streaming";
  }

  /** Show a text from its beginning, in place of what was shown. */
  #show(text) {
    this.view.stop();
    this.body.replaceChildren();
    this.view = new MarkdownView(this.body, (number) => this.#citation(number));
    this.view.append(text);
  }

  #become(state) {
    this.state = state;
    this.element.dataset.state = state;
    this.reply.setAttribute("aria-busy", String(this.running));
  }

  /** Take an event of the answer. */
  take(event) {
    switch (event.type) {
      case "sources":
        this.passages = event.passages;
        break;
      case "delta":
        if (this.state === "waiting" && event.text) this.#become("streaming");
        this.text += event.text;
        this.view.append(event.text);
        break;
      case "done":
        this.finish(event.finish_reason, event);
        break;
      case "failed":
        this.fail(event.message);
        break;
    }
  }

  /** Show an answer that the log holds complete. */
  complete(turn) {
    this.passages = turn.passages ?? [];
    if (this.text !== turn.text) {
      this.text = turn.text;
      this.#show(turn.text);
    }
    if (turn.finish_reason === "failed") this.fail(turn.message || "The answer failed.");
    else this.finish(turn.finish_reason, turn);
  }

  finish(reason, { cited = [], citations = [], grounding = "" }) {
    this.cited = cited;
    this.#become("done");
    const shown = withMarks(this.text, citations, cited, this.passages.length);
    if (shown !== this.text || cited.length) this.#show(shown);
    this.view.end();
    const ending = ENDINGS[reason];
    const note = [GROUNDINGS[grounding], ending].filter(Boolean).join(" ");
    this.foot.replaceChildren(
      ...[
        this.#sources(),
        h("div.tools", {}, note ? h("span.note", {}, note) : null, this.text ? copyButton(() => shown, "Copy the answer") : null, this.#forget()),
      ].filter(Boolean),
    );
  }

  fail(message) {
    this.#become("failed");
    this.view.end();
    const retry = h("button.retry", { type: "button", onclick: () => this.actions.retry(this) }, icon("retry"), "Try again");
    this.foot.replaceChildren(h("div.failure", { role: "alert" }, h("p", {}, message), retry));
  }

  #forget() {
    const { forget } = this.actions;
    const label = "Forget the question and its answer";
    return forget ? h("button.copy", { type: "button", "aria-label": label, title: label, onclick: () => forget(this) }, icon("bin")) : null;
  }

  #citation(number) {
    const passage = this.passages[number - 1];
    if (!passage || !this.cited.includes(number)) return null; // a mark is a citation when it is supported
    const { kind, full } = sourceName(passage);
    return h(
      "button.cite",
      { type: "button", title: full, "aria-label": `Source ${number}: ${full}`, dataset: { kind }, onclick: () => this.actions.openSource(this, number) },
      String(number),
    );
  }

  #sources() {
    if (!this.passages.length) return null;
    const all = this.passages.map((_, index) => index + 1);
    const cited = all.filter((number) => this.cited.includes(number));
    const others = all.filter((number) => !this.cited.includes(number));
    const chip = (number) => {
      const { heading } = this.passages[number - 1];
      const { kind, glyph, short, full } = sourceName(this.passages[number - 1]);
      const label = `Open source ${number}: ${full}`;
      return h(
        "button.chip",
        { type: "button", title: heading ? `${full}\n${heading}` : full, "aria-label": label, dataset: { kind }, onclick: () => this.actions.openSource(this, number) },
        h("b", {}, String(number)),
        kind === "document" ? null : icon(glyph),
        h("span", {}, short),
      );
    };
    const row = h("div.chips", {}, cited.map(chip));
    if (!others.length) return h("div.sources", {}, h("span.label", {}, "Sources"), row);
    const rest = h("span.more-chips", { hidden: true }, others.map(chip));
    const label = cited.length ? `${others.length} more read` : `${others.length} ${others.length === 1 ? "passage" : "passages"} read`;
    const more = h("button.more", { type: "button", "aria-expanded": "false" }, label);
    more.addEventListener("click", () => {
      rest.hidden = false;
      more.remove();
      rest.querySelector("button").focus();
    });
    row.append(more, rest);
    return h("div.sources", {}, cited.length ? h("span.label", {}, "Sources") : null, row);
  }
}
