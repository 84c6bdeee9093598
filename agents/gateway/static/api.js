// The REST interface.

export class ApiError extends Error {
  constructor(status, code, message) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

async function call(method, path, body) {
  let response;
  try {
    response = await fetch(path, {
      method,
      headers: body === undefined ? {} : { "Content-Type": "application/json" },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch {
    throw new ApiError(0, "unavailable", "KARAIS cannot be reached.");
  }
  const text = await response.text();
  let value = null;
  try {
    value = text ? JSON.parse(text) : null;
  } catch {
    // not JSON: something between us and the gateway answered
  }
  if (response.ok) return value;
  throw new ApiError(response.status, value?.code ?? "internal", value?.message ?? `The gateway answered ${response.status}.`);
}

const seg = encodeURIComponent;

/** Make a query of what is given; what is null, false or empty is left out. */
function query(values) {
  const given = Object.entries(values).filter(([, value]) => value !== null && value !== undefined && value !== "" && value !== false);
  return given.length ? `?${new URLSearchParams(given)}` : "";
}

export const listConversations = (project, matching = "") =>
  call("GET", `/api/v1/conversations${query({ project, matching, limit: 100 })}`).then((r) => r.conversations);
export const readConversation = (project, id) => call("GET", `/api/v1/conversations/${seg(id)}${query({ project })}`);
export const renameConversation = (project, id, title) =>
  call("PATCH", `/api/v1/conversations/${seg(id)}${query({ project })}`, { title });
export const forgetConversation = (project, id, dry_run = false) =>
  call("DELETE", `/api/v1/conversations/${seg(id)}${query({ project, dry_run })}`);
export const forgetExchange = (project, answer, dry_run = false) =>
  call("DELETE", `/api/v1/exchanges/${seg(answer)}${query({ project, dry_run })}`);
export const openPassage = (project, id) => call("GET", `/api/v1/passages/${seg(id)}${query({ project })}`);

export const listProjects = () => call("GET", "/api/v1/projects").then((r) => r.projects);
export const makeProject = (project) => call("POST", "/api/v1/projects", project);
export const changeProject = (id, change) => call("PATCH", `/api/v1/projects/${seg(id)}`, change);
export const removeProject = (id, dry_run = false) => call("DELETE", `/api/v1/projects/${seg(id)}${query({ dry_run })}`);

/** `filter`: matching, history, as_of, with_global, after. */
export const listFacts = (project, filter) => call("GET", `/api/v1/facts${query({ project, ...filter })}`);
export const showFact = (project, id) => call("GET", `/api/v1/facts/${seg(id)}${query({ project })}`);
export const addFact = (project, fact) => call("POST", "/api/v1/facts", { project, ...fact });
export const editFact = (project, id, change) => call("PATCH", `/api/v1/facts/${seg(id)}${query({ project })}`, change);
export const forgetFact = (project, id, dry_run = false) => call("DELETE", `/api/v1/facts/${seg(id)}${query({ project, dry_run })}`);

export const storageStatus = () => call("GET", "/api/v1/storage");
export const storageFiles = (state, after = "") =>
  call("GET", `/api/v1/storage/files?state=${seg(state)}&after=${seg(after)}&limit=200`).then((r) => r.files);
export const rescan = () => call("POST", "/api/v1/storage/rescan");
export const signIn = (key) => call("POST", "/session", { key });

/** Tell whether we are let in; loading the page again gives the cookie to the owner of this machine. */
export async function signedIn() {
  for (let attempt = 0; attempt < 2; attempt++) {
    try {
      await call("GET", "/api/v1/status");
      return true;
    } catch (error) {
      if (error.status !== 401) return true;
      if (attempt === 0) await fetch("/").catch(() => null);
    }
  }
  return false;
}
