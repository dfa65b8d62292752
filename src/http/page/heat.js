// A class's map over its photo: the same colours, in the same places, as the server's PNG.

const OPACITY = 0.7;
const COLOURS = [[90, 20, 130], [200, 40, 80], [250, 140, 30], [255, 240, 130]];
const SIDE = 224; // of the canvas, in pixels; CSS makes it as large as the photo

// The colours as a CSS gradient, from the weakest to the strongest.
export function scale() {
  const stops = Array.from({ length: 9 }, (_, index) => {
    const strength = index / 8;
    const [red, green, blue] = colour(strength).map(Math.round);
    return `rgb(${red} ${green} ${blue} / ${alpha(strength)})`;
  });
  return `linear-gradient(to right, ${stops.join(", ")})`;
}

// Draws `map` on `canvas`. `strong` is the largest value of the most probable class's map.
export function draw(canvas, map, strong) {
  canvas.width = SIDE;
  canvas.height = SIDE;
  const largest = Math.max(strong, ...map.values);
  const context = canvas.getContext("2d");
  const pixels = context.createImageData(SIDE, SIDE);
  for (let row = 0; row < SIDE; row += 1) {
    for (let column = 0; column < SIDE; column += 1) {
      const value = valueAt(map, (column + 0.5) / SIDE, (row + 0.5) / SIDE);
      const strength = largest > 0 ? Math.min(Math.max(value / largest, 0), 1) : 0;
      const [red, green, blue] = colour(strength);
      pixels.data.set([red, green, blue, 255 * alpha(strength)], 4 * (row * SIDE + column));
    }
  }
  context.putImageData(pixels, 0, 0);
}

// The map's value at `x`, `y`, from 0 to 1, between its four nearest places.
function valueAt({ width, height, values }, x, y) {
  const [left, right, across] = between(x, width);
  const [above, below, down] = between(y, height);
  const line = (row) => mix(values[row * width + left], values[row * width + right], across);
  return mix(line(above), line(below), down);
}

function between(part, places) {
  const place = Math.min(Math.max(part * places - 0.5, 0), places - 1);
  const first = Math.floor(place);
  return [first, Math.min(first + 1, places - 1), place - first];
}

const mix = (a, b, part) => a + (b - a) * part;

const alpha = (strength) => OPACITY * strength ** 0.75;

function colour(strength) {
  const place = strength * (COLOURS.length - 1);
  const first = Math.min(Math.floor(place), COLOURS.length - 2);
  return COLOURS[first].map((channel, index) => mix(channel, COLOURS[first + 1][index], place - first));
}

// The strongest place in words, such as "upper left"; nothing where no place adds to the score.
export function strongestPlace({ width, height, values }) {
  const largest = Math.max(...values);
  if (largest <= 0) return undefined;
  const place = values.indexOf(largest);
  const third = (part) => Math.min(Math.floor(part * 3), 2);
  const row = third((Math.floor(place / width) + 0.5) / height);
  const column = third(((place % width) + 0.5) / width);
  const words = `${["upper", "", "lower"][row]} ${["left", "", "right"][column]}`.trim();
  if (words === "") return "centre";
  if (words === "upper" || words === "lower") return `${words} middle`;
  return row === 1 ? `${words} side` : words;
}
