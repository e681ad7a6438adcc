"""Processes of their own that need not import everything anew: forks of one that has."""

import multiprocessing

FORKS = "forkserver" in multiprocessing.get_all_start_methods()  # not on Windows
FRESH = multiprocessing.get_context("forkserver" if FORKS else "spawn")
if FORKS:
    FRESH.set_forkserver_preload(["maskunet.studio.studio", "maskunet.training.loop", "tests.support.tiny_library"])
