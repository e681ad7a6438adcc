// The plane of pictures: hover or arrow keys show one, a click or a rectangle lists those chosen below.
const REACH = 12;  // in the drawing's units
const LISTED = 120;
let known = null;  // the drawing at hand, its points, sets and words
watch('value', () => { known = null; });  // another drawing, which gradio writes into the elements of the one before

const drawing = () => {
  const box = element.querySelector('.cloud');
  if (box && !known) {
    const svg = box.querySelector('svg');
    const points = [...svg.querySelectorAll('g')].flatMap((group) => [...group.children].map((mark, i) => {
      const [x, y] = mark.getAttribute('d').match(/-?[\d.]+/g).map(Number);
      return { mark, i, x, y, set: Number(group.dataset.set) };
    }));
    known = { box, svg, points, sets: JSON.parse(box.dataset.sets), words: JSON.parse(box.dataset.words), at: points[0], from: null };
  }
  return box ? known : null;
};

const place = (event) => {
  const { left, top, width } = known.svg.getBoundingClientRect();
  const scale = known.svg.viewBox.baseVal.width / width;
  return { x: (event.clientX - left) * scale, y: (event.clientY - top) * scale };
};

const say = (key, values = {}) => known.words[key].replace(/{(\w+)}/g, (_, name) => values[name]);
const distance = (a, b) => Math.hypot(a.x - b.x, a.y - b.y);
const nearest = (points, at) => points.reduce(
  (best, point) => (!best || distance(point, at) < distance(best, at) ? point : best), null);
const hit = (at) => {
  const point = nearest(known.points, at);
  return point && distance(point, at) <= REACH ? point : null;
};

const card = (point) => {
  const { name, files, captions, columns, rows } = known.sets[point.set];
  const part = (i, count) => (count > 1 ? `${(100 * i) / (count - 1)}%` : '0');
  const caption = captions[point.i];
  const figure = document.createElement('figure');
  const picture = document.createElement('i');
  picture.className = `thumb sheet${point.set}`;
  picture.style.backgroundPosition = `${part(point.i % columns, columns)} ${part(Math.floor(point.i / columns), rows)}`;
  picture.setAttribute('role', 'button');
  picture.tabIndex = 0;
  picture.dataset.zoom = '';
  picture.setAttribute('aria-label', say('picture', { i: point.i + 1, n: files.length, name, text: caption || files[point.i] }));
  const text = document.createElement('figcaption');
  const file = document.createElement('small');
  file.textContent = say('file', { name, file: files[point.i] });
  text.append(caption, file);
  figure.append(picture, text);
  return figure;
};

const mark = (points, name) => {
  for (const old of known.svg.querySelectorAll(`.${name}`)) old.classList.remove(name);
  for (const point of points) point.mark.classList.add(name);
};

const peek = (point) => {
  const shown = known.box.querySelector('.peek');
  shown.hidden = !point;
  mark(point ? [point] : [], 'at');
  if (!point) return;
  known.at = point;
  const { width, height } = known.svg.viewBox.baseVal;
  shown.replaceChildren(card(point));
  shown.style.left = `${(100 * point.x) / width}%`;
  shown.style.top = `${(100 * point.y) / height}%`;
  shown.classList.toggle('leftward', point.x > width / 2);
  shown.classList.toggle('upward', point.y > height / 2);
};

const list = (points) => {
  mark(points, 'on');
  known.svg.classList.toggle('some', points.length > 0);
  const counts = known.sets.map((set, s) => [points.filter((point) => point.set === s).length, set.name])
    .filter(([n]) => n).map(([n, name]) => say('count', { n, name })).join(', ');
  const amount = points.length > LISTED ? 'many' : points.length ? 'some' : 'none';
  known.box.querySelector('.chosen').textContent = say(amount, { n: points.length, counts, shown: LISTED });
  known.box.querySelector('.picked').replaceChildren(...points.slice(0, LISTED).map(card));
};

const brush = (a, b) => {
  const box = { x: Math.min(a.x, b.x), y: Math.min(a.y, b.y), width: Math.abs(a.x - b.x), height: Math.abs(a.y - b.y) };
  for (const [name, value] of Object.entries(box)) known.svg.querySelector('.brush').setAttribute(name, value);
  return known.points.filter(({ x, y }) => x >= box.x && x <= box.x + box.width && y >= box.y && y <= box.y + box.height);
};

const inside = (event) => drawing() && known.svg.contains(event.target);

element.addEventListener('pointerdown', (event) => {
  if (!inside(event) || event.button) return;
  known.from = place(event);
  known.svg.setPointerCapture(event.pointerId);
});

element.addEventListener('pointermove', (event) => {
  if (!inside(event)) return;
  const at = place(event);
  if (known.from) { peek(null); brush(known.from, at); } else peek(hit(at));
});

element.addEventListener('pointerup', (event) => {
  if (!inside(event) || !known.from) return;
  const at = place(event);
  const point = hit(at);
  list(distance(known.from, at) > 4 ? brush(known.from, at) : point ? [point] : []);
  known.from = null;
  brush(at, at);
});

element.addEventListener('pointercancel', () => { if (drawing()) { known.from = null; brush({ x: 0, y: 0 }, { x: 0, y: 0 }); } });
element.addEventListener('pointerout', (event) => { if (inside(event) && !known.svg.contains(event.relatedTarget)) peek(null); });
element.addEventListener('focusin', (event) => { if (inside(event) && known.svg.matches(':focus-visible')) peek(known.at); });
element.addEventListener('focusout', (event) => { if (inside(event)) peek(null); });

element.addEventListener('keydown', (event) => {
  if (!inside(event)) return;
  const [right, down] = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowDown: [0, 1], ArrowUp: [0, -1] }[event.key] || [0, 0];
  if (right || down) {
    const { x, y } = known.at;
    const ahead = (point) => (point.x - x) * right + (point.y - y) * down;
    const aside = (point) => Math.abs((point.x - x) * down) + Math.abs((point.y - y) * right);
    peek(nearest(known.points.filter((point) => ahead(point) > 0 && aside(point) <= ahead(point)), known.at) || known.at);
  } else if (event.key === 'Enter' || event.key === ' ') list([known.at]);
  else if (event.key === 'Escape') { list([]); peek(null); } else return;
  event.preventDefault();
});
