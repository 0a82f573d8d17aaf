// What the page shows of a status document, and that it has a place for all of it.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { CONSOLE, elements, find, loseRegion, loseZone, steady, words } from "./support.mjs";
import { charts } from "../../../src/evertill/twin/console/charts.js";
import * as faults from "../../../src/evertill/twin/console/faults.js";
import { EMPTY, withEvent, withStatus } from "../../../src/evertill/twin/console/history.js";
import * as map from "../../../src/evertill/twin/console/map.js";
import * as panels from "../../../src/evertill/twin/console/panels.js";
import { clientsTo, follows, rounded, wiresOf } from "../../../src/evertill/twin/console/wires.js";

const FAULT = {
  id: "7", fault: "cut-link", parameters: { from: "us-east-1", to: "us-east-2" }, since_s: 400,
  passes: false,
};
const EVENT = {
  number: 4, at_s: 400, epoch_s: 1, region: "us-east-1", part: "faults", kind: "fault.set",
  text: "<img src=x>", fields: {},
};
const MAIL = { id: "1", at: "today", to: "a@example.com", subject: "ALARM", region: "us-east-1" };
const KINDS = [
  { fault: "kill-task", summary: "Kill it.", passes: true, parameters: ["task", "region"],
    defaults: { region: "" }, targets: [{ task: "any", region: "us-east-1" }, { task: "t1" }] },
  { fault: "lose-zone", summary: "Lose it.", passes: false, parameters: ["zone"], defaults: {},
    targets: [{ zone: "us-east-1a" }, { zone: "us-east-1b" }] },
  { fault: "kill-writer", summary: "Kill it.", passes: true, parameters: ["region"], defaults: {},
    targets: [{ region: "us-east-1" }, { region: "us-east-2" }] },
  { fault: "delay-link", summary: "Slow it.", passes: false,
    parameters: ["from", "to", "delay_ms", "one_way"], defaults: { one_way: false },
    targets: [{ from: "us-east-1", to: "us-east-2" }] },
  { fault: "brand-new", summary: "Nobody knows.", passes: false, parameters: [], defaults: {},
    targets: [{}] },
];

function whole(status) {
  const memory = withEvent(withStatus(EMPTY, status), EVENT);
  return [
    panels.facts(status), panels.activeFaults(status), map.clients(status), map.regions(status),
    map.links(status), charts(memory), panels.alarms(status), panels.timeline(memory.events),
    panels.dns(status), panels.door(status), panels.mails([MAIL]), faults.panel(KINDS),
  ].flat(Infinity);
}

const everything = () => steady((status) => {
  status.faults = [FAULT];
  status.links = [{ from: "us-east-1", to: "us-east-2", is_cut: true, delay_ms: 0, bytes_per_s: 0 }];
});

/** The paths of a document as the page's reference names them. */
function paths(value, path = "") {
  if (["regions", "zones"].includes(path.split(".").at(-1)) && value !== null) {
    return Object.values(value).flatMap((item) => paths(item, `${path}.*`));
  }
  if (Array.isArray(value)) return value.flatMap((item) => paths(item, `${path}[]`));
  if (value === null || typeof value !== "object") return [path];
  const names = Object.entries(value);
  return names.flatMap(([name, item]) => paths(item, path ? `${path}.${name}` : name));
}

