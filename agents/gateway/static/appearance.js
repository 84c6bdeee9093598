// Light or dark: the system's choice counts until the user makes another.

import { byId, icon } from "./dom.js";

const system = matchMedia("(prefers-color-scheme: dark)");

function draw() {
  const { theme } = document.documentElement.dataset;
  const dark = theme ? theme === "dark" : system.matches;
  byId("theme").replaceChildren(icon(dark ? "sun" : "moon"));
  byId("theme").title = dark ? "Light" : "Dark";
  return dark;
}

/** Let the button at the top change between light and dark. */
export function offerThemes() {
  byId("theme").addEventListener("click", () => {
    const theme = draw() ? "light" : "dark";
    if (theme === (system.matches ? "dark" : "light")) {
      delete document.documentElement.dataset.theme;
      localStorage.removeItem("karais.theme");
    } else {
      document.documentElement.dataset.theme = theme;
      localStorage.setItem("karais.theme", theme);
    }
    draw();
  });
  system.addEventListener("change", draw);
  draw();
}
