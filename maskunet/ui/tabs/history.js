// The list of runs: its buttons open one, draw it to show around, or take it off the list.
element.addEventListener('click', (event) => {
  const button = event.target.closest('button[data-run]');
  if (!button) return;
  const { run, act } = button.dataset;
  trigger(act === 'share' ? 'download' : 'select', { run, act });
});
