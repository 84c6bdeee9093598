// Markdown's blocks: lines to a tree. Pure functions, no DOM.
//
// Blocks: {t: "heading", level, s}, {t: "paragraph", s}, {t: "code" | "indented", lang, s, open}, {t: "rule"},
// {t: "quote", c: [...]}, {t: "list", ordered, start, items: [{c: [...], tight, checked}]},
// {t: "table", align: [...], head: [...], rows: [[...]]}. Each has `from`: its first line.

const MAX_DEPTH = 8;
const MAX_COLUMNS = 50;
const FENCE = /^( {0,3})(`{3,}|~{3,})\s*([^\s`]*)[^`]*$/;
const HEADING = /^ {0,3}(#{1,6})(?:[ \t]+(.*?))?(?:[ \t]+#+)?[ \t]*$/;
const RULE = /^ {0,3}(?:(?:\*[ \t]*){3,}|(?:-[ \t]*){3,}|(?:_[ \t]*){3,})$/;
const QUOTE = /^ {0,3}> ?/;
const ITEM = /^( {0,3})([-*+]|\d{1,9}[.)])(?:([ \t]+)(.*))?$/;
const TASK = /^\[([ xX])\][ \t]+/;
const DELIMITER_ROW = /^ {0,3}\|?\s*:?-+:?\s*(?:\|\s*:?-+:?\s*)*\|?\s*$/;
const UNDERLINE = /^ {0,3}(=+|-{2,})[ \t]*$/;
const BLANK = /^[ \t]*$/;

export function parseBlocks(lines, depth = 0) {
  const blocks = [];
  let i = 0;
  while (i < lines.length) {
    if (BLANK.test(lines[i])) {
      i++;
      continue;
    }
    const [block, next] = parseBlock(lines, i, depth);
    block.from = i;
    blocks.push(block);
    i = next;
  }
  return blocks;
}

function parseBlock(lines, i, depth) {
  const line = lines[i];
  let match;
  if ((match = FENCE.exec(line))) return fence(lines, i, match);
  if ((match = HEADING.exec(line))) return [{ t: "heading", level: match[1].length, s: match[2] ?? "" }, i + 1];
  if (RULE.test(line)) return [{ t: "rule" }, i + 1];
  if (depth < MAX_DEPTH) {
    if (QUOTE.test(line)) return quote(lines, i, depth);
    if ((match = ITEM.exec(line))) return list(lines, i, match, depth);
  }
  if (line.includes("|") && i + 1 < lines.length && isDelimiterRow(line, lines[i + 1])) return table(lines, i);
  if (/^(?: {4}|\t)/.test(line)) return indented(lines, i);
  return paragraph(lines, i, depth);
}

function fence(lines, i, [, indent, marks, lang]) {
  const close = new RegExp(`^ {0,3}\\${marks[0]}{${marks.length},}[ \\t]*$`);
  const strip = new RegExp(`^ {0,${indent.length}}`);
  const body = [];
  for (let j = i + 1; j < lines.length; j++) {
    if (close.test(lines[j])) return [{ t: "code", lang, s: body.join("\n"), open: false }, j + 1];
    body.push(indent ? lines[j].replace(strip, "") : lines[j]);
  }
  return [{ t: "code", lang, s: body.join("\n"), open: true }, lines.length];
}

function indented(lines, i) {
  const body = [];
  let j = i;
  for (; j < lines.length && (BLANK.test(lines[j]) || /^(?: {4}|\t)/.test(lines[j])); j++) {
    body.push(lines[j].replace(/^(?: {4}|\t)/, ""));
  }
  return [{ t: "indented", lang: "", s: body.join("\n").trimEnd(), open: false }, j];
}

/** Tell whether a line ends a paragraph by beginning another block. */
function interrupts(line, depth) {
  if (FENCE.test(line) || HEADING.test(line) || RULE.test(line)) return true;
  if (depth >= MAX_DEPTH) return false;
  if (QUOTE.test(line)) return true;
  const item = ITEM.exec(line);
  return item !== null && Boolean(item[4]) && (!/\d/.test(item[2]) || /^1[.)]$/.test(item[2]));
}

function quote(lines, i, depth) {
  const body = [];
  let j = i;
  let lazy = false;
  for (; j < lines.length; j++) {
    const line = lines[j];
    if (QUOTE.test(line)) body.push(line.replace(QUOTE, ""));
    else if (lazy && !BLANK.test(line) && !interrupts(line, depth)) body.push(line);
    else break;
    lazy = !BLANK.test(body.at(-1)) && !FENCE.test(body.at(-1));
  }
  return [{ t: "quote", c: parseBlocks(body, depth + 1) }, j];
}

function list(lines, i, first, depth) {
  const ordered = /\d/.test(first[2]);
  const kind = first[2].at(-1);
  const items = [];
  let loose = false;
  let j = i;
  while (j < lines.length) {
    const match = ITEM.exec(lines[j]);
    if (!match || match[2].at(-1) !== kind || RULE.test(lines[j])) break;
    const gap = match[3] && match[3].length <= 4 && match[4] ? match[3].length : 1;
    const indent = match[1].length + match[2].length + gap;
    const body = [match[4] === undefined ? "" : (match[3].length > 4 ? match[3].slice(1) : "") + match[4]];
    let blanks = 0;
    let fenced = FENCE.test(body[0]);
    for (j++; j < lines.length; j++) {
      const line = lines[j];
      if (BLANK.test(line)) {
        blanks++;
        continue;
      }
      const spaces = leading(line);
      // Models often indent nested lists by two or three spaces too few: be generous.
      const inside = spaces >= indent || (spaces >= 2 && !fenced && spaces > match[1].length && ITEM.test(line.trimStart()));
      if (!inside && (blanks > 0 || interrupts(line, depth) || ITEM.test(line))) break;
      for (; blanks > 0; blanks--) body.push("");
      const text = spaces >= indent ? cut(line, indent) : line.trimStart();
      if (FENCE.test(text)) fenced = !fenced;
      body.push(text);
    }
    const task = TASK.exec(body[0]);
    if (task) body[0] = body[0].slice(task[0].length);
    loose ||= (blanks > 0 && j < lines.length && ITEM.exec(lines[j])?.[2].at(-1) === kind) || body.some((l, n) => l === "" && n > 0 && !fenced && n < body.length - 1 && body[n + 1] !== "" && leading(body[n + 1]) === 0);
    items.push({ c: parseBlocks(body, depth + 1), checked: task ? task[1] !== " " : null });
  }
  return [{ t: "list", ordered, start: ordered ? Number.parseInt(first[2], 10) : 1, tight: !loose, items }, j];
}

function leading(line) {
  let spaces = 0;
  for (const c of line) {
    if (c === " ") spaces++;
    else if (c === "\t") spaces += 4;
    else break;
  }
  return spaces;
}

function cut(line, width) {
  let spaces = 0;
  let i = 0;
  while (i < line.length && spaces < width) {
    spaces += line[i] === "\t" ? 4 : 1;
    i++;
  }
  return " ".repeat(Math.max(0, spaces - width)) + line.slice(i);
}

function isDelimiterRow(head, line) {
  return line.length < 2000 && line.includes("-") && DELIMITER_ROW.test(line) && cells(head).length === cells(line).length;
}

function cells(line) {
  const found = [""];
  const text = line.trim().replace(/^\|/, "");
  let ticks = false;
  for (let i = 0; i < text.length; i++) {
    const c = text[i];
    if (c === "\\" && text[i + 1] === "|") {
      found[found.length - 1] += "|";
      i++;
    } else if (c === "|" && !ticks) {
      if (found.length >= MAX_COLUMNS) break;
      found.push("");
    } else {
      if (c === "`") ticks = !ticks;
      found[found.length - 1] += c;
    }
  }
  if (found.length > 1 && BLANK.test(found.at(-1))) found.pop();
  return found.map((cell) => cell.trim());
}

function table(lines, i) {
  const align = cells(lines[i + 1]).map((cell) => {
    if (cell.endsWith(":")) return cell.startsWith(":") ? "center" : "right";
    return "left";
  });
  const head = cells(lines[i]);
  const rows = [];
  let j = i + 2;
  for (; j < lines.length && !BLANK.test(lines[j]) && lines[j].includes("|"); j++) {
    const row = cells(lines[j]).slice(0, head.length);
    while (row.length < head.length) row.push("");
    rows.push(row);
  }
  return [{ t: "table", align, head, rows }, j];
}

function paragraph(lines, i, depth) {
  const body = [lines[i].trimStart()];
  let j = i + 1;
  for (; j < lines.length && !BLANK.test(lines[j]); j++) {
    const underline = UNDERLINE.exec(lines[j]);
    if (underline) return [{ t: "heading", level: underline[1][0] === "=" ? 1 : 2, s: body.join("\n") }, j + 1];
    if (interrupts(lines[j], depth)) break;
    if (lines[j].includes("|") && j + 1 < lines.length && isDelimiterRow(lines[j], lines[j + 1])) break;
    body.push(lines[j].trimStart());
  }
  return [{ t: "paragraph", s: body.join("\n").trimEnd() }, j];
}
