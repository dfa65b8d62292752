// Many photos: their summary, small cards, the export, and the removal of all.

import { bestLabel } from "./certainty.js";
import { asCsv, asJson, save } from "./export.js";
import { counted } from "./words.js";

const MANY = 12; // more photos than this are shown as small cards
const NAMED = 5; // classes in the summary

let isSmall; // what the visitor chose; undefined before that

// Connects the buttons. `cards` gives the photos on the page, `clear` removes them.
export function offerSeveral(byId, { cards, clear }) {
  byId("small").addEventListener("click", () => {
    isSmall = byId("small").getAttribute("aria-pressed") !== "true";
    summarise(byId, cards());
  });
  byId("clear").addEventListener("click", () => {
    isSmall = undefined;
    clear();
  });
  byId("save-csv").addEventListener("click", () => save("classes.csv", "text/csv", asCsv(cards())));
  byId("save-json").addEventListener("click", () => save("classes.json", "application/json", asJson(cards())));
}

// Shows the summary of `cards`, and returns it.
export function summarise(byId, cards) {
  const small = isSmall ?? cards.length > MANY;
  byId("several").hidden = cards.length < 2;
  byId("small").setAttribute("aria-pressed", String(small));
  byId("results").classList.toggle("small-cards", small && cards.length > 1);
  const done = cards.filter((card) => card.isDone);
  byId("progress").hidden = done.length === cards.length;
  byId("progress").max = cards.length;
  byId("progress").value = done.length;
  const title = done.length < cards.length ? `${done.length} of ${counted(cards.length, "photo")}` : counted(cards.length, "photo");
  byId("summary-title").textContent = title;
  const lines = done.length > 0 ? summaries(done) : [];
  byId("summary").replaceChildren(...lines.map(row));
  for (const button of ["save-csv", "save-json"]) byId(button).disabled = done.length === 0;
  const spoken = lines.map(({ model, tally }) => `${model} ${tally.map(([name, count]) => `${name} ${count}`).join("; ")}`);
  return [title, ...spoken].join(". ");
}

function row({ model, tally }) {
  const list = document.createElement("ul");
  list.append(...tally.map(([name, count]) => {
    const item = document.createElement("li");
    const figure = document.createElement("b");
    figure.textContent = count;
    item.append(`${name} `, figure);
    return item;
  }));
  const element = document.createElement("div");
  const title = document.createElement("p");
  title.textContent = model;
  element.append(title, list);
  return element;
}

// The classes of each model with their number of photos, and how often the models agree.
function summaries(cards) {
  const models = cards[0].answers.map(({ model }) => model);
  const lines = models.map((model, index) => ({
    model: models.length > 1 ? model.title : "",
    tally: ofModel(cards.map(({ answers }) => answers[index])),
  }));
  const both = cards.filter(({ answers }) => answers.length > 1 && answers.every(({ predictions }) => predictions));
  if (both.length > 0) {
    const same = both.filter(({ answers }) => answers.every((answer) => label(answer) === label(answers[0])));
    const tally = [["same class", same.length], ["different classes", both.length - same.length]];
    lines.push({ model: "Both models", tally: tally.filter(([, count]) => count > 0) });
  }
  return lines;
}

function ofModel(answers) {
  const counts = new Map();
  for (const answer of answers.filter(({ predictions, isUnsure }) => predictions && !isUnsure)) {
    counts.set(label(answer), (counts.get(label(answer)) ?? 0) + 1);
  }
  const classes = [...counts].sort(([, a], [, b]) => b - a);
  const others = classes.slice(NAMED);
  return [
    ...classes.slice(0, NAMED),
    [others.length === 1 ? "another class" : `${others.length} other classes`, others.reduce((sum, [, count]) => sum + count, 0)],
    ["not sure", answers.filter(({ isUnsure }) => isUnsure).length],
    ["with an error", answers.filter(({ failure }) => failure).length],
  ].filter(([, count]) => count > 0);
}

const label = ({ predictions, description }) => bestLabel(predictions, description);
