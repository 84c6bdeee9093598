// What the page says of the owner's files: the line at the foot of the sidebar.

import { storageStatus } from "./api.js";
import { byId, h, icon } from "./dom.js";
import { isBusy, progressBar, timeLeft } from "./files.js";

export class Storage {
  #button = byId("storage");
  #onChange;
  #panel;

  constructor(panel, onChange) {
    this.status = null;
    this.#panel = panel;
    this.#onChange = onChange;
    this.#button.addEventListener("click", () => this.status && panel.openFiles(this.status));
  }

  async read() {
    try {
      this.take(await storageStatus());
    } catch {
      if (!this.status) this.#button.hidden = true;
    }
  }

  take(status) {
    this.status = status;
    const { folder, files, indexed, skipped, waiting, awaiting, problem } = status;
    const busy = isBusy(status);
    const name = folder.split("/").filter(Boolean).at(-1) ?? "";
    const parts = [indexed === 1 ? "1 file known" : `${indexed.toLocaleString()} files known`];
    if (awaiting) parts.push(`${awaiting.toLocaleString()} waiting`);
    if (skipped) parts.push(`${skipped.toLocaleString()} skipped`);
    let detail = parts.join(", ");
    if (!folder) detail = "No folder chosen: start with --storage";
    else if (problem) detail = problem;
    else if (busy) detail = `Reading ${(files - waiting).toLocaleString()} of ${files.toLocaleString()}${timeLeft(status.seconds_left)}`;
    const bar = progressBar(status);
    this.#button.replaceChildren(
      icon("folder"),
      h("span.storage-text", {}, h("b", {}, name || "Files"), h("small", {}, detail), busy && !problem ? bar : null),
    );
    this.#button.hidden = false;
    this.#button.classList.toggle("bad", Boolean(problem));
    this.#panel.filesChanged(status);
    this.#onChange();
  }
}
