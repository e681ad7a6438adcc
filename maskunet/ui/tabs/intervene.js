// The board: a click, or Enter on what the arrow keys reach, asks for the next state of a part. Clicks that come before
// the answer travel together, so that none is lost, and each has a number, so that none counts twice; one without an
// answer was refused.
const SOON = 2000;
let pending = [];
let number = Math.floor(performance.now());  // greater than any before, also if this board is not the page's first
let asked = 0;
let last = '';
const parts = () => [...element.querySelectorAll('.board button')];

const say = (part) => { if (part) element.querySelector('output').textContent = part.getAttribute('aria-label'); };

const reach = (part) => {
  for (const other of parts()) other.tabIndex = -1;
  part.tabIndex = 0;
  last = part.dataset.what;
};

// The answer has been drawn, into the buttons that were there.
const settle = () => {
  pending = [];
  const board = parts();
  for (const part of board) part.classList.remove('asked');
  if (board.length) reach(board.find((part) => part.dataset.what === last) || board[0]);
};

element.addEventListener('click', (event) => {
  const part = event.target.closest('.board button');
  if (!part) return;
  reach(part);
  part.classList.add('asked');
  if (Date.now() - asked > SOON) pending = [];
  asked = Date.now();
  number += 1;
  pending.push([number, part.dataset.what]);
  trigger('select', { clicks: pending });
});

element.addEventListener('keydown', (event) => {
  const part = event.target.closest('.board button');
  const [down, right] = { ArrowDown: [1, 0], ArrowUp: [-1, 0], ArrowRight: [0, 1], ArrowLeft: [0, -1] }[event.key] || [];
  if (!part || down === undefined) return;
  event.preventDefault();
  const rows = [...element.querySelectorAll('.board .row')].map((row) => [...row.querySelectorAll('button')]);
  const at = rows.findIndex((row) => row.includes(part));
  const row = rows[at + down];
  const column = Number(part.dataset.column);
  const next = right ? rows[at][rows[at].indexOf(part) + right]
    : row && row.filter((one) => Number(one.dataset.column) <= column).pop();
  if (next) { reach(next); next.focus(); }
});

// Gradio's slider tells when a pointer lets it go, or its number is left; a key does the same. Set, not added: a board that
// is drawn anew sets it again.
element.closest('.tabitem').onkeyup = (event) => {
  if (!event.target.closest('#dose')) return;
  if (event.target.type === 'number' && event.key === 'Enter') event.target.blur();
  if (event.target.type === 'range' && /^(Arrow|Page|Home|End)/.test(event.key)) {
    event.target.dispatchEvent(new PointerEvent('pointerup', { bubbles: true }));
  }
};
element.addEventListener('focusin', (event) => say(event.target.closest('.board button')));
element.addEventListener('mouseover', (event) => say(event.target.closest('.board button')));
new MutationObserver((changes) => {
  if (changes.some((change) => change.target.nodeName !== 'OUTPUT')) settle();
}).observe(element, { subtree: true, childList: true, attributeFilter: ['aria-label'] });
settle();
