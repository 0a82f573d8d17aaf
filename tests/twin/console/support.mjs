// What the tests of the page's modules share: documents, and descriptions made searchable.

import { readFileSync } from "node:fs";

const HERE = new URL(".", import.meta.url);
export const CONSOLE = new URL("../../../src/evertill/twin/console/", HERE);

/** The status document of a twin that is well, as `change` leaves it. */
export function steady(change = () => {}) {
  const status = JSON.parse(readFileSync(new URL("steady.json", HERE), "utf8"));
  change(status);
  return status;
}

/** All descriptions of elements below some, in the order of the page. */
export function elements(described) {
  return [described].flat(Infinity).filter((item) => item && "tag" in item)
    .flatMap((item) => [item, ...elements(item.children)]);
}

/** All texts of descriptions, as one. */
export function words(described) {
  return [described].flat(Infinity)
    .map((item) => ("text" in item ? item.text : words(item.children))).join("");
}

/** The first described element that has an attribute, with a value where one is asked for. */
export function find(described, name, value) {
  return elements(described).find((item) => item.attributes[name] !== undefined
    && item.attributes[name] !== null
    && (value === undefined || String(item.attributes[name]) === value));
}

/** The zone `us-east-1b` lost, as the twin shows it. */
export function loseZone(status) {
  const region = status.regions["us-east-1"];
  region.zones["us-east-1b"].state = "lost";
  region.tasks = region.tasks.filter((task) => task.zone !== "us-east-1b");
  region.services[0].running = 2;
  region.load_balancer[0].nodes[1].state = "lost";
  region.database.clusters[0].instances[1].state = "lost";
}

/** The region `us-east-1` lost, as the twin shows it. */
export function loseRegion(status) {
  const region = status.regions["us-east-1"];
  region.role = "lost";
  region.tasks = [];
  region.services[0].running = 0;
  for (const zone of Object.values(region.zones)) zone.state = "lost";
  for (const item of region.database.clusters[0].instances) item.state = "lost";
}
