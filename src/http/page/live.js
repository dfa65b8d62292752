// The server's figures, from /metrics while the section is open.

import { isUp, soon, whenUp } from "./connection.js";
import { isLocked, send } from "./key.js";

const EVERY = 2000; // milliseconds
const WINDOW = 60_000;

export function watch(byId) {
  const snapshots = new Map(); // by process
  const live = byId("live");

  look();

  async function look() {
    await whenUp();
    if (live.open && !document.hidden && !isLocked()) {
      try {
        const answer = await send("/metrics", { signal: soon() });
        if (answer.ok) show(byId, ofProcess(snapshots, read(await answer.text())));
      } catch {
        await isUp(); // if not, the page says so
      }
    }
    setTimeout(look, EVERY);
  }
}

// The snapshots of the last minute of the process that `now` is of. A load balancer may send each request to another
// one, and the difference between the counters of two processes means nothing.
function ofProcess(snapshots, now) {
  const before = snapshots.get(now.process) ?? [];
  const isReset = now.images < (before.at(-1)?.images ?? 0); // a model was unloaded
  const recent = [...(isReset ? [] : before), now].filter(({ at }) => at >= now.at - WINDOW);
  snapshots.set(now.process, recent);
  return recent;
}

function show(byId, snapshots) {
  const then = snapshots[0];
  const now = snapshots.at(-1);
  const seconds = (now.at - then.at) / 1000;
  byId("window").textContent = "Over the last minute.";
  byId("depth").textContent = now.depth;
  byId("rate").textContent = seconds > 0 ? ((now.images - then.images) / seconds).toFixed(1) : "–";
  const counts = now.buckets.map(([limit, count], place) => [limit, count - (then.buckets[place]?.[1] ?? 0)]);
  byId("p50").textContent = quantile(counts, 0.5);
  byId("p99").textContent = quantile(counts, 0.99);
}

// What this page shows of Prometheus' text format, summed over the models.
function read(text) {
  const value = (name) => {
    const lines = text.matchAll(new RegExp(`^resnetd_${name}(?:\\{.*\\})? (.*)$`, "gm"));
    return Array.from(lines, ([, number]) => Number(number)).reduce((sum, number) => sum + number, 0);
  };
  const lines = text.matchAll(
    /^resnetd_http_request_duration_seconds_bucket\{(?=.*route="[^"]*\/classify")(?=.*status="2xx").*le="([^"]+)".*\} (.*)$/gm,
  );
  const sums = new Map();
  for (const [, limit, count] of lines) sums.set(limit, (sums.get(limit) ?? 0) + Number(count));
  const buckets = Array.from(sums, ([limit, count]) => [limit === "+Inf" ? Infinity : Number(limit), count]);
  // Replicas are often started in the same second, but do not load their models in the same time.
  const process = text.match(/^(?:process_start_time_seconds|resnetd_model_load_seconds\b).*$/gm)?.join();
  return { process, at: performance.now(), images: value("images_total"), depth: value("queue_depth"), buckets };
}

// The limit of the bucket in which the quantile lies: as fine as the histogram is.
function quantile(counts, part) {
  const total = counts.at(-1)?.[1] ?? 0;
  if (total === 0) return "–";
  const [limit] = counts.find(([, count]) => count >= part * total);
  if (limit === Infinity) return "> 60 s";
  return limit < 1 ? `${+(limit * 1000).toFixed(2)} ms` : `${limit} s`;
}
