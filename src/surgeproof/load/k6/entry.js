// What k6 is started on: the plan's script under the harness's arrivals. The driver puts the
// script's path in the next line and gives the whole to k6's standard input.
import * as script from "@SCRIPT@";
import exec from "k6/execution";
import http from "k6/http";
import { Counter } from "k6/metrics";

const plan = JSON.parse(open(__ENV.SURGEPROOF_K6_PLAN));
// Declared whether the script fills them or not: thresholds may name them.
new Counter("surgeproof_outcome");
new Counter("surgeproof_ledger");

// Only the first of all script engines is asked for its options, and stages are many.
export const options = __VU === 0 ? merged() : {};

export function setup() {
  const data = script.setup ? script.setup() : undefined;
  // The answer comes when the run begins.
  http.get(plan.control, { timeout: "600s" });
  return data;
}

export default function surge(data) {
  const { metadata, tags } = exec.vu.metrics;
  metadata.arrival = String(exec.scenario.iterationInTest);
  metadata.begun = String(Date.now());
  tags.phase = phaseAt(Date.now() - exec.scenario.startTime);
  return script.default(data);
}

export function teardown(data) {
  if (script.teardown) script.teardown(data);
}

export function handleSummary(data) {
  const { metrics } = data;
  const named = Object.keys(metrics).filter((name) => metrics[name].thresholds);
  const kept = named.map((name) => [name, metrics[name]]);
  return { [plan.summary]: JSON.stringify(Object.fromEntries(kept)) };
}

// The script keeps its own options (thresholds, TLS, user agent) but those that say how much load.
function merged() {
  if (typeof script.default !== "function") {
    throw new Error("the script has no default function; accepted: export default function");
  }
  if (plan.needs_read_back && typeof script.readBack !== "function") {
    throw new Error("the plan has a ledger; accepted: a script that exports readBack(data, kind, key)");
  }
  const own = Object.assign({}, script.options);
  for (const name of plan.replaced) delete own[name];
  const thresholds = Object.assign({}, own.thresholds);
  for (const [name, wanted] of Object.entries(plan.options.thresholds)) {
    thresholds[name] = (thresholds[name] || []).concat(wanted);
  }
  return Object.assign(own, plan.options, { thresholds });
}

function phaseAt(elapsedMs) {
  let name = "";
  for (const phase of plan.phases) if (elapsedMs >= phase.start_ms) name = phase.name;
  return name;
}
