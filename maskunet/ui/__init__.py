"""The page. The only room that imports gradio; it talks to a Studio and knows no torch."""
