// A class activation map over its photo: the map, the frame of the crop, and the legend.

import { draw, scale } from "./heat.js";

export class Overlay {
  constructor(figure) {
    this.canvas = figure.querySelector("canvas");
    this.frame = figure.querySelector(".frame");
    this.legend = figure.querySelector(".legend");
    this.legend.querySelector(".scale").style.background = scale();
  }

  // Lays `map` over `crop`, the part of the image of `width` and `height` that the network saw.
  show({ map, strong, crop, width, height }) {
    for (const { style } of [this.canvas, this.frame]) {
      style.left = `${(100 * crop.left) / width}%`;
      style.top = `${(100 * crop.top) / height}%`;
      style.width = `${(100 * crop.width) / width}%`;
      style.height = `${(100 * crop.height) / height}%`;
    }
    draw(this.canvas, map, strong);
    this.canvas.hidden = this.legend.hidden = false;
    this.frame.hidden = unseen({ crop, width, height }) === undefined;
  }

  hide() {
    this.canvas.hidden = this.frame.hidden = this.legend.hidden = true;
  }
}

// The parts of an image outside the crop, in words; undefined if there are none.
export function unseen({ crop, width, height }) {
  const sides = crop.left > 1 || crop.left + crop.width < width - 1;
  const ends = crop.top > 1 || crop.top + crop.height < height - 1;
  if (sides && ends) return "edges";
  if (sides) return "sides";
  return ends ? "top and bottom" : undefined;
}
