// What went wrong, in words for visitors: they have a photo, and not the server's options.

import { sentence } from "./words.js";

const FORMATS = "JPEG, PNG, WebP, GIF, BMP or TIFF";
const BUSY = ["The server is busy", "It has more photos than it can classify now. Try again in a few seconds."];
const BROKEN = ["The server made an error", "Try again. If it happens again, tell the person who runs this server."];

// By the `reason` of a problem document: title and message.
const WORDS = {
  "not-an-image": ["This is not a picture", `Choose a file in the format ${FORMATS}.`],
  "unsupported-format": ["This format cannot be read here", `Save the picture as ${FORMATS}, and choose that file.`],
  "truncated-image": ["The picture is incomplete", "The end of the file is missing. Copy or download it again."],
  "corrupt-image": ["The picture is damaged", "Try to open it in another program and to save it again."],
  "too-many-bytes": ["The file is too large", "Choose a smaller file, or save the picture with fewer pixels."],
  "too-many-pixels": ["The picture has too many pixels", "Make the picture smaller, and choose it again."],
  "body-timeout": ["The upload was too slow", "Try again, with a faster connection or a smaller file."],
  "unauthenticated": ["The server needs an API key", "Enter the key at the top of this page, then try again."],
  "not-found": ["This model is gone", "The server has unloaded it. Choose another model, or load this page again."],
  "not-ready": ["This model is not ready", "It is being loaded, or it cannot be loaded. Try again in a few seconds."],
  "not-offered": ["Not available for this model", "This model cannot show which parts of a photo its scores come from."],
  "too-many-requests": ["Too many photos at once", "The server limits how many photos you may send. Try again in a few seconds."],
  "client-limit": ["Too many photos at once", "The server limits how many photos you may send. Try again in a few seconds."],
  "too-many-connections": BUSY,
  "queue-full": BUSY,
  "memory-limit": BUSY,
  "deadline": BUSY,
  "draining": ["The server is stopping", "Try again in a few seconds."],
  "inference-failed": BROKEN,
  "internal": BROKEN,
};

const PASSING = ["unauthenticated", "too-many-requests", "client-limit", "body-timeout"];

// A request that failed. `title` and `message` are for visitors; `detail` is what the server said.
export class Failure extends Error {
  constructor([title, message], { mayPass = false, detail, requestId } = {}) {
    super(message);
    Object.assign(this, { title, mayPass, detail, requestId });
  }
}

// The failure that an answer with an error status describes.
export function failureOf(answer, problem) {
  const detail = problem.detail && sentence(problem.detail);
  const words = WORDS[problem.reason] ?? [problem.title ?? "The request failed", detail ?? `The server answered with status ${answer.status}.`];
  const mayPass = answer.status >= 500 || PASSING.includes(problem.reason);
  return new Failure(words, { mayPass, detail, requestId: answer.headers.get("x-request-id") });
}

// Failures without an answer.
export const INTERRUPTED = ["The upload was interrupted", "The connection to the server ended too early. Try again."];
export const UNREADABLE = ["The file cannot be read", "It was moved, changed or deleted after it was chosen. Choose it again."];

// For tests: which reasons have words of their own.
export const reasons = () => Object.keys(WORDS);
