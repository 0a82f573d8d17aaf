// The lists below the map: active faults, alarms, events, mails, and what DNS answers. Pure.

import { h, icon } from "./dom.js";
import { frontRecords } from "./map.js";
import { brief, clock, count, duration } from "./words.js";

const EVENTS_SHOWN = 120;
const STATE_ICONS = { ALARM: "bell", OK: "check", INSUFFICIENT_DATA: "dots" };
const STATE_WORDS = { ALARM: "alarm", OK: "ok", INSUFFICIENT_DATA: "no data" };
const STATE_ORDER = ["ALARM", "INSUFFICIENT_DATA", "OK"];
const BAD = /\.(lost|failed|refused|broken|unhealthy|diverged|node_lost|node_failed|rollback)$/;
const GOOD = /\.(healthy|joined|completed|finished|steady|undone|writer|lifted)$/;

/** Describe the faults that are set, each with its undo. */
export function activeFaults(status) {
  return status.faults.map((fault) => h(
    "li",
    { key: fault.id, "data-fault": fault.id },
    icon("bolt"),
    h("b", {}, fault.fault),
    h("span", { class: "on" }, parametersOf(fault.parameters)),
    h("span", { class: "age" }, fault.passes
      ? `${duration(status.up_s - fault.since_s)} ago`
      : `for ${duration(status.up_s - fault.since_s)}`),
    h(
      "button",
      { type: "button", "data-action": "undo", "data-id": fault.id,
        "aria-label": `Undo ${fault.fault} ${parametersOf(fault.parameters)}` },
      icon("undo"),
      fault.passes ? "Dismiss" : "Undo",
    ),
  ));
}

/** A fault's parameters in words: its values, long ids shortened. */
export function parametersOf(parameters) {
  const { from, to, ...others } = parameters;
  const words = Object.entries(others).map(([name, value]) =>
    typeof value === "number" || typeof value === "boolean"
      ? `${name} ${value}`
      : brief(String(value)));
  if (from !== undefined) words.unshift(`${from} → ${to}`);
  return words.join(", ");
}

/** Describe the alarms of all regions, those that ring first. */
export function alarms(status) {
  return Object.entries(status.regions).map(([name, region]) => {
    const sorted = region.alarms.toSorted((one, other) =>
      STATE_ORDER.indexOf(one.state) - STATE_ORDER.indexOf(other.state)
        || one.name.localeCompare(other.name));
    const rings = sorted.filter((alarm) => alarm.state === "ALARM").length;
    return h(
      "section",
      { key: name, "data-alarms-of": name, "aria-label": `Alarms of ${name}` },
      h("h4", {}, name, " ", h("span", { "data-bad": rings > 0 },
        rings ? `${rings} of ${sorted.length} ring` : `${count(sorted.length, "alarm")}, quiet`)),
      h("ul", {}, sorted.map((alarm) => alarmItem(status, name, alarm))),
    );
  });
}

/** Describe the timeline, the newest first. */
export function timeline(events) {
  return events.slice(-EVENTS_SHOWN).reverse().map((event) => h(
    "li",
    { key: event.number, "data-event": event.number, "data-kind": event.kind,
      "data-tone": toneOf(event) },
    h("span", { class: "at" }, clock(event.at_s)),
    icon(iconOf(event)),
    h("span", { class: "what" }, textOf(event),
      event.region && !textOf(event).includes(event.region)
        ? h("span", { class: "where" }, event.region) : null),
  ));
}

/** An event in words: as it was told, and of a fault without the whole of long ids. */
export function textOf(event) {
  if (!event.kind.startsWith("fault.") || !event.fields?.fault) return event.text;
  const prefix = "parameter_";
  const given = Object.entries(event.fields).filter(([name]) => name.startsWith(prefix));
  const named = Object.fromEntries(given.map(([name, value]) => [name.slice(prefix.length), value]));
  const undone = event.kind === "fault.undone" ? " was undone" : "";
  return `${event.fields.fault} ${parametersOf(named)}`.trim() + undone;
}

/** How an event is to be taken: fault, bad, good or plain. */
export function toneOf(event) {
  if (event.kind === "fault.set") return "fault";
  if (event.kind === "alarm.changed") {
    return { ALARM: "bad", OK: "good" }[event.fields?.new] ?? "plain";
  }
  if (BAD.test(event.kind)) return "bad";
  return GOOD.test(event.kind) ? "good" : "plain";
}

