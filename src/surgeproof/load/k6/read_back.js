// Reading the ledger back with k6: the script's readBack, once for each key, and for those not
// found again and again for some seconds. Each finding is a point with metadata.
import * as script from "@SCRIPT@";
import exec from "k6/execution";
import { sleep } from "k6";
import { SharedArray } from "k6/data";
import { Counter } from "k6/metrics";

const plan = JSON.parse(open(__ENV.SURGEPROOF_K6_PLAN));
const keys = new SharedArray("surgeproof keys", () => JSON.parse(open(plan.keys)));
const found = new Counter("surgeproof_found");

export const options = __VU === 0 ? merged() : {};

export function setup() {
  return script.setup ? script.setup() : undefined;
}

export default function readBack(data) {
  const index = exec.scenario.iterationInTest;
  const { kind, key } = keys[index];
  const until = exec.scenario.startTime + plan.patience_ms;
  const first = count(data, kind, key);
  let last = first;
  while (!last && Date.now() < until) {
    sleep(plan.pause_s);
    const now = count(data, kind, key);
    // A read that fails now does not undo what an earlier one has seen.
    if (now !== null) last = now;
  }
  const { metadata } = exec.vu.metrics;
  metadata.found = JSON.stringify([index, first, last]);
  found.add(1);
  delete metadata.found;
}

function count(data, kind, key) {
  try {
    const number = script.readBack(data, kind, key);
    if (Number.isInteger(number) && number >= 0) return number;
    throw new Error(`readBack returned ${number}; accepted: a whole number from 0`);
  } catch (error) {
    console.warn(`cannot read back ${kind} ${key}: ${error.message || error}`);
    return null;
  }
}

function merged() {
  if (typeof script.readBack !== "function") {
    throw new Error("the plan has a ledger; accepted: a script that exports readBack(data, kind, key)");
  }
  const own = Object.assign({}, script.options);
  for (const name of plan.replaced) delete own[name];
  delete own.thresholds;
  return Object.assign(own, plan.options);
}
