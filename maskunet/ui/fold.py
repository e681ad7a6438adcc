"""The form folds away while a tab is open that needs its room, and a button brings it back."""

import gradio as gr

from maskunet.ui import words

# The styles beside this file do the rest: they look at `aria-expanded`, and at the tab that is open.
SCRIPT = """
element.addEventListener('click', (event) => {
  const button = event.target.closest('button');
  if (!button) return;
  const open = button.getAttribute('aria-expanded') !== 'true';
  button.setAttribute('aria-expanded', open);
  button.textContent = open ? button.dataset.hide : button.dataset.show;
});
"""


def build() -> gr.HTML:
    """Draw the button."""
    button = (
        f'<button type="button" aria-controls="controls" aria-expanded="false" data-show="{words.SHOW_FORM}" '
        f'data-hide="{words.HIDE_FORM}">{words.SHOW_FORM}</button>'
    )
    return gr.HTML(button, js_on_load=SCRIPT, elem_id="fold")