function reference() {
  const text = readFileSync(new URL("../../../../docs/reference/console.md", CONSOLE), "utf8");
  const rows = text.split("\n").filter((line) => line.startsWith("| ") && line.includes("`"));
  return rows.map((line) => line.split("|").slice(1, 3)
    .map((cell) => [...cell.matchAll(/`([^`]+)`/g)].map((match) => match[1])));
}

test("every field of a status document has a row in the page's reference", () => {
  const rows = reference().flatMap(([fields]) => fields);
  const missing = [...new Set(paths(everything()))].filter((path) => !rows.some(
    (row) => path === row || path.startsWith(`${row}.`)
      || (row.endsWith("[]") && path.startsWith(row))));
  assert.deepEqual(missing, []);
});

test("everything that the page's reference promises is on the page", () => {
  const html = readFileSync(new URL("index.html", CONSOLE), "utf8");
  const shown = whole(everything());
  const missing = reference().flatMap(([, places]) => places).filter((place) => {
    if (place.startsWith("#")) return !html.includes(`id="${place.slice(1)}"`);
    const [, name, value] = place.match(/^\[([a-z-]+)(?:=(.*))?\]$/);
    return find(shown, name, value) === undefined;
  });
  assert.deepEqual(missing, []);
});

test("what comes from the twin is text, whatever it looks like", () => {
  const item = find(panels.timeline([EVENT]), "data-event", "4");
  assert.ok(words(item).includes("<img src=x>"));
  assert.ok(elements(item).every((element) => element.tag !== "img"));
});

test("every button has a name", () => {
  const dialogs = [
    faults.targetDialog(KINDS, "zone", { zone: "us-east-1b", region: "us-east-1" }),
    faults.kindDialog(KINDS[3]), faults.mailDialog({ ...MAIL, body: "b" }),
  ];
  for (const button of elements([whole(everything()), dialogs]).filter((item) => item.tag === "button")) {
    assert.ok(button.attributes["aria-label"] || words(button).trim(), JSON.stringify(button));
    assert.ok(button.attributes.type);
  }
});

test("keys are unique among siblings, or the page would lose elements", () => {
  const check = (children) => {
    const keys = children.map((child) => child.key).filter((key) => key != null);
    assert.equal(new Set(keys).size, keys.length, String(keys));
    for (const child of children) if ("tag" in child) check(child.children);
  };
  const status = everything();
  check(map.regions(status));
  check(panels.alarms(status));
  check(panels.dns(status));
});

test("a lost zone is marked as lost down its whole column", () => {
  const shown = map.regions(steady(loseZone));
  assert.equal(find(shown, "data-zone", "us-east-1b").attributes["data-state"], "lost");
  const column = elements(shown).filter((item) => item.attributes["data-in"] === "us-east-1b");
  assert.ok(column.length >= 3);
  assert.ok(column.every((item) => item.attributes["data-zone-state"] === "lost"));
});

test("health is told in words and by an icon, not by colour alone", () => {
  const shown = map.regions(steady((status) => {
    status.regions["us-east-1"].tasks[1].frozen = true;
  }));
  const frozen = elements(shown).find((item) => item.attributes["data-frozen"] === "true");
  assert.match(frozen.attributes["aria-label"], /running, frozen/);
  assert.ok(elements(frozen).some((item) => item.attributes.href === "icons.svg#frozen"));
});

test("the line from clients leads to the region that DNS names", () => {
  const tones = (change) => Object.fromEntries(wiresOf(steady(change))
    .filter((wire) => wire.kind === "dns").map((wire) => [wire.to, wire.tone]));
  assert.deepEqual(tones(), { "us-east-1": "ok", "us-east-2": "idle" });
  assert.deepEqual(tones((status) => { status.door.answers_from = null; }),
    { "us-east-1": "idle", "us-east-2": "idle" });
  assert.deepEqual(tones(loseRegion), { "us-east-1": "bad", "us-east-2": "idle" });
});

test("the line between the regions turns bad when the link is cut or the writer is gone", () => {
  const tone = (change) => wiresOf(steady(change)).find((wire) => wire.kind === "follow").tone;
  assert.equal(tone(), "ok");
  assert.equal(tone((status) => { status.links = everything().links; }), "bad");
  assert.equal(tone(loseRegion), "bad");
});

test("lines are paths along the axes, beside each other and below each other", () => {
  const box = (left, top) => ({ left, right: left + 100, top, bottom: top + 50 });
  const along = (points) => points.slice(1).every(
    (point, at) => point.x === points[at].x || point.y === points[at].y);
  for (const points of [
    clientsTo(box(200, 0), box(0, 100), true, false),
    clientsTo(box(200, 0), box(0, 100), true, true),
    clientsTo(box(200, 0), box(0, 300), false, true),
    follows(box(0, 100), box(300, 120), 9),
    follows(box(0, 100), box(0, 320), 17, 400),
  ]) {
    assert.ok(along(points), JSON.stringify(points));
    assert.match(rounded(points), /^M[\d.]+ [\d.]+/);
    assert.ok(!rounded(points).includes("NaN"));
  }
});

test("what is pressed offers the faults that it can have", () => {
  const offered = (kind, at) => faults.faultsOf(KINDS, kind, at).map((item) => item.kind.fault);
  assert.deepEqual(offered("task", { task: "t1", region: "us-east-1" }), ["kill-task"]);
  assert.deepEqual(offered("zone", { zone: "us-east-1b", region: "us-east-1" }), ["lose-zone"]);
  assert.deepEqual(offered("writer", { region: "us-east-1" }), ["kill-writer"]);
  assert.deepEqual(offered("region", { region: "us-east-1" }), ["kill-task", "kill-writer", "delay-link"]);
});

test("a kind that the page has never heard of is offered like the others", () => {
  const titles = faults.grouped(KINDS).map(([title]) => title);
  assert.equal(titles.at(-1), "Other");
  assert.ok(find(faults.panel(KINDS), "data-fault-kind", "brand-new"));
});

test("a fault that nothing can have now says so", () => {
  const shown = faults.kindDialog({ ...KINDS[3], targets: [] });
  assert.match(words(shown), /There is nothing now that it could be set on\./);
  assert.ok(elements(shown).every((item) => item.tag !== "form"));
});

test("several targets are asked for, and one is set at once", () => {
  const action = (kind, at) => elements(faults.targetDialog(KINDS, kind, at))
    .filter((item) => item.attributes["data-fault-kind"])
    .map((item) => [item.attributes["data-fault-kind"], item.attributes["data-action"]]);
  assert.deepEqual(action("zone", { zone: "us-east-1b" }), [["lose-zone", "inject"]]);
  assert.deepEqual(action("region", { region: "us-east-2" }).at(-1), ["delay-link", "fault"]);
});

test("only ids that nobody could tell are shortened", () => {
  assert.equal(faults.wordsOf({ task: "9c806ec73e8c4383a80f401c404cbd7f" }), "9c806e");
  assert.equal(faults.wordsOf({ function: "payment-validation-dev" }), "payment-validation-dev");
});

test("a fault that needs a number asks for it, and takes what is a number as one", () => {
  assert.deepEqual(faults.needed(KINDS[3]), ["delay_ms", "one_way"]);
  const fields = elements(faults.kindDialog(KINDS[3])).filter((item) => item.tag === "input");
  assert.deepEqual(fields.map((item) => item.attributes.type), ["number", "checkbox"]);
  assert.equal(faults.valueOf("250", undefined), 250);
  assert.equal(faults.valueOf("250", ""), "250");
});
