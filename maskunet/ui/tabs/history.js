// The list of runs: its buttons open one, or take it off the list.
element.addEventListener('click', (event) => {
  const button = event.target.closest('button[data-run]');
  if (button) trigger('select', { run: button.dataset.run, act: button.dataset.act });
});
