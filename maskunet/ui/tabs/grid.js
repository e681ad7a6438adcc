// The cells of a grid, which fill as they are told: this component's value is {job, cells: [{n, src, under, title}]}.
let job = '';
let known = new Map();

const fill = (button, cell) => {
  button.disabled = !cell.src;
  button.title = cell.title;
  button.setAttribute('aria-label', `${button.dataset.label}. ${cell.under} ${cell.title}`);
  button.replaceChildren();
  if (cell.src) {
    const picture = document.createElement('img');
    picture.src = cell.src;
    picture.alt = '';
    button.append(picture);
  }
  const under = document.createElement('small');
  under.textContent = cell.under;
  button.append(under);
};

const empty = (button) => {
  button.disabled = true;
  button.title = '';
  button.setAttribute('aria-label', button.dataset.label);
  button.replaceChildren();
};

// What was told before may have to be told again: a table that is drawn anew is empty. Another grid's table with the
// same labels is not drawn anew: gradio leaves a text that it has drawn already, and with it the old pictures.
const show = () => {
  const told = props.value || {};
  const buttons = element.querySelectorAll('button[data-cell]');
  if (told.job !== job) { job = told.job; known = new Map(); buttons.forEach(empty); }
  for (const cell of told.cells || []) known.set(cell.n, cell);
  for (const button of buttons) {
    const cell = known.get(Number(button.dataset.cell));
    if (cell && !button.childElementCount) fill(button, cell);
  }
};

element.addEventListener('click', (event) => {
  const button = event.target.closest('button[data-cell]');
  if (button) trigger('select', { number: Number(button.dataset.cell) });
});
watch(['table', 'value'], show);
show();
