// The page put together: what comes from the twin goes into the memory, the memory onto the page,
// and clicks go to the control API. Everything that can be thought out without a browser is in
// the other modules.

import { alarms, activeFaults, dns, door, facts, mails, timeline } from "./panels.js";
import { charts } from "./charts.js";
import { clients, links, regions } from "./map.js";
import { EMPTY, isAnother, withEvent, withStatus } from "./history.js";
import { draw } from "./wires.js";
import { kindDialog, mailDialog, panel, targetDialog, valueOf } from "./faults.js";
import { h, patch } from "./dom.js";
import { silence, story } from "./story.js";
import { Stream } from "./stream.js";

const ANSWER_TIMEOUT_MS = 60_000;
// Longer names may be broken, or they would be wider than a narrow page.
const NAME_MAX = 16;
const at = (id) => document.getElementById(id);

let memory = EMPTY;
let kinds = [];
let isDrawing = false;

const stream = new Stream("events", {
  status(status) {
    const isOther = isAnother(memory, status);
    const isNew = isOther || memory.status === null;
    memory = withStatus(memory, status);
    if (isNew) begin();
    if (isOther) stream.connect();
    connection("live", "live");
    say(story(status, memory.since));
    redraw();
  },
  event(event) {
    memory = withEvent(memory, event);
    if (event.kind === "mail.delivered") loadMails();
    redraw();
  },
  silent(seconds, everHeard) {
    connection("gone", "no answer");
    say(silence(seconds, everHeard));
  },
});

/** A twin that was not known before: its mails and its faults are asked for.
 *
 * Its events have numbers of their own, so the stream also begins anew, from the first of them. */
function begin() {
  loadMails();
  loadFaults();
}

function connection(state, words) {
  const element = at("connection");
  if (element.dataset.state === state) return;
  element.dataset.state = state;
  document.body.dataset.connection = state;
  patch(element, [{ text: words, key: null }]);
}

function say({ tone, text, announcement }) {
  at("sentence").dataset.tone = tone;
  patch(at("sentence-text"), unbroken(text));
  patch(at("announcement"), [{ text: announcement, key: null }]);
  document.title = `${tone === "ok" ? "" : "⚠ "}Evertill twin`;
}

/** Put names such as us-east-1 where no line breaks them. */
function unbroken(text) {
  return text.split(/(\b[a-z0-9]+(?:-[a-z0-9]+)+\b)/).map((part, place) =>
    place % 2 && part.length <= NAME_MAX ? h("span", { class: "name" }, part) : { text: part });
}

/** Draw once for all that came since the last frame; a page in the background draws nothing. */
function redraw() {
  if (isDrawing) return;
  isDrawing = true;
  requestAnimationFrame(() => {
    isDrawing = false;
    if (memory.status !== null) render(memory.status);
  });
}

function render(status) {
  at("page").hidden = false;
  patch(at("facts"), facts(status));
  patch(at("active-faults"), activeFaults(status));
  at("active").hidden = status.faults.length === 0;
  patch(at("clients"), clients(status));
  patch(at("regions"), regions(status));
  patch(at("links"), links(status));
  patch(at("charts"), charts(memory));
  patch(at("alarms"), alarms(status));
  patch(at("timeline"), timeline(memory.events));
  patch(at("dns"), dns(status));
  patch(at("door"), door(status));
  wire();
}

function wire() {
  if (memory.status === null) return;
  patch(at("wires"), draw(memory.status, at("map"), (kind, name) => {
    if (name === "clients") return at("clients");
    if (kind === "region") return at(`region-${name}`);
    return document.querySelector(`[data-instance="${CSS.escape(name)}"]`);
  }));
}

async function ask(method, path, body) {
  const request = { method, signal: AbortSignal.timeout(ANSWER_TIMEOUT_MS) };
  if (body !== undefined) {
    request.headers = { "Content-Type": "application/json" };
    request.body = JSON.stringify(body);
  }
  try {
    const answer = await fetch(path, request);
    const text = await answer.text();
    const held = text ? JSON.parse(text) : {};
    return answer.ok ? { held } : { refusal: held.message ?? `${answer.status}` };
  } catch {
    return { refusal: "The twin did not answer." };
  }
}

async function loadMails() {
  const { held } = await ask("GET", "mail");
  if (held === undefined) return;
  patch(at("mails"), mails(held.mails));
  at("mails-none").hidden = held.mails.length > 0;
}

async function loadFaults() {
  const { held } = await ask("GET", "faults");
  if (held === undefined) return;
  kinds = held.kinds;
  patch(at("faults"), panel(kinds));
}

function open(described) {
  const dialog = at("dialog");
  // What was chosen in a form before is not to be found in the next one.
  patch(dialog, []);
  patch(dialog, described);
  if (dialog.open) dialog.querySelector("select, input, form button, pre")?.focus();
  else dialog.showModal();
}

function refuse(words) {
  const place = at("dialog").open ? at("refusal") : at("outcome");
  patch(place, [{ text: words, key: null }]);
}

async function inject(fault, parameters) {
  refuse("Setting it …");
  const { refusal } = await ask("POST", "faults", { fault, ...parameters });
  if (refusal !== undefined) {
    refuse(refusal);
    return;
  }
  at("dialog").close();
  refuse(`${fault} is set.`);
}

async function undo(path) {
  refuse("Undoing it …");
  const { refusal } = await ask("DELETE", path);
  refuse(refusal ?? "Undone.");
}

const actions = {
  async target({ dataset }) {
    await loadFaults();
    const found = Object.entries(dataset)
      .filter(([name]) => name.startsWith("at") && name.length > 2)
      .map(([name, value]) => [name.slice(2).toLowerCase(), value]);
    open(targetDialog(kinds, dataset.kind, Object.fromEntries(found)));
  },
  async fault({ dataset }) {
    await loadFaults();
    const kind = kinds.find((item) => item.fault === dataset.faultKind);
    if (kind) open(kindDialog(kind, dataset.target ? JSON.parse(dataset.target) : null));
  },
  inject({ dataset }) {
    return inject(dataset.faultKind, JSON.parse(dataset.target));
  },
  undo({ dataset }) {
    return undo(`faults/${encodeURIComponent(dataset.id)}`);
  },
  "undo-all": () => undo("faults"),
  async mail({ dataset }) {
    const { held, refusal } = await ask("GET", `mail/${encodeURIComponent(dataset.id)}`);
    if (held === undefined) refuse(refusal);
    else open(mailDialog(held));
  },
  close: () => at("dialog").close(),
};

document.addEventListener("click", (event) => {
  const element = event.target.closest("[data-action]");
  if (element !== null) actions[element.dataset.action](element);
  else if (event.target === at("dialog")) at("dialog").close();
});

document.addEventListener("submit", (event) => {
  event.preventDefault();
  const form = event.target;
  const kind = kinds.find((item) => item.fault === form.dataset.form);
  const parameters = {};
  for (const field of form.elements) {
    if (field.name === "target") Object.assign(parameters, JSON.parse(field.value));
    else if (field.type === "checkbox") parameters[field.name] = field.checked;
    else if (field.name && field.value !== "") {
      parameters[field.name] = valueOf(field.value, kind.defaults?.[field.name]);
    }
  }
  inject(kind.fault, parameters);
});

new ResizeObserver(wire).observe(at("map"));
stream.start();
