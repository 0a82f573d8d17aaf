// The map: who asks, which region DNS names, and what runs in which zone of which region.
//
// Pure: a status document in, descriptions of elements out. Rows are what a payment passes on its
// way down (load balancer, services, databases), columns are zones; nothing knows anyone's names.

import { h, icon } from "./dom.js";
import {
  LAG_NOTABLE_MS, answersFrom, hasSource, isDown, lagOf, linksOf, wantedOf,
} from "./story.js";
import { brief, count, lag, short } from "./words.js";

const ROLES = { active: "takes payments", standby: "standby", lost: "lost" };
const TASK_ICONS = { HEALTHY: "check", UNHEALTHY: "alert", UNKNOWN: "dots" };

/** Describe where clients come in. */
export function clients(status) {
  const names = [...new Set(frontRecords(status).map((record) => record.name))];
  const answers = answersFrom(status);
  return [
    icon("people"),
    h("strong", {}, "Clients"),
    h("span", { class: "asks" }, "ask DNS for ", h("b", {}, names[0] ?? "the service")),
    h("span", { class: "asks", "data-answers": answers ?? "" }, answers
      ? ["and get ", h("b", {}, answers)]
      : "and get no region"),
  ];
}

/** Describe all regions, with what flows between each two of them in between. */
export function regions(status) {
  const names = Object.keys(status.regions);
  return names.flatMap((name, at) => [
    at ? between(status, names[at - 1], name) : null,
    region(status, name),
  ]).filter((item) => item !== null);
}

/** Describe the links that are not as they should be. */
export function links(status) {
  return linksOf(status).map((item) => h(
    "li",
    { key: `${item.from}>${item.to}`, "data-link": `${item.from}>${item.to}` },
    icon(item.is_cut ? "cut" : "clock"),
    `${item.from} ${item.isBoth ? "↔" : "→"} ${item.to}: ${linkWords(item)}`,
  ));
}

/** What was done to a link, in words. */
export function linkWords(item) {
  if (item.is_cut) return "cut";
  const words = [];
  if (item.delay_ms) words.push(`${short(item.delay_ms)} ms slower`);
  if (item.bytes_per_s) words.push(`at most ${short(item.bytes_per_s)} bytes a second`);
  return words.join(", ");
}

/** The records that a client of the service meets: those of a failover pair, else any address. */
export function frontRecords(status) {
  const pair = status.dns.records.filter((record) => record.role !== null);
  return pair.length ? pair : status.dns.records.filter((record) => record.type === "A");
}

function between(status, one, other) {
  const pair = [[one, other], [other, one]].map(([from, to]) => follower(status, from, to));
  const found = pair.find((item) => item !== null) ?? null;
  const tone = found?.tone ?? "none";
  return h(
    "div",
    { class: "between", key: `between:${one}:${other}`, "data-between": "", "data-tone": tone },
    found === null
      ? h("span", {}, "nothing is copied")
      : [
          h("span", { class: "flow" }, icon(found.tone === "ok" ? "flow" : "alert"), found.title),
          h("b", { "data-lag": found.region }, found.text),
          h("span", {}, "behind"),
        ],
  );
}

function follower(status, from, to) {
  const behind = lagOf(status.regions[to]);
  if (behind === null || status.regions[to].role === "lost") return null;
  const cut = status.links.some((item) => item.is_cut && joins(item, from, to));
  const stopped = hasSource(status) ? cut ? "link cut" : null : "no writer";
  const tone = stopped !== null || behind >= LAG_NOTABLE_MS ? "bad" : "ok";
  return { region: to, tone, text: lag(behind), title: stopped ?? "replication" };
}

function joins(link, from, to) {
  return (link.from === from && link.to === to) || (link.from === to && link.to === from);
}

function region(status, name) {
  const data = status.regions[name];
  const zones = Object.keys(data.zones);
  return h(
    "article",
    {
      class: "region",
      key: `region:${name}`,
      id: `region-${name}`,
      "aria-labelledby": `region-name-${name}`,
      "data-region": name,
      "data-role": data.role,
      "data-dns": String(answersFrom(status) === name),
    },
    head(status, name, data),
    grid(name, data, zones),
    foot(status, name, data),
  );
}