/** Describe the mails, the newest first. */
export function mails(items) {
  return items.toReversed().map((mail) => h(
    "li",
    { key: mail.id, "data-mail": mail.id },
    h(
      "button",
      { type: "button", class: "mail", "data-action": "mail", "data-id": mail.id },
      icon("mail"),
      h("span", { class: "subject" }, mail.subject),
      h("span", { class: "to" }, `to ${mail.to}`, mail.region ? `, from ${mail.region}` : ""),
    ),
  ));
}

/** Describe the records that clients meet, and the health checks behind them. */
export function dns(status) {
  const checks = new Map(status.dns.checks.map((check) => [check.id, check]));
  const records = frontRecords(status);
  const others = status.dns.records.filter((record) => !records.includes(record));
  return [
    h("ul", { class: "records" }, [...records, ...others].map((record, at) => h(
      "li",
      { key: `record:${at}`, "data-record": record.name,
        "data-answers-now": String(record.answers) },
      icon(record.answers ? "arrow" : record.healthy ? "standby" : "cross"),
      h("b", {}, record.name),
      h("span", { class: "answer" }, recordWords(record)),
    ))),
    h("h4", {}, "Health checks"),
    h("ul", { class: "records" }, [...checks.values()].map((check) => h(
      "li",
      { key: `check:${check.id}`, "data-check-id": check.id,
        "data-healthy": String(check.healthy) },
      icon(check.healthy ? "check" : "cross"),
      h("b", {}, check.name),
      h("span", { class: "answer" }, `${check.healthy ? "healthy" : "not healthy"}: `
        + `${check.vantage.filter(Boolean).length} of ${check.vantage.length} `
        + "vantage points find it ready"),
    ))),
  ];
}

/** Describe the facts of the twin itself. */
export function facts(status) {
  return [
    h("span", { "data-fact": "speed" }, `speed ×${status.speed}`),
    h("span", { "data-fact": "up" }, `up ${clock(status.up_s)}`),
    h("span", { "data-fact": "memory" }, `${status.memory_mb} MB in ${status.processes} processes`),
  ];
}

/** Describe the way in, for who wants to send a payment. */
export function door(status) {
  const held = status.door;
  const rows = [
    ["Front door", held?.url, "door-url"],
    ["Its authority", held?.ca, "door-ca"],
    ["API key", held?.key, "door-key"],
    ["Control API", status.control, "control"],
    ["DNS server", status.dns.server, "dns-server"],
    ["Folder", status.folder, "folder"],
    ...Object.entries(status.regions).map(
      ([name, region]) => [`AWS API, ${name}`, region.endpoint, `endpoint-${name}`]),
  ];
  return rows.filter(([, value]) => value).map(([title, value, field]) => h(
    "div",
    { key: field },
    h("dt", {}, title),
    h("dd", {}, h("code", { "data-fact": field }, value)),
  ));
}

function recordWords(record) {
  const words = [record.type, record.role?.toLowerCase()].filter(Boolean).join(", ");
  const leads = record.region ? ` → ${record.region}` : "";
  if (record.answers) return `${words}${leads}: is the answer`;
  return `${words}${leads}: ${record.healthy ? "not the answer" : "not healthy"}`;
}

function alarmItem(status, region, alarm) {
  const age = alarm.since_s === null ? "" : `for ${duration(status.up_s - alarm.since_s)}`;
  const history = alarm.history.toSorted((one, other) => other.at_s - one.at_s);
  return h(
    "li",
    { key: alarm.name, "data-alarm": `${region}/${alarm.name}`, "data-state": alarm.state },
    h(
      "details",
      {},
      h("summary", {},
        icon(STATE_ICONS[alarm.state] ?? "dots"),
        h("span", { class: "name" }, alarm.name),
        h("span", { class: "state" }, STATE_WORDS[alarm.state] ?? alarm.state),
        h("span", { class: "age" }, age)),
      history.length
        ? h("ol", {}, history.map((change) => h("li", {},
            h("span", { class: "at" }, clock(change.at_s)),
            h("span", {}, h("b", {}, STATE_WORDS[change.to] ?? change.to), ` ${change.reason}`))))
        : h("p", {}, "It has not changed since the start."),
    ),
  );
}

function iconOf(event) {
  if (event.kind.startsWith("fault.")) return event.kind === "fault.set" ? "bolt" : "undo";
  if (event.kind.startsWith("mail.")) return "mail";
  if (event.kind.startsWith("alarm.")) return STATE_ICONS[event.fields?.new] ?? "bell";
  return { bad: "alert", good: "check" }[toneOf(event)] ?? "dot";
}
