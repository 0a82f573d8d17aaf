// The sentence at the top, for each way in which a twin can be.

import assert from "node:assert/strict";
import { test } from "node:test";

import { loseRegion, loseZone, steady } from "./support.mjs";
import { silence, story } from "../../../src/evertill/twin/console/story.js";

const OK = "us-east-1 takes payments. us-east-2 follows 0.2 s behind. No alarms.";
const writer = (status) => status.regions["us-east-1"].database.clusters[0].instances[0];

test("a twin that is well says who takes payments and who follows", () => {
  const told = story(steady());
  assert.equal(told.text, OK);
  assert.equal(told.tone, "ok");
});

test("an alarm is named", () => {
  const told = story(steady((status) => {
    status.regions["us-east-1"].alarms[5].state = "ALARM";
  }));
  assert.match(told.text, /1 alarm: db-replication-lag-dev\.$/);
  assert.equal(told.tone, "warn");
});

test("three alarms are counted and not named", () => {
  const told = story(steady((status) => {
    for (const alarm of status.regions["us-east-1"].alarms.slice(0, 3)) alarm.state = "ALARM";
  }));
  assert.match(told.text, /3 alarms\.$/);
});

test("a lost zone comes first, with for how long, and what was in it is not told again", () => {
  const told = story(steady(loseZone), { "zone:us-east-1b": 400.5 });
  assert.equal(
    told.text,
    "us-east-1b is lost, for 12 s now; 2 of 3 tasks run in us-east-1. "
      + "us-east-1 still takes payments. us-east-2 follows 0.2 s behind. No alarms.",
  );
  assert.equal(told.tone, "bad");
});

test("what is announced does not change from second to second", () => {
  const first = story(steady(loseZone), { "zone:us-east-1b": 400.5 });
  const later = story(steady((status) => {
    loseZone(status);
    status.up_s += 7;
    status.regions["us-east-2"].database.clusters[0].lag_ms = 420;
  }), { "zone:us-east-1b": 400.5 });
  assert.notEqual(first.text, later.text);
  assert.equal(first.announcement, later.announcement);
});

test("a lost region means that nobody takes payments until the other one is promoted", () => {
  const lost = steady(loseRegion);
  assert.equal(
    story(lost, { "region:us-east-1": 380.5 }).text,
    "us-east-1 is lost, for 32 s now. No region takes payments. "
      + "us-east-2 stands by with what was copied to it. No alarms.",
  );
  const promoted = steady((status) => {
    loseRegion(status);
    const other = status.regions["us-east-2"];
    other.role = "active";
    other.database.clusters[0].role = "writer";
    other.database.clusters[0].lag_ms = null;
    other.database.clusters[0].instances[0].role = "writer";
  });
  assert.match(story(promoted).text, /us-east-2 may take payments, but DNS still leads clients to us-east-1\./);
  promoted.door.answers_from = "us-east-2";
  assert.match(story(promoted).text, /us-east-1 is lost\. us-east-2 still takes payments\./);
});

test("a writer that is frozen, gone or being replaced is told", () => {
  const told = (change) => story(steady(change)).text;
  assert.match(told((status) => { writer(status).frozen = true; }), /^The writer in us-east-1 is frozen\./);
  assert.match(told((status) => { writer(status).state = "stopped"; }), /^us-east-1 has no writer\./);
  assert.match(
    told((status) => { status.regions["us-east-1"].database.clusters[0].state = "failing-over"; }),
    /^The database of us-east-1 is changing its writer\./,
  );
});

test("a region that falls behind and the link that is cut are told", () => {
  const told = story(steady((status) => {
    status.regions["us-east-2"].database.clusters[0].lag_ms = 14_000;
    status.links = [
      { from: "us-east-1", to: "us-east-2", is_cut: true, delay_ms: 0, bytes_per_s: 0 },
    ];
  }));
  assert.match(told.text, /^The link from us-east-1 to us-east-2 is cut\./);
  assert.match(told.text, /us-east-2 is 14 s behind\./);
  assert.equal(told.tone, "warn");
});

test("a link that is cut both ways is told once", () => {
  const cut = { is_cut: true, delay_ms: 0, bytes_per_s: 0 };
  const told = story(steady((status) => {
    status.links = [
      { from: "us-east-1", to: "us-east-2", ...cut }, { from: "us-east-2", to: "us-east-1", ...cut },
    ];
  }));
  assert.match(told.text, /^The link between us-east-1 and us-east-2 is cut\. us-east-1 still/);
});

test("a region that falls behind by itself is told, and troubles nobody else", () => {
  const told = story(steady((status) => {
    status.regions["us-east-2"].database.clusters[0].lag_ms = 14_000;
  }));
  assert.match(told.text, /us-east-2 falls behind: 14 s by now\./);
  assert.equal(told.tone, "warn");
});

test("a fault that shows nowhere else is told as what it is", () => {
  const told = story(steady((status) => {
    status.faults = [{ id: "1", fault: "jump-clock", parameters: {}, since_s: 400, passes: false }];
  }));
  assert.match(told.text, /^1 fault is active \(jump-clock\)\./);
});

test("an active region that answers with errors is told", () => {
  const told = story(steady((status) => {
    Object.assign(status.regions["us-east-1"].traffic, { requests_per_s: 10, errors_5xx_per_s: 9 });
  }));
  assert.match(told.text, /Clients reach us-east-1, but it answers with errors\./);
});

test("regions whose databases do not follow each other are told to stand alone", () => {
  const told = story(steady((status) => {
    for (const region of Object.values(status.regions)) {
      region.role = "active";
      Object.assign(region.database.clusters[0], { global: null, role: "alone", lag_ms: null });
    }
    status.regions["us-east-2"].database.clusters[0].instances[0].role = "writer";
    status.lease = null;
    status.door = null;
  }));
  assert.match(told.text, /serve each on their own; nothing is copied between them\./);
  assert.equal(told.tone, "ok");
});

test("--tasks lowers what is expected to run", () => {
  const told = story(steady((status) => {
    Object.assign(status.regions["us-east-1"].services[0], { desired: 10, running: 3, started_max: 3 });
  }));
  assert.equal(told.text, OK);
});

test("a twin that is gone is said to be gone", () => {
  assert.match(silence(6.4, true).text, /has not answered for 6 s/);
  assert.match(silence(6.4, false).text, /does not answer/);
  assert.equal(silence(6.4, true).announcement, silence(60, true).announcement);
});