function head(status, name, data) {
  const lease = status.lease;
  const rings = data.alarms.filter((alarm) => alarm.state === "ALARM").length;
  return h(
    "header",
    {},
    h("h3", { id: `region-name-${name}` }, name),
    h(
      "span",
      { class: "role", "data-value": data.role },
      icon({ active: "check", standby: "standby", lost: "cross" }[data.role] ?? "dots"),
      ROLES[data.role] ?? data.role,
    ),
    lease?.region === name
      ? h("span", { class: "chip", "data-lease": lease.epoch }, icon("key"),
          `lease, epoch ${lease.epoch}`)
      : null,
    rings
      ? h("a", { class: "chip bad", href: "#alarms-title", "data-rings": rings }, icon("bell"),
          count(rings, "alarm"))
      : null,
    button("region", { region: name }, `Faults of ${name}`, "more", "Faults"),
  );
}

function grid(name, data, zones) {
  const rows = [
    ...data.load_balancer.map((item) => balancerRow(name, data, item)),
    ...data.services.map((item) => serviceRow(name, data, item)),
    ...data.database.clusters.map((item) => clusterRow(name, data, item)),
  ];
  return h(
    "div",
    { class: "grid", "data-zones": zones.length },
    zones.map((zone) => zoneHead(name, zone, data.zones[zone])),
    rows,
  );
}

function zoneHead(name, zone, data) {
  const isUp = data.state === "up";
  return h(
    "div",
    { class: "zone-head", key: `zone:${zone}`, "data-zone": zone, "data-state": data.state },
    target(
      "zone",
      { zone, region: name },
      `Zone ${zone}, ${data.state}: faults`,
      h("span", { class: "zone-name" }, zone),
      isUp ? null : h("span", { class: "lost" }, icon("cross"), data.state),
    ),
  );
}

function row(key, title, detail, cells, bad) {
  return h(
    "div",
    { class: "layer", key },
    h("div", { class: "caption", "data-bad": bad }, h("b", {}, title), h("span", {}, detail)),
    cells,
  );
}

function balancerRow(name, data, balancer) {
  const cells = Object.keys(data.zones).map((zone) => {
    const node = balancer.nodes.find((item) => item.zone === zone);
    if (node === undefined) return cell(data, zone);
    const targets = balancer.targets.filter((item) => item.zone === zone);
    const healthy = targets.filter((item) => item.health === "healthy").length;
    const state = isDown(node) ? node.state : "answers";
    return cell(data, zone, target(
      "node",
      { zone, region: name },
      `Load balancer node in ${zone}, ${state}, ${healthy} of ${count(targets.length, "target")} `
        + "healthy: faults",
      h("span", { class: "box node", "data-node": zone, "data-state": node.state },
        icon(isDown(node) ? "cross" : "balancer"),
        h("span", {}, state)),
    ));
  });
  const healthy = balancer.targets.filter((item) => item.health === "healthy").length;
  const total = balancer.targets.length;
  const detail = h("span", { "data-balancer": balancer.name, title: balancer.name },
    `${healthy} of ${total} targets`);
  return row(`balancer:${balancer.name}`, "Load balancer", detail, cells, healthy < total);
}

function serviceRow(name, data, service) {
  const mine = data.tasks.filter((task) => task.service === service.name);
  const cells = Object.keys(data.zones).map((zone) => cell(
    data,
    zone,
    h("span", { class: "tasks" }, mine.filter((task) => task.zone === zone).map(
      (task) => taskCell(name, task),
    )),
  ));
  const wanted = wantedOf(service);
  const capped = wanted < service.desired ? ` (${service.desired} on AWS)` : "";
  const isDeploying = service.deployment?.state === "IN_PROGRESS";
  const deploys = isDeploying ? ", deploying" : service.is_steady === false ? ", changing" : "";
  const detail = h(
    "span",
    { "data-service": service.name, title: service.name },
    `${service.running} of ${wanted} run${capped}${deploys}`,
  );
  return row(`service:${service.name}`, "Tasks", detail, cells, service.running < wanted);
}

