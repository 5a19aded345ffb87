"use strict";

// One pair after another: ask the server for the next, show it, send the vote. Answers are text and are only ever set as
// text. A vote is kept in this browser until the server has said that it has it, so none is lost when either side dies;
// its view id keeps it from counting twice.

const byId = (id) => document.getElementById(id);
const choices = [...document.querySelectorAll("input[name=choice]")];
const sides = ["a", "b"];
const retryMs = { first: 250, most: 4000 }; // doubled each time

let rater = "";
let pair = null; // what the server sent last
let sending = false;

// ---- what this browser remembers, where it may ----

const memory = {
  at: (key) => "aerie-judge " + location.pathname + " " + key, // the path is the study's own
  get(key) {
    try { return localStorage.getItem(memory.at(key)); } catch { return null; }
  },
  set(key, value) {
    try {
      if (value === null) localStorage.removeItem(memory.at(key));
      else localStorage.setItem(memory.at(key), value);
    } catch { /* a private window: the name is asked for again */ }
  },
};

// ---- talking to the server ----

class Refused extends Error {
  constructor(code, line) {
    super(line);
    this.code = code;
  }
}

const pause = (ms) => new Promise((done) => setTimeout(done, ms));

// Asks until there is a reply. A refusal is thrown.
async function ask(path, body) {
  const options = body ? { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) } : {};
  for (let wait = retryMs.first;; wait = Math.min(2 * wait, retryMs.most)) {
    let reply = null;
    try {
      reply = await fetch(path, { cache: "no-store", ...options });
      if (reply.ok) {
        const value = await reply.json();
        notice("");
        return value;
      }
      if (reply.status < 500) throw new Refused(reply.status, (await reply.text()).trim());
      notice("The server could not keep the vote (" + (await reply.text()).trim() + "). It is sent again.");
    } catch (e) {
      if (e instanceof Refused) throw e;
      notice("The server does not answer. Nothing is lost; this page keeps trying.");
    }
    await pause(wait);
  }
}

async function sendVote(vote) {
  memory.set("vote", JSON.stringify(vote));
  try {
    await ask("vote", vote);
  } catch (e) {
    memory.set("vote", null);
    if (e.code !== 409) throw e; // 409: it was judged elsewhere meanwhile
    say(e.message);
  }
  memory.set("vote", null);
}

// ---- showing ----

function notice(text) {
  byId("notice").textContent = text;
  byId("notice").hidden = text === "";
}

function say(text) {
  byId("said").textContent = text;
}

function show(id) {
  for (const part of ["loading", "welcome", "end", "ballot"]) byId(part).hidden = part !== id;
}

function putText(element, text) {
  element.textContent = text === "" ? "(an empty answer)" : text;
  element.classList.toggle("none", text === "");
  element.scrollTop = 0;
}

function putPrompt(prompt) {
  const element = byId("prompt");
  if (typeof prompt === "string") return putText(element, prompt);
  element.replaceChildren(...prompt.map((message) => {
    const turn = document.createElement("div");
    const role = document.createElement("span");
    turn.className = "turn";
    role.className = "role";
    role.textContent = message.role;
    turn.append(role, message.content);
    return turn;
  }));
  element.classList.remove("none");
}

const acceptableWords = { none: "acceptable?", yes: "acceptable", no: "not acceptable" };

function setAcceptable(side, said) {
  const button = byId("ok-" + side);
  const key = document.createElement("kbd");
  key.textContent = side.toUpperCase();
  button.dataset.said = said;
  button.replaceChildren((said === "yes" ? "✓ " : said === "no" ? "✗ " : "") + acceptableWords[said] + " ", key);
  button.setAttribute("aria-label", "Answer " + side.toUpperCase() + ": " + acceptableWords[said]);
}

function turnAcceptable(side) {
  const next = { none: "yes", yes: "no", no: "none" }[byId("ok-" + side).dataset.said];
  setAcceptable(side, next);
  say("Answer " + side.toUpperCase() + ": " + acceptableWords[next]);
}

function acceptable(side) {
  return { none: null, yes: true, no: false }[byId("ok-" + side).dataset.said];
}

function putProgress() {
  byId("progress").hidden = false;
  byId("bar").max = Math.max(pair.total, 1);
  byId("bar").value = pair.done;
  byId("count").textContent = pair.done + " of " + pair.total;
  document.title = pair.done + " of " + pair.total + " · aerie judge";
}

