// What the page remembers: samples, beginnings, events in order and once.

import assert from "node:assert/strict";
import { test } from "node:test";

import { loseZone, steady } from "./support.mjs";
import { CHARTS, dataOf, niceTop } from "../../../src/evertill/twin/console/charts.js";
import {
  EMPTY, EVENTS_MAX, SAMPLES_MAX, isAnother, withEvent, withStatus,
} from "../../../src/evertill/twin/console/history.js";

const event = (number) => ({ number, at_s: number, region: "", kind: "a.b", text: "" });
const at = (up_s, change = () => {}) => steady((status) => {
  status.up_s = up_s;
  change(status);
});
const chart = (id) => CHARTS.find((item) => item.id === id);

test("events are kept once and in order, however they come", () => {
  const memory = [3, 1, 2, 3, 1, 5, 4].reduce((held, number) => withEvent(held, event(number)), EMPTY);
  assert.deepEqual(memory.events.map((item) => item.number), [1, 2, 3, 4, 5]);
  assert.equal(memory.last, 5);
});

test("only the last events are kept", () => {
  let memory = EMPTY;
  for (let number = 1; number <= EVENTS_MAX + 50; number += 1) memory = withEvent(memory, event(number));
  assert.equal(memory.events.length, EVENTS_MAX);
  assert.equal(memory.events.at(-1).number, EVENTS_MAX + 50);
});

test("samples older than five minutes are dropped, at any speed", () => {
  let memory = EMPTY;
  for (let up_s = 0; up_s < 800; up_s += 1) memory = withStatus(memory, at(up_s));
  assert.ok(memory.samples.length <= SAMPLES_MAX);
  assert.equal(memory.samples[0].at_s, 499);
  memory = EMPTY;
  for (let up_s = 0; up_s < 8000; up_s += 10) {
    memory = withStatus(memory, at(up_s, (status) => { status.speed = 10; }));
  }
  assert.equal(memory.samples[0].at_s, 4990);
});

test("a trouble keeps the time at which it was first seen, and loses it when it is over", () => {
  let memory = withStatus(EMPTY, at(10, loseZone));
  memory = withStatus(memory, at(14, loseZone));
  assert.equal(memory.since["zone:us-east-1b"], 10);
  memory = withStatus(memory, at(15));
  assert.deepEqual(memory.since, {});
});

test("who opens the page late learns from the fault when a zone was lost", () => {
  const memory = withStatus(EMPTY, at(100, (status) => {
    loseZone(status);
    status.faults = [
      { id: "1", fault: "lose-zone", parameters: { zone: "us-east-1b" }, since_s: 40 },
    ];
  }));
  assert.equal(memory.since["zone:us-east-1b"], 40);
});

test("a twin that was started anew begins a new memory", () => {
  const memory = withEvent(withStatus(EMPTY, at(500)), event(40));
  assert.ok(isAnother(memory, at(2)));
  const anew = withStatus(memory, at(2));
  assert.deepEqual(anew.events, []);
  assert.equal(anew.samples.length, 1);
});

test("a chart has a line for each region, on a scale of a round number", () => {
  let memory = EMPTY;
  for (let up_s = 100; up_s < 110; up_s += 1) memory = withStatus(memory, at(up_s));
  const data = dataOf(chart("payments"), memory);
  assert.deepEqual(data.lines.map((line) => [line.name, line.last]), [["us-east-1", 42], ["us-east-2", 0]]);
  assert.equal(data.top, 50);
  assert.equal(data.lines[0].segments.length, 1);
  assert.equal(data.lines[0].segments[0].length, 10);
  assert.equal(data.end - data.start, 300);
});

test("a gap in what was heard is a gap in the line, and so is a value that is not known", () => {
  let memory = EMPTY;
  for (const up_s of [100, 101, 160, 161]) memory = withStatus(memory, at(up_s));
  assert.equal(dataOf(chart("payments"), memory).lines[0].segments.length, 2);
  assert.deepEqual(dataOf(chart("lag"), memory).lines[0].segments, []);
  assert.equal(dataOf(chart("lag"), memory).lines[1].last, 0.18);
});

test("scales are round", () => {
  assert.deepEqual([0.7, 1, 3, 42, 180, 999].map(niceTop), [1, 1, 5, 50, 200, 1000]);
});
