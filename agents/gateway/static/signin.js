// For a browser that the gateway does not know: on another machine or of another user.

import { signIn } from "./api.js";
import { byId, h } from "./dom.js";

/** Ask for the key until it is right, then load the page anew. */
export function askForKey() {
  const key = h("input", { type: "password", name: "key", autocomplete: "current-password", required: true, "aria-label": "Key" });
  const wrong = h("p.wrong", { role: "alert" });
  const form = h("form", {}, h("h2", {}, "Sign in"),
    h("p", {}, "This browser is new here. Paste the key that stands in ", h("code", {}, "keys/api.key"), " of the data folder (", h("code", {}, "~/.karais"), ")."),
    key, wrong, h("div.dialog-row", {}, h("button.primary", {}, "Sign in")));
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    try {
      await signIn(key.value.trim());
      location.reload();
    } catch (error) {
      wrong.textContent = error.message;
    }
  });
  const dialog = byId("dialog");
  dialog.replaceChildren(form);
  dialog.addEventListener("cancel", (event) => event.preventDefault());
  dialog.showModal();
}
