// What the page remembers between two status documents: series for charts, when a trouble began,
// and the timeline. Pure: a memory and a message in, the next memory out.
//
// Times are twin seconds. A twin that runs for less time than before is another twin: everything
// that was remembered of the one before is forgotten.

import { lagOf, troublesOf } from "./story.js";

export const WINDOW_S = 300;
export const EVENTS_MAX = 200;
// At most one sample a second comes; a page that slept must not keep more than the window holds.
export const SAMPLES_MAX = 320;

export const EMPTY = Object.freeze({ status: null, samples: [], since: {}, events: [], last: 0 });

/** Take a status document into account. */
export function withStatus(memory, status) {
  const isSame = memory.status === null || status.up_s >= memory.status.up_s;
  const before = isSame ? memory : EMPTY;
  const earliest = status.up_s - windowOf(status);
  const samples = [...before.samples, sampleOf(status)]
    .filter((sample) => sample.at_s >= earliest)
    .slice(-SAMPLES_MAX);
  return { ...before, status, samples, since: sinceOf(before.since, status) };
}

/** Take an event of the timeline into account; one that is known already changes nothing. */
export function withEvent(memory, event) {
  const at = memory.events.findLastIndex((item) => item.number <= event.number);
  if (at >= 0 && memory.events[at].number === event.number) return memory;
  const events = memory.events.toSpliced(at + 1, 0, event).slice(-EVENTS_MAX);
  return { ...memory, events, last: Math.max(memory.last, event.number) };
}

/** How many twin seconds five minutes are at the twin's speed. */
export function windowOf(status) {
  return WINDOW_S * status.speed;
}

/** Whether a document comes from another twin than what is remembered. */
export function isAnother(memory, status) {
  return memory.status !== null && status.up_s < memory.status.up_s;
}

function sampleOf(status) {
  const regions = {};
  for (const [name, region] of Object.entries(status.regions)) {
    regions[name] = { ...region.traffic, lag_ms: lagOf(region) };
  }
  return { at_s: status.up_s, regions };
}

function sinceOf(before, status) {
  const since = {};
  for (const { key } of troublesOf(status)) {
    since[key] = before[key] ?? setAt(status, key) ?? status.up_s;
  }
  return since;
}

/** When the fault was set that took a whole place away, for who opens the page after it. */
function setAt(status, key) {
  const fault = status.faults.find(({ fault: kind, parameters }) => kind.startsWith("lose-")
    && [`zone:${parameters.zone}`, `region:${parameters.region}`].includes(key));
  return fault?.since_s;
}
