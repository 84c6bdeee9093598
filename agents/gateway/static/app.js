// The page: what belongs together, and what the address names.

import { HOME, conversationIn, memoryOf, parse, startOf, temporaryIn } from "./address.js";
import { forgetExchange, signedIn } from "./api.js";
import { offerThemes } from "./appearance.js";
import { Chat } from "./chat.js";
import { Composer } from "./composer.js";
import { confirmAction, confirmForgetting } from "./dialogs.js";
import { byId, fillIcons } from "./dom.js";
import { forget } from "./fact.js";
import { MemoryView } from "./memory.js";
import { Panel } from "./panel.js";
import { Projects } from "./projects.js";
import { Sidebar } from "./sidebar.js";
import { askForKey } from "./signin.js";
import { Connection } from "./socket.js";
import { Storage } from "./storage.js";
import { toast } from "./toasts.js";
import { drawWelcome } from "./welcome.js";

const LOST_AFTER_MS = 700;
const CHECK_AFTER = 2;

fillIcons();
const panel = new Panel();
const storage = new Storage(panel, () => draw());
const projects = new Projects({ goTo, trouble: say, changed: () => draw() });
const memory = new MemoryView({ trouble: say, project: () => projects.now });
const sidebar = new Sidebar({
  removed: (conversation) => conversation === chat.conversation && goTo(startOf(chat.project)),
  renamed: (conversation, title) => {
    if (conversation === chat.conversation) chat.title = title;
    draw();
  },
  trouble: say,
});
const chat = new Chat({
  changed: (what) => {
    composer.running = chat.running !== null;
    draw();
    if (what === "accepted" && !chat.temporary) {
      const address = conversationIn(chat.project, chat.conversation);
      if (!memory.open && location.hash !== address) history.replaceState(null, "", address);
      sidebar.select(chat.conversation);
    }
    if (what) sidebar.refresh(250);
  },
  missing: () => {
    say("There is no such conversation any more.");
    goTo(startOf(chat.project));
  },
  trouble: say,
  retrieve: () => composer.retrieve,
  openSource: (exchange, number) => panel.openSource(exchange, number),
  forget: forgetOne,
});
const composer = new Composer({
  ask: (text, retrieve) => chat.ask(text, retrieve),
  stop: () => chat.stop(),
  temporary: (on) => goTo(on ? temporaryIn(chat.project) : startOf(chat.project)),
});

let lostTimer = 0;
let failures = 0;
let signing = false;
const connection = new Connection({
  event: (event) => chat.event(event),
  problem: (problem) => chat.problem(problem) || say(problem.message),
  notice: (frame) => NOTICES[frame.type]?.(frame),
  state: async (open) => {
    clearTimeout(lostTimer);
    if (open) {
      failures = 0;
      byId("connection").hidden = true;
      sidebar.refresh(0);
      storage.read();
      projects.read();
      memory.refresh(0);
      return;
    }
    lostTimer = setTimeout(() => say("The connection is lost. Trying to reach KARAIS again…", true), LOST_AFTER_MS);
    if (++failures === CHECK_AFTER && !signing && !(await signedIn())) {
      signing = true;
      askForKey();
    }
  },
});
chat.use(connection);

const NOTICES = {
  started: (frame) => chat.started(frame),
  storage_status: (frame) => storage.take(frame),
  watching: () => chat.reload(),
  projects_changed: () => projects.read(),
  conversation_changed: (frame) => {
    sidebar.changed(frame);
    if (frame.conversation !== chat.conversation) return;
    if (frame.change === "titled") chat.title = frame.title;
    if (frame.change === "forgotten") setTimeout(() => chat.reload(true), 300); // memory follows the log a moment behind
    draw();
  },
  fact_changed: ({ fact: id, change, text, conversation }) => {
    memory.refresh();
    if (change !== "learned" || !conversation || conversation !== chat.conversation || memory.open) return;
    const { project } = chat;
    toast("memory", `Remembered: ${text}`, { label: "Forget…", run: () => forget({ project, id, text }, say) });
  },
};

/** Ask, and forget a question with its answer for good; the page hears from the gateway when it is gone. */
async function forgetOne({ project, answer, question }) {
  try {
    const would = await forgetExchange(project, answer, true);
    if (await confirmForgetting("Forget this question and its answer?", `“${question.slice(0, 200)}”`, would)) await forgetExchange(project, answer);
  } catch (error) {
    say(error.message);
  }
}

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
  if (location.hash && !location.hash.startsWith("#/")) return; // a jump within the page
  const { project, view, conversation, fact } = parse(location.hash);
  panel.close();
  projects.select(project);
  sidebar.enter(project);
  byId("new").href = startOf(project);
  byId("memory-link").href = memoryOf(project);
  if (view === "memory") memory.show(project, fact);
  else memory.close();
  const temporary = view === "temporary";
  if (view === "memory") {
    if (chat.project !== project || !chat.conversation) chat.begin(project);
  } else if (conversation) chat.open(project, conversation);
  else if (!chat.fresh || !chat.conversation || chat.project !== project || chat.temporary !== temporary) chat.begin(project, temporary);
  sidebar.select(conversation);
  draw();
  if (view !== "memory") composer.focus();
}

function draw() {
  const inMemory = memory.open;
  document.body.classList.toggle("at-memory", inMemory);
  document.body.classList.toggle("temporary", chat.temporary);
  byId("temporary-note").hidden = !chat.temporary || inMemory;
  byId("scroller").hidden = inMemory;
  byId("composer").hidden = inMemory;
  if (inMemory) byId("memory-link").setAttribute("aria-current", "page");
  else byId("memory-link").removeAttribute("aria-current");
  composer.show({ temporary: chat.temporary, open: chat.fresh && chat.empty });
  const title = inMemory ? "Memory" : chat.title || sidebar.titleOf(chat.conversation) || chat.beginning;
  byId("title").textContent = title;
  document.title = title ? `${title} · KARAIS` : "KARAIS";
  drawWelcome({ show: chat.empty && chat.fresh, status: storage.status, project: projects.now, choose: (idea) => composer.write(idea) });
}

/** A temporary conversation is nowhere but on this page: nobody shall lose it unawares. */
function losing() {
  return chat.temporary && !chat.empty;
}

addEventListener("beforeunload", (event) => losing() && event.preventDefault());
document.addEventListener("click", async (event) => {
  const link = event.target.closest("a[href^='#/']");
  if (!link || !losing() || link.getAttribute("href") === location.hash) return;
  event.preventDefault();
  const sure = await confirmAction("Leave the temporary chat?", "It was not kept anywhere, so you cannot come back to it.", "Leave");
  if (sure) goTo(link.getAttribute("href"));
}, true);
addEventListener("hashchange", route);
document.addEventListener("visibilitychange", () => {
  if (document.hidden || !connection.open) return;
  sidebar.refresh();
  chat.reload();
});

offerThemes();
composer.running = false;
connection.start();
if (!location.hash && Projects.last !== HOME) history.replaceState(null, "", startOf(Projects.last));
route();
