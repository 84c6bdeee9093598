// The list of the owner's files: how far reading came, with rate and time left, and why some wait or were skipped.

import { rescan, storageFiles } from "./api.js";
import { h, icon } from "./dom.js";

const REFRESH_MS = 2000;

export class FilesView {
  #state;
  #status;
  #shown = "";
  #timer = 0;
  #progress = h("div.reading", { role: "status" });
  #tabs = h("div.tabs", { role: "tablist" });
  #list = h("div.file-list");

  constructor(status) {
    this.#status = status;
    this.#state = status.skipped && !status.indexed ? "skipped" : "indexed";
    for (const state of ["indexed", "waiting", "skipped"]) {
      const tab = h("button", { type: "button", role: "tab" });
      tab.dataset.state = state;
      tab.addEventListener("click", () => this.#choose(state));
      this.#tabs.append(tab);
    }
    const again = h("button.plain", { type: "button" }, icon("retry"), "Look again now");
    again.addEventListener("click", async () => {
      again.disabled = true;
      await rescan().catch((error) => this.#list.prepend(h("p.quiet", {}, error.message)));
      again.disabled = false;
    });
    this.nodes = [h("div.facts", {}, h("p.path", {}, status.folder), this.#progress, again), this.#tabs, this.#list];
    this.#choose(this.#state);
  }

  /** Show how far it is now; the list is read again when its number changed, not more often than every two seconds. */
  update(status) {
    this.#status = status;
    this.#draw();
    if (this.#count(this.#state) !== this.#shown && !this.#timer) {
      this.#timer = setTimeout(() => {
        this.#timer = 0;
        if (this.#list.isConnected) this.#read();
      }, REFRESH_MS);
    }
  }

  #choose(state) {
    this.#state = state;
    this.#draw();
    this.#list.replaceChildren(h("p.quiet", {}, "Reading the list…"));
    return this.#read();
  }

  #count(state) {
    const { indexed, waiting, awaiting, skipped } = this.#status;
    return { indexed, waiting: waiting + (awaiting ?? 0), skipped }[state];
  }

  #draw() {
    const names = { indexed: "Known", waiting: "Waiting", skipped: "Skipped" };
    for (const tab of this.#tabs.children) {
      const { state } = tab.dataset;
      tab.textContent = `${names[state]} ${this.#count(state).toLocaleString()}`;
      tab.setAttribute("aria-selected", String(state === this.#state));
    }
    const { problem, polling } = this.#status;
    const lines = [progressText(this.#status), problem, polling && !problem && `Changes are looked for each minute: ${polling}`];
    this.#progress.replaceChildren(...lines.filter(Boolean).map((line) => h("p.quiet", {}, line)));
    if (isBusy(this.#status)) this.#progress.prepend(progressBar(this.#status));
  }

  async #read() {
    const state = this.#state;
    this.#shown = this.#count(state);
    const lines = await fileLines(state);
    if (state === this.#state) this.#list.replaceChildren(...lines);
  }
}

export function isBusy(status) {
  return status.scanning || status.waiting > 0;
}

export function progressBar(status) {
  const bar = h("progress", { "aria-label": "Files read" });
  bar.max = 1;
  bar.value = status.files ? (status.files - status.waiting) / status.files : 0;
  return bar;
}

/** Say how far reading came, at what rate, and how long the rest takes. */
export function progressText(status) {
  if (!isBusy(status)) return "";
  const { files, waiting, files_per_second: rate, passages_per_second: passages } = status;
  const speed = rate ? `; ${rate.toLocaleString()} files and ${(passages ?? 0).toLocaleString()} passages a second` : "";
  return `Reading ${(files - waiting).toLocaleString()} of ${files.toLocaleString()}${status.scanning ? " so far" : ""}${speed}${timeLeft(status.seconds_left)}`;
}

export function timeLeft(seconds) {
  if (seconds === null || seconds === undefined) return "";
  if (seconds < 60) return `, ${Math.max(1, Math.round(seconds))} s left`;
  if (seconds < 5400) return `, ${Math.round(seconds / 60)} min left`;
  return `, ${(seconds / 3600).toFixed(1)} h left`;
}

async function fileLines(state) {
  try {
    const files = await storageFiles(state);
    if (!files.length) return [h("p.quiet", {}, "None.")];
    const lines = files.map((file) => {
      const detail = file.reason || (file.passages ? `${file.passages} ${file.passages === 1 ? "passage" : "passages"}` : "");
      return h("div.file", {}, h("span.file-path", {}, file.path), h("span.file-detail", {}, detail));
    });
    if (files.length === 200) lines.push(h("p.quiet", {}, "The first 200 are shown; `karais storage files` lists all."));
    return lines;
  } catch (error) {
    return [h("p.quiet", {}, error.message)];
  }
}
