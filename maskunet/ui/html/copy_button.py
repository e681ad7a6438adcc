"""A button that copies a text, such as a command."""

from html import escape

from maskunet.ui import opening_words

SCRIPT = f"""
element.addEventListener('click', async (event) => {{
  const button = event.target.closest('button[data-copy]');
  if (!button) return;
  await navigator.clipboard.writeText(button.dataset.copy);
  button.textContent = '{opening_words.COPIED}';
}});
"""  # of the component that holds such buttons


def button(text: str, label: str = opening_words.COPY) -> str:
    """A button that copies this text."""
    return f'<button type="button" class="copies" data-copy="{escape(text, quote=True)}">{label}</button>'