function putPair(comment) {
  putProgress();
  for (const choice of choices) choice.checked = false;
  for (const side of sides) setAcceptable(side, "none");
  byId("comment").value = comment;
  byId("undo").disabled = byId("end-undo").disabled = pair.undo === null;
  if (pair.view === null) {
    byId("end-count").textContent = "You have judged " + pair.done + " of " + pair.total + " pairs. You may close this page.";
    return show("end");
  }
  putPrompt(pair.prompt);
  putText(byId("left"), pair.left);
  putText(byId("right"), pair.right);
  show("ballot");
  window.scrollTo(0, 0);
}

// ---- what the rater does ----

// One thing at a time: a key pressed meanwhile is not for the pair that comes next.
async function alone(work) {
  if (sending) return;
  sending = true;
  byId("vote").disabled = true;
  try {
    await work();
  } catch (e) {
    notice(e.message);
    if (pair === null) show("welcome");
  } finally {
    sending = false;
    byId("vote").disabled = false;
  }
}

async function next(comment = "") {
  pair = await ask("next?rater=" + encodeURIComponent(rater));
  putPair(comment);
}

function vote() {
  if (sending || byId("ballot").hidden) return;
  const chosen = choices.find((choice) => choice.checked);
  if (!chosen) return notice("Choose first: 1 to 5.");
  alone(async () => {
    document.activeElement.blur();
    await sendVote({
      view: pair.view, at: pair.at, rater, choice: Number(chosen.value), left_acceptable: acceptable("a"),
      right_acceptable: acceptable("b"), comment: byId("comment").value.trim() || null,
    });
    await next();
    say("Voted. " + pair.done + " of " + pair.total + ".");
  });
}

function undo() {
  if (!pair || pair.undo === null) return;
  alone(async () => {
    const reply = await ask("undo", { rater, view: pair.undo });
    await next(reply.comment || "");
    say("The last vote is taken back.");
  });
}

function begin(name) {
  alone(async () => {
    rater = name;
    const kept = JSON.parse(memory.get("vote") || "null");
    if (kept) await sendVote(kept);
    await next();
    memory.set("rater", rater);
    byId("who").textContent = rater;
    byId("who").setAttribute("aria-label", "You are " + rater + ". Another name");
    byId("who").hidden = false;
    byId("name").blur();
  });
}

function welcome() {
  if (sending) return;
  memory.set("rater", null);
  rater = "";
  pair = null;
  byId("who").hidden = byId("progress").hidden = true;
  byId("name").value = "";
  show("welcome");
  byId("name").focus();
}

function toggleKeys() {
  byId("keys").hidden = !byId("keys").hidden;
  byId("help").setAttribute("aria-expanded", String(!byId("keys").hidden));
}

function onKey(event) {
  const target = event.target;
  const writes = target instanceof HTMLTextAreaElement || target.type === "text";
  if (writes) {
    if (event.key === "Escape") target.blur();
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) vote();
    return;
  }
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
  const key = event.key.toLowerCase();
  if (key === "?") return toggleKeys();
  if (byId("welcome").hidden === false || sending) return;
  if (key === "u") return undo();
  if (byId("ballot").hidden) return;
  if (key >= "1" && key <= "5" && key.length === 1) {
    choices[Number(key) - 1].checked = true;
    notice("");
  } else if (sides.includes(key)) {
    turnAcceptable(key);
  } else if (key === "c") {
    byId("comment").focus();
  } else if (key === "enter" && target.tagName !== "BUTTON") {
    vote();
  } else {
    return;
  }
  event.preventDefault();
}

document.addEventListener("keydown", onKey);
byId("help").addEventListener("click", toggleKeys);
byId("who").addEventListener("click", welcome);
byId("undo").addEventListener("click", undo);
byId("end-undo").addEventListener("click", undo);
for (const side of sides) byId("ok-" + side).addEventListener("click", () => turnAcceptable(side));
byId("ballot").addEventListener("submit", (event) => {
  event.preventDefault();
  vote();
});
byId("welcome").addEventListener("submit", (event) => {
  event.preventDefault();
  begin(byId("name").value.trim());
});

const known = memory.get("rater");
if (known) begin(known);
else welcome();
