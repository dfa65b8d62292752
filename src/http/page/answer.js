// The answer of one model for one photo: its classes, and the map of the class that is pressed.

import { heading, isUnsure, spoken } from "./certainty.js";
import { showCode } from "./code.js";
import { strongestPlace } from "./heat.js";
import { describe, modelNamed } from "./models.js";
import { unseen } from "./overlay.js";
import { inTurn, post } from "./request.js";
import { showTimings } from "./timings.js";
import { percent } from "./words.js";

const SHOWN = 5; // classes of an answer

export class Answer {
  // `card` is the photo's, `model` one of the models that answer, of which there may be `several`.
  constructor(card, model, several) {
    this.card = card;
    this.model = model;
    this.answering = model; // another one if the server replaces a model that is overloaded
    this.dropped = new AbortController();
    this.element = document.getElementById("answer").content.cloneNode(true).firstElementChild;
    this.find = (selector) => this.element.querySelector(selector);
    this.find(".by").textContent = several ? model.title : "";
    this.wait();
  }

  wait() {
    this.failure = this.predictions = undefined;
    this.find("h2").textContent = "Waiting …";
    this.find(".problem").hidden = true;
    this.element.classList.remove("failed");
    this.element.classList.add("waiting");
    this.element.setAttribute("aria-busy", "true");
  }

  // Asks the model. Nothing is shown if the photo was removed, or another model was chosen, meanwhile.
  async classify() {
    this.wait();
    try {
      const { body, elapsed, timing } = await this.post(this.path());
      this.answering = body.instead_of ? modelNamed(body.model) : this.model;
      await describe(this.answering);
      if (this.isDropped) return;
      this.showClasses(body);
      showTimings(this.find(".timings"), timing, elapsed);
      this.renewCode = showCode(this.find(".request"), () => ({ path: this.path(), name: this.card.fileName }));
    } catch (failure) {
      if (this.isDropped) return;
      this.showProblem(failure);
    }
    this.element.classList.remove("waiting");
    this.element.removeAttribute("aria-busy");
    this.card.answered(this);
  }

  // The photo was removed, or another model was chosen.
  drop() {
    this.dropped.abort();
    this.pressed = undefined;
  }

  get isDropped() {
    return this.dropped.signal.aborted;
  }

  post(path) {
    return inTurn(() => post(path, this.card.file, { signal: this.dropped.signal }));
  }

  // The request's path: for the classes, or for the map that is shown.
  path() {
    if (this.pressed) return this.mapPath([this.pressed], `top_k=${SHOWN}&`);
    return `${this.model.prefix}/classify?top_k=${SHOWN}`;
  }

  // The numbers of classes are those of the model that answered, and no other model may answer for it.
  mapPath(predictions, parameters = "") {
    const classes = predictions.map(({ index }) => `&class=%23${index}`).join("");
    return `${this.answering.prefix}/classify?${parameters}explain=cam${classes}&fallback=off`;
  }

  // What the server says of the model that answered.
  get description() {
    return this.answering.description;
  }

  get isUnsure() {
    return this.predictions !== undefined && isUnsure(this.predictions, this.description);
  }

  // For screen readers.
  get spoken() {
    return this.failure ? this.failure.message : spoken(this.predictions, this.description);
  }

  showClasses({ predictions, image, model, instead_of }) {
    this.predictions = predictions;
    this.image = image;
    this.name = model;
    this.element.classList.toggle("unsure", this.isUnsure);
    this.find("h2").textContent = heading(predictions, this.description);
    if (instead_of) this.find(".by").textContent = `${model}, because ${instead_of} is overloaded`;
    this.find(".likelihood").textContent = percent(predictions[0].probability);
    this.find(".classes").replaceChildren(...predictions.map((prediction) => this.row(prediction)));
    this.hint("Select a class to see which parts of the photo add to its score.");
  }

  row(prediction) {
    const row = document.getElementById("class").content.cloneNode(true);
    row.querySelector(".label").textContent = prediction.label;
    row.querySelector(".percent").textContent = percent(prediction.probability);
    row.querySelector(".bar span").style.transform = `scaleX(${prediction.probability})`;
    const button = row.querySelector("button");
    button.addEventListener("click", () => this.toggleMap(prediction, button));
    return row;
  }

  showProblem(failure) {
    this.failure = failure;
    this.element.classList.add("failed");
    this.find("h2").textContent = failure.title ?? "Error on this page";
    this.find(".message").textContent = failure.message;
    this.find(".again").hidden = !failure.mayPass;
    this.find(".again").onclick = () => this.classify();
    const said = [failure.detail, failure.requestId && `Request id: ${failure.requestId}`].filter(Boolean);
    this.find(".said").hidden = said.length === 0;
    this.find(".said p").textContent = said.join(" ");
    this.find(".problem").hidden = false;
  }

  hint(text) {
    this.find(".map-hint").textContent = text;
    this.find(".map-hint").hidden = text === "";
  }

  async toggleMap(prediction, button) {
    const wasPressed = this.pressed === prediction;
    this.card.releaseMap();
    if (wasPressed) return;
    this.pressed = prediction;
    button.setAttribute("aria-pressed", "true");
    this.renewCode();
    try {
      const explanation = await this.explanation();
      await this.card.showInput(this.answering);
      if (this.pressed === prediction) this.showMap(prediction, explanation);
    } catch (failure) {
      if (this.pressed !== prediction) return;
      this.release();
      this.hint(failure.message);
      this.card.say(failure.message);
    }
  }

  showMap(prediction, { maps, strong, crop: seen }) {
    const map = maps.find((map) => map.class === prediction.index);
    const { width, height } = this.image;
    const crop = this.card.isWhole ? { left: 0, top: 0, width, height } : seen;
    this.card.overlay.show({ map, strong, crop, width, height });
    const place = strongestPlace(map);
    const outside = unseen({ crop, width, height });
    const words = [
      place
        ? `Class activation map of “${prediction.label}”: most of its score comes from the ${place}.`
        : `No part of the photo adds to the score of “${prediction.label}”.`,
      outside && `The network did not see the ${outside} of the photo, outside the frame.`,
    ];
    this.hint(words.filter(Boolean).join(" "));
    this.card.say(words[0]);
  }

  // No class is pressed any more.
  release() {
    if (!this.pressed) return;
    this.pressed = undefined;
    for (const button of this.element.querySelectorAll(".class")) button.setAttribute("aria-pressed", "false");
    this.hint("");
    this.renewCode();
  }

  // The maps of all classes of the answer, asked for once.
  explanation() {
    this.asked ??= this.ask().catch((failure) => {
      this.asked = undefined;
      throw failure;
    });
    return this.asked;
  }

  async ask() {
    return (await this.post(this.mapPath(this.predictions))).body.explanation;
  }
}
