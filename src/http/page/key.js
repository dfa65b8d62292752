// Requests with an API key, where the server requires one. The key is kept for this tab only.

const STORED = "resnetd-api-key";

let locked = false; // the server has refused the key, or the request without one
let show = () => {};
let key = stored();

// Whether requests are of no use until there is another key.
export const isLocked = () => locked;

// Whether requests are sent with a key.
export const hasKey = () => key !== null;

export async function send(path, options = {}) {
  const headers = { ...options.headers };
  if (key) headers.authorization = `Bearer ${key}`;
  const answer = await fetch(path, { ...options, headers });
  locked = answer.status === 401;
  if (locked) show();
  return answer;
}

// Shows the field for the key when it is needed; `again` is called when there is a new key.
export function askForKey(byId, again) {
  const input = byId("key-input");
  show = () => { byId("key").hidden = false; };
  byId("key-form").addEventListener("submit", (event) => {
    event.preventDefault();
    const typed = input.value.trim();
    byId("key-problem").hidden = canBeSent(typed);
    input.setAttribute("aria-invalid", String(!canBeSent(typed)));
    if (!canBeSent(typed)) return input.focus();
    keep(typed);
    input.value = "";
    byId("key").hidden = true;
    locked = false;
    again();
  });
}

// A header holds no other characters. Keys that are copied from a text may have some that nobody sees.
const canBeSent = (text) => /^[ -~]+$/.test(text);

// Browsers that block cookies refuse the storage, too; then the key is kept until the page is loaded again.
function stored() {
  try {
    return sessionStorage.getItem(STORED);
  } catch {
    return null;
  }
}

function keep(typed) {
  key = typed;
  try {
    sessionStorage.setItem(STORED, key);
  } catch {
    // The variable has it.
  }
}
