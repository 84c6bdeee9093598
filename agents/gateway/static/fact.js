// One thing that is known: since when, where from, what it replaced, putting it right and forgetting it.

import { GLOBAL, conversationIn } from "./address.js";
import { editFact, forgetFact, showFact } from "./api.js";
import { day, fieldOf, moment, startOfDay } from "./dates.js";
import { confirmForgetting, labelled, openForm } from "./dialogs.js";
import { h, icon } from "./dom.js";

export class FactLine {
  #hooks;
  #open = false;

  /** `hooks`: project (whose memory is shown), at() (seconds; null for now), changed(), trouble(message). */
  constructor(fact, hooks) {
    this.#hooks = hooks;
    this.fact = fact;
    this.head = h("button.fact-head", { type: "button", "aria-expanded": "false", onclick: () => (this.#open ? this.close() : this.open()) });
    this.body = h("div.fact-body", { hidden: true });
    this.element = h("li.fact", { dataset: { id: fact.id } }, this.head, this.body);
    this.#draw();
  }

  /** Take the fact as it is now. */
  take(fact) {
    const changed = JSON.stringify(fact) !== JSON.stringify(this.fact);
    this.fact = fact;
    this.#draw();
    if (changed && this.#open) this.open();
  }

  async open() {
    this.#open = true;
    this.head.setAttribute("aria-expanded", "true");
    try {
      const shown = await showFact(this.fact.project, this.fact.id);
      if (this.#open) this.body.replaceChildren(...this.#details(shown));
    } catch (error) {
      this.body.replaceChildren(h("p.quiet", {}, error.message));
    }
    this.body.hidden = !this.#open;
  }

  close() {
    this.#open = false;
    this.head.setAttribute("aria-expanded", "false");
    this.body.hidden = true;
  }

  #draw() {
    const { fact } = this;
    const state = stateOf(fact, this.#hooks.at());
    this.element.dataset.state = state;
    this.head.replaceChildren(
      h("span.fact-text", {}, fact.text),
      h("span.fact-meta", {},
        state === "holds" ? null : h("b.tag", {}, TAGS[state]),
        fact.project === GLOBAL && this.#hooks.project !== GLOBAL ? h("b.tag.global", {}, "Global") : null,
        h("span", {}, period(fact)),
        h("span", {}, fact.origin === "user" ? "written by you" : `${Math.round(fact.confidence * 100)} % sure`)),
      icon("chevron"));
  }

  #details({ fact, earlier = [], later = [] }) {
    const versions = [...earlier, fact, ...later];
    return [
      h("dl", {},
        h("dt", {}, "Why"), h("dd", {}, ...where(fact)),
        h("dt", {}, "Holds"), h("dd", {}, period(fact)),
        h("dt", {}, fact.origin === "user" ? "Written" : "Learned"), h("dd", {}, moment(fact.at))),
      versions.length > 1
        ? h("section.versions", {}, h("h3", {}, "History"),
          h("ol", {}, versions.map((one) => h("li", { dataset: { state: stateOf(one) }, "aria-current": one === fact ? "true" : null },
            h("span", {}, one.text), h("small", {}, period(one), stateOf(one) === "holds" ? "" : ` · ${TAGS[stateOf(one)].toLowerCase()}`)))))
        : null,
      h("div.fact-tools", {},
        h("button.plain", { type: "button", onclick: () => this.#edit() }, icon("pen"), "Put right"),
        h("button.plain.warning", { type: "button", onclick: () => this.#forget() }, icon("bin"), "Forget…")),
    ].filter(Boolean);
  }

  #edit() {
    const { fact } = this;
    const fields = factFields({ text: fact.text, since: fact.valid_from ? fieldOf(fact.valid_from) : "" });
    const before = fields.since.value;
    openForm({
      title: "Put it right",
      detail: "The version that was wrong stays in the history.",
      fields: [labelled("What", fields.text), labelled("Since", fields.since)],
      action: "Save",
      save: async () => {
        const since = fields.since.value === before ? null : startOfDay(fields.since.value);
        await editFact(fact.project, fact.id, { text: fields.text.value.trim(), valid_from: since });
        this.#hooks.changed();
      },
    });
  }

  #forget() {
    return forget(this.fact, this.#hooks.trouble, this.#hooks.changed);
  }
}

/** Ask, with what else goes, and forget a fact for good. */
export async function forget({ project, id, text }, trouble, forgotten = () => {}) {
  try {
    const would = await forgetFact(project, id, true);
    const what = would.turns ? `“${text}”, and the questions and answers that it came from or was used in.` : `“${text}”`;
    if (!(await confirmForgetting("Forget this?", what, would))) return;
    await forgetFact(project, id);
    forgotten();
  } catch (error) {
    trouble(error.message);
  }
}

/** The fields in which a fact is written. */
export function factFields({ text, since }) {
  const area = h("textarea", { rows: "3", required: true, maxlength: "2000" });
  area.value = text;
  return { text: area, since: h("input", { type: "date", value: since }) };
}

const TAGS = { replaced: "Replaced", ended: "Ended", coming: "Not yet" };

/** Whether it holds now or at a time that is asked for, was replaced, has ended, or comes later. */
function stateOf({ superseded_by, valid_from, valid_to, effect }, at = null) {
  const now = at ?? Date.now() / 1000;
  const ended = effect === "ends" || (valid_to ?? Infinity) <= now;
  if (superseded_by && (ended || at === null)) return "replaced";
  if (ended) return "ended";
  return valid_from > now ? "coming" : "holds";
}

function period({ valid_from, valid_to }) {
  if (valid_to !== null && valid_to !== undefined) return valid_from ? `${day(valid_from)} to ${day(valid_to)}` : `until ${day(valid_to)}`;
  return valid_from ? `since ${day(valid_from)}` : "always, as far as is known";
}

function where({ origin, conversation, quote, project }) {
  const link = conversation ? h("a", { href: conversationIn(project, conversation) }, "Open the conversation") : null;
  if (origin === "user") return [h("p", {}, "You wrote it down."), link].filter(Boolean);
  return [h("p", {}, "You said:"), quote ? h("blockquote", {}, quote) : null, link].filter(Boolean);
}
