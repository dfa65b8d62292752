// One photo: its picture, and the answer of each model.

import { Answer } from "./answer.js";
import { chosenModels } from "./models.js";
import { Overlay } from "./overlay.js";
import { inTurn, post } from "./request.js";
import { bytes } from "./words.js";

export class Card {
  // `changed` is called when an answer comes, `removed` when the photo is removed, `say` with words for screen readers.
  constructor(file, { changed, removed, say }) {
    this.file = file;
    this.name = file.name || "pasted picture";
    this.fileName = file.name || "photo.jpg";
    this.changed = changed;
    this.say = say;
    this.answers = [];
    this.dropped = new AbortController();
    this.element = document.getElementById("result").content.cloneNode(true).firstElementChild;
    this.find = (selector) => this.element.querySelector(selector);
    this.overlay = new Overlay(this.find("figure"));
    this.caption();
    this.find(".remove").setAttribute("aria-label", `Remove ${this.name}`);
    this.find(".remove").addEventListener("click", () => removed(this));
    this.find(".open").addEventListener("click", () => this.open());
    this.preview();
  }

  // Asks each of `models`, unless they were asked already, or the photo was removed meanwhile.
  classify(models) {
    if (models === this.models || this.isDropped) return;
    this.models = models;
    for (const answer of this.answers) answer.drop();
    this.overlay.hide();
    this.answers = models.map((model) => new Answer(this, model, models.length > 1));
    this.find(".answers").replaceChildren(...this.answers.map(({ element }) => element));
    this.element.classList.toggle("compared", models.length > 1);
    for (const answer of this.answers) answer.classify();
  }

  // Asks again where that may help.
  again() {
    for (const answer of this.answers) if (answer.failure?.mayPass) answer.classify();
  }

  answered(answer) {
    this.image ??= answer.image;
    this.caption();
    // The picture of the input is that of the first model. It is asked for again if the server was busy, or had no key.
    if (answer.predictions && answer === this.answers[0]) this.showInput(answer.answering);
    this.say(`${this.name}: ${answer.spoken}`);
    this.changed();
  }

  // Whether every model has answered, or failed.
  get isDone() {
    return this.answers.length > 0 && this.answers.every(({ predictions, failure }) => predictions || failure);
  }

  releaseMap() {
    this.overlay.hide();
    for (const answer of this.answers) answer.release();
  }

  // Shows a small card in full, and back.
  open() {
    const isOpen = this.element.classList.toggle("opened");
    this.find(".open").setAttribute("aria-expanded", String(isOpen));
    this.find(".open").textContent = isOpen ? "Smaller" : "Details";
    this.releaseMap();
  }

  get isDropped() {
    return this.dropped.signal.aborted;
  }

  drop() {
    this.dropped.abort();
    for (const answer of this.answers) answer.drop();
    this.element.remove();
    URL.revokeObjectURL(this.url);
  }

  caption() {
    const size = this.image && `${this.image.width} × ${this.image.height} ${this.image.format.toUpperCase()}`;
    const parts = [size, bytes(this.file.size), this.isWhole && !this.find(".photo").hidden && "shown as the network's input"];
    this.find(".name").textContent = this.name;
    this.find(".facts").textContent = parts.filter(Boolean).join(" · ");
  }

  preview() {
    const image = this.find("img");
    image.addEventListener("load", () => {
      const small = image.naturalWidth < 200 && image.naturalHeight < 200;
      this.find(".photo").classList.toggle("small", small);
    });
    image.addEventListener("error", async () => {
      if (this.isWhole) return this.hidePhoto();
      this.isWhole = true; // the picture is the crop that the network sees, and nothing else
      const [model] = await chosenModels();
      this.showInput(model);
    });
    image.alt = `The photo ${this.name}`;
    this.show(this.file);
  }

  show(picture) {
    URL.revokeObjectURL(this.url);
    this.url = URL.createObjectURL(picture);
    this.find("img").src = this.url;
    this.find(".photo").hidden = false;
    this.caption();
  }

  // Browsers do not show TIFF; the server answers the network's input as PNG, which models crop in different ways.
  async showInput({ prefix, description }) {
    const input = JSON.stringify(description?.preprocess ?? prefix);
    if (!this.isWhole || this.isDropped || input === this.input) return;
    this.input = input;
    try {
      const options = { accept: "image/png", signal: this.dropped.signal };
      const { body } = await inTurn(() => post(`${prefix}/preprocess?fallback=off`, this.file, options));
      if (this.input === input) this.show(body);
    } catch {
      if (this.input !== input) return;
      this.input = undefined;
      this.hidePhoto(); // what is wrong with the file is on the card already
    }
  }

  hidePhoto() {
    this.find(".photo").hidden = true;
    this.caption();
  }
}
