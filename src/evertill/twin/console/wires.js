// The lines on the map: from clients to the region that DNS names, and from writer to who follows.
//
// Where they run is worked out from measured rectangles by pure functions; `draw` measures.

import { h } from "./dom.js";
import { answersFrom, isDown } from "./story.js";

const CORNER = 8;
const COPY_CHANNEL = 9;
const FOLLOW_CHANNEL = 17;

/** A path through points, with rounded corners. */
export function rounded(points) {
  const [start, ...rest] = points;
  let path = `M${start.x} ${start.y}`;
  rest.forEach((point, at) => {
    const next = rest[at + 1];
    const before = at ? rest[at - 1] : start;
    if (next === undefined) {
      path += `L${point.x} ${point.y}`;
      return;
    }
    const here = toward(point, before);
    const there = toward(point, next);
    path += `L${here.x} ${here.y}Q${point.x} ${point.y} ${there.x} ${there.y}`;
  });
  return path;
}

/** From clients down to a region's top: straight where it is below, by the margin where not. */
export function clientsTo(from, region, isFirst, isStacked) {
  const start = { x: middle(from), y: from.bottom };
  const end = { x: isStacked ? start.x : middle(region), y: region.top };
  if (!isStacked) {
    const level = (start.y + end.y) / 2;
    return [start, { x: start.x, y: level }, { x: end.x, y: level }, end];
  }
  if (isFirst) return [start, end];
  const margin = region.left - CORNER;
  const level = start.y + CORNER;
  return [
    start,
    { x: start.x, y: level },
    { x: margin, y: level },
    { x: margin, y: region.top + 3 * CORNER },
    { x: region.left, y: region.top + 3 * CORNER },
  ];
}

/** From a writer to who follows: `depth` below both, or by the margin right of an `edge`. */
export function follows(from, to, depth, edge = null) {
  const start = { x: middle(from), y: from.bottom };
  const end = { x: middle(to), y: to.bottom };
  if (edge === null) {
    const level = Math.max(start.y, end.y) + depth;
    return [start, { x: start.x, y: level }, { x: end.x, y: level }, end];
  }
  const margin = edge + CORNER;
  return [
    start,
    { x: start.x, y: start.y + depth },
    { x: margin, y: start.y + depth },
    { x: margin, y: end.y + depth },
    { x: end.x, y: end.y + depth },
    end,
  ];
}

/** Which lines there are: pairs of what they join, told by the status document alone. */
export function wiresOf(status) {
  const wires = Object.keys(status.regions).map((name) => ({
    kind: "dns",
    from: "clients",
    to: name,
    tone: answersFrom(status) !== name ? "idle"
      : status.regions[name].role === "active" ? "ok" : "bad",
  }));
  const heads = Object.entries(status.regions).flatMap(([name, region]) =>
    region.database.clusters.map((cluster) => ({ name, cluster, region })));
  for (const { name, cluster, region } of heads.filter((item) => item.cluster.role !== "standby")) {
    const writer = cluster.instances.find((item) => item.role === "writer");
    if (writer === undefined) continue;
    const from = `${name}/${writer.identifier}`;
    for (const item of cluster.instances.filter((other) => other !== writer)) {
      const tone = toneOf(writer) === "bad" ? "bad" : toneOf(item);
      wires.push({ kind: "copy", from, to: `${name}/${item.identifier}`, tone });
    }
    if (cluster.global === null) continue;
    const others = heads.filter(
      (item) => item.cluster.global === cluster.global && item.cluster.role === "standby",
    );
    for (const other of others) {
      const head = other.cluster.instances.find((item) => item.role === "standby");
      if (head === undefined) continue;
      const cut = isCut(status, name, other.name);
      const isLost = [region, other.region].some((one) => one.role === "lost");
      const tone = cut || isLost || toneOf(writer) === "bad" ? "bad" : toneOf(head);
      wires.push({ kind: "follow", from, to: `${other.name}/${head.identifier}`, tone });
    }
  }
  return wires;
}

/** Measure what is joined and describe the lines; `find` gives the element of an end. */
export function draw(status, frame, find) {
  const origin = frame.getBoundingClientRect();
  const box = (element) => {
    const at = element.getBoundingClientRect();
    return {
      left: at.left - origin.left,
      right: at.right - origin.left,
      top: at.top - origin.top,
      bottom: at.bottom - origin.top,
    };
  };
  const cards = Object.keys(status.regions).map((name) => box(find("region", name)));
  const isStacked = cards.length > 1 && cards[1].top >= cards[0].bottom;
  return wiresOf(status).flatMap((wire) => {
    const ends = [find(wire.kind, wire.from), find(wire.kind === "dns" ? "region" : "", wire.to)];
    if (ends.some((element) => element === null)) return [];
    const [from, to] = ends.map(box);
    const points = wire.kind === "dns"
      ? clientsTo(from, to, to.top === cards[0].top, isStacked)
      : wire.kind === "copy" ? follows(from, to, COPY_CHANNEL)
      : follows(from, to, FOLLOW_CHANNEL, isStacked ? cards[0].right : null);
    return [line(wire, points)];
  });
}

function line(wire, points) {
  const last = points.at(-1);
  const before = points.at(-2);
  return h(
    "g",
    { class: `wire ${wire.kind}`, "data-tone": wire.tone, "data-wire": `${wire.from}>${wire.to}` },
    h("path", { d: rounded(points) }),
    wire.tone === "idle" ? null : h("path", { class: "tip", d: tip(before, last) }),
  );
}

function tip(before, last) {
  const dx = Math.sign(last.x - before.x);
  const dy = Math.sign(last.y - before.y);
  const side = 4;
  const back = { x: last.x - dx * 7, y: last.y - dy * 7 };
  return `M${last.x} ${last.y}L${back.x - dy * side} ${back.y - dx * side}`
    + `L${back.x + dy * side} ${back.y + dx * side}Z`;
}

function isCut(status, one, other) {
  return status.links.some((link) => link.is_cut
    && [link.from, link.to].includes(one) && [link.from, link.to].includes(other));
}

function toneOf(item) {
  return item.frozen || isDown(item) ? "bad" : "ok";
}

function toward(point, other) {
  const length = Math.hypot(other.x - point.x, other.y - point.y);
  if (length === 0) return point;
  const part = Math.min(CORNER, length / 2) / length;
  return { x: point.x + (other.x - point.x) * part, y: point.y + (other.y - point.y) * part };
}

function middle(box) {
  return (box.left + box.right) / 2;
}
