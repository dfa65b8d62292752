// Figures and sentences as people read them.

export function percent(probability) {
  if (probability > 0.999 && probability < 1) return "> 99.9 %";
  if (probability < 0.001) return "< 0.1 %";
  return `${(probability * 100).toFixed(1)} %`;
}

const LIKELY = 0.5; // from here on a label of several counts as there

// What a photo shows: the best class, or of a network with several labels all that are likely.
export function heading(predictions, task) {
  if (task !== "multi-label") return predictions[0].label;
  const likely = predictions.filter(({ probability }) => probability >= LIKELY);
  if (likely.length === 0) return "No label is likely";
  return likely.map(({ label }) => label).join(", ");
}

export function spoken(predictions, task) {
  if (task === "multi-label") return heading(predictions, task);
  const [best] = predictions;
  return `${best.label}, ${percent(best.probability)}`;
}

export function bytes(count) {
  const units = ["bytes", "kB", "MB", "GB"];
  let size = count;
  let unit = 0;
  while (size >= 1000 && unit < units.length - 1) {
    size /= 1000;
    unit += 1;
  }
  return `${unit > 0 && size < 10 ? size.toFixed(1) : Math.round(size)} ${units[unit]}`;
}

export function milliseconds(duration) {
  if (duration >= 1000) return `${(duration / 1000).toFixed(1)} s`;
  return `${duration < 10 ? duration.toFixed(1) : Math.round(duration)} ms`;
}

// "the upload is not an image" as "The upload is not an image."
export function sentence(text) {
  const begun = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?]$/.test(begun) ? begun : `${begun}.`;
}
