// The tour: arrow keys, Space and Page keys turn the slides, F fills the screen, Escape ends it.
const dialog = () => element.querySelector('dialog');
const slides = () => [...dialog().querySelectorAll('.slide')];
let asked = null;  // the button to which the focus returns

const turn = (to) => {
  const last = slides().length - 1;
  const at = Math.max(0, Math.min(last, to));
  slides().forEach((slide, i) => { slide.hidden = i !== at; });
  dialog().querySelector('output').textContent = `${at + 1} / ${last + 1}`;
  dialog().querySelector('[data-by="-1"]').disabled = at === 0;
  dialog().querySelector('[data-by="1"]').disabled = at === last;
  dialog().focus();  // what had the focus may be hidden now, and keys are heard in here
};
const now = () => slides().findIndex((slide) => !slide.hidden);

const full = () => {
  if (document.fullscreenElement) document.exitFullscreen(); else document.documentElement.requestFullscreen?.().catch(() => {});
};

const open = () => {
  const box = dialog();
  if (!box || box.open) return;
  box.showModal();
  turn(0);
  box.addEventListener('close', () => {
    if (document.fullscreenElement) document.exitFullscreen();
    asked?.focus();
  }, { once: true });
};

document.addEventListener('click', (event) => {
  const button = event.target.closest?.('[data-tour]');
  if (!button) return;
  asked = button;
  if (dialog()) open(); else trigger('select', {});
});
watch('value', () => setTimeout(open));

element.addEventListener('click', (event) => {
  const button = event.target.closest('button');
  if (button?.dataset.by) turn(now() + Number(button.dataset.by));
  else if (button?.hasAttribute('data-full')) full();
  else if (button?.hasAttribute('data-close')) dialog().close();
});

element.addEventListener('keydown', (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const to = { ArrowRight: now() + 1, PageDown: now() + 1, ArrowLeft: now() - 1, PageUp: now() - 1, Home: 0, End: slides().length - 1 }[event.key];
  if (to !== undefined) turn(to);
  else if (event.key === ' ' && event.target === dialog()) turn(now() + 1);
  else if (event.key === 'f' || event.key === 'F') full();
  else return;
  event.preventDefault();
});
