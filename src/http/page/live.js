// The server's figures, from /v1/model once and from /metrics while somebody looks.

const EVERY = 2000; // milliseconds
const WINDOW = 60_000;

export function watch(byId) {
  const snapshots = [];
  const live = byId("live");

  describe(byId);
  look();

  async function look() {
    if (live.open && !document.hidden) {
      try {
        const answer = await fetch("/metrics");
        show(byId, snapshots, read(await answer.text()));
      } catch {
        byId("window").textContent = "The server does not answer.";
      }
    }
    setTimeout(look, EVERY);
  }
}

async function describe(byId) {
  try {
    const model = await (await fetch("/v1/model")).json();
    byId("served").textContent =
      `A photo in, its classes out: ${model.name} (${model.architecture}, ${model.labels.length} classes).`;
    byId("device").textContent = model.device;
    document.body.dataset.task = model.task;
    document.title = `${model.name} – resnetd`;
  } catch {
    // The page says what it can say without it.
  }
}

function show(byId, snapshots, now) {
  snapshots.push(now);
  while (snapshots[0].at < now.at - WINDOW) snapshots.shift();
  const [then] = snapshots;
  const seconds = (now.at - then.at) / 1000;
  byId("window").textContent = "Over the last minute.";
  byId("depth").textContent = now.depth;
  byId("rate").textContent = seconds > 0 ? ((now.images - then.images) / seconds).toFixed(1) : "–";
  const counts = now.buckets.map(([limit, count], place) => [limit, count - (then.buckets[place]?.[1] ?? 0)]);
  byId("p50").textContent = quantile(counts, 0.5);
  byId("p99").textContent = quantile(counts, 0.99);
}

// What this page shows of Prometheus' text format.
function read(text) {
  const value = (name) => Number(text.match(new RegExp(`^resnetd_${name} (.*)$`, "m"))?.[1] ?? 0);
  const lines = text.matchAll(
    /^resnetd_http_request_duration_seconds_bucket\{(?=.*route="\/classify")(?=.*status="2xx").*le="([^"]+)"\} (.*)$/gm,
  );
  const buckets = Array.from(lines, ([, limit, count]) => [limit === "+Inf" ? Infinity : Number(limit), Number(count)]);
  return { at: performance.now(), images: value("images_total"), depth: value("queue_depth"), buckets };
}

// The limit of the bucket in which the quantile lies: as fine as the histogram is.
function quantile(counts, part) {
  const total = counts.at(-1)?.[1] ?? 0;
  if (total === 0) return "–";
  const [limit] = counts.find(([, count]) => count >= part * total);
  if (limit === Infinity) return "> 60 s";
  return limit < 1 ? `${+(limit * 1000).toFixed(2)} ms` : `${limit} s`;
}
