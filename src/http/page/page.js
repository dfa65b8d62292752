// Photos in, cards with classes out. Each card is in card.js, an answer on it in answer.js.

import { showModels } from "./about.js";
import { openCamera } from "./camera.js";
import { Card } from "./card.js";
import { watchConnection } from "./connection.js";
import { askForKey } from "./key.js";
import { watch } from "./live.js";
import { chosenModels, offerModels } from "./models.js";
import { offerSeveral, summarise } from "./several.js";

const SPOKEN = 3; // more photos at once are announced together

const byId = (id) => document.getElementById(id);
let cards = [];

// Ways in: pick, drop, paste, camera.

byId("files").addEventListener("change", (event) => {
  add(event.target.files);
  event.target.value = ""; // so that the same file can be picked again
});

// What looks like a button opens with Enter, too. Some browsers open a file input with the space bar only,
// others with Enter as well: the browser's own action is prevented, so that the dialog opens once in each.
byId("files").addEventListener("keydown", (event) => {
  if (event.key !== "Enter") return;
  event.preventDefault();
  if (!event.repeat) event.target.click();
});

document.addEventListener("paste", (event) => {
  if (event.clipboardData.files.length > 0) add(event.clipboardData.files);
});

document.addEventListener("dragover", (event) => {
  event.preventDefault();
  document.body.classList.add("over");
});
document.addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) document.body.classList.remove("over");
});
document.addEventListener("drop", (event) => {
  event.preventDefault();
  document.body.classList.remove("over");
  if (event.dataTransfer.files.length > 0) add(event.dataTransfer.files);
  else notice("That is not a file. Save the picture first, or copy and paste it.");
});

openCamera({
  open: byId("camera-open"),
  shoot: byId("camera-shoot"),
  close: byId("camera-close"),
  panel: byId("camera"),
  video: byId("viewfinder"),
  onPhoto: (file) => add([file]),
  onProblem: notice,
});

// A sample photo is fetched and then treated as one that was chosen.
for (const sample of document.querySelectorAll(".samples button")) {
  sample.addEventListener("click", async () => {
    const path = sample.querySelector("img").getAttribute("src");
    try {
      const photo = await (await fetch(path)).blob();
      add([new File([photo], path.split("/").at(-1), { type: photo.type })]);
    } catch {
      notice("The sample photo did not come from the server. Try again, or choose a photo of yours.");
    }
  });
}

async function add(files) {
  notice("");
  const added = Array.from(files, (file) => new Card(file, { changed, removed, say }));
  cards = [...added, ...cards];
  byId("results").prepend(...added.map((card) => card.element));
  changed();
  const models = await chosenModels();
  for (const card of added) card.classify(models);
}

// What changes with every photo and every answer.
function changed() {
  document.body.classList.toggle("has-results", cards.length > 0);
  const summary = summarise(byId, cards);
  if (cards.length > SPOKEN && cards.every((card) => card.isDone)) announce(summary);
}

function removed(card) {
  const next = card.element.nextElementSibling ?? card.element.previousElementSibling;
  cards = cards.filter((other) => other !== card);
  card.drop();
  (next?.querySelector(".remove") ?? byId("files")).focus();
  changed();
}

function clear() {
  for (const card of cards) card.drop();
  cards = [];
  changed();
  byId("files").focus();
  announce("All photos are removed.");
}

function notice(text) {
  byId("notice").textContent = text;
  byId("notice").hidden = text === "";
}

function say(text) {
  if (cards.every((card) => card.isDone) || cards.length <= SPOKEN) announce(text);
}

function announce(text) {
  byId("announce").textContent = text;
}

// The models, and what happens when they, the key or the connection change.

let answering = []; // the models that have answered

function offer() {
  return offerModels(byId, { changed: ask, described: (models) => showModels(byId, models) });
}

function ask(models) {
  const isSame = identity(models) === identity(answering);
  answering = models;
  for (const card of cards) {
    if (isSame) card.again();
    else card.classify(models);
  }
}

const identity = (models) => JSON.stringify(models.map(({ key, description }) => [key, description?.digests]));

byId("curl").textContent = `curl --data-binary @photo.jpg ${location.origin}/classify`;
offerSeveral(byId, { cards: () => cards, clear });
askForKey(byId, offer);
watchConnection(byId("away"), offer);
offer();
watch(byId);
