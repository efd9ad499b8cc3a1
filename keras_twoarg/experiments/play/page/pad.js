/** The drawing pad, and its drawing as an image like those of the data. */

const PEN = 0.075; // of the pad's side

export class Pad {
  /**
   * @param canvas What is drawn on.
   * @param changed Called whenever the drawing changes.
   */
  constructor(canvas, changed) {
    this.canvas = canvas;
    this.changed = changed;
    this.strokes = [];
    this.pen = { x: 0.5, y: 0.5, down: false };
    canvas.addEventListener("pointerdown", (event) => this.down(event));
    canvas.addEventListener("pointermove", (event) => this.move(event));
    for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, () => this.up());
    canvas.addEventListener("keydown", (event) => this.key(event));
    canvas.addEventListener("focus", () => this.redraw());
    canvas.addEventListener("blur", () => this.redraw());
  }

  get empty() {
    return !this.strokes.length;
  }

  /** Whether a stroke is being drawn. */
  get busy() {
    return Boolean(this.drawing) || this.pen.down;
  }

  clear() {
    this.strokes = [];
    this.pen.down = false;
    this.redraw();
  }

  point(event) {
    const { left, top, width, height } = this.canvas.getBoundingClientRect();
    return [(event.clientX - left) / width, (event.clientY - top) / height];
  }

  down(event) {
    event.preventDefault();
    this.canvas.setPointerCapture(event.pointerId);
    this.canvas.focus({ preventScroll: true });
    this.drawing = [this.point(event)];
    this.strokes.push(this.drawing);
    this.redraw();
    this.changed();
  }

  move(event) {
    if (!this.drawing) return;
    for (const one of event.getCoalescedEvents?.() ?? [event]) this.drawing.push(this.point(one));
    this.redraw();
    this.changed();
  }

  up() {
    if (!this.drawing) return;
    this.drawing = null;
    this.changed();
  }

  /** Arrows move the pen, space puts it down and lifts it. */
  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    if (event.key === " ") {
      this.pen.down = !this.pen.down;
      if (this.pen.down) this.strokes.push([[this.pen.x, this.pen.y]]);
    } else if (moves[event.key]) {
      const [dx, dy] = moves[event.key];
      this.pen.x = Math.min(Math.max(this.pen.x + 0.025 * dx, 0), 1);
      this.pen.y = Math.min(Math.max(this.pen.y + 0.025 * dy, 0), 1);
      if (this.pen.down) this.strokes[this.strokes.length - 1].push([this.pen.x, this.pen.y]);
    } else {
      return;
    }
    event.preventDefault();
    this.redraw();
    if (this.pen.down || event.key === " ") this.changed();
  }

  redraw() {
    const side = (this.canvas.width = this.canvas.height = 280);
    const context = this.canvas.getContext("2d");
    context.fillStyle = "#000";
    context.fillRect(0, 0, side, side);
    drawStrokes(context, this.strokes, 0, 0, side, PEN * side);
    if (this.empty) this.invite(context, side);
    if (document.activeElement === this.canvas && this.canvas.matches(":focus-visible")) {
      context.fillStyle = this.pen.down ? "#fdb863" : "#8073ac";
      context.fillRect(this.pen.x * side - 3, this.pen.y * side - 3, 6, 6);
    }
  }

  invite(context, side) {
    context.fillStyle = "#8d93a0";
    context.font = "22px system-ui, sans-serif";
    context.textAlign = "center";
    context.fillText("draw here", side / 2, side / 2 + 8);
  }

  /** Return the drawing as MNIST's images are: within 20 of 28 pixels, the centre of mass in the middle. */
  image(rows, columns) {
    return centred(this.strokes, rows, columns);
  }
}

function drawStrokes(context, strokes, left, top, scale, width) {
  context.strokeStyle = "#fff";
  context.lineCap = context.lineJoin = "round";
  context.lineWidth = width;
  for (const stroke of strokes) {
    context.beginPath();
    stroke.forEach(([x, y], k) => (k ? context.lineTo(left + x * scale, top + y * scale) : context.moveTo(left + x * scale, top + y * scale)));
    if (stroke.length === 1) context.lineTo(left + stroke[0][0] * scale + 0.01, top + stroke[0][1] * scale);
    context.stroke();
  }
}

/** Return strokes as pixels 0..255: scaled into a box, then moved by whole pixels so that the mass is centred. */
export function centred(strokes, rows, columns) {
  const points = strokes.flat();
  if (!points.length) return new Uint8Array(rows * columns);
  const [xs, ys] = [points.map(([x]) => x), points.map(([, y]) => y)];
  const [left, right, top, bottom] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
  const box = (20 / 28) * Math.min(rows, columns);
  const scale = box / Math.max(right - left + PEN, bottom - top + PEN, 0.3);
  const x = columns / 2 - ((left + right) / 2) * scale;
  const y = rows / 2 - ((top + bottom) / 2) * scale;
  const first = rasterize(strokes, rows, columns, x, y, scale);
  const [cx, cy] = centreOfMass(first, columns);
  const shift = [Math.round((columns - 1) / 2 - cx), Math.round((rows - 1) / 2 - cy)];
  return rasterize(strokes, rows, columns, x + shift[0], y + shift[1], scale);
}

/** Draw strokes at four times the size, and average. */
function rasterize(strokes, rows, columns, x, y, scale) {
  const fine = 4;
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [columns * fine, rows * fine];
  const context = canvas.getContext("2d", { willReadFrequently: true });
  const width = Math.max(PEN * scale, (2.2 * Math.min(rows, columns)) / 28);
  drawStrokes(context, strokes, x * fine, y * fine, scale * fine, width * fine);
  const { data } = context.getImageData(0, 0, canvas.width, canvas.height);
  return Uint8Array.from({ length: rows * columns }, (_, k) => {
    const [row, column] = [Math.floor(k / columns) * fine, (k % columns) * fine];
    let sum = 0;
    for (let r = row; r < row + fine; r++) {
      for (let c = column; c < column + fine; c++) sum += data[4 * (r * canvas.width + c) + 3];
    }
    return sum / fine ** 2;
  });
}

function centreOfMass(pixels, columns) {
  let [mass, x, y] = [0, 0, 0];
  pixels.forEach((pixel, k) => {
    mass += pixel;
    x += pixel * (k % columns);
    y += pixel * Math.floor(k / columns);
  });
  return mass ? [x / mass, y / mass] : [0, 0];
}
