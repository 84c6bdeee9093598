// What the page says of the owner's files: the line at the foot of the sidebar.

import { storageStatus } from "./api.js";
import { byId, h, icon } from "./dom.js";

export class Storage {
  #button = byId("storage");
  #onChange;

  constructor(panel, onChange) {
    this.status = null;
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
    const { folder, files, indexed, skipped, waiting, problem } = status;
    const busy = status.scanning || waiting > 0;
    const name = folder.split("/").filter(Boolean).at(-1) ?? "";
    const known = indexed === 1 ? "1 file known" : `${indexed.toLocaleString()} files known`;
    let detail = skipped ? `${known}, ${skipped.toLocaleString()} skipped` : known;
    if (!folder) detail = "No folder chosen: start with --storage";
    else if (problem) detail = problem;
    else if (busy) detail = `Reading ${(indexed + skipped).toLocaleString()} of ${files.toLocaleString()}${left(status.seconds_left)}`;
    const share = files ? (indexed + skipped) / files : 0;
    const bar = h("progress", { "aria-label": "Files read" });
    bar.max = 1;
    bar.value = share;
    this.#button.replaceChildren(
      icon("folder"),
      h("span.storage-text", {}, h("b", {}, name || "Files"), h("small", {}, detail), busy && !problem ? bar : null),
    );
    this.#button.hidden = false;
    this.#button.classList.toggle("bad", Boolean(problem));
    this.#onChange();
  }
}

function left(seconds) {
  if (seconds === null || seconds === undefined) return "";
  if (seconds < 60) return `, ${Math.max(1, Math.round(seconds))} s left`;
  if (seconds < 5400) return `, ${Math.round(seconds / 60)} min left`;
  return `, ${(seconds / 3600).toFixed(1)} h left`;
}
