// How a passage that an answer rests on is named: a file, something that was said, something that is known.

import { conversationIn, memoryOf } from "./address.js";
import { day } from "./dates.js";
import { h } from "./dom.js";

/** Return { kind, glyph, short, full } of a passage. */
export function sourceName({ kind = "document", path, at = 0 }) {
  const when = at ? `, ${day(at)}` : "";
  if (kind === "turn") return { kind, glyph: "speech", short: at ? `Said ${day(at)}` : "Said before", full: `A conversation${when}` };
  if (kind === "fact") return { kind, glyph: "memory", short: "Memory", full: `Memory${when}` };
  return { kind, glyph: "file", short: path.split("/").at(-1), full: path };
}

/** Where one can see more of a source: its conversation, or the memory; null for a file. */
export function sourceLink({ kind = "document", id, path, project }) {
  if (kind === "turn") return h("a.plain", { href: conversationIn(project, path) }, "Open the conversation");
  if (kind === "fact") return h("a.plain", { href: memoryOf(project, id.slice(0, id.lastIndexOf("-"))) }, "Show it in the memory");
  return null;
}
