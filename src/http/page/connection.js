// Whether the server answers. While it does not, the page says so, asks again, and lets photos wait.

const EVERY = 2000; // milliseconds between two attempts
const PATIENCE = 5000; // for one attempt; also the time without an answer after which a request asks for one

let returned; // while the server does not answer: a promise that resolves when it does
let attempt = () => {};
let requests = new AbortController(); // of those that wait for an answer

// Resolves when the server answers, which is usually at once.
export const whenUp = () => returned ?? Promise.resolve();

// Whether the server answers now. If it does not, requests wait until it does.
export async function isUp() {
  if (!(await answers())) lost();
  return returned === undefined;
}

// Runs `request`, which gets a signal. A large photo or a model that is being loaded takes its time, so there is no
// limit. But a server that hangs does not end its connections: the page asks whether it answers, and ends the request
// if it does not, twice in a row.
export async function watched(request) {
  const timer = setInterval(isUp, PATIENCE);
  try {
    return await request(requests.signal);
  } finally {
    clearInterval(timer);
  }
}

// Ends a request that every server answers at once.
export const soon = () => AbortSignal.timeout(PATIENCE);

async function answers() {
  try {
    const answer = await fetch("/livez", { cache: "no-store", signal: soon() });
    // A server with too many connections refuses in its own format, so it is there; a proxy without a server has another.
    return answer.ok || answer.headers.get("content-type") === "application/problem+json";
  } catch {
    return false;
  }
}

let show = () => {};

function lost() {
  if (returned) return;
  returned = new Promise((resolve) => {
    let timer;
    attempt = async () => {
      clearTimeout(timer);
      if (await answers()) {
        returned = undefined;
        show(false);
        resolve();
      } else {
        requests.abort();
        requests = new AbortController();
        clearTimeout(timer);
        timer = setTimeout(attempt, EVERY);
      }
    };
    timer = setTimeout(attempt, EVERY);
  });
  show(true);
}

// Shows and hides `banner`; `again` is called when the server answers again.
export function watchConnection(banner, again) {
  banner.querySelector("button").addEventListener("click", () => attempt());
  show = (isLost) => {
    banner.hidden = !isLost;
    if (!isLost) again();
  };
}
