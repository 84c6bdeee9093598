// The panel beside the conversation: the passage that a citation stands for, and the list of files.

import { openPassage } from "./api.js";
import { byId, h, icon } from "./dom.js";
import { FilesView } from "./files.js";
import { sourceLink, sourceName } from "./sources.js";

const CHANGED = {
  document: "The file has changed since the answer was written.",
  turn: "The conversation has changed since the answer was written.",
  fact: "The memory has changed since the answer was written.",
};
const GONE = {
  document: "The file has changed or is gone; this is the passage as it was read.",
  turn: "This was forgotten since the answer was written.",
  fact: "This was forgotten or replaced since the answer was written.",
};

export class Panel {
  #element = byId("panel");
  #back = null;
  #files = null;
  #opened = 0;

  constructor() {
    addEventListener("keydown", (event) => {
      if (event.key === "Escape" && !this.#element.hidden && !byId("dialog").open) this.close();
    });
    byId("veil").addEventListener("click", () => this.close());
  }

  close() {
    if (this.#element.hidden) return;
    this.#opened++;
    this.#element.hidden = true;
    document.body.classList.remove("panel-open");
    if (this.#back?.isConnected) this.#back.focus({ preventScroll: true });
    this.#back = null;
  }

  /** Show where citation `number` of an answer comes from. */
  async openSource(exchange, number) {
    const { passages } = exchange;
    const passage = passages[number - 1];
    const { kind, glyph, full } = sourceName(passage);
    const opened = this.#show(`Source ${number}`, glyph, (tools) => {
      if (passages.length < 2) return;
      const go = (to, name, glyph) =>
        h("button.icon-button", { type: "button", "aria-label": name, disabled: to < 1 || to > passages.length, onclick: () => this.openSource(exchange, to) }, icon(glyph));
      tools.append(go(number - 1, "Previous source", "left"), h("span.of", {}, `${number} of ${passages.length}`), go(number + 1, "Next source", "right"));
    });
    const body = this.#element.querySelector(".panel-body");
    const facts = h("div.facts", {}, h("p.path", {}, full), place(passage), kind === "document" ? crumbs(passage.heading) : null, sourceLink(passage));
    body.dataset.kind = kind;
    const text = h("div.passage", {}, h("mark", { tabIndex: -1 }, passage.text));
    body.replaceChildren(facts, text);
    try {
      const found = await openPassage(exchange.project, passage.id);
      if (opened !== this.#opened) return;
      const mark = h("mark", { tabIndex: -1 }, found.passage.text);
      text.replaceChildren(h("span.around", {}, found.before && `${found.before}\n\n`), mark, h("span.around", {}, found.after && `\n\n${found.after}`));
      if (found.passage.text !== passage.text) facts.append(h("p.quiet", {}, CHANGED[kind]));
      mark.scrollIntoView({ block: "center" });
    } catch (error) {
      if (opened !== this.#opened) return;
      const reason = error.status === 404 ? GONE[kind] : error.message;
      facts.append(h("p.quiet", {}, reason));
    }
  }

  /** Show what is known of the owner's files. */
  openFiles(status) {
    this.#show("Your files", "folder", () => {});
    this.#files = new FilesView(status);
    this.#element.querySelector(".panel-body").replaceChildren(...this.#files.nodes);
  }

  /** Take in how far reading came, where the list of files is open. */
  filesChanged(status) {
    if (this.#files?.nodes[0].isConnected && !this.#element.hidden) this.#files.update(status);
  }

  #show(title, glyph, fill) {
    if (this.#element.hidden) this.#back = document.activeElement;
    const tools = h("div.panel-tools");
    fill(tools);
    const close = h("button.icon-button", { type: "button", "aria-label": "Close", onclick: () => this.close() }, icon("close"));
    tools.append(close);
    this.#element.setAttribute("aria-label", title);
    this.#element.replaceChildren(h("header.panel-top", {}, icon(glyph), h("h2", {}, title), tools), h("div.panel-body", { tabIndex: 0 }));
    this.#element.hidden = false;
    document.body.classList.add("panel-open");
    close.focus({ preventScroll: true });
    return ++this.#opened;
  }
}

function place({ path, page, first_line, last_line }) {
  const kind = path?.split(".").at(-1).toLowerCase();
  const lines = first_line && (last_line > first_line ? `${first_line} to ${last_line}` : `${first_line}`);
  const unit = { xlsx: "row", xlsm: "row" }[kind] ?? "line";
  const parts = [
    page && unit !== "row" && `${kind === "pptx" ? "Slide" : "Page"} ${page}`,
    page && unit === "row" && `Sheet ${page}`,
    lines && `${unit}${last_line > first_line ? "s" : ""} ${lines}`,
  ].filter(Boolean);
  if (!parts.length) return null;
  const text = parts.join(", ");
  return h("p.place", {}, text[0].toUpperCase() + text.slice(1));
}

function crumbs(heading) {
  return heading ? h("p.crumbs", {}, heading.split(" > ").join(" › ")) : null;
}
