// What a k6 script may import under `surgeproof run` (engine: k6): which journey each arrival is,
// requests judged by the harness's rules, and the ledger. A script that imports nothing of this
// runs as well: its answers are then judged by their status and by its own checks.
import http from "k6/http";
import exec from "k6/execution";
import { SharedArray } from "k6/data";
import { Counter } from "k6/metrics";

if (!__ENV.SURGEPROOF_K6_PLAN) {
  throw new Error("this script needs a plan; accepted: surgeproof run PLAN, with engine: k6");
}
const plan = JSON.parse(open(__ENV.SURGEPROOF_K6_PLAN));
const picks = new SharedArray("surgeproof picks", () => JSON.parse(open(plan.picks)));
const outcomes = new Counter("surgeproof_outcome");
const writes = new Counter("surgeproof_ledger");

// Where the target is, without a slash at the end, and the plan's headers.
export const baseUrl = plan.base_url;
export const headers = JSON.parse(__ENV.SURGEPROOF_HEADERS || "{}");

// The journey of this iteration (undefined without a mix), and random numbers that depend on the
// seed and on the arrival alone.
export function arrival() {
  const index = exec.scenario.iterationInTest;
  return { index, journey: plan.journeys[picks[index]], random: generator(plan.seed, index) };
}

// Sends a request; `name` is "METHOD /template". `check(response, json)` returns whether a
// good-looking answer is right; `expected` lists statuses that are fine besides 2xx and 3xx.
export function send(name, path, { body = null, headers: more = {}, check = null, expected = [] } = {}) {
  const method = name.split(" ")[0];
  const isText = body === null || typeof body === "string";
  const type = isText ? {} : { "Content-Type": "application/json" };
  const response = http.request(method, baseUrl + path, isText ? body : JSON.stringify(body), {
    headers: Object.assign({}, headers, type, more),
    tags: { name },
    timeout: plan.timeout,
  });
  judge(response, { check, expected });
  return response;
}

// Judges the answer to the request that this iteration made last.
export function judge(response, { check = null, expected = [] } = {}) {
  const { outcome, error_kind = "", degraded = "" } = judgement(response, check, expected);
  const { metadata } = exec.vu.metrics;
  metadata.error_kind = error_kind;
  metadata.degraded = degraded;
  outcomes.add(1, { outcome });
  delete metadata.error_kind;
  delete metadata.degraded;
  return outcome;
}

// Notes a write in the ledger: ok (acknowledged), fail (surely not done) or info (unknown).
export function ledger(kind, key, outcome) {
  if (!["ok", "fail", "info"].includes(outcome)) {
    throw new Error(`ledger outcome ${outcome}; accepted: ok, fail, info`);
  }
  if (plan.ledger_kinds.length > 0 && !plan.ledger_kinds.includes(kind)) {
    throw new Error(`ledger kind ${kind} is not in the plan: ${plan.ledger_kinds.join(", ")}`);
  }
  const { metadata } = exec.vu.metrics;
  metadata.ledger = JSON.stringify([kind, String(key), outcome]);
  writes.add(1);
  delete metadata.ledger;
}

// What a write's answer means for the ledger: no answer, or an error of the server, is unknown.
export function writeOutcome(response) {
  if (response.status >= 200 && response.status < 400) return "ok";
  return response.status >= 400 && response.status < 500 ? "fail" : "info";
}

function judgement(response, check, expected) {
  const { status } = response;
  if (status === 0) return { outcome: "error" };
  if ((status < 200 || status >= 400) && !expected.includes(status)) {
    const shed = (status === 429 || status === 503) && response.headers["Retry-After"];
    return { outcome: shed ? "shed" : "error", error_kind: `status_${status}` };
  }
  const json = parse(response);
  const degraded = status >= 200 && status < 300 ? degradedMark(response, json) : "";
  if (check !== null && !passes(check, response, json)) {
    return { outcome: "wrong", error_kind: "check", degraded };
  }
  return { outcome: degraded ? "degraded" : "full", degraded };
}

function passes(check, response, json) {
  try {
    return check(response, json) !== false;
  } catch {
    return false;
  }
}

function parse(response) {
  try {
    return JSON.parse(response.body);
  } catch {
    return null;
  }
}

function degradedMark(response, json) {
  if (response.headers.Degraded) return response.headers.Degraded;
  const value = json && json.degraded;
  if (!value || value.length === 0 || (typeof value === "object" && !Object.keys(value).length)) {
    return "";
  }
  const words = Array.isArray(value) ? value : [value];
  return words.map((each) => (typeof each === "string" ? each : JSON.stringify(each))).join(", ");
}

// Mulberry32, a 32-bit generator that is good enough to choose by.
function generator(seed, index) {
  let state = (Math.imul(seed, 0x9e3779b1) ^ Math.imul(index + 1, 0x85ebca6b)) >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}
