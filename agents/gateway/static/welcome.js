// What stands on the page before the first question.

import { HOME } from "./address.js";
import { byId, h } from "./dom.js";

const WITH_FILES = [
  "What are my files about?",
  "Explain the most important idea in my files in simple words.",
  "What do my files say about failures, and what should one do?",
  "Write a short summary for somebody who is new to this.",
];
const WITHOUT = [
  "Explain how a heat pump works in simple words.",
  "Write a kind note that moves a dinner to next week.",
  "Give me five names for a small boat.",
  "What should I think of before a long train journey?",
];

/** Draw it, or hide it; `choose` gets an idea that was clicked. */
export function drawWelcome({ show, status, project, choose }) {
  const welcome = byId("welcome");
  document.body.classList.toggle("at-start", show);
  welcome.hidden = !show;
  if (!show) return;
  const indexed = status?.indexed ?? 0;
  const about = `${indexed} ${project.project} ${project.name}`;
  if (welcome.dataset.about === about) return;
  welcome.dataset.about = about;
  const buttons = (indexed ? WITH_FILES : WITHOUT).map((idea) => h("button.idea", { type: "button", onclick: () => choose(idea) }, idea));
  welcome.replaceChildren(
    h("h2", {}, project.project === HOME ? greeting() : project.name),
    h("p", {}, "Ask anything. The model, your files and every word stay on this machine. ", ...files(indexed, status)),
    h("div.ideas", {}, buttons),
  );
}

function files(indexed, status) {
  if (!indexed) return ["Choose a folder with ", h("code", {}, "karais up --storage PATH"), " and it will be read, here on this machine."];
  const name = status.folder.split("/").filter(Boolean).at(-1);
  return [h("b", {}, `${indexed.toLocaleString()} ${indexed === 1 ? "file" : "files"}`), " of ", h("b", {}, name), " can help with the answer."];
}

function greeting() {
  const hour = new Date().getHours();
  if (hour < 5) return "Good night";
  if (hour < 12) return "Good morning";
  return hour < 18 ? "Good afternoon" : "Good evening";
}
