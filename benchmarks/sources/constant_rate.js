// k6's open model: one iteration for each arrival, as long as there is a virtual user left.
import http from "k6/http";

const users = Number(__ENV.BENCHMARK_USERS);

export const options = {
  scenarios: {
    open: {
      executor: "constant-arrival-rate",
      rate: Number(__ENV.BENCHMARK_RATE),
      timeUnit: "1s",
      duration: __ENV.BENCHMARK_DURATION,
      preAllocatedVUs: users,
      maxVUs: users,
    },
  },
  summaryTrendStats: ["med", "p(90)", "p(99)", "max"],
};

export default function () {
  http.get(`${__ENV.BENCHMARK_URL}/`);
}
