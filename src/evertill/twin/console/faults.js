// The faults that can be set: grouped for the panel, and those that what was clicked can have.
//
// Pure: made from GET /faults alone. A kind that this page has never heard of is shown like the
// others, under "Other".

import { h, icon } from "./dom.js";
import { brief } from "./words.js";

const GROUPS = [
  ["Tasks", /task/],
  ["Zones and regions", /-(zone|region)$/],
  ["Links", /link/],
  ["Database", /writer|reader|database|disk|storm/],
  ["Load balancer", /balancer/],
  ["Functions", /function/],
  ["Objects", /objects/],
  ["AWS and time", /dns|clock|api|witness/],
  ["Other", /./],
];
// What an instance of a database is called by the faults that are about it.
const ABOUT_ROLE = {
  writer: /writer|database|disk|storm/,
  reader: /reader|database|disk/,
  standby: /reader|database|disk/,
};

/** Put kinds into groups, in the order in which they came. */
export function grouped(kinds) {
  const groups = new Map(GROUPS.map(([title]) => [title, []]));
  for (const kind of kinds) {
    const [title] = GROUPS.find(([, pattern]) => pattern.test(kind.fault));
    groups.get(title).push(kind);
  }
  return [...groups].filter(([, held]) => held.length);
}

/** The faults that what was clicked can have: each kind with those of its targets. */
export function faultsOf(kinds, clicked, at) {
  return kinds
    .map((kind) => ({
      kind,
      targets: kind.targets.filter((target) => concerns(kind, target, clicked, at)),
    }))
    .filter(({ targets }) => targets.length);
}

/** Describe the panel: a button for each kind. */
export function panel(kinds) {
  return grouped(kinds).map(([title, held]) => h(
    "section",
    { key: title },
    h("h4", {}, title),
    h("ul", {}, held.map((kind) => h("li", { key: kind.fault }, h(
      "button",
      { type: "button", "data-action": "fault", "data-fault-kind": kind.fault,
        title: kind.summary },
      kind.fault,
    )))),
  ));
}

/** Describe the dialog of what was clicked: what it is, and a button for each fault. */
export function targetDialog(kinds, clicked, at) {
  const found = faultsOf(kinds, clicked, at);
  return [
    heading(titleOf(clicked, at)),
    found.length
      ? h("ul", { class: "choices" }, found.map(({ kind, targets }) => {
          const isClear = targets.length === 1 && !isAsked(kind);
          return h("li", { key: kind.fault }, h(
            "button",
            { type: "button", "data-action": isClear ? "inject" : "fault",
              "data-fault-kind": kind.fault, "data-target": JSON.stringify(targets[0]) },
            h("b", {}, kind.fault, isClear ? extra(targets[0], at) : " …"),
            h("span", {}, kind.summary),
          ));
        }))
      : h("p", {}, "No fault can be set on it now."),
    answer(),
  ];
}

/** Describe the dialog of one kind: which target, its parameters, and the button that sets it. */
export function kindDialog(kind, chosen = null) {
  const options = kind.targets.map((target) => JSON.stringify(target));
  const first = chosen === null ? options[0] : JSON.stringify(chosen);
  const fields = needed(kind);
  if (!options.length) {
    return [heading(kind.fault), h("p", {}, kind.summary),
      h("p", {}, "There is nothing now that it could be set on."), answer()];
  }
  return [
    heading(kind.fault),
    h("p", {}, kind.summary),
    h(
      "form",
      { "data-form": kind.fault, key: `form:${kind.fault}` },
      options.length > 1 || Object.keys(kind.targets[0]).length
        ? h("label", {}, "On", h("select", { name: "target" }, options.map((text, at) => h(
            "option",
            { value: text, selected: text === first, key: text },
            wordsOf(kind.targets[at]),
          ))))
        : null,
      fields.map((name) => field(name, kind.defaults?.[name])),
      h("button", { type: "submit", class: "primary" }, icon("bolt"), `Set ${kind.fault}`),
    ),
    answer(),
  ];
}

/** Describe the dialog of one mail. */
export function mailDialog(mail) {
  return [
    heading(mail.subject),
    h("p", { class: "soft" }, `To ${mail.to}, ${mail.at}`),
    h("pre", { tabindex: 0, "data-mail-body": mail.id }, mail.body),
    answer(),
  ];
}

/** The parameters of a kind that no target of it gives. */
export function needed(kind) {
  const given = new Set(kind.targets.flatMap((target) => Object.keys(target)));
  return kind.parameters.filter((name) => !given.has(name));
}

/** Whether a fault cannot be set without asking: a parameter has no value of its own. */
export function isAsked(kind) {
  return needed(kind).some((name) => !(name in (kind.defaults ?? {})));
}

/** Read a form's texts as the values that the fault's defaults are of. */
export function valueOf(text, given) {
  if (typeof given === "string") return text;
  const number = Number(text);
  return text.trim() !== "" && Number.isFinite(number) ? number : text;
}

/** A target in words, long ids shortened. */
export function wordsOf(target) {
  if (target.from !== undefined) return `${target.from} → ${target.to}`;
  return Object.values(target).map((value) => brief(String(value))).join(", ") || "the twin";
}

function concerns(kind, target, clicked, at) {
  if (clicked === "task") return target.task === at.task;
  if (clicked === "node") return target.zone === at.zone && /balancer/.test(kind.fault);
  if (clicked === "zone") return target.zone === at.zone || isLink(target, at.zone);
  if (clicked === "function") return target.region === at.region && target.function === at.function;
  if (clicked in ABOUT_ROLE) {
    return target.region === at.region && ABOUT_ROLE[clicked].test(kind.fault);
  }
  if (target.task !== undefined && target.task !== "any") return false;
  return target.region === at.region || isLink(target, at.region);
}

function isLink(target, place) {
  return target.from === place || target.to === place;
}

function extra(target, at) {
  const others = Object.entries(target).filter(([name, value]) => at[name] !== value);
  return others.length ? ` (${wordsOf(Object.fromEntries(others))})` : "";
}

function titleOf(clicked, at) {
  if (clicked === "task") return `Task ${brief(at.task)} in ${at.zone}`;
  if (clicked === "node") return `Load balancer node in ${at.zone}`;
  if (clicked === "zone") return `Zone ${at.zone}`;
  if (clicked === "function") return `Function ${at.function} in ${at.region}`;
  if (clicked === "region") return `Region ${at.region}`;
  return `Database ${clicked} in ${at.zone ?? at.region}`;
}

function heading(text) {
  return h("header", { key: "heading" },
    h("h2", { id: "dialog-title" }, text),
    h("button", { type: "button", class: "quiet", "data-action": "close", "aria-label": "Close" },
      icon("cross")));
}

function answer() {
  return h("p", { class: "refusal", role: "alert", id: "refusal", key: "refusal" });
}

function field(name, given) {
  if (typeof given === "boolean") {
    return h("label", { class: "check" }, h("input", { type: "checkbox", name }), wordsFor(name));
  }
  const isNumber = typeof given !== "string";
  return h("label", {}, wordsFor(name), h("input", {
    name,
    type: isNumber ? "number" : "text",
    step: isNumber ? "any" : null,
    value: given === undefined ? null : given,
    required: given === undefined,
  }));
}

function wordsFor(name) {
  return name.replaceAll("_", " ");
}
