// Which project, conversation or view the address names:
// #/  #/c/ID  #/temporary  #/memory  #/memory/FACT, and the same behind #/p/PROJECT for any project but home.

export const HOME = "home";
export const GLOBAL = "global";

const TOKEN = /^[A-Za-z0-9_-]{1,64}$/;

/** Return { project, view, conversation, fact } of a hash; view is chat, temporary or memory. */
export function parse(hash) {
  let parts = hash.replace(/^#\/?/, "").split("/").filter(Boolean);
  const where = { project: HOME, view: "chat", conversation: "", fact: "" };
  if (parts[0] === "p" && TOKEN.test(parts[1] ?? "")) {
    where.project = parts[1];
    parts = parts.slice(2);
  }
  const [view, name = ""] = parts;
  if (view === "c" && TOKEN.test(name)) where.conversation = name;
  else if (view === "temporary") where.view = view;
  else if (view === "memory") {
    where.view = view;
    where.fact = TOKEN.test(name) ? name : "";
  }
  return where;
}

const base = (project) => (project === HOME ? "#/" : `#/p/${project}/`);

export const startOf = (project) => base(project);
export const temporaryIn = (project) => `${base(project)}temporary`;
export const conversationIn = (project, conversation) => `${base(project)}c/${conversation}`;
export const memoryOf = (project, fact = "") => `${base(project)}memory${fact && `/${fact}`}`;
