// The page: what belongs together, and which conversation the address names.

import { signIn, signedIn } from "./api.js";
import { Chat } from "./chat.js";
import { Composer } from "./composer.js";
import { byId, fillIcons, h, icon } from "./dom.js";
import { Panel } from "./panel.js";
import { Sidebar } from "./sidebar.js";
import { Connection } from "./socket.js";
import { Storage } from "./storage.js";

const LOST_AFTER_MS = 700;
const CHECK_AFTER = 2;

fillIcons();
const panel = new Panel();
const storage = new Storage(panel, () => drawWelcome());
const sidebar = new Sidebar({
  removed: (conversation) => conversation === chat.conversation && goTo("#/"),
  renamed: (conversation, title) => {
    if (conversation === chat.conversation) chat.title = title;
    drawTitle();
  },
  trouble: say,
});
const chat = new Chat({
  changed: (what) => {
    composer.running = chat.running !== null;
    drawTitle();
    drawWelcome();
    if (what === "accepted" && location.hash !== `#/c/${chat.conversation}`) {
      history.replaceState(null, "", `#/c/${chat.conversation}`);
      sidebar.select(chat.conversation);
    }
    if (what) sidebar.refresh(250);
  },
  missing: () => {
    say("There is no such conversation any more.");
    goTo("#/");
  },
  trouble: say,
  retrieve: () => composer.retrieve,
  openSource: (exchange, number) => panel.openSource(exchange, number),
});
const composer = new Composer({ ask: (text, retrieve) => chat.ask(text, retrieve), stop: () => chat.stop() });

let lostTimer = 0;
let failures = 0;
let signing = false;
const connection = new Connection({
  event: (event) => chat.event(event),
  problem: (problem) => chat.problem(problem) || say(problem.message),
  notice: (frame) => {
    if (frame.type === "started") chat.started(frame);
    else if (frame.type === "storage_status") storage.take(frame);
    else if (frame.type === "watching") chat.reload();
    else if (frame.type === "conversation_changed") {
      sidebar.changed(frame);
      if (frame.conversation !== chat.conversation) return;
      if (frame.change === "titled") chat.title = frame.title;
      drawTitle();
    }
  },
  state: async (open) => {
    clearTimeout(lostTimer);
    if (open) {
      failures = 0;
      byId("connection").hidden = true;
      sidebar.refresh(0);
      storage.read();
      return;
    }
    lostTimer = setTimeout(() => say("The connection is lost. Trying to reach KARAIS again…", true), LOST_AFTER_MS);
    if (++failures === CHECK_AFTER && !signing && !(await signedIn())) askForKey();
  },
});
chat.use(connection);

/** Show a sentence above the conversation; it goes by itself unless it holds. */
function say(sentence, holds = false) {
  const line = byId("connection");
  line.textContent = sentence;
  line.hidden = false;
  clearTimeout(lostTimer);
  if (!holds) lostTimer = setTimeout(() => (line.hidden = true), 6000);
}

function goTo(hash) {
  if (location.hash === hash) route();
  else location.hash = hash;
}

function route() {
  const match = /^#\/c\/([A-Za-z0-9_-]{1,64})$/.exec(location.hash);
  panel.close();
  if (match) chat.open(match[1]);
  else if (!chat.fresh || !chat.conversation) chat.begin();
  sidebar.select(match ? match[1] : "");
  composer.focus();
}

function drawTitle() {
  const title = chat.title || sidebar.titleOf(chat.conversation) || chat.beginning;
  byId("title").textContent = title;
  document.title = title ? `${title} · KARAIS` : "KARAIS";
}

function drawWelcome() {
  const welcome = byId("welcome");
  const show = chat.empty && chat.fresh;
  document.body.classList.toggle("at-start", show);
  welcome.hidden = !show;
  if (!show) return;
  const { status } = storage;
  const name = status?.folder.split("/").filter(Boolean).at(-1);
  const files = status?.indexed
    ? [h("b", {}, `${status.indexed.toLocaleString()} ${status.indexed === 1 ? "file" : "files"}`), " of ", h("b", {}, name), " can help with the answer."]
    : ["Choose a folder with ", h("code", {}, "karais up --storage PATH"), " and it will be read, here on this machine."];
  const ideas = status?.indexed
    ? ["What are my files about?", "Explain the most important idea in my files in simple words.", "What do my files say about failures, and what should one do?", "Write a short summary for somebody who is new to this."]
    : ["Explain how a heat pump works in simple words.", "Write a kind note that moves a dinner to next week.", "Give me five names for a small boat.", "What should I think of before a long train journey?"];
  const buttons = ideas.map((idea) => h("button.idea", { type: "button", onclick: () => composer.write(idea) }, idea));
  if (welcome.dataset.for === `${status?.indexed}`) return;
  welcome.dataset.for = `${status?.indexed}`;
  welcome.replaceChildren(
    h("h2", {}, greeting()),
    h("p", {}, "Ask anything. The model, your files and every word stay on this machine. ", files),
    h("div.ideas", {}, buttons),
  );
}

function greeting() {
  const hour = new Date().getHours();
  if (hour < 5) return "Good night";
  if (hour < 12) return "Good morning";
  return hour < 18 ? "Good afternoon" : "Good evening";
}

/** For a browser that the gateway does not know: on another machine or of another user. */
function askForKey() {
  signing = true;
  const key = h("input", { type: "password", name: "key", autocomplete: "current-password", required: true, "aria-label": "Key" });
  const wrong = h("p.wrong", { role: "alert" });
  const form = h("form", {}, h("h2", {}, "Sign in"),
    h("p", {}, "This browser is new here. Paste the key that stands in ", h("code", {}, "keys/api.key"), " of the data folder (", h("code", {}, "~/.karais"), ")."),
    key, wrong, h("div.dialog-row", {}, h("button.primary", {}, "Sign in")));
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    try {
      await signIn(key.value.trim());
      location.reload();
    } catch (error) {
      wrong.textContent = error.message;
    }
  });
  const dialog = byId("dialog");
  dialog.replaceChildren(form);
  dialog.addEventListener("cancel", (event) => event.preventDefault());
  dialog.showModal();
}

function drawTheme() {
  const dark = document.documentElement.dataset.theme
    ? document.documentElement.dataset.theme === "dark"
    : matchMedia("(prefers-color-scheme: dark)").matches;
  byId("theme").replaceChildren(icon(dark ? "sun" : "moon"));
  byId("theme").title = dark ? "Light" : "Dark";
  return dark;
}

byId("theme").addEventListener("click", () => {
  const theme = drawTheme() ? "light" : "dark";
  const system = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
  if (theme === system) {
    delete document.documentElement.dataset.theme;
    localStorage.removeItem("karais.theme");
  } else {
    document.documentElement.dataset.theme = theme;
    localStorage.setItem("karais.theme", theme);
  }
  drawTheme();
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawTheme);
addEventListener("hashchange", route);
document.addEventListener("visibilitychange", () => {
  if (document.hidden || !connection.open) return;
  sidebar.refresh();
  chat.reload();
});

drawTheme();
composer.running = false;
connection.start();
route();
