// The one sentence at the top: who takes payments, who follows, and what is broken, in words.
//
// Pure: a status document in, words out. `text` is what is shown; `announcement` is the same
// without what changes every second, so that a screen reader speaks only when something happened.

import { capital, count, duration, lag, list } from "./words.js";

export const LAG_NOTABLE_MS = 5_000;
const NAMED_MAX = 2;

/** Tell how the twin is; `since` knows since when each trouble is there, in twin seconds. */
export function story(status, since = {}) {
  const troubles = troublesOf(status);
  const parts = [
    broken(troubles, status, since),
    service(status, troubles.length > 0),
    followers(status),
    alarms(status),
  ].filter((part) => part !== null);
  const tone = toneOf(status, troubles);
  return {
    tone,
    text: parts.map((part) => part.text).join(" "),
    announcement: parts.map((part) => part.steady ?? part.text).join(" "),
  };
}

/** Say that nothing has been heard for some seconds. */
export function silence(seconds, everHeard) {
  if (!everHeard) {
    return {
      tone: "gone",
      text: "The twin does not answer. This page connects as soon as it does.",
      announcement: "The twin does not answer.",
    };
  }
  return {
    tone: "gone",
    text: `The twin has not answered for ${duration(seconds)}. What is shown is how it was then.`,
    announcement: "The twin does not answer any more.",
  };
}

/** What is broken, the largest first; `key` is the same as long as it lasts. */
export function troublesOf(status) {
  const found = [];
  for (const [name, region] of Object.entries(status.regions)) {
    if (region.role === "lost") {
      found.push({ key: `region:${name}`, weight: 5, short: `${name} is lost` });
      continue;
    }
    const lost = Object.entries(region.zones).filter(([, zone]) => zone.state !== "up");
    for (const [zone] of lost) {
      found.push({ key: `zone:${zone}`, weight: 4, short: `${zone} is lost` });
    }
    const gone = new Set(lost.map(([zone]) => zone));
    found.push(...databaseTroubles(name, region, gone), ...serviceTroubles(name, region, gone));
  }
  for (const link of linksOf(status).filter((item) => item.is_cut)) {
    const text = link.isBoth
      ? `the link between ${link.from} and ${link.to} is cut`
      : `the link from ${link.from} to ${link.to} is cut`;
    found.push({ key: `link:${link.from}:${link.to}`, weight: 3, short: text });
  }
  return found.sort((one, other) => other.weight - one.weight);
}

/** The links that are not plain; two directions that are alike are one. */
export function linksOf(status) {
  const isBack = (one, other) => one.from === other.to && one.to === other.from
    && one.is_cut === other.is_cut && one.delay_ms === other.delay_ms
    && one.bytes_per_s === other.bytes_per_s;
  return status.links.flatMap((link, at) => {
    if (status.links.slice(0, at).some((other) => isBack(link, other))) return [];
    const isBoth = status.links.slice(at + 1).some((other) => isBack(link, other));
    return [{ ...link, isBoth }];
  });
}

/** The region that takes payments by its role, null where none or several do. */
export function activeOf(status) {
  const active = Object.keys(status.regions).filter(
    (name) => status.regions[name].role === "active",
  );
  return active.length === 1 ? active[0] : null;
}

/** The largest lag of a region's clusters that follow another, null where none does. */
export function lagOf(region) {
  const lags = region.database.clusters
    .filter((cluster) => cluster.role === "standby" && cluster.lag_ms !== null)
    .map((cluster) => cluster.lag_ms);
  return lags.length ? Math.max(...lags) : null;
}

/** The region that DNS names to clients, null without a front door or an answer. */
export function answersFrom(status) {
  return status.door?.answers_from ?? null;
}

/** Whether there is a writer, in a region that is there, which standbys can follow. */
export function hasSource(status) {
  return Object.values(status.regions).some((region) => region.role !== "lost"
    && region.database.clusters.some((cluster) => cluster.role === "writer"
      && cluster.instances.some(
        (item) => item.role === "writer" && !isDown(item) && !item.frozen)));
}

/** The alarms that ring, of all regions. */
export function ringing(status) {
  return Object.values(status.regions).flatMap((region) =>
    region.alarms.filter((alarm) => alarm.state === "ALARM").map((alarm) => alarm.name),
  );
}

function databaseTroubles(name, region, gone) {
  const found = [];
  for (const cluster of region.database.clusters) {
    if (cluster.role === "standby") continue;
    const writer = cluster.instances.find((item) => item.role === "writer");
    if (cluster.state === "failing-over") {
      const text = `the database of ${name} is changing its writer`;
      found.push({ key: `failover:${name}`, weight: 4, short: text });
    } else if (writer?.frozen) {
      found.push({ key: `writer:${name}`, weight: 4, short: `the writer in ${name} is frozen` });
    } else if (writer === undefined || isDown(writer) || cluster.state === "unavailable") {
      found.push({ key: `writer:${name}`, weight: 4, short: `${name} has no writer` });
    }
    const down = cluster.instances.filter(
      (item) => item.role !== "writer" && (isDown(item) || item.frozen) && !gone.has(item.zone),
    );
    for (const item of down) {
      const how = item.frozen ? "frozen" : "down";
      const text = `the ${item.role} in ${item.zone} is ${how}`;
      found.push({ key: `instance:${name}:${item.identifier}`, weight: 2, short: text });
    }
  }
  return found;
}

