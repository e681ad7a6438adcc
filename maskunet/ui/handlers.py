"""How the page's handlers answer: the options that its rooms share."""

_PLAIN = {"api_visibility": "private", "show_progress": "hidden"}

# At once, beside the queue.
QUICK = _PLAIN | {"queue": False}
# What may refuse goes through the queue: without it gradio does not show the sentence.
LOUD = _PLAIN | {"concurrency_limit": 8}
# What goes on as long as its job does, on so many pages at once.
WATCHED = _PLAIN | {"concurrency_limit": 32}
