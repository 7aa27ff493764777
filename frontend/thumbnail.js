// Small pictures of picked files, of what the browser shows as an image: of all else the row keeps its sheet.
// One at a time, at the size of the sheet, so that an old phone's memory holds them.

const WIDTH = 76;
const HEIGHT = 92;
/** Most files that have one, and the largest of them, in bytes. */
const MOST = 60;
const LARGEST = 50e6;
/** How long an image may take, in milliseconds. */
const WITHIN = 5000;

let drawn = 0;
let last = Promise.resolve();

/** Draws a file into the sheet of the row with this key, some time. */
export function thumbnail(file, key) {
  // A PDF's first page is what WebKit shows of it as an image.
  if (/^image|\/pdf$/.test(file.type) && file.size < LARGEST && drawn++ < MOST) {
    // One that cannot be drawn is none.
    last = last.then(() => draw(file, key)).catch(() => {});
  }
}

async function draw(file, key) {
  const image = new Image();
  const address = URL.createObjectURL(file);
  try {
    await new Promise((resolve, reject) => {
      image.onload = resolve;
      image.onerror = reject;
      setTimeout(reject, WITHIN);
      image.src = address;
    });
    const { width, height } = image;
    // As much of its middle as has the sheet's shape.
    const scale = Math.max(WIDTH / width, HEIGHT / height);
    // A drawing may have no size of its own.
    if (scale === Infinity) return;
    const canvas = document.createElement("canvas");
    canvas.width = WIDTH;
    canvas.height = HEIGHT;
    const [w, h] = [width * scale, height * scale];
    canvas.getContext("2d").drawImage(image, (WIDTH - w) / 2, (HEIGHT - h) / 2, w, h);
    document.querySelector('[data-key="' + key + '"] .glyph').appendChild(canvas);
  } finally {
    image.src = "";
    URL.revokeObjectURL(address);
  }
}
