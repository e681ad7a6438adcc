// What was tried: a click shows it again.
element.addEventListener('click', (event) => {
  const button = event.target.closest('button[data-run]');
  if (button) trigger('select', { run: button.dataset.run });
});
