"""The embedded world: scenes, captions, a renderer, tasks, a checker, and the trained weights."""
