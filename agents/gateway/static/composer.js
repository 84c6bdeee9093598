// Where questions are written.

import { byId, icon } from "./dom.js";

const MAX_CHARS = 32_000;

export class Composer {
  #field = byId("question");
  #send = byId("send");
  #count = byId("count");
  #files = byId("use-files");
  #temporary = byId("temporary");
  #running = false;
  #hooks;

  /** `hooks`: ask(text, retrieve), stop(), temporary(on). */
  constructor(hooks) {
    this.#hooks = hooks;
    this.#files.checked = localStorage.getItem("karais.files") !== "off";
    this.#files.addEventListener("change", () => localStorage.setItem("karais.files", this.#files.checked ? "on" : "off"));
    this.#temporary.addEventListener("change", () => this.#hooks.temporary(this.#temporary.checked));
    byId("composer").addEventListener("submit", (event) => {
      event.preventDefault();
      if (this.#running) this.#hooks.stop();
      else this.#ask();
    });
    this.#field.addEventListener("input", () => this.#fit());
    this.#field.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      if (!this.#running) this.#ask();
    });
    this.#fit();
  }

  get retrieve() {
    return this.#files.checked;
  }

  /** While an answer runs, the button stops it. */
  set running(running) {
    if (running === this.#running && this.#send.childElementCount) return;
    this.#running = running;
    this.#send.replaceChildren(icon(running ? "stop" : "send"));
    this.#send.setAttribute("aria-label", running ? "Stop the answer" : "Send");
    this.#send.title = running ? "Stop the answer" : "Send";
    this.#send.classList.toggle("stop", running);
    this.#fit();
  }

  /** Whether the conversation is temporary, and whether that can still be chosen. */
  show({ temporary, open }) {
    this.#temporary.checked = temporary;
    byId("temporary-switch").hidden = !open;
  }

  write(text) {
    this.#field.value = text;
    this.#fit();
    this.focus();
  }

  focus() {
    if (matchMedia("(pointer: fine)").matches) this.#field.focus({ preventScroll: true });
  }

  #ask() {
    const text = this.#field.value.trim();
    if (!text || this.#length(text) > MAX_CHARS) return;
    this.#field.value = "";
    this.#fit();
    this.#hooks.ask(text, this.retrieve);
  }

  /** Characters as the server counts them: code points. */
  #length(text) {
    return text.length <= MAX_CHARS ? text.length : [...text].length;
  }

  #fit() {
    this.#field.style.height = "auto";
    this.#field.style.height = `${Math.min(this.#field.scrollHeight, innerHeight * 0.4)}px`;
    const length = this.#length(this.#field.value.trim());
    this.#count.textContent = length > MAX_CHARS * 0.9 ? `${length.toLocaleString()} of ${MAX_CHARS.toLocaleString()}` : "";
    this.#count.classList.toggle("over", length > MAX_CHARS);
    this.#send.disabled = !this.#running && (length === 0 || length > MAX_CHARS);
  }
}
