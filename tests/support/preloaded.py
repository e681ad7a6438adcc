"""What a process that forks others has imported before: the libraries, and our modules that import the most."""

import gc

gc.disable()  # all of it is kept, and a quarter of the import would be looking through it

import accelerate  # noqa: E402, F401
import gradio  # noqa: E402, F401
import matplotlib.figure  # noqa: E402, F401
import open_clip  # noqa: E402, F401
import peft  # noqa: E402, F401
import sklearn.manifold  # noqa: E402, F401
import sklearn.neighbors  # noqa: E402, F401
import torch._dynamo  # noqa: E402, F401
import transformers.models.blip.modeling_blip_text  # noqa: E402, F401

import maskunet.studio.studio  # noqa: E402, F401
import maskunet.training.loop  # noqa: E402, F401
import tests.support.tiny_library  # noqa: E402, F401

gc.freeze()
gc.enable()
