"""The notebook's door: one model of this machine to make, compare, judge and train with.

Heavy imports wait inside the functions, so that a run can be read and drawn without torch.
"""

from maskunet.lab.lab import Asked, Lab

__all__ = ["Asked", "Lab"]
