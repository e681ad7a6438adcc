// A click, or a key while the tab is open, answers the pair in sight; nothing more is sent before the next one is there.
const SOON = 5000;  // after so long without an answer it was refused
const KEYS = { ArrowLeft: 'left', ArrowRight: 'right', ArrowUp: 'equal', ArrowDown: 'neither' };
let asked = 0;

const send = (button) => {
  if (!button || Date.now() - asked < SOON) return;
  asked = Date.now();
  element.querySelector('.ballot').classList.add('asked');
  const { act, answer } = button.dataset;
  trigger('select', { act, answer, at: Number(element.querySelector('.ballot').dataset.at || 0) });
};

element.addEventListener('click', (event) => send(event.target.closest('button[data-act]')));

const key = (event) => {
  if (!element.isConnected) { document.removeEventListener('keydown', key); return; }
  if (event.repeat || event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
  if (!element.checkVisibility() || document.querySelector('dialog[open]')) return;
  if (event.target.closest('input, textarea, select, [contenteditable], [role=listbox]')) return;
  const button = KEYS[event.key] ? element.querySelector(`button[data-answer="${KEYS[event.key]}"]`)
    : event.key === 'Backspace' && element.querySelector('button[data-act="undo"]');
  if (!button) return;
  event.preventDefault();
  send(button);
};
document.addEventListener('keydown', key);

// The answer has been drawn.
new MutationObserver((changes) => {
  if (!changes.some((change) => change.type === 'childList' || change.attributeName === 'data-at')) return;
  asked = 0;
  const ballot = element.querySelector('.ballot');
  ballot?.classList.remove('asked');
  const pictures = ballot?.checkVisibility() && ballot.querySelector('.two');
  if (pictures && ballot.getBoundingClientRect().bottom > innerHeight) ballot.scrollIntoView();
}).observe(element, { subtree: true, childList: true, attributeFilter: ['data-at'] });
