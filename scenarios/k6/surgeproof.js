// What a k6 script needs to run under `surgeproof run` (engine: k6): the harness's options, its
// start, which journey each arrival is, and the outcome of each answer by the harness's rules.
import http from "k6/http";
import exec from "k6/execution";
import { Counter } from "k6/metrics";

const plan = JSON.parse(open(__ENV.SURGEPROOF_K6));
const common = JSON.parse(__ENV.SURGEPROOF_HEADERS || "{}");
const outcomes = new Counter("surgeproof_outcome");

export const options = plan.options;

// Call at the end of setup(): returns when the run begins.
export function waitForStart() {
  http.get(plan.control, { timeout: "600s" });
}

// The journey of this iteration, and random numbers that depend on the seed and on it alone.
export function arrival() {
  const index = exec.scenario.iterationInTest;
  exec.vu.metrics.metadata.arrival = String(index);
  return { index, journey: plan.journeys[plan.picks[index]], random: generator(plan.seed, index) };
}

// Sends a request; `name` is "METHOD /template". `check(response, json)` returns whether a
// good-looking answer is right.
export function send(name, path, { body = null, headers = {}, check = null } = {}) {
  const method = name.split(" ")[0];
  const response = http.request(
    method,
    plan.base_url + path,
    body === null ? null : JSON.stringify(body),
    {
      headers: Object.assign(
        {},
        common,
        body === null ? {} : { "Content-Type": "application/json" },
        headers,
      ),
      tags: { name },
      timeout: plan.timeout,
    },
  );
  outcomes.add(1, judge(response, check));
  return response;
}

function judge(response, check) {
  const status = response.status;
  if (status === 0) return { outcome: "error" };
  if (status < 200 || status >= 400) {
    const shed = (status === 429 || status === 503) && response.headers["Retry-After"];
    return { outcome: shed ? "shed" : "error", error_kind: `status_${status}` };
  }
  const json = parse(response);
  const degraded = degradedMark(response, json);
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
  if (!value || value.length === 0) return "";
  return typeof value === "string" ? value : JSON.stringify(value);
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
