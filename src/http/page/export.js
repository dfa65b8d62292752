// The answers of all photos as a file, with the columns and members of `resnetd classify --format csv` and `jsonl`.

// One row for each photo and model.
export function asCsv(cards) {
  const answers = all(cards);
  const most = Math.max(0, ...answers.map(({ predictions }) => predictions?.length ?? 0));
  const ranks = Array.from({ length: most }, (_, index) => index + 1);
  const head = ["file", "model", "width", "height", "format", "unsure", ...ranks.flatMap((rank) => [`label_${rank}`, `probability_${rank}`]), "error"];
  const rows = answers.map(({ file, model, image, unsure, predictions, error }) => [
    file, model, image?.width, image?.height, image?.format, unsure,
    ...ranks.flatMap((rank) => [predictions?.[rank - 1]?.label, predictions?.[rank - 1]?.probability]),
    error,
  ]);
  return [head, ...rows].map((row) => `${row.map(cell).join(",")}\r\n`).join("");
}

export function asJson(cards) {
  return `${JSON.stringify(all(cards), null, 2)}\n`;
}

function all(cards) {
  return cards.flatMap((card) => card.answers.filter(({ predictions, failure }) => predictions || failure).map((answer) => ({
    file: card.name,
    model: answer.name ?? answer.model.key,
    ...(answer.failure
      ? { error: answer.failure.detail ?? answer.failure.message }
      : { image: answer.image, unsure: answer.isUnsure, predictions: answer.predictions }),
  })));
}

function cell(value) {
  const text = value === undefined ? "" : String(value);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

// Lets the browser save `text` as a file.
export function save(name, type, text) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href));
}
