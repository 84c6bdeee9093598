// Markdown to DOM while it streams in. Only createElement and text nodes: whatever a model or a
// file says, it cannot become markup, script or a request to another host.

import { parseBlocks } from "./blocks.js";
import { copyButton, h } from "./dom.js";
import { parseInline } from "./inline.js";

const SLOW_MS = 12;
const ENDED = new Set(["code", "heading", "rule"]);

/** Shows growing Markdown in an element. `cite(n)` returns a node for a citation, or null for plain text. */
export class MarkdownView {
  #element;
  #cite;
  #lines = [""];
  #settledLine = 0; // the blocks before this line are shown for good
  #tail = []; // the nodes of the block that may still change
  #frame = 0;
  #cost = 0;
  #ended = false;
  #stopped = false;

  constructor(element, cite) {
    this.#element = element;
    this.#cite = cite;
  }

  /** Add text; it is shown with the next frame. */
  append(text) {
    const lines = text.replaceAll("\r\n", "\n").split("\n");
    this.#lines[this.#lines.length - 1] += lines[0];
    for (let i = 1; i < lines.length; i++) this.#lines.push(lines[i]);
    if (this.#frame) return;
    // A block that takes long to show is shown less often, so typing and scrolling stay smooth.
    const pause = this.#cost > SLOW_MS ? this.#cost * 4 : 0;
    const draw = () => {
      this.#frame = 0;
      this.#draw();
    };
    this.#frame = pause ? setTimeout(draw, pause) : requestAnimationFrame(draw);
  }

  /** Show now what there is. */
  show() {
    this.#draw();
  }

  /** Show nothing more: another view takes this one's place. */
  stop() {
    this.#stopped = true;
  }

  /** Show everything now, as it will stay. */
  end() {
    this.#ended = true;
    this.#draw();
  }

  #draw() {
    if (this.#stopped) return;
    const begun = performance.now();
    const blocks = parseBlocks(this.#lines.slice(this.#settledLine));
    const last = blocks.length - 1;
    // The line that is still being written may yet join the block before: as the delimiter row of
    // a table, as one more item. Only what has ended by itself is never joined.
    const settled = last > 0 && !ENDED.has(blocks[last - 1].t) ? last - 1 : last;
    for (const node of this.#tail) node.remove();
    this.#tail = [];
    blocks.forEach((block, index) => {
      const node = this.#block(block, !this.#ended && index === last);
      this.#element.append(node);
      if (index >= settled) this.#tail.push(node);
    });
    if (settled > 0) this.#settledLine += blocks[settled].from;
    this.#cost = performance.now() - begun;
    this.#element.dispatchEvent(new CustomEvent("grown", { bubbles: true }));
  }

  #block(block, growing) {
    switch (block.t) {
      case "heading":
        return h(`h${Math.min(6, block.level + 2)}`, {}, this.#inline(block.s, growing));
      case "paragraph":
        return h("p", {}, this.#inline(block.s, growing));
      case "rule":
        return h("hr");
      case "code":
      case "indented":
        return codeBlock(block);
      case "quote":
        return h("blockquote", {}, this.#blocks(block.c, growing));
      case "list":
        return this.#list(block, growing);
      case "table":
        return this.#table(block, growing);
    }
  }

  #blocks(blocks, growing) {
    return blocks.map((block, index) => this.#block(block, growing && index === blocks.length - 1));
  }

  #list(block, growing) {
    const items = block.items.map((item, index) => {
      const grows = growing && index === block.items.length - 1;
      const children = item.c.flatMap((child, n) => {
        const childGrows = grows && n === item.c.length - 1;
        return block.tight && child.t === "paragraph" ? this.#inline(child.s, childGrows) : [this.#block(child, childGrows)];
      });
      if (item.checked === null) return h("li", {}, children);
      return h("li.task", {}, h("input", { type: "checkbox", checked: item.checked, disabled: true }), children);
    });
    if (!block.ordered) return h("ul", {}, items);
    return h("ol", block.start === 1 ? {} : { start: String(block.start) }, items);
  }

  #table(block, growing) {
    const row = (cells, tag, grows) =>
      h("tr", {}, cells.map((cell, column) => h(`${tag}.${block.align[column] ?? "left"}`, {}, this.#inline(cell, grows))));
    const rows = block.rows.map((cells, index) => row(cells, "td", growing && index === block.rows.length - 1));
    return h("div.table", { tabIndex: 0 }, h("table", {}, h("thead", {}, row(block.head, "th", false)), h("tbody", {}, rows)));
  }

  #inline(text, growing) {
    return parseInline(text, growing).map((node) => this.#node(node));
  }

  #node(node) {
    switch (node.t) {
      case "text":
        return document.createTextNode(node.s);
      case "break":
        return h("br");
      case "code":
        return h("code", {}, node.s);
      case "cite":
        return this.#cite(node.n) ?? document.createTextNode(`[${node.n}]`);
      case "link":
        return h("a", { href: node.href, target: "_blank", rel: "noopener noreferrer" }, node.c.map((child) => this.#node(child)));
      default:
        return h(node.t, {}, node.c.map((child) => this.#node(child)));
    }
  }
}

function codeBlock(block) {
  const code = h("code", {}, block.s);
  return h(
    "figure.code",
    {},
    h("figcaption", {}, h("span", {}, block.lang || "text"), copyButton(() => code.textContent, "Copy the code")),
    h("pre", { tabIndex: 0 }, code),
  );
}
