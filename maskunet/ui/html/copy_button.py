"""A button that copies a text, such as a command."""

from html import escape

from maskunet.ui import opening_words

# Whether the text is on the clipboard. A page that does not come by https or from this machine has no clipboard of its
# own, but may still copy what is selected.
COPIES = """async (text) => {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const box = document.body.appendChild(Object.assign(document.createElement('textarea'), { value: text }));
    box.select();
    const copied = document.execCommand('copy');
    box.remove();
    return copied;
  }
}"""

SHOWN = 2000  # milliseconds
SCRIPT = f"""
const copies = {COPIES};
element.addEventListener('click', async (event) => {{
  const button = event.target.closest('button[data-copy]');
  if (!button) return;
  button.dataset.said ??= button.textContent;
  button.textContent = await copies(button.dataset.copy) ? '{opening_words.COPIED}' : '{opening_words.NOT_COPIED}';
  setTimeout(() => {{ button.textContent = button.dataset.said; }}, {SHOWN});
}});
"""  # of the component that holds such buttons


def button(text: str, label: str = opening_words.COPY) -> str:
    """A button that copies this text."""
    return f'<button type="button" class="copies" data-copy="{escape(text, quote=True)}">{label}</button>'
