"""The page: the only room that imports gradio. It talks to a Studio and knows no torch."""
