// Four small charts of the last five minutes, one line for each region. Pure.

import { h } from "./dom.js";
import { windowOf } from "./history.js";
import { lag, short } from "./words.js";

const WIDTH = 300;
const HEIGHT = 72;
const GAP_S = 5;

export const CHARTS = [
  { id: "payments", title: "Requests per second", of: (item) => item.requests_per_s, top: 5 },
  { id: "latency", title: "Latency in ms: 99 %, thin 50 %", of: (item) => item.latency_p99_ms,
    thin: (item) => item.latency_p50_ms, top: 50 },
  { id: "errors", title: "Errors (5xx) per second", of: (item) => item.errors_5xx_per_s, top: 1 },
  { id: "lag", title: "Replication lag, seconds", top: 1,
    of: (item) => (item.lag_ms === null ? null : item.lag_ms / 1000) },
];

/** The data of one chart: a scale, and for each region its segments and its last value. */
export function dataOf(chart, memory) {
  const { status, samples } = memory;
  const end = status.up_s;
  const start = end - windowOf(status);
  const names = Object.keys(status.regions);
  const at = (of) => (sample, name) => sample.regions[name] ? of(sample.regions[name]) : null;
  const value = at(chart.of);
  const all = samples.flatMap((sample) => names.map((name) => value(sample, name)));
  const top = niceTop(Math.max(chart.top, ...all.filter((item) => item !== null)));
  const gap = GAP_S * status.speed;
  const lines = names.map((name) => ({
    name,
    last: value(samples.at(-1), name),
    segments: segmentsOf(samples, (sample) => value(sample, name), gap),
    thin: chart.thin ? segmentsOf(samples, (sample) => at(chart.thin)(sample, name), gap) : [],
  }));
  return { start, end, top, lines };
}

/** The next round number at or above a value: 1, 2, 5, 10, 20, 50 ... */
export function niceTop(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map((step) => step * power).find((step) => step >= value * 0.999);
}

/** Describe all charts; `marks` are the times of faults, drawn through all of them. */
export function charts(memory) {
  const marks = memory.events
    .filter((event) => event.kind.startsWith("fault."))
    .map((event) => event.at_s);
  return CHARTS.map((chart) => figure(chart, dataOf(chart, memory), marks));
}

function segmentsOf(samples, value, gap) {
  const segments = [];
  let before = null;
  for (const sample of samples) {
    const now = value(sample);
    if (now === null || now === undefined) {
      before = null;
      continue;
    }
    if (before === null || sample.at_s - before > gap) segments.push([]);
    segments.at(-1).push([sample.at_s, now]);
    before = sample.at_s;
  }
  return segments;
}

function figure(chart, data, marks) {
  const x = (at) => (((at - data.start) / (data.end - data.start)) * WIDTH).toFixed(1);
  const share = (value) => Math.min(value, data.top) / data.top;
  const y = (value) => (HEIGHT - 2 - share(value) * (HEIGHT - 4)).toFixed(1);
  const words = (value) => chart.id === "lag" && value !== null ? lag(value * 1000) : short(value);
  const path = (segments) => segments.map((points) => points.map(
    ([when, value], index) => `${index ? "L" : "M"}${x(when)} ${y(value)}`,
  ).join("")).join("");
  const paths = data.lines.map((line, at) => [
    h("path", { class: `series series-${at % 4} thin`, d: path(line.thin) }),
    h("path", { class: `series series-${at % 4}`, d: path(line.segments) }),
  ]);
  const shown = marks.filter((at) => at >= data.start && at <= data.end);
  return h(
    "figure",
    { class: "chart", key: chart.id, "data-chart": chart.id },
    h("figcaption", {}, chart.title),
    h("div", { class: "plot" },
      h("span", { class: "top" }, short(data.top)),
      h("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img",
        "aria-label": `${chart.title}: ${data.lines.map(
          (line) => `${line.name} ${words(line.last)}`).join(", ")}` },
        h("line", { class: "rule", x1: 0, x2: WIDTH, y1: 2, y2: 2 }),
        h("line", { class: "rule", x1: 0, x2: WIDTH, y1: HEIGHT / 2, y2: HEIGHT / 2 }),
        h("line", { class: "rule base", x1: 0, x2: WIDTH, y1: HEIGHT - 2, y2: HEIGHT - 2 }),
        shown.map((at) => h("line", { class: "mark", x1: x(at), x2: x(at), y1: 0, y2: HEIGHT })),
        paths)),
    h("ul", { class: "legend" }, data.lines.map((line, at) => h("li", {},
      h("svg", { class: "key", viewBox: "0 0 22 6", "aria-hidden": "true" },
        h("line", { class: `series series-${at % 4}`, x1: 1, x2: 21, y1: 3, y2: 3 })),
      line.name, " ", h("b", { "data-last": line.name }, words(line.last))))),
  );
}