function serviceTroubles(name, region, gone) {
  const found = [];
  const frozen = region.tasks.filter((task) => task.frozen && !gone.has(task.zone)).length;
  if (frozen) {
    const verb = frozen === 1 ? "is" : "are";
    const text = `${count(frozen, "task")} of ${name} ${verb} frozen`;
    found.push({ key: `frozen:${name}`, weight: 2, short: text });
  }
  for (const service of region.services) {
    const wanted = wantedOf(service);
    if (service.running >= wanted) continue;
    const text = `${service.running} of ${wanted} tasks run in ${name}`;
    found.push({ key: `tasks:${name}:${service.name}`, weight: 1, short: text });
  }
  const nodes = region.load_balancer.flatMap((item) => item.nodes);
  for (const node of nodes.filter((item) => isDown(item) && !gone.has(item.zone))) {
    const text = `the load balancer's node in ${node.zone} is down`;
    found.push({ key: `node:${node.zone}`, weight: 2, short: text });
  }
  return found;
}

/** How many tasks a service should have here: fewer than it wants where --tasks says so. */
export function wantedOf(service) {
  return service.started_max === null
    ? service.desired
    : Math.min(service.desired, service.started_max);
}

/** Whether the state of an instance or node means that it does not work. */
export function isDown(item) {
  return !["up", "available", "running", "healthy", "answers"].includes(item.state);
}

function broken(troubles, status, since) {
  if (!troubles.length) return idleFaults(status);
  const [first, ...others] = troubles;
  const began = since[first.key];
  const age = began === undefined ? "" : `, for ${duration(status.up_s - began)} now`;
  const more = others.slice(0, NAMED_MAX).map((item) => item.short);
  const rest = others.length - more.length;
  const also = list([...more, ...(rest > 0 ? [`${rest} more`] : [])]);
  const tail = also ? `; ${also}` : "";
  return {
    text: `${capital(first.short)}${age}${tail}.`,
    steady: `${capital(first.short)}${tail}.`,
  };
}

function idleFaults(status) {
  if (!status.faults.length) return null;
  const kinds = list(status.faults.slice(0, NAMED_MAX).map((item) => item.fault));
  const verb = status.faults.length === 1 ? "is" : "are";
  const named = status.faults.length <= NAMED_MAX ? ` (${kinds})` : "";
  return { text: `${count(status.faults.length, "fault")} ${verb} active${named}.` };
}

function service(status, isTroubled) {
  const names = Object.keys(status.regions);
  const active = names.filter((name) => status.regions[name].role === "active");
  const answers = answersFrom(status);
  if (active.length > 1 && !isPaired(status)) {
    return { text: `${list(active)} serve each on their own; nothing is copied between them.` };
  }
  if (active.length > 1) return { text: `${list(active)} both act as the active region.` };
  if (!active.length) return { text: "No region takes payments." };
  const [region] = active;
  if (status.door === null) return { text: `${region} takes requests.` };
  if (answers === null) {
    return { text: `${region} may take payments, but DNS leads clients nowhere.` };
  }
  if (answers !== region) {
    return { text: `${region} may take payments, but DNS still leads clients to ${answers}.` };
  }
  const traffic = status.regions[region].traffic;
  if (traffic.errors_5xx_per_s > 0 && traffic.errors_5xx_per_s >= traffic.requests_per_s / 2) {
    return { text: `Clients reach ${region}, but it answers with errors.` };
  }
  return { text: `${region} ${isTroubled ? "still takes" : "takes"} payments.` };
}

function followers(status) {
  const parts = [];
  for (const [name, region] of Object.entries(status.regions)) {
    const behind = region.role === "standby" ? lagOf(region) : null;
    if (behind === null) continue;
    if (!hasSource(status)) {
      const text = `${name} stands by with what was copied to it.`;
      parts.push({ text, steady: text });
      continue;
    }
    if (status.links.some((link) => link.is_cut && [link.from, link.to].includes(name))) {
      parts.push({ text: `${name} is ${lag(behind)} behind.`, steady: `${name} falls behind.` });
      continue;
    }
    const steady = `${name} ${behind < LAG_NOTABLE_MS ? "follows" : "falls behind"}.`;
    const text =
      behind < LAG_NOTABLE_MS
        ? `${name} follows ${lag(behind)} behind.`
        : `${name} falls behind: ${lag(behind)} by now.`;
    parts.push({ text, steady });
  }
  if (!parts.length) return null;
  return {
    text: parts.map((part) => part.text).join(" "),
    steady: parts.map((part) => part.steady).join(" "),
  };
}

function alarms(status) {
  const names = ringing(status);
  if (!names.length) return { text: "No alarms." };
  const named = names.length <= NAMED_MAX ? `: ${list(names)}` : "";
  return { text: `${count(names.length, "alarm")}${named}.` };
}

/** Whether some database of a region follows one of another. */
function isPaired(status) {
  return Object.values(status.regions).some((region) =>
    region.database.clusters.some((cluster) => cluster.global !== null));
}

function toneOf(status, troubles) {
  const active = activeOf(status);
  const isServed = status.door === null
    || (isPaired(status) ? active !== null && answersFrom(status) === active
      : answersFrom(status) !== null);
  if (!isServed || troubles.some((item) => item.weight >= 4)) return "bad";
  const behind = Object.values(status.regions).some(
    (region) => (lagOf(region) ?? 0) >= LAG_NOTABLE_MS,
  );
  return troubles.length || behind || status.faults.length || ringing(status).length
    ? "warn"
    : "ok";
}
