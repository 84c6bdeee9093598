// The projects: which one is open, choosing another, making, changing and removing them.

import { GLOBAL, HOME, startOf } from "./address.js";
import { changeProject, listProjects, makeProject, removeProject } from "./api.js";
import { confirmForgetting, inBackups, labelled, openForm } from "./dialogs.js";
import { byId, h, icon, identity } from "./dom.js";

const KEPT = "karais.project";
const RESERVED = [HOME, GLOBAL];

export class Projects {
  #button = byId("project");
  #menu = byId("project-menu");
  #hooks;

  /** `hooks`: goTo(hash), changed(), trouble(message). */
  constructor(hooks) {
    this.#hooks = hooks;
    this.all = [{ project: HOME, name: "Home", instructions: "", folder: "", uses_global: false }];
    this.current = HOME;
    this.#button.addEventListener("click", () => this.#open(this.#menu.hidden));
    document.addEventListener("pointerdown", (event) => {
      if (!event.target.closest(".project-switch")) this.#open(false);
    });
    byId("sidebar").addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || this.#menu.hidden) return;
      event.stopPropagation();
      this.#open(false);
      this.#button.focus();
    });
    this.#draw();
  }

  /** The project that was open when this browser was last here. */
  static get last() {
    return localStorage.getItem(KEPT) ?? HOME;
  }

  get now() {
    return this.find(this.current) ?? { project: this.current, name: this.current, instructions: "", folder: "", uses_global: false };
  }

  find(project) {
    return this.all.find((one) => one.project === project);
  }

  select(project) {
    this.current = project;
    localStorage.setItem(KEPT, project);
    this.#draw();
  }

  /** Read the list again; the current project may be gone. */
  async read() {
    try {
      this.all = await listProjects();
    } catch {
      return; // what was known stays until memory can be asked again
    }
    this.#draw();
    if (!this.find(this.current)) {
      this.#hooks.trouble("This project is not there any more.");
      this.#hooks.goTo(startOf(HOME));
    } else this.#hooks.changed();
  }

  #open(open) {
    this.#menu.hidden = !open;
    this.#button.setAttribute("aria-expanded", String(open));
    if (open) this.#menu.querySelector("[aria-current]")?.focus();
  }

  #draw() {
    const { now } = this;
    this.#button.replaceChildren(
      badge(now), h("span.project-name", {}, now.name), icon("updown"));
    this.#button.setAttribute("aria-label", `Project: ${now.name}. Choose another`);
    const lines = this.all.map((one) =>
      h("li", {},
        h("a", { href: startOf(one.project), "aria-current": one.project === this.current ? "page" : null, onclick: () => this.#open(false) },
          badge(one), h("span.project-name", {}, one.name)),
        h("button.icon-button", { type: "button", "aria-label": `Change ${one.name}`, title: "Change", onclick: () => this.#change(one) }, icon("pen"))));
    const add = h("button.project-new", { type: "button", onclick: () => this.#make() }, icon("plus"), "New project");
    this.#menu.replaceChildren(h("ul", {}, lines), add);
  }

  #make() {
    this.#open(false);
    const form = new ProjectForm({ name: "", instructions: "", folder: "", uses_global: false });
    openForm({
      title: "New project",
      detail: "It has its own conversations, memory, instructions and files. Nothing of it appears in another one.",
      fields: form.fields,
      action: "Make it",
      save: async () => {
        const project = this.#freeIdentity(form.values.name);
        await makeProject({ project, ...form.values });
        await this.read();
        this.#hooks.goTo(startOf(project));
      },
    });
  }

  #change(one) {
    this.#open(false);
    const form = new ProjectForm(one);
    const remove = { button: h("button.plain.warning", { type: "button" }, icon("bin"), "Remove…"), run: () => this.#remove(one) };
    openForm({
      title: `Project “${one.name}”`,
      fields: form.fields,
      action: "Save",
      extra: RESERVED.includes(one.project) ? null : remove,
      save: async () => {
        await changeProject(one.project, form.values);
        await this.read();
      },
    });
  }

  async #remove(one) {
    const what = "Its conversations go, and everything that was learned in them. Its files stay in your folder.";
    try {
      const would = await removeProject(one.project, true);
      if (!(await confirmForgetting(`Remove “${one.name}”?`, what, would, "Remove"))) return;
      const gone = await removeProject(one.project);
      this.#hooks.trouble(`“${one.name}” is forgotten. ${inBackups(gone.kept_in_backups_until)}`);
      this.all = this.all.filter((other) => other !== one);
      if (this.current === one.project) this.#hooks.goTo(startOf(HOME));
      await this.read();
    } catch (error) {
      this.#hooks.trouble(error.message);
    }
  }

  /** Make an identity of a name: `The boat` becomes `the-boat`. */
  #freeIdentity(name) {
    const plain = name.normalize("NFKD").toLowerCase().replace(/[^a-z0-9]+/g, "-").replace(/^-+|-+$/g, "").slice(0, 50);
    const wanted = plain || `project-${identity().slice(0, 6)}`;
    let free = wanted;
    for (let number = 2; this.find(free); number++) free = `${wanted}-${number}`;
    return free;
  }
}

/** What can be said of a project, as fields of a form. */
class ProjectForm {
  constructor({ project, name, instructions, folder, uses_global }) {
    this.name = h("input", { type: "text", required: true, maxlength: "80", value: name, autocomplete: "off" });
    this.instructions = h("textarea", { rows: "4", maxlength: "4000", placeholder: "Answer briefly. The boat is a Folkboat of 1967." });
    this.instructions.value = instructions;
    this.folder = h("input", { type: "text", maxlength: "1000", value: folder, placeholder: "boat/papers", autocomplete: "off", spellcheck: "false" });
    this.usesGlobal = h("input", { type: "checkbox", role: "switch", checked: uses_global });
    this.fields = [
      labelled("Name", this.name),
      labelled("Instructions", this.instructions, "Kept to in every answer of this project."),
      project === HOME || project === GLOBAL ? null : labelled("Folder of your files", this.folder, "Seen from the storage. The files in it belong to this project alone."),
      project === GLOBAL ? null : h("label.switch", {}, this.usesGlobal, h("span.knob"), h("span", {}, "May use global knowledge")),
    ].filter(Boolean);
  }

  get values() {
    const { name, instructions, folder, usesGlobal } = this;
    return { name: name.value.trim(), instructions: instructions.value.trim(), folder: folder.value.trim(), uses_global: usesGlobal.checked };
  }
}

/** The first letter of a project's name in a colour of its own. */
function badge({ project, name }) {
  let sum = 0;
  for (const letter of project) sum = (sum * 31 + letter.codePointAt(0)) % 6;
  const hue = project === HOME ? "home" : String(sum);
  return h("span.badge", { "aria-hidden": "true", dataset: { hue } }, [...name][0]?.toUpperCase() ?? "");
}
