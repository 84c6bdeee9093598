// The memory of a project: what is known, what was, searched, as of a day, added to by hand.

import { GLOBAL, HOME } from "./address.js";
import { addFact, listFacts } from "./api.js";
import { endOfDay, startOfDay } from "./dates.js";
import { labelled, openForm } from "./dialogs.js";
import { byId, h, icon } from "./dom.js";
import { FactLine, factFields } from "./fact.js";

const PAGE = 50;
const MOST = 1000;

export class MemoryView {
  #element = byId("memory");
  #hooks;
  #lines = new Map();
  #asked = 0;
  #timer = 0;
  #more = false;
  #wanted = "";

  /** `hooks`: trouble(message), project() (the project that is open, as it is known). */
  constructor(hooks) {
    this.#hooks = hooks;
    this.project = HOME;
    this.open = false;
    this.#search = h("input", { type: "search", placeholder: "Search", "aria-label": "Search the memory", maxlength: "200", autocomplete: "off" });
    this.#search.addEventListener("input", () => this.refresh(150));
    this.#asOf = h("input", { type: "date", "aria-label": "As of", title: "Show what held on this day" });
    this.#asOf.addEventListener("change", () => this.refresh(0));
    this.#history = h("input", { type: "checkbox", role: "switch", onchange: () => this.refresh(0) });
    this.#list = h("ul.fact-list", { "aria-label": "What is known" });
    this.#note = h("p.quiet", { role: "status" });
    this.#next = h("button.plain", { type: "button", hidden: true, onclick: () => this.#read(true) }, "Show more");
    this.#intro = h("p");
    this.#element.replaceChildren(h("div.memory-column", {},
      h("div.memory-top", {}, this.#intro, h("button.primary", { type: "button", onclick: () => this.#add() }, icon("plus"), "Add")),
      h("div.memory-tools", {},
        h("label.search", {}, h("span", {}, icon("search")), this.#search),
        h("label.as-of", {}, h("span", {}, "As of"), this.#asOf),
        h("label.switch", { title: "Also what was replaced or does not hold any more" }, this.#history, h("span.knob"), h("span", {}, "History"))),
      this.#note, this.#list, this.#next));
  }

  #search;
  #asOf;
  #history;
  #list;
  #note;
  #next;
  #intro;

  /** Show the memory of a project, with one fact opened if it is named. */
  show(project, fact) {
    const same = this.open && project === this.project;
    this.open = true;
    this.#element.hidden = false;
    this.#wanted = fact;
    if (!same) {
      this.project = project;
      this.#search.value = "";
      this.#asOf.value = "";
      this.#history.checked = Boolean(fact); // it may have been replaced since
      this.#clear();
    }
    this.refresh(0);
  }

  close() {
    this.open = false;
    this.#element.hidden = true;
    this.#clear();
  }

  /** Read the list again, soon. */
  refresh(wait = 300) {
    if (!this.open) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#read(false), wait);
  }

  #clear() {
    this.#lines.clear();
    this.#list.replaceChildren();
    this.#note.textContent = "";
    this.#next.hidden = true;
  }

  get #filter() {
    const as_of = endOfDay(this.#asOf.value);
    return {
      matching: this.#search.value.trim(),
      history: this.#history.checked && as_of === null,
      as_of,
      with_global: this.#hooks.project().uses_global && this.project !== GLOBAL,
    };
  }

  async #read(further) {
    const asked = ++this.#asked;
    const { name } = this.#hooks.project();
    this.#history.disabled = this.#asOf.value !== "";
    this.#intro.textContent = this.project === GLOBAL
      ? "What every project may use that says so."
      : `What KARAIS knows${this.project === HOME ? "" : ` in “${name}”`}: learned from what you said, or written down by you.`;
    const shown = [...this.#lines.keys()];
    let page;
    try {
      page = await listFacts(this.project, { ...this.#filter, limit: further ? PAGE : Math.min(Math.max(PAGE, shown.length), MOST), after: further ? shown.at(-1) : "" });
    } catch (error) {
      if (asked === this.#asked) this.#note.textContent = error.message;
      return;
    }
    if (asked !== this.#asked || !this.open) return;
    this.#more = page.more ?? false;
    this.#put(page.facts, further);
    this.#note.textContent = this.#lines.size ? "" : this.#nothing();
    this.#next.hidden = !this.#more;
    this.#openWanted();
  }

  /** Show these facts; what is shown already keeps its state, so that nothing closes while one reads. */
  #put(facts, further) {
    const before = this.#lines;
    const lines = new Map(further ? before : []);
    for (const fact of facts) {
      const known = before.get(fact.id);
      known?.take(fact);
      lines.set(fact.id, known ?? this.#line(fact));
    }
    this.#lines = lines;
    const focused = document.activeElement;
    this.#list.replaceChildren(...[...lines.values()].map((line) => line.element));
    if (focused?.isConnected && focused !== document.activeElement) focused.focus({ preventScroll: true });
  }

  #line(fact) {
    return new FactLine(fact, {
      project: this.project,
      at: () => endOfDay(this.#asOf.value),
      trouble: this.#hooks.trouble,
      changed: () => this.refresh(0),
    });
  }

  #openWanted() {
    const line = this.#lines.get(this.#wanted);
    if (!this.#wanted) return;
    this.#wanted = "";
    if (!line) {
      this.#hooks.trouble("This is not in the memory any more.");
      return;
    }
    line.open();
    line.element.scrollIntoView({ block: "center" });
  }

  #nothing() {
    if (this.#search.value.trim()) return "Nothing found.";
    if (this.#asOf.value) return "Nothing was known to hold on that day.";
    return "Nothing yet. What you tell KARAIS about yourself in a conversation appears here a little later.";
  }

  #add() {
    const fields = factFields({ text: "", since: "" });
    openForm({
      title: "Remember something",
      detail: "One sentence that can stand alone, such as “The boat is in Kiel.”",
      fields: [labelled("What", fields.text), labelled("Since", fields.since, "Empty for today.")],
      action: "Remember",
      save: async () => {
        await addFact(this.project, { text: fields.text.value.trim(), valid_from: startOfDay(fields.since.value) });
        this.refresh(0);
      },
    });
  }
}
