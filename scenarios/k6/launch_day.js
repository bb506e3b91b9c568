// Launch day in k6: the surge of scenarios/launch_day.py, read by the same mixes, with the same
// ledger of posts. A cross-check of the other engine; runs under `surgeproof run`, `engine: k6`.
import http from "k6/http";
import exec from "k6/execution";
import { sleep } from "k6";
import { arrival, baseUrl, ledger, send, writeOutcome } from "./surgeproof.js";

const SEEDED = 10000;
const PASSWORD = "launch-day";
const VIEWERS = 150;
const AT_ONCE = 16;
const TRIES = 14; // ten seconds of asking again
const LONGEST_PAUSE_S = 1;
const ALPHA = 1.1; // popularity of accounts and posts, by Zipf's law
const BLOCKABLE = 20; // the last accounts, whose posts nobody reads here
const REPLY_RATIO = 0.4;
const PAGE = 50;

const handleOf = (number) => `u${String(number).padStart(5, "0")}`;
const bearer = (token) => ({ Authorization: `Bearer ${token}` });

export function setup() {
  const step = Math.floor((SEEDED - BLOCKABLE) / VIEWERS);
  const handles = Array.from({ length: VIEWERS }, (_, number) => handleOf(number * step));
  const sessions = ask(
    handles.map((handle) => ["POST", "/v1/sessions", { handle, password: PASSWORD }, {}]),
  );
  const viewers = sessions.map((session, number) => ({
    handle: handles[number],
    id: session.user_id,
    token: session.token,
  }));
  const strangers = ask(
    Array.from({ length: BLOCKABLE }, (_, number) => [
      "GET",
      `/v1/users/${handleOf(SEEDED - 1 - number)}`,
      null,
      bearer(viewers[0].token),
    ]),
  ).map((profile) => profile.user_id);
  const pages = ask(
    viewers.map(({ token }) => ["GET", `/v1/feed/home?limit=${PAGE}`, null, bearer(token)]),
  );
  const authors = new Map();
  for (const page of pages) {
    for (const post of page.items) {
      if (!strangers.includes(post.author_id)) authors.set(post.id, post.author_id);
    }
  }
  if (authors.size === 0) exec.test.abort("no viewer's home feed holds a post; is the app seeded?");
  return {
    viewers,
    strangers,
    posts: [...authors.keys()].sort((one, other) => other - one), // the newest are read most
    authors: mostCommon([...authors.values()]),
    nonce: Date.now().toString(36),
  };
}

export default function launchDay(data) {
  const { index, journey, random } = arrival();
  const viewer = data.viewers[Math.floor(random() * data.viewers.length)];
  const headers = bearer(viewer.token);
  const post = () => data.posts[zipf(data.posts.length, random())];
  const author = () => data.authors[zipf(data.authors.length, random())];
  const stranger = () => data.strangers[Math.floor(random() * data.strangers.length)];
  const once = (list) => new Set(list.map((each) => each.id)).size === list.length;
  const journeys = {
    "GET /v1/feed/home": () =>
      send(journey, "/v1/feed/home", { headers, check: (_, json) => once(json.items) }),
    "GET /v1/posts/{id}": () => {
      const id = post();
      return send(journey, `/v1/posts/${id}`, {
        headers,
        check: (_, json) => json.post.id === id,
      });
    },
    "GET /v1/posts/{id}/replies": () =>
      send(journey, `/v1/posts/${post()}/replies`, { headers, check: (_, json) => once(json.posts) }),
    "GET /v1/users/{handle}": () => {
      const handle = handleOf(zipf(SEEDED - BLOCKABLE, random()));
      return send(journey, `/v1/users/${handle}`, {
        headers,
        check: (_, json) => json.handle === handle,
      });
    },
    "GET /v1/users/{id}/posts": () =>
      send(journey, `/v1/users/${author()}/posts`, { headers, check: (_, json) => once(json.posts) }),
    "GET /v1/trending": () => send(journey, "/v1/trending", { headers }),
    "GET /v1/notifications": () => send(journey, "/v1/notifications", { headers }),
    "POST /v1/accounts": () => {
      const handle = `k${data.nonce}${index}`;
      const body = { handle, password: PASSWORD, display_name: `New ${handle}` };
      return send(journey, "/v1/accounts", { body });
    },
    "POST /v1/sessions": () =>
      send(journey, "/v1/sessions", { body: { handle: viewer.handle, password: PASSWORD } }),
    "POST /v1/posts": () => {
      const key = `${viewer.handle}.${data.nonce}${index}`;
      const body = { text: `We are live ${key} #launchday` };
      if (random() < REPLY_RATIO) body.reply_to = post();
      const response = send(journey, "/v1/posts", {
        body,
        headers: Object.assign({ "Idempotency-Key": key }, headers),
        check: (_, json) => json.post.text.includes(key),
      });
      // A refusal by admission control comes before the work: surely not done.
      const isShed = response.headers["X-Shed"] !== undefined;
      ledger("post", key, isShed ? "fail" : writeOutcome(response));
      return response;
    },
    "POST /v1/posts/{id}/like": () => send(journey, `/v1/posts/${post()}/like`, { headers }),
    "DELETE /v1/posts/{id}/like": () => send(journey, `/v1/posts/${post()}/like`, { headers }),
    "PUT /v1/users/{id}/follow": () => send(journey, `/v1/users/${author()}/follow`, { headers }),
    "DELETE /v1/users/{id}/follow": () => send(journey, `/v1/users/${author()}/follow`, { headers }),
    "PUT /v1/users/{id}/block": () => send(journey, `/v1/users/${stranger()}/block`, { headers }),
    "DELETE /v1/users/{id}/block": () => send(journey, `/v1/users/${stranger()}/block`, { headers }),
  };
  if (!journeys[journey]) exec.test.abort(`this script has no journey ${journey}, which a mix names`);
  journeys[journey]();
}

