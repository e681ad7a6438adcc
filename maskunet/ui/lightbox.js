// Thumbnails, which have data-zoom, open large: Enter or a click, arrow keys to those beside it, Escape back to it.
const box = element.querySelector('dialog');
let beside = [];
let at = 0;

const large = (thumb) => {
  if (thumb.tagName === 'IMG') {
    const picture = new Image();
    picture.src = thumb.src;
    picture.alt = thumb.alt;
    picture.style.imageRendering = getComputedStyle(thumb).imageRendering;
    return picture;
  }
  const picture = document.createElement('div');  // a part of a sheet
  const { backgroundImage, backgroundSize, backgroundPosition } = getComputedStyle(thumb);
  Object.assign(picture.style, { backgroundImage, backgroundSize, backgroundPosition });
  picture.className = 'part';
  picture.setAttribute('role', 'img');
  picture.setAttribute('aria-label', thumb.getAttribute('aria-label'));
  return picture;
};

const show = (number) => {
  at = (number + beside.length) % beside.length;
  const thumb = beside[at];
  const told = thumb.closest('figure')?.querySelectorAll('figcaption') ?? thumb.closest('article')?.querySelectorAll('p, small') ?? [];
  const caption = [...told].map((each) => each.innerText).join(' ') || thumb.alt || thumb.getAttribute('aria-label') || '';
  box.querySelector('.shown').replaceChildren(large(thumb));
  box.querySelector('p').textContent = [caption.replace(/\s+/g, ' ').trim(), beside.length > 1 ? `${at + 1} / ${beside.length}` : ''].filter(Boolean).join(' · ');
  for (const button of box.querySelectorAll('[data-go="1"], [data-go="-1"]')) button.hidden = beside.length < 2;
};

const open = (thumb) => {
  let around = thumb;  // the pictures beside it are those of the nearest part of the page that has any
  while (around.parentElement && !around.matches('.tabitem, dialog') && around.querySelectorAll('[data-zoom]').length < 2) around = around.parentElement;
  beside = [...around.querySelectorAll('[data-zoom]')].filter((each) => each.checkVisibility());
  if (!beside.includes(thumb)) beside = [thumb];
  thumb.focus();
  show(beside.indexOf(thumb));
  if (!box.open) box.showModal();
};

const found = (event) => event.target.closest?.('[data-zoom]');
document.addEventListener('click', (event) => { if (found(event)) open(found(event)); });
document.addEventListener('keydown', (event) => {
  if (!found(event) || !['Enter', ' '].includes(event.key)) return;
  event.preventDefault();
  open(found(event));
});
box.addEventListener('keydown', (event) => {
  const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  if (by) { event.preventDefault(); event.stopPropagation(); show(at + by); }
});
box.addEventListener('click', (event) => {
  const go = event.target.closest('button')?.dataset.go;
  if (go) show(at + Number(go)); else if (go === '' || event.target === box) box.close();
});
