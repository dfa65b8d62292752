// Sends requests: photos a few at a time, again when the server is busy, and later when it is away.

import { isUp, watched, whenUp } from "./connection.js";
import { send } from "./key.js";
import { Failure, INTERRUPTED, UNREADABLE, failureOf } from "./problems.js";

const AT_ONCE = 2; // uploads of this page at the same time
const ATTEMPTS = 3; // of one request to a busy server
const LONGEST_WAIT = 10; // seconds between two of them

const waiting = [];
let running = 0;

// Runs `work` when fewer than AT_ONCE others run: a hundred photos do not fill the server's queue.
export async function inTurn(work) {
  if (running >= AT_ONCE) await new Promise((turn) => waiting.push(turn));
  running += 1;
  try {
    return await work();
  } finally {
    running -= 1;
    waiting.shift()?.();
  }
}

// Sends a photo. Resolves with the answer's `body` (a Blob if `accept` is not JSON), its `timing` on the server, and the
// milliseconds that `elapsed`. Throws a Failure, whatever goes wrong, except when `signal` ends it.
export async function post(path, file, { accept = "application/json", signal } = {}) {
  const options = { method: "POST", body: file, headers: { accept }, signal };
  const { answer, body, elapsed } = await patiently(path, options);
  if (!answer.ok) throw failureOf(answer, body);
  return { body, elapsed, timing: answer.headers.get("server-timing") };
}

// The JSON document at `path`; undefined if the server does not give it. The page works without it.
export async function get(path) {
  try {
    const { answer, body } = await patiently(path, { headers: { accept: "application/json" } });
    return answer.ok ? body : undefined;
  } catch {
    return undefined;
  }
}

// Asks again while the server is busy.
async function patiently(path, options) {
  for (let attempt = 1; ; attempt += 1) {
    const asked = await exchange(path, options);
    const wait = asked.answer.ok ? undefined : asked.body.retry_after_seconds;
    if (wait === undefined || wait > LONGEST_WAIT || attempt === ATTEMPTS) return asked;
    await new Promise((later) => setTimeout(later, wait * 1000));
  }
}

// One request with its whole answer. It begins again when the server is back, or after one interruption.
async function exchange(path, options) {
  let interruptions = 0;
  for (;;) {
    await whenUp();
    options.signal?.throwIfAborted();
    try {
      return await watched((lost) => once(path, { ...options, signal: either(lost, options.signal) }));
    } catch {
      options.signal?.throwIfAborted();
      if (options.body && !(await isReadable(options.body))) throw new Failure(UNREADABLE);
      if (await isUp()) interruptions += 1;
      if (interruptions === 2) throw new Failure(INTERRUPTED, { mayPass: true });
    }
  }
}

async function once(path, options) {
  const started = performance.now();
  const answer = await send(path, options);
  const body = await bodyOf(answer, options.headers.accept);
  return { answer, body, elapsed: performance.now() - started };
}

function bodyOf(answer, accept) {
  if (!answer.ok) return answer.json().catch(() => ({})); // a proxy's error is not JSON
  return accept === "application/json" ? answer.json() : answer.blob();
}

const either = (...signals) => AbortSignal.any(signals.filter(Boolean));

const isReadable = (file) => file.slice(0, 1).arrayBuffer().then(() => true, () => false);
