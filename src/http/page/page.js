// Photos in, cards with classes out. Maps are in heat.js, the server's figures in live.js.

import { draw, strongestPlace } from "./heat.js";
import { bytes, milliseconds, percent, sentence } from "./words.js";
import { openCamera } from "./camera.js";
import { askForKey, send } from "./key.js";
import { watch } from "./live.js";
import { describe, heading, isUnsure, spoken } from "./model.js";

const SHOWN = 5; // classes on a card
const AT_ONCE = 2; // uploads of this page at the same time

const byId = (id) => document.getElementById(id);
const results = byId("results");
const waiting = [];
let running = 0;

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
  else notice("That is not a file. Save the image first, or copy and paste it.");
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

function add(files) {
  notice("");
  const cards = Array.from(files, (file) => new Card(file));
  results.prepend(...cards.map((card) => card.element));
  document.body.classList.add("has-results");
  for (const card of cards) card.classify();
}

function notice(text) {
  byId("notice").textContent = text;
  byId("notice").hidden = text === "";
}

function announce(text) {
  byId("announce").textContent = text;
}

// Runs `work` when fewer than AT_ONCE others run: a hundred photos do not fill the server's queue.
async function inTurn(work) {
  if (running >= AT_ONCE) await new Promise((turn) => waiting.push(turn));
  running += 1;
  try {
    return await work();
  } finally {
    running -= 1;
    waiting.shift()?.();
  }
}

// Sends a photo. Throws an Error whose message is for people, whatever goes wrong.
async function post(path, file, accept = "application/json") {
  let answer;
  try {
    answer = await send(path, { method: "POST", body: file, headers: { accept } });
  } catch {
    throw new Failure("No answer", `The server did not respond, or did not accept the upload of ${bytes(file.size)}.`, true);
  }
  if (answer.ok) return answer;
  const problem = await answer.json().catch(() => ({}));
  const detail = problem.detail ?? `The server answered ${answer.status}.`;
  throw new Failure(problem.title ?? "Request failed", sentence(detail), answer.status >= 500 || [401, 429].includes(answer.status));
}

class Failure extends Error {
  constructor(title, message, mayPass) {
    super(message);
    this.title = title;
    this.mayPass = mayPass;
  }
}

// One photo: its picture, its classes, and the map of the class that is pressed.
class Card {
  constructor(file) {
    this.file = file;
    this.name = file.name || "pasted picture";
    this.element = byId("result").content.cloneNode(true).firstElementChild;
    this.find = (selector) => this.element.querySelector(selector);
    this.caption();
    this.find("h2").textContent = "Waiting …";
    this.find(".remove").setAttribute("aria-label", `Remove ${this.name}`);
    this.find(".remove").addEventListener("click", () => this.remove());
    this.element.classList.add("waiting");
    this.element.setAttribute("aria-busy", "true");
    this.preview();
  }

  caption() {
    const size = this.image && `${this.image.width} × ${this.image.height} ${this.image.format.toUpperCase()}`;
    const parts = [this.name, size, bytes(this.file.size), this.isWhole && !this.find(".photo").hidden && "shown as the network's input"];
    this.find("figcaption").textContent = parts.filter(Boolean).join(" · ");
  }

  preview() {
    const image = this.find("img");
    image.addEventListener("load", () => {
      const small = image.naturalWidth < 200 && image.naturalHeight < 200;
      this.find(".photo").classList.toggle("small", small);
    });
    image.addEventListener("error", () => {
      if (this.isWhole) this.hidePhoto();
      else this.showWhatTheNetworkSaw();
    });
    image.alt = `The photo ${this.name}`;
    this.show(this.file);
  }

  show(picture) {
    URL.revokeObjectURL(this.url);
    this.url = URL.createObjectURL(picture);
    this.find("img").src = this.url;
  }

  // Browsers do not show TIFF; the server does, as small as the network takes it.
  async showWhatTheNetworkSaw() {
    this.isWhole = true; // the picture is all of what the network saw, and nothing else
    this.caption();
    try {
      const answer = await inTurn(() => post("/preprocess", this.file, "image/png"));
      this.show(await answer.blob());
    } catch {
      this.hidePhoto(); // what is wrong with the file is on the card already
    }
  }

  hidePhoto() {
    this.find(".photo").hidden = true;
    this.caption();
  }

