// Requests with an API key, where the server requires one. The key is kept for this tab only.

const STORED = "resnetd-api-key";

let locked = false; // the server has refused the key, or the request without one
let show = () => {};

// Whether requests are of no use until there is another key.
export const isLocked = () => locked;

// Whether requests are sent with a key.
export const hasKey = () => sessionStorage.getItem(STORED) !== null;

export async function send(path, options = {}) {
  const key = sessionStorage.getItem(STORED);
  const headers = { ...options.headers };
  if (key) headers.authorization = `Bearer ${key}`;
  const answer = await fetch(path, { ...options, headers });
  locked = answer.status === 401;
  if (locked) show();
  return answer;
}

// Shows the field for the key when it is needed; `again` is called when there is a new key.
export function askForKey(byId, again) {
  show = () => { byId("key").hidden = false; };
  byId("key-form").addEventListener("submit", (event) => {
    event.preventDefault();
    sessionStorage.setItem(STORED, byId("key-input").value.trim());
    byId("key-input").value = "";
    byId("key").hidden = true;
    locked = false;
    again();
  });
}
