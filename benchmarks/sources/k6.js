// What k6 runs in the benchmarks: one GET, or a journey with state.
import http from "k6/http";
import { check, fail } from "k6";

const url = __ENV.BENCHMARK_URL;
const json = { "Content-Type": "application/json" };

export const options = JSON.parse(__ENV.BENCHMARK_OPTIONS);

function read() {
  http.get(`${url}/`);
}

function journey() {
  const user = `u${__VU}`;
  const login = http.post(`${url}/login`, JSON.stringify({ user }), { headers: json });
  const headers = { ...json, Authorization: `Bearer ${login.json().token}` };
  const text = `words of ${user}`;
  const post = http.post(`${url}/posts`, JSON.stringify({ text }), { headers });
  const back = http.get(`${url}/posts/${post.json().id}`, { headers });
  if (!check(back, { "the post is what was posted": (answer) => answer.json().text === text })) {
    fail(`read back ${back.body}`);
  }
}

export default __ENV.BENCHMARK_WORK === "journey" ? journey : read;