  async classify() {
    this.element.classList.add("waiting");
    this.find(".answer > .problem").hidden = true;
    try {
      const started = performance.now();
      const answer = await inTurn(() => post(`/classify?top_k=${SHOWN}`, this.file));
      const { predictions, image } = await answer.json();
      this.image = image;
      this.showClasses(predictions);
      this.showTiming(answer.headers.get("server-timing"), performance.now() - started);
      announce(`${this.name}: ${spoken(predictions)}`);
    } catch (failure) {
      this.showProblem(failure);
    }
    this.element.classList.remove("waiting");
    this.element.removeAttribute("aria-busy");
  }

  showClasses(predictions) {
    this.element.classList.toggle("unsure", isUnsure(predictions));
    this.find("h2").textContent = heading(predictions);
    this.caption();
    this.predictions = predictions;
    this.find(".classes").replaceChildren(...predictions.map((prediction) => this.row(prediction)));
    this.hint("Select a class to see which parts of the photo add to its score.");
  }

  row(prediction) {
    const row = byId("class").content.cloneNode(true);
    row.querySelector(".label").textContent = prediction.label;
    row.querySelector(".percent").textContent = percent(prediction.probability);
    row.querySelector(".bar span").style.transform = `scaleX(${prediction.probability})`;
    const button = row.querySelector("button");
    button.addEventListener("click", () => this.toggleMap(prediction, button));
    return row;
  }

  showTiming(header, roundTrip) {
    const stages = [...(header ?? "").matchAll(/([\w-]+);dur=([\d.]+)/g)]
      .map(([, stage, duration]) => `${stage} ${milliseconds(Number(duration))}`);
    this.find(".timing").textContent = `${milliseconds(roundTrip)} in total: ${stages.join(", ")}`;
  }

  showProblem(failure) {
    const box = this.find(".answer > .problem");
    this.find("h2").textContent = failure.title ?? "Error on this page";
    box.textContent = failure.message;
    box.hidden = false;
    if (failure.mayPass) {
      const again = document.createElement("button");
      again.type = "button";
      again.textContent = "Try again";
      again.addEventListener("click", () => this.classify());
      box.append(" ", again);
    }
    announce(`${this.name}: ${failure.message}`);
  }

  hint(text) {
    this.find(".map-hint").textContent = text;
    this.find(".map-hint").hidden = text === "";
  }

  async toggleMap(prediction, button) {
    const canvas = this.find("canvas");
    const wasPressed = button.getAttribute("aria-pressed") === "true";
    for (const other of this.element.querySelectorAll(".class")) other.setAttribute("aria-pressed", "false");
    canvas.hidden = true;
    if (wasPressed) return this.hint("");
    button.setAttribute("aria-pressed", "true");
    try {
      const explanation = await this.explanation();
      if (button.getAttribute("aria-pressed") !== "true") return; // another one was chosen meanwhile
      const map = explanation.maps.find((map) => map.class === prediction.index);
      const { width, height } = this.image;
      const seen = this.isWhole ? { left: 0, top: 0, width, height } : explanation.crop;
      draw(canvas, map, explanation.strong, seen, this.image);
      const place = strongestPlace(map);
      const words = place
        ? `Class activation map of “${prediction.label}”: most of its score comes from the ${place}. Clear areas add nothing.`
        : `No part of the photo adds to the score of “${prediction.label}”.`;
      this.hint(words);
      announce(words);
    } catch (failure) {
      button.setAttribute("aria-pressed", "false");
      this.hint(failure.message);
      announce(failure.message);
    }
  }

  // The maps of all classes on the card, asked for once.
  explanation() {
    this.asked ??= this.ask().catch((failure) => {
      this.asked = undefined;
      throw failure;
    });
    return this.asked;
  }

  async ask() {
    const classes = this.predictions.map(({ index }) => `&class=%23${index}`).join("");
    const answer = await inTurn(() => post(`/classify?explain=cam${classes}`, this.file));
    return (await answer.json()).explanation;
  }

  remove() {
    const next = this.element.nextElementSibling ?? this.element.previousElementSibling;
    this.element.remove();
    URL.revokeObjectURL(this.url);
    (next?.querySelector(".remove") ?? byId("files")).focus();
    document.body.classList.toggle("has-results", results.childElementCount > 0);
  }
}

byId("curl").textContent = `curl --data-binary @photo.jpg ${location.origin}/classify`;
askForKey(byId, () => describe(byId));
describe(byId);
watch(byId);
