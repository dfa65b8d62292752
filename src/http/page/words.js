// Formats figures and sentences for people.

export function percent(probability) {
  if (probability > 0.999 && probability < 1) return "> 99.9 %";
  if (probability < 0.001) return "< 0.1 %";
  return `${(probability * 100).toFixed(1)} %`;
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

// "1 photo", "2 photos".
export function counted(count, noun) {
  return `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;
}

// "the upload is not an image" as "The upload is not an image."
export function sentence(text) {
  const begun = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?]$/.test(begun) ? begun : `${begun}.`;
}
