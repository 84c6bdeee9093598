// Markdown inside a paragraph: text to a small tree, in time linear in the text.
//
// Nodes: {t: "text"|"code", s}, {t: "strong"|"em"|"del", c: [...]}, {t: "link", href, c: [...]},
// {t: "cite", n}, {t: "break"}.

const MAX_DEPTH = 12;
const IN_LINK = MAX_DEPTH - 1; // the depth at which a link's text is read: no link is inside another
const ESCAPABLE = /[!-/:-@[-`{-~]/;
const SPACE = /\s/;
const PUNCTUATION = /[\p{P}\p{S}]/u;
const SPECIAL = /[\\`*_~[\]!<&h\n]/;
const ENTITIES = { amp: "&", lt: "<", gt: ">", quot: '"', apos: "'", nbsp: "\u00a0", "#39": "'" };
const BARE_URL = /https?:\/\/[^\s<>"'`\]]+/y;
const ANGLE_URL = /<((?:https?:\/\/|mailto:)[^\s<>]+)>/y;
const LINE_BREAK = /<br ?\/?>/iy;
const ENTITY = /&(amp|lt|gt|quot|apos|nbsp|#39);/y;
const CITATION = /\[(\d{1,3}(?:\s*,\s*\d{1,3}){0,15})\]/y;
const TARGET = /\(\s*(?:<([^<>\n]{0,2000})>|([^\s()<>]{0,2000}(?:\([^\s()<>]{0,500}\)[^\s()<>]{0,500}){0,3}))(?:\s+(?:"[^"\n]{0,500}"|'[^'\n]{0,500}'))?\s*\)/y;

/** Return the address if it may be linked to (http, https, mailto), else null. */
export function safeHref(address) {
  try {
    const url = new URL(address);
    return ["http:", "https:", "mailto:"].includes(url.protocol) ? url.href : null;
  } catch {
    return null;
  }
}

function at(pattern, text, position) {
  pattern.lastIndex = position;
  return pattern.exec(text);
}

/** Positions of the closing bracket of each opening one, and of the next equal run of each run of backticks. */
function scan(text) {
  const brackets = new Map();
  const ticks = new Map();
  const open = [];
  const runs = new Map();
  for (let i = 0; i < text.length; i++) {
    const c = text[i];
    if (c === "\\") i++;
    else if (c === "[") open.push(i);
    else if (c === "]" && open.length) brackets.set(open.pop(), i);
    else if (c === "`") {
      let end = i + 1;
      while (text[end] === "`") end++;
      const length = end - i;
      if (runs.has(length)) ticks.set(runs.get(length), i);
      runs.set(length, i);
      i = end - 1;
    }
  }
  return { brackets, ticks };
}

/**
 * Parse text. With `growing`, markers that are still open at the end are taken as closed there,
 * so that streamed text does not flicker.
 */
export function parseInline(text, growing = false, depth = 0) {
  const { brackets, ticks } = scan(text);
  const out = new Output(depth);
  let plain = 0;
  let i = 0;
  const flush = (end) => {
    if (end > plain) out.text(text.slice(plain, end));
  };
  const skipTo = (position) => {
    i = position;
    plain = position;
  };
  while (i < text.length) {
    const c = text[i];
    if (!SPECIAL.test(c)) {
      i++;
      continue;
    }
    let match = null;
    if (c === "\\" && i + 1 < text.length && (text[i + 1] === "\n" || ESCAPABLE.test(text[i + 1]))) {
      flush(i);
      if (text[i + 1] === "\n") out.node({ t: "break" });
      else out.text(text[i + 1]);
      skipTo(i + 2);
    } else if (c === "\n") {
      flush(text[i - 1] === " " && text[i - 2] === " " ? i - 2 : i);
      out.node(text[i - 1] === " " && text[i - 2] === " " ? { t: "break" } : { t: "text", s: "\n" });
      skipTo(i + 1);
    } else if (c === "`") {
      let end = i + 1;
      while (text[end] === "`") end++;
      const close = ticks.get(i);
      if (close !== undefined || (growing && depth === 0 && end < text.length)) {
        flush(i);
        let code = text.slice(end, close ?? text.length).replaceAll("\n", " ");
        if (code.length > 2 && code.startsWith(" ") && code.endsWith(" ") && code.trim()) code = code.slice(1, -1);
        out.node({ t: "code", s: code });
        skipTo(close === undefined ? text.length : close + end - i);
      } else {
        i = end;
      }
    } else if (c === "*" || c === "_" || c === "~") {
      let end = i + 1;
      while (text[end] === c) end++;
      flush(i);
      out.delimiter(c, end - i, text[i - 1] ?? " ", text[end] ?? " ");
      skipTo(end);
    } else if (c === "[" || (c === "!" && text[i + 1] === "[")) {
      const start = c === "!" ? i + 1 : i;
      const close = brackets.get(start);
      const target = close !== undefined && text[close + 1] === "(" ? at(TARGET, text, close + 1) : null;
      if (target && depth < IN_LINK) {
        const behind = TARGET.lastIndex;
        flush(i);
        const href = safeHref(target[1] ?? target[2]);
        const children = parseInline(text.slice(start + 1, close), false, IN_LINK);
        if (href) out.node({ t: "link", href, c: children });
        else for (const child of children) out.node(child);
        skipTo(behind);
      } else if (c === "[" && (match = at(CITATION, text, i))) {
        flush(i);
        for (const number of match[1].split(",")) out.node({ t: "cite", n: Number(number) });
        skipTo(CITATION.lastIndex);
      } else {
        i++;
      }
    } else if (c === "<" && (match = at(LINE_BREAK, text, i))) {
      flush(i);
      out.node({ t: "break" });
      skipTo(LINE_BREAK.lastIndex);
    } else if (c === "<" && depth < IN_LINK && (match = at(ANGLE_URL, text, i)) && safeHref(match[1])) {
      flush(i);
      out.node({ t: "link", href: safeHref(match[1]), c: [{ t: "text", s: match[1].replace(/^mailto:/, "") }] });
      skipTo(ANGLE_URL.lastIndex);
    } else if (c === "h" && depth < IN_LINK && !/\w/.test(text[i - 1] ?? " ") && (match = at(BARE_URL, text, i))) {
      let address = match[0].replace(/[.,;:!?*_~]+$/, "");
      if (address.endsWith(")") && !address.includes("(")) address = address.slice(0, -1);
      const href = safeHref(address);
      if (href) {
        flush(i);
        out.node({ t: "link", href, c: [{ t: "text", s: address }] });
        skipTo(i + address.length);
      } else {
        i++;
      }
    } else if (c === "&" && (match = at(ENTITY, text, i))) {
      flush(i);
      out.text(ENTITIES[match[1]]);
      skipTo(ENTITY.lastIndex);
    } else {
      i++;
    }
  }
  flush(text.length);
  return out.end(growing);
}

/** Collects nodes; wraps them as emphasis when a delimiter closes one that opened (as CommonMark does). */
class Output {
  #nodes = [];
  #openers = { "*": [], _: [], "~": [] };
  #depth;

  constructor(depth) {
    this.#depth = depth;
  }

  text(s) {
    const last = this.#nodes.at(-1);
    if (last?.t === "text") last.s += s;
    else this.#nodes.push({ t: "text", s, d: 0 });
  }

  node(node) {
    this.#nodes.push(node);
  }

  delimiter(c, count, before, after) {
    const spaceBefore = SPACE.test(before);
    const spaceAfter = SPACE.test(after);
    const signBefore = PUNCTUATION.test(before);
    const signAfter = PUNCTUATION.test(after);
    const left = !spaceAfter && (!signAfter || spaceBefore || signBefore);
    const right = !spaceBefore && (!signBefore || spaceAfter || signAfter);
    let open = left;
    let close = right;
    if (c === "_") {
      open = left && (!right || signBefore);
      close = right && (!left || signAfter);
    }
    if (c === "~" && count !== 2) open = close = false;
    if (close) count = this.#close(c, count);
    if (count === 0) return;
    if (open) {
      this.#openers[c].push(this.#nodes.length);
      this.#nodes.push({ t: "delimiter", c, count });
    } else {
      this.text(c.repeat(count));
    }
  }

  /** Close what this delimiter can; returns how many of its characters are left. */
  #close(c, count) {
    const stack = this.#openers[c];
    while (count > 0 && stack.length) {
      const index = stack.at(-1);
      const opener = this.#nodes[index];
      const used = opener.count >= 2 && count >= 2 ? 2 : 1;
      if (c === "~" && used !== 2) break;
      if (!this.#wrap(index, c === "~" ? "del" : used === 2 ? "strong" : "em", used)) break;
      count -= used;
    }
    return count;
  }

  #wrap(index, kind, used) {
    const opener = this.#nodes[index];
    if (index === this.#nodes.length - 1) return false; // nothing between the markers
    const children = this.#nodes.slice(index + 1);
    const depth = 1 + children.reduce((most, child) => Math.max(most, child.d ?? 0), 0);
    if (depth + this.#depth > MAX_DEPTH) return false;
    this.#nodes.length = index + 1;
    for (const stack of Object.values(this.#openers)) {
      while (stack.length && stack.at(-1) > index) stack.pop();
    }
    opener.count -= used;
    if (opener.count === 0) {
      this.#nodes.pop();
      this.#openers[opener.c].pop();
    }
    this.#nodes.push({ t: kind, c: children.map(settled), d: depth });
    return true;
  }

  end(growing) {
    if (growing) {
      for (let index = this.#nodes.length - 1; index >= 0; index--) {
        const node = this.#nodes[index];
        if (node.t === "delimiter" && node.count === 2) {
          if (index === this.#nodes.length - 1) this.#nodes.pop();
          else this.#wrap(index, node.c === "~" ? "del" : "strong", 2);
        }
      }
    }
    return this.#nodes.map(settled);
  }
}

/** A delimiter that closed nothing is text. */
function settled(node) {
  return node.t === "delimiter" ? { t: "text", s: node.c.repeat(node.count) } : node;
}
