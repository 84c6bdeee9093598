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

export const listConversations = (matching = "", before = 0) =>
  call("GET", `/api/v1/conversations?limit=100&before=${before}&matching=${seg(matching)}`).then((r) => r.conversations);
export const readConversation = (id) => call("GET", `/api/v1/conversations/${seg(id)}`);
export const renameConversation = (id, title) => call("PATCH", `/api/v1/conversations/${seg(id)}`, { title });
export const deleteConversation = (id) => call("DELETE", `/api/v1/conversations/${seg(id)}`);
export const openPassage = (id) => call("GET", `/api/v1/passages/${seg(id)}`);
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
