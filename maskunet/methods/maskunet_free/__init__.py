"""Training-free MaskUNet: the method, its search within one timestep, its replays on a GPU."""

from maskunet.methods.maskunet_free.method import SPEC

__all__ = ["SPEC"]
