// The map: a click or the arrow keys choose a cell, its row's name a site, its column's head a step.
const heat = () => element.querySelector('.heat');
const sites = () => [...heat().querySelectorAll('.name')].map((name) => name.dataset.site);

const mark = (step, site) => {
  const all = (what) => element.querySelectorAll(what);  // also of the second run
  for (const part of all('.on')) part.classList.remove('on');
  const chosen = (part) => (part.matches('i') ? part.dataset.site === site && part.dataset.step === step
    : part.matches('.name') ? part.dataset.site === site : part.dataset.step === step);
  for (const part of all('.heat i, .name, .time')) if (chosen(part)) part.classList.add('on');
  const cell = heat().querySelector('i.on');
  if (cell) element.querySelector('output').textContent = cell.title;
};

const pick = (step, site) => {
  Object.assign(heat().dataset, { step, site });
  mark(step, site);
  const { time } = heat().querySelectorAll('.time')[step].dataset;
  for (const scrub of document.querySelectorAll('.scrub')) {
    const at = scrub.dataset.times.split(',').indexOf(time);
    const slider = scrub.querySelector('input');
    if (at >= 0) { slider.value = at; slider.dispatchEvent(new Event('input', { bubbles: true })); }
  }
  trigger('select', { step: Number(step), site });
};

element.addEventListener('click', (event) => {
  const part = event.target.closest('.heat i, .heat .name, .heat .time, .heat .corner');
  if (!part) return;
  const { step, site } = heat().dataset;
  if (part.matches('.corner')) pick(step, '');
  else if (part.matches('.name')) pick(step, part.dataset.site === site ? '' : part.dataset.site);
  else pick(part.dataset.step, part.matches('i') ? part.dataset.site : site);
});

element.addEventListener('keydown', (event) => {
  const [down, right] = { ArrowDown: [1, 0], ArrowUp: [-1, 0], ArrowRight: [0, 1], ArrowLeft: [0, -1] }[event.key] || [];
  if (down === undefined || !heat() || !heat().contains(event.target)) return;
  event.preventDefault();
  const names = sites();
  const row = names.indexOf(heat().dataset.site) + down;
  const step = Number(heat().dataset.step) + right;
  if (row < (down ? 0 : -1) || row >= names.length || step < 0 || step >= heat().querySelectorAll('.time').length) return;
  pick(String(step), row < 0 ? '' : names[row]);
});

element.addEventListener('mouseover', (event) => {
  if (event.target.matches('.heat i')) element.querySelector('output').textContent = event.target.title;
});
