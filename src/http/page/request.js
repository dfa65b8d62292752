// Sends photos: a few at a time, again when the server is busy, and later when it is away.

import { isUp, whenUp } from "./connection.js";
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

// Sends a photo. Throws a Failure, whatever goes wrong.
export async function post(path, file, accept = "application/json") {
  for (let attempt = 1; ; attempt += 1) {
    const answer = await upload(path, file, accept);
    if (answer.ok) return answer;
    const problem = await answer.json().catch(() => ({}));
    const wait = problem.retry_after_seconds;
    if (wait === undefined || wait > LONGEST_WAIT || attempt === ATTEMPTS) throw failureOf(answer, problem);
    await new Promise((later) => setTimeout(later, wait * 1000));
  }
}

// The answer to one upload, which begins again when the server is back, or after one interruption.
async function upload(path, file, accept) {
  let interruptions = 0;
  for (;;) {
    await whenUp();
    try {
      return await send(path, { method: "POST", body: file, headers: { accept } });
    } catch {
      if (!(await isReadable(file))) throw new Failure(UNREADABLE);
      if (await isUp()) interruptions += 1;
      if (interruptions === 2) throw new Failure(INTERRUPTED, { mayPass: true });
    }
  }
}

const isReadable = (file) => file.slice(0, 1).arrayBuffer().then(() => true, () => false);
