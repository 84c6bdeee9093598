// Questions that must be answered before anything else goes on: one modal dialog at a time.

import { byId, h } from "./dom.js";
import { day } from "./dates.js";

/** A modal question; resolves to true when the action was chosen. `detail` is text or nodes. */
export function confirmAction(question, detail, action) {
  const dialog = byId("dialog");
  return new Promise((resolve) => {
    const yes = h("button.danger", { value: "yes" }, action);
    dialog.replaceChildren(
      h("form", { method: "dialog" }, h("h2", {}, question), [detail].flat().map((part) => h("p", {}, part)),
        h("div.dialog-row", {}, h("button.plain", { value: "no" }, "Cancel"), yes)),
    );
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
    dialog.returnValue = "no";
    dialog.showModal();
    yes.focus();
  });
}

/**
 * A form in a dialog. `fields` are elements; `save()` may refuse by throwing, and its words are shown.
 * `extra` is a further button with what it does once the form is closed: { button, run }.
 */
export function openForm({ title, detail = null, fields, action, save, extra = null }) {
  const dialog = byId("dialog");
  const wrong = h("p.wrong", { role: "alert" });
  const cancel = h("button.plain", { type: "button", onclick: () => dialog.close("no") }, "Cancel");
  const go = h("button.primary", {}, action);
  const row = h("div.dialog-row", {}, extra?.button, h("span.gap"), cancel, go);
  const form = h("form.form", {}, h("h2", {}, title), detail && h("p", {}, detail), fields, wrong, row);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    go.disabled = true;
    wrong.textContent = "";
    try {
      await save();
      dialog.close("yes");
    } catch (error) {
      wrong.textContent = error.message;
    }
    go.disabled = false;
  });
  extra?.button.addEventListener("click", () => {
    dialog.addEventListener("close", extra.run, { once: true });
    dialog.close("extra");
  });
  dialog.replaceChildren(form);
  dialog.showModal();
}

/** A field with its name above and a hint below; the input is `input`. */
export function labelled(name, input, hint = "") {
  return h("label.labelled", {}, h("span", {}, name), input, hint && h("small", {}, hint));
}

/**
 * Ask before something is forgotten for good. `would` is the reply to a dry run, which says what goes with it.
 * Resolves to true when it shall be forgotten.
 */
export async function confirmForgetting(question, what, would, action = "Forget") {
  const parts = [counted(would.turns, "message"), counted(would.facts, "thing that was learned", "things that were learned")].filter(Boolean);
  const gone = parts.length ? `In all, ${parts.join(" and ")} will be forgotten for good.` : "It will be forgotten for good.";
  return confirmAction(question, [what, `${gone} Nobody can bring this back.`, inBackups(would.kept_in_backups_until)], action);
}

/** Say how long copies outside of the memory still hold what was forgotten. */
export function inBackups(until) {
  return until
    ? `Your backups and snapshots keep it until ${day(until)}.`
    : "KARAIS keeps no backup of it; snapshots that you make elsewhere keep it until you remove them.";
}

function counted(number, one, many = `${one}s`) {
  return number ? `${number.toLocaleString()} ${number === 1 ? one : many}` : "";
}