// Counts the posts that carry a key, in their author's own list.
export function readBack(data, kind, key) {
  const author = data.viewers.find((viewer) => viewer.handle === key.split(".")[0]);
  let [found, before] = [0, ""];
  for (;;) {
    const url = `${baseUrl}/v1/users/${author.id}/posts?limit=${PAGE}${before}`;
    const response = http.get(url, { headers: bearer(author.token) });
    if (response.status !== 200) throw new Error(`${url}: status ${response.status}`);
    const { posts, degraded } = JSON.parse(response.body);
    if (degraded && degraded.length > 0) throw new Error(`${url}: degraded: ${degraded}`);
    found += posts.filter((post) => post.text.split(/\s+/).includes(key)).length;
    if (posts.length < PAGE) return found;
    before = `&before=${posts[posts.length - 1].id}`;
  }
}

// Asks many requests a few at a time; every one must be served before the run may begin.
function ask(requests) {
  const answers = [];
  for (let first = 0; first < requests.length; first += AT_ONCE) {
    const batch = requests.slice(first, first + AT_ONCE).map(([method, path, body, headers]) => ({
      method,
      url: baseUrl + path,
      body: body === null ? null : JSON.stringify(body),
      params: { headers: Object.assign({ "Content-Type": "application/json" }, headers) },
    }));
    answers.push(...insist(batch));
  }
  return answers.map((answer) => JSON.parse(answer.body));
}

// Asks until all of a batch is served: a target that has just started may still shed.
function insist(batch) {
  const answers = http.batch(batch);
  for (let tries = 1; answers.some((answer) => answer.status !== 200); tries += 1) {
    const failed = batch.map((_, place) => place).filter((place) => answers[place].status !== 200);
    if (tries === TRIES) {
      const { url, status } = answers[failed[0]];
      exec.test.abort(`${url} is not served before the start: status ${status}`);
    }
    sleep(Math.min(LONGEST_PAUSE_S, 0.1 * 2 ** (tries - 1)));
    http.batch(failed.map((place) => batch[place])).forEach((answer, number) => {
      answers[failed[number]] = answer;
    });
  }
  return answers;
}

function mostCommon(values) {
  const counts = new Map();
  for (const value of values) counts.set(value, (counts.get(value) || 0) + 1);
  return [...counts.keys()].sort((one, other) => counts.get(other) - counts.get(one) || one - other);
}

const edges = new Map();

// Draws a rank from 0 to count - 1, with a chance in proportion to 1 / (rank + 1)^ALPHA.
function zipf(count, share) {
  if (!edges.has(count)) {
    const sums = [];
    let sum = 0;
    for (let rank = 1; rank <= count; rank += 1) sums.push((sum += 1 / rank ** ALPHA));
    edges.set(count, sums);
  }
  const sums = edges.get(count);
  const wanted = share * sums[count - 1];
  let [low, high] = [0, count - 1];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sums[middle] > wanted) high = middle;
    else low = middle + 1;
  }
  return low;
}
