// The list of conversations: grouped by day, searched, renamed, removed.

import { HOME, conversationIn } from "./address.js";
import { forgetConversation, listConversations, renameConversation } from "./api.js";
import { confirmForgetting } from "./dialogs.js";
import { byId, h, icon } from "./dom.js";

const DAY = 86_400_000;

export class Sidebar {
  #list = byId("conversations");
  #search = byId("search");
  #items = [];
  #current = "";
  #timer = 0;
  #asked = 0;
  #hooks;

  /** `hooks`: removed(conversation), trouble(message). */
  constructor(hooks) {
    this.#hooks = hooks;
    this.project = HOME;
    this.#search.addEventListener("input", () => this.refresh(150));
    this.#list.addEventListener("keydown", (event) => this.#move(event));
    setInterval(() => document.hidden || this.#draw(), 60_000);
    const show = (open) => {
      document.body.classList.toggle("sidebar-open", open);
      byId("open-sidebar").setAttribute("aria-expanded", String(open));
      if (open) byId("close-sidebar").focus();
    };
    byId("open-sidebar").addEventListener("click", () => show(true));
    byId("close-sidebar").addEventListener("click", () => {
      show(false);
      byId("open-sidebar").focus();
    });
    byId("veil").addEventListener("click", () => show(false));
    byId("sidebar").addEventListener("click", (event) => event.target.closest("a") && show(false));
    addEventListener("keydown", (event) => event.key === "Escape" && show(false));
  }

  /** List another project's conversations. */
  enter(project) {
    if (project === this.project) return;
    this.project = project;
    this.#items = [];
    this.#search.value = "";
    this.#asked++; // what is under way is another project's
    this.#draw();
    this.refresh(0);
  }

  /** Show which conversation is open. */
  select(conversation) {
    this.#current = conversation;
    for (const link of this.#list.querySelectorAll("a")) {
      if (link.dataset.id === conversation) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
  }

  titleOf(conversation) {
    return this.#items.find((item) => item.conversation === conversation)?.title ?? "";
  }

  /** Read the list again, soon. */
  refresh(wait = 80) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#read(), wait);
  }

  /** Take a change that the gateway told of. */
  changed({ conversation, change, title, at }) {
    const item = this.#items.find((one) => one.conversation === conversation);
    if (change === "forgotten" && !item) return;
    if (change === "forgotten" || !item || this.#search.value) return this.refresh(250); // memory follows the log a moment behind
    else if (change === "titled") item.title = title;
    else {
      item.answering = change === "asked" ? "yes" : "";
      item.updated = at;
    }
    this.#draw();
  }

  async #read() {
    const asked = ++this.#asked;
    try {
      const items = await listConversations(this.project, this.#search.value.trim());
      if (asked !== this.#asked) return;
      this.#items = items;
      this.#draw();
    } catch (error) {
      if (asked === this.#asked && !this.#items.length) {
        this.#list.replaceChildren(h("p.quiet", {}, error.message));
      }
    }
  }

  #draw() {
    if (this.#list.querySelector("input")) return; // a title is being written
    const focused = document.activeElement?.closest?.("#conversations a")?.dataset.id;
    this.#items.sort((a, b) => b.updated - a.updated);
    const groups = new Map();
    for (const item of this.#items) {
      const name = groupOf(item.updated * 1000);
      if (!groups.has(name)) groups.set(name, []);
      groups.get(name).push(item);
    }
    const nodes = [...groups].map(([name, items]) =>
      h("section", {}, h("h2", {}, name), h("ul", {}, items.map((item) => this.#line(item)))),
    );
    if (!nodes.length) {
      nodes.push(h("p.quiet", {}, this.#search.value ? "Nothing found." : "Your conversations will be listed here."));
    }
    this.#list.replaceChildren(...nodes);
    this.select(this.#current);
    if (focused) this.#list.querySelector(`a[data-id="${focused}"]`)?.focus();
  }

  #line(item) {
    const link = h(
      "a",
      { href: conversationIn(item.project, item.conversation), dataset: { id: item.conversation }, title: item.title },
      item.answering ? h("i.pulse", { "aria-label": "Answering" }) : null,
      h("span.name", {}, item.title || "New conversation"),
      h("time", { datetime: new Date(item.updated * 1000).toISOString() }, ago(item.updated * 1000)),
    );
    const line = h("li", {}, link);
    line.append(
      h("span.line-tools", {},
        h("button", { type: "button", "aria-label": `Rename ${item.title}`, title: "Rename", onclick: () => this.#rename(item, line) }, icon("pen")),
        h("button", { type: "button", "aria-label": `Forget ${item.title}`, title: "Forget", onclick: () => this.#remove(item) }, icon("bin"))),
    );
    return line;
  }

  #rename(item, line) {
    const input = h("input.rename", { "aria-label": "New title", maxlength: "200" });
    input.value = item.title;
    let over = false;
    const finish = async (keep) => {
      if (over) return;
      over = true;
      const title = input.value.trim();
      input.remove();
      const changed = keep && title && title !== item.title;
      if (changed) item.title = title;
      this.#draw();
      this.#list.querySelector(`a[data-id="${item.conversation}"]`)?.focus();
      if (!changed) return;
      await renameConversation(item.project, item.conversation, title).catch((error) => this.#hooks.trouble(error.message));
      this.#hooks.renamed(item.conversation, title);
    };
    input.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && !event.isComposing) finish(true);
      if (event.key === "Escape") finish(false);
      event.stopPropagation();
    });
    input.addEventListener("blur", () => finish(true));
    line.replaceChildren(input);
    input.focus();
    input.select();
  }

  async #remove(item) {
    const { project, conversation } = item;
    try {
      const would = await forgetConversation(project, conversation, true);
      if (!(await confirmForgetting("Forget this conversation?", `“${item.title}”`, would))) return;
      await forgetConversation(project, conversation);
      this.#items = this.#items.filter((one) => one.conversation !== conversation);
      this.#draw();
      this.#hooks.removed(conversation);
    } catch (error) {
      this.#hooks.trouble(error.message);
    }
  }

  /** Arrow keys go through the list. */
  #move(event) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step || event.target.tagName !== "A") return;
    const links = [...this.#list.querySelectorAll("a")];
    links[links.indexOf(event.target) + step]?.focus();
    event.preventDefault();
  }
}

function groupOf(time) {
  const midnight = new Date().setHours(0, 0, 0, 0);
  if (time >= midnight) return "Today";
  if (time >= midnight - DAY) return "Yesterday";
  if (time >= midnight - 7 * DAY) return "Last seven days";
  return "Earlier";
}

function ago(time) {
  const seconds = Math.max(0, (Date.now() - time) / 1000);
  if (seconds < 60) return "now";
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)} h`;
  if (seconds < 7 * 86_400) return `${Math.floor(seconds / 86_400)} d`;
  return new Date(time).toLocaleDateString(undefined, { day: "numeric", month: "short" });
}
