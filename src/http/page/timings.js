// Where the time of an answer went: the stages on the server, and the way there and back.

import { milliseconds } from "./words.js";

const STAGES = {
  "decode-wait": "Waiting for a decoder",
  decode: "Decoding",
  preprocess: "Preprocessing",
  queue: "Waiting in the queue",
  inference: "Inference",
};

// Fills the `details` element `box` from the header Server-Timing and the milliseconds between request and answer.
export function showTimings(box, header, roundTrip) {
  const stages = [...(header ?? "").matchAll(/([\w-]+);dur=([\d.]+)/g)]
    .map(([, stage, duration]) => [STAGES[stage] ?? stage, Number(duration)]);
  const onServer = stages.reduce((sum, [, duration]) => sum + duration, 0);
  const rows = [...stages, ["Network and browser", Math.max(roundTrip - onServer, 0)]];
  box.querySelector("summary").textContent = `Timings: ${milliseconds(roundTrip)}`;
  box.querySelector("dl").replaceChildren(...rows.map(([name, duration]) => {
    const row = document.createElement("div");
    const term = document.createElement("dt");
    const value = document.createElement("dd");
    term.textContent = name;
    value.textContent = milliseconds(duration);
    row.append(term, value);
    return row;
  }));
  box.hidden = false;
}
