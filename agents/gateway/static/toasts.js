// Small notices at the edge of the page that go by themselves.

import { byId, h, icon } from "./dom.js";

const SHOWN_MS = 9000;
const MOST = 3;

/** Show a notice; `action` is { label, run } or null. It stays while it is pointed at or has the focus. */
export function toast(glyph, text, action = null) {
  const list = byId("toasts");
  const close = () => {
    clearTimeout(timer);
    notice.remove();
  };
  const button = action && h("button.toast-action", { type: "button", onclick: () => { close(); action.run(); } }, action.label);
  const notice = h("div.toast", {}, icon(glyph), h("span.toast-text", {}, text), button,
    h("button.icon-button", { type: "button", "aria-label": "Close the notice", onclick: close }, icon("close")));
  let timer = 0;
  const wait = () => {
    clearTimeout(timer);
    timer = setTimeout(() => (notice.matches(":hover, :focus-within") ? wait() : close()), SHOWN_MS);
  };
  list.append(notice);
  while (list.childElementCount > MOST) list.firstElementChild.remove();
  wait();
}
