"""Processes of their own that need not import everything anew: forks of one that has."""

import multiprocessing

FRESH = multiprocessing.get_context("forkserver")
FRESH.set_forkserver_preload(["maskunet.studio.studio", "maskunet.training.loop", "tests.support.tiny_library"])
