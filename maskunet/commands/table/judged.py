"""What the tables of tabletop's judges share: the model with them, and the folder."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from maskunet.commands.base import make_folder
from maskunet.commands.table.options import Options

if TYPE_CHECKING:
    from maskunet.library.library import Loaded


def begin(options: Options) -> tuple["Loaded", dict[str, Any]]:
    """Load the model and its judges, and make the folder; also gives what its rows share: who they are, and guidance.

    Raises:
        ValueError: weights are missing or damaged, or there can be no such folder; says what to do.
    """
    from maskunet.experiments import judges

    loaded, identity = judges.load(options.model, options.weights, options.device, **options.added)
    make_folder(options.out)
    guidance = loaded.model.guidance if options.guidance is None else options.guidance
    return loaded, {**identity, "guidance": guidance}


def check_ways(options: Options, loaded: "Loaded", names: Iterable[str]) -> None:
    """See that the folder's rows of these methods were made as they would be now.

    Raises:
        ValueError: such as that another trained part has come under a name.
    """
    from maskunet.experiments import journal
    from maskunet.runs.entrant import entrant

    ways = {name: entrant(name).way(loaded.model, loaded.rewards) for name in dict.fromkeys(names)}
    journal.check_methods(options.out, ways)
