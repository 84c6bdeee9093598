// Which marks an answer shows: those that the brain found supported, each behind its sentence.

const CODE = /(```[\s\S]*?(?:```|$)|~~~[\s\S]*?(?:~~~|$)|`[^`\n]*`)/;
const MARK = /[ \t]*\[(\d{1,3}(?:\s*,\s*\d{1,3}){0,15})\](?!\()/g;

/**
 * Return the text with the supported marks only.
 *
 * `citations` are {start, end, passage} in code points; `count` is the number of passages. Marks
 * that the model wrote for passages are taken out, as most of them support nothing; code is left
 * as it is. An answer of an older KARAIS has only `cited`: its marks for those passages stay.
 */
export function withMarks(text, citations, cited, count) {
  const edits = [];
  let at = 0;
  text.split(CODE).forEach((part, index) => {
    if (index % 2 === 0) {
      for (const match of part.matchAll(MARK)) {
        const numbers = match[1].split(",").map(Number);
        if (!numbers.every((number) => number >= 1 && number <= count)) continue;
        const stay = citations.length ? [] : numbers.filter((number) => cited.includes(number));
        const kept = stay.map((number) => `[${number}]`).join("");
        edits.push({ from: at + match.index, to: at + match.index + match[0].length, put: kept && ` ${kept}` });
      }
    }
    at += part.length;
  });
  const units = offsets(text, citations.map((citation) => citation.end));
  citations.forEach((citation, index) => {
    if (citation.passage > count) return;
    const inside = edits.find((edit) => edit.from < units[index] && units[index] < edit.to);
    const place = inside ? inside.to : units[index];
    edits.push({ from: place, to: place, put: ` [${citation.passage}]` });
  });
  edits.sort((a, b) => b.from - a.from || b.to - a.to);
  for (const { from, to, put } of edits) text = text.slice(0, from) + put + text.slice(to);
  return text;
}

/** Turn positions in code points into positions in the units that strings count by. */
function offsets(text, positions) {
  if (!/[\ud800-\udbff]/.test(text)) return positions;
  const starts = [];
  let unit = 0;
  for (const point of text) {
    starts.push(unit);
    unit += point.length;
  }
  return positions.map((position) => starts[position] ?? text.length);
}
