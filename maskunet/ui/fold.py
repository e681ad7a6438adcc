"""What folds away, and the buttons that bring it back: the form beside a wide tab, its settings on a phone."""

import gradio as gr

from maskunet.ui import words

# The styles beside this file do the rest: they look at `aria-expanded`, at the tab that is open, and at the window.
SCRIPT = """
element.addEventListener('click', (event) => {
  const button = event.target.closest('button');
  if (!button) return;
  const open = button.getAttribute('aria-expanded') !== 'true';
  button.setAttribute('aria-expanded', open);
  button.textContent = open ? button.dataset.hide : button.dataset.show;
});
"""


def form() -> gr.HTML:
    """Draw the button of the form, which a tab that needs its room folds away."""
    return _button("fold", "controls", words.SHOW_FORM, words.HIDE_FORM)


def settings() -> gr.HTML:
    """Draw the button of the settings, which a phone folds away so that the pictures come first."""
    return _button("fold-settings", "choices", words.SETTINGS, words.SETTINGS)


def _button(name: str, folds: str, shows: str, hides: str) -> gr.HTML:
    button = (
        f'<button type="button" aria-controls="{folds}" aria-expanded="false" data-show="{shows}" '
        f'data-hide="{hides}">{shows}</button>'
    )
    return gr.HTML(button, js_on_load=SCRIPT, elem_id=name)
