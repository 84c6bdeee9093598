// Making DOM nodes. Text only ever becomes text: nothing here parses HTML.

const SVG = "http://www.w3.org/2000/svg";

const ICONS = {
  plus: ["M12 5v14M5 12h14"],
  search: ["M11 18a7 7 0 1 0 0-14 7 7 0 0 0 0 14zM20 20l-4-4"],
  menu: ["M4 7h16M4 12h16M4 17h10"],
  close: ["M6 6l12 12M18 6L6 18"],
  send: ["M12 19V5M6 11l6-6 6 6"],
  stop: ["M8 8h8v8H8z"],
  down: ["M12 5v14M6 13l6 6 6-6"],
  copy: ["M9 9h10v11H9z", "M15 9V5H5v11h4"],
  check: ["M5 12.5l5 5L19 7"],
  retry: ["M4 12a8 8 0 1 0 2.6-5.9L4 8.5", "M4 4v4.5h4.5"],
  pen: ["M5 19l1-4L16 5l3 3L9 18z"],
  bin: ["M5 7h14M10 7V5h4v2M7 7l1 12h8l1-12"],
  file: ["M7 3h7l4 4v14H7z", "M14 3v4h4"],
  folder: ["M4 6h6l2 2h8v11H4z"],
  sun: ["M12 16a4 4 0 1 0 0-8 4 4 0 0 0 0 8z", "M12 2v2M12 20v2M4.9 4.9l1.4 1.4M17.7 17.7l1.4 1.4M2 12h2M20 12h2M4.9 19.1l1.4-1.4M17.7 6.3l1.4-1.4"],
  moon: ["M20 14.5A8 8 0 0 1 9.5 4 8 8 0 1 0 20 14.5z"],
  left: ["M15 6l-6 6 6 6"],
  right: ["M9 6l6 6-6 6"],
  chevron: ["M6 9l6 6 6-6"],
  updown: ["M8 9l4-4 4 4M8 15l4 4 4-4"],
  memory: ["M12 5a4 4 0 0 0-7 2.5A3.5 3.5 0 0 0 4.5 14 3.5 3.5 0 0 0 8 19a3 3 0 0 0 4-1z", "M12 5a4 4 0 0 1 7 2.5 3.5 3.5 0 0 1 .5 6.5 3.5 3.5 0 0 1-3.5 5 3 3 0 0 1-4-1z"],
  speech: ["M4 5h16v11H10l-4 4v-4H4z"],
  veiled: ["M4 4l16 16", "M10 6.3A8.5 8.5 0 0 1 12 6c4.5 0 7.5 3 9 6a13 13 0 0 1-2.6 3.5M6.5 7.8A12.5 12.5 0 0 0 3 12c1.5 3 4.5 6 9 6a8.7 8.7 0 0 0 4-1"],
  clock: ["M12 20a8 8 0 1 0 0-16 8 8 0 0 0 0 16z", "M12 8v4.5l3 2"],
};

/** Make an element: h("a.chip", {href, onclick, class, dataset}, child, ...). Children are nodes or text. */
export function h(name, properties = {}, ...children) {
  const [tag, ...classes] = name.split(".");
  const element = document.createElement(tag);
  if (classes.length) element.className = classes.join(" ");
  for (const [key, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (key === "dataset") Object.assign(element.dataset, value);
    else if (key in element && typeof value !== "string") element[key] = value;
    else element.setAttribute(key, value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** Make one of the icons above. */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  svg.classList.add("icon");
  for (const d of ICONS[name]) {
    const path = document.createElementNS(SVG, "path");
    path.setAttribute("d", d);
    svg.append(path);
  }
  return svg;
}

/** Put the icons into elements that name one by data-icon. */
export function fillIcons(root = document) {
  for (const element of root.querySelectorAll("[data-icon]")) element.prepend(icon(element.dataset.icon));
}

export const byId = (id) => document.getElementById(id);

/** A random 128-bit identity, as 32 hex digits. */
export function identity() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Copy text; works without the clipboard interface too, which plain http on a LAN does not have. */
export async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const area = h("textarea", { class: "hidden" });
    area.value = text;
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
}

/** A button that copies what text() returns and says so. */
export function copyButton(text, label) {
  const button = h("button.copy", { type: "button", "aria-label": label, title: label }, icon("copy"));
  button.addEventListener("click", async () => {
    await copyText(text());
    button.replaceChildren(icon("check"));
    button.setAttribute("aria-label", "Copied");
    setTimeout(() => {
      button.replaceChildren(icon("copy"));
      button.setAttribute("aria-label", label);
    }, 1500);
  });
  return button;
}
