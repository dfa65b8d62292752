// Whether the server answers. While it does not, the page says so, asks again, and lets photos wait.

const EVERY = 2000; // milliseconds between two attempts
const PATIENCE = 5000; // for one attempt

let returned; // while the server does not answer: a promise that resolves when it does
let attempt = () => {};

// Resolves when the server answers, which is usually at once.
export const whenUp = () => returned ?? Promise.resolve();

// Whether the server answers now. If it does not, requests wait until it does.
export async function isUp() {
  if (!(await answers())) lost();
  return returned === undefined;
}

async function answers() {
  try {
    return (await fetch("/livez", { cache: "no-store", signal: AbortSignal.timeout(PATIENCE) })).ok;
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
