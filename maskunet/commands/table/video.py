"""The table of videos: what frames keep."""

import sys

from maskunet.commands.base import follow, resumable
from maskunet.commands.table.binding import key
from maskunet.commands.table.judged import begin, check_ways
from maskunet.commands.table.options import Options, check, made_by

OTHERWISE = (
    "The table of videos is for tabletop, whose checker reads every frame. Make one with python -m maskunet video."
)


def run(options: Options) -> None:
    """The table of videos: what is missing of it, each video on disk at once, and the table of what there is."""
    from maskunet.experiments import journal
    from maskunet.experiments.study import subjects
    from maskunet.experiments.tables import video, video_report
    from maskunet.records import Request
    from maskunet.records.video import Motion

    check(options, OTHERWISE, "the table of videos trains")
    ways = video.ROWS[options.split]
    pairs = subjects(",".join(video.TASKS), n=options.pictures, seeds=options.seeds, split=options.split)
    loaded, about = begin(options)
    model, motion = loaded.model, Motion()
    t0, t1 = model.video_times
    about |= {"frames": motion.frames, "right": motion.right, "t0": t0, "t1": t1, "split": options.split}
    path = options.out / "videos.jsonl"
    done = journal.resume(path, about, "table")
    check_ways(options, loaded, (way.method for way in ways.values()))
    asked = Request(prompt="-", model=model.name, guidance=about["guidance"])
    keys = {(name, case.task, case.prompt, seed) for case, seed in pairs for name in ways}
    with resumable() as should_stop:
        made = video.make(loaded, asked, motion, pairs, ways, done, should_stop)
        follow(journal.kept(made, path), key, keys & set(map(key, done)), unit="video", total=len(keys), shown=True)
    rows = [row for row in journal.read(path, about, "table") if key(row) in keys]
    lines, tasks = video.summarize(rows, ways), video.by_task(rows)
    finished = "all of them" if len(rows) == len(keys) else f"stopped before all {len(pairs)} were made"
    about |= {"finished": finished, **made_by(options)}
    video_report.save(options.out, lines, tasks, about)
    sys.stdout.write(video_report.markdown(lines, tasks, about))
