// What the page says of an answer, and whether the model is sure of it.

import { percent } from "./words.js";

const LIKELY = 0.5; // below it a class is a guess
const COVERAGE = 0.95; // of the calibrated sets that decide where the model has them

// Whether the first of `predictions`, in descending order, is too uncertain to be called the answer: less
// likely than not, or one of several classes in the prediction set. `description` is the model's.
export function isUnsure(predictions, description) {
  if (predictions.length === 0 || description?.task === "multi-label") return false;
  if (predictions[0].probability < LIKELY) return true;
  const sets = description?.calibration?.[description.precision]?.sets ?? [];
  const threshold = sets.find((set) => set.coverage >= COVERAGE)?.threshold;
  return threshold !== undefined && predictions.filter(({ probability }) => probability >= threshold).length > 1;
}

// The best class, or all likely classes of a model with several labels for an image.
export function bestLabel(predictions, description) {
  if (description?.task !== "multi-label") return predictions[0].label;
  const likely = predictions.filter(({ probability }) => probability >= LIKELY);
  return likely.map(({ label }) => label).join(", ") || "No label is likely";
}

// The heading of an answer.
export function heading(predictions, description) {
  const label = bestLabel(predictions, description);
  return isUnsure(predictions, description) ? `Not sure. Perhaps ${label}` : label;
}

// The same for screen readers.
export function spoken(predictions, description) {
  const words = heading(predictions, description);
  return description?.task === "multi-label" ? words : `${words}, ${percent(predictions[0].probability)}`;
}