function taskCell(name, task) {
  const health = task.frozen ? "FROZEN" : (task.health ?? "UNKNOWN");
  const isRunning = task.state === "RUNNING";
  const glyph = task.frozen ? "frozen" : isRunning ? TASK_ICONS[health] ?? "dots" : "dots";
  const how = [task.state, health].map((word) => word.toLowerCase()).join(", ");
  return h(
    "button",
    {
      ...context("task", { task: task.id, zone: task.zone, region: name }),
      key: `task:${task.id}`,
      class: "task",
      "data-task": task.id,
      "data-state": task.state,
      "data-health": health,
      "data-frozen": String(task.frozen),
      "aria-label": `Task ${brief(task.id)} in ${task.zone}, ${how}: faults`,
      title: `Task ${brief(task.id)}: ${how}`,
    },
    icon(glyph),
  );
}

function clusterRow(name, data, cluster) {
  const cells = Object.keys(data.zones).map((zone) => cell(
    data,
    zone,
    cluster.instances.filter((item) => item.zone === zone).map(
      (item) => instance(name, cluster, item),
    ),
  ));
  const words = {
    writer: cluster.state,
    standby: cluster.lag_ms === null ? "follows" : `${lag(cluster.lag_ms)} behind`,
    alone: `${cluster.state}, not replicated`,
  };
  const detail = h(
    "span",
    { "data-cluster": cluster.identifier, "data-role": cluster.role, title: cluster.identifier },
    words[cluster.role] ?? cluster.state,
  );
  const bad = cluster.state !== "available" || (cluster.lag_ms ?? 0) >= LAG_NOTABLE_MS;
  return row(`cluster:${cluster.identifier}`, "Database", detail, cells, bad);
}

function instance(name, cluster, item) {
  const state = item.frozen ? "frozen" : isDown(item) ? item.state : null;
  const glyph = item.frozen ? "frozen" : isDown(item) ? "cross" : "database";
  return target(
    item.role,
    { region: name, zone: item.zone, instance: item.identifier },
    `Database ${item.identifier} in ${item.zone}, ${item.role}, ${state ?? item.state}: faults`,
    h(
      "span",
      {
        class: "box instance",
        "data-instance": `${name}/${item.identifier}`,
        "data-cluster-of": cluster.identifier,
        "data-role": item.role,
        "data-state": item.state,
        "data-frozen": String(item.frozen),
      },
      icon(glyph),
      h("span", {}, h("b", {}, item.role), state === null ? null : h("small", {}, state)),
    ),
  );
}

function foot(status, name, data) {
  const checks = status.dns.checks.filter((check) => data.name && check.name.includes(data.name));
  return h(
    "footer",
    {},
    checks.map((check) => h(
      "span",
      { class: "fact", key: `check:${check.id}`, "data-check": check.id,
        "data-healthy": String(check.healthy) },
      icon(check.healthy ? "check" : "cross"),
      `health check: ${check.vantage.filter(Boolean).length} of ${check.vantage.length} `
        + "vantage points see it ready",
    )),
    data.functions.map((item) => target(
      "function",
      { region: name, function: item.name },
      `Function ${item.name}, ${item.state}: faults`,
      h("span", { class: "fact", "data-function": item.name, "data-state": item.state },
        icon("function"), `${item.name}: ${item.state}`),
    )),
    data.objects.replication.map((item) => h(
      "span",
      { class: "fact", "data-objects": item.to, "data-paused": String(item.paused) },
      icon(item.paused ? "pause" : "flow"),
      item.paused
        ? `objects to ${item.to}: paused, ${item.pending} wait`
        : `objects to ${item.to}: ${item.pending ? `${item.pending} wait` : "all copied"}`,
    )),
  );
}

function cell(data, zone, ...held) {
  const state = data.zones[zone].state;
  return h("div", { class: "cell", key: `cell:${zone}`, "data-in": zone, "data-zone-state": state },
    held);
}

function target(kind, parameters, label, ...held) {
  const first = Object.values(parameters).join(":");
  const attributes = { ...context(kind, parameters), class: "target", "aria-label": label };
  return h("button", { key: `${kind}:${first}`, ...attributes }, held);
}

function button(kind, parameters, label, glyph, text) {
  const attributes = { ...context(kind, parameters), class: "quiet", "aria-label": label };
  return h("button", attributes, icon(glyph), text);
}

/** The attributes by which a click on a part finds the faults that it can have. */
export function context(kind, parameters) {
  const held = Object.entries(parameters).map(([name, value]) => [`data-at-${name}`, value]);
  const action = { type: "button", "data-action": "target", "data-kind": kind };
  return { ...action, ...Object.fromEntries(held) };
}
