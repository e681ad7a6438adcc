// The strip of predicted images: a slider and a play button, all in the browser.
let playing = null;

const stop = () => {
  clearInterval(playing);
  playing = null;
  const button = element.querySelector('.scrub button');
  if (button) button.textContent = button.dataset.play;
};

element.addEventListener('input', (event) => {
  const scrub = event.target.closest('.scrub');
  if (!scrub) return;
  const at = Number(event.target.value);
  scrub.style.setProperty('--i', at);
  const pinned = scrub.dataset.pinned?.split(',')[at];
  if (pinned) scrub.style.setProperty('--j', pinned);
  scrub.querySelector('output').textContent = `step ${at + 1}, timestep ${scrub.dataset.times.split(',')[at]}`;
});

element.addEventListener('click', (event) => {
  const button = event.target.closest('.scrub button');
  if (!button) return;
  if (playing) { stop(); return; }
  button.textContent = button.dataset.pause;
  playing = setInterval(() => {
    const slider = element.querySelector('.scrub input');
    if (!slider || !slider.isConnected) { stop(); return; }
    slider.value = Number(slider.value) >= Number(slider.max) ? 0 : Number(slider.value) + 1;
    slider.dispatchEvent(new Event('input', { bubbles: true }));
  }, 350);
});

// Another strip stands at its last step; gradio writes it into the elements of the one before, which may have been moved.
watch('value', () => {
  stop();
  const slider = element.querySelector('.scrub input');
  if (slider) slider.value = slider.defaultValue;
});
