// What the page says of the model: its name, its classes, and whether it is sure of an answer.

import { send } from "./key.js";
import { percent } from "./words.js";

const LIKELY = 0.5; // below it a class is a guess
const COVERAGE = 0.95; // of the calibrated sets that decide where the model has them

// The description of the model, or undefined where the server does not give it.
let model;

export async function describe(byId) {
  try {
    const answer = await send("/v1/model");
    if (!answer.ok) return;
    model = await answer.json();
  } catch {
    return; // the page works without it
  }
  const count = model.labels.length.toLocaleString("en");
  byId("served").textContent = `Classifies photos with ${model.name} (${model.architecture}, ${count} classes).`;
  byId("device").textContent = model.device;
  document.title = `${model.name} – resnetd`;
  byId("demonstration").hidden = !model.demonstration;
  listClasses(byId, model.labels);
}

function listClasses(byId, labels) {
  const search = byId("classes-search");
  search.hidden = labels.length <= 20;
  byId("classes-title").textContent = `The ${labels.length.toLocaleString("en")} classes`;
  const show = () => {
    const wanted = search.value.trim().toLowerCase();
    const found = labels.filter((label) => label.toLowerCase().includes(wanted));
    byId("classes-list").replaceChildren(...found.map((label) => {
      const item = document.createElement("li");
      item.textContent = label;
      return item;
    }));
    byId("classes-found").textContent = wanted === "" ? "" : `${found.length} of ${labels.length} classes`;
  };
  search.addEventListener("input", show);
  show();
  byId("classes").hidden = false;
}

// Whether the first of `predictions`, in descending order, is too uncertain to be called the answer: less
// likely than not, or one of several classes that may be the truth.
export function isUnsure(predictions) {
  if (model?.task === "multi-label") return false;
  if (predictions[0].probability < LIKELY) return true;
  const sets = model?.calibration?.[model.precision]?.sets ?? [];
  const threshold = sets.find((set) => set.coverage >= COVERAGE)?.threshold;
  return threshold !== undefined && predictions.filter(({ probability }) => probability >= threshold).length > 1;
}

// The heading of an answer: the best class, or all likely classes of a model with several labels for an image.
export function heading(predictions) {
  if (model?.task === "multi-label") {
    const likely = predictions.filter(({ probability }) => probability >= LIKELY);
    return likely.map(({ label }) => label).join(", ") || "No label is likely";
  }
  return isUnsure(predictions) ? `Not sure. Perhaps ${predictions[0].label}` : predictions[0].label;
}

// The same for screen readers.
export function spoken(predictions) {
  if (model?.task === "multi-label") return heading(predictions);
  return `${heading(predictions)}, ${percent(predictions[0].probability)}`;
}
