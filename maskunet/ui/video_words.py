"""Every label and message of the Video tab."""

TITLE = "Video"
FRAMES, RIGHT, DOWN, MASKS = "Frames", "Right, % per frame", "Down, % per frame", "Masks"
MASKS_PER = (("of frame 1", "video"), ("of each frame", "frame"))
MAKE, STOP = "Make video", "Stop and keep"
EMPTY = "A few frames of the prompt, plain and masked, from the same noise."
FILES = {"gif": "GIF", "webp": "WebP", "mp4": "MP4", "csv": "Numbers (.csv)", "json": "Record (.json)"}
COMMAND = "Command"
NO_NUMBER = "Frames and motion must be numbers, motion in percent of the picture from -12.5 to 12.5."
PHASES = {
    "queued": "Waiting",
    "loading": "Loading the model",
    "search": "masks",
    "first": "first frame",
    "frames": "all frames",
    "done": "Done",
    "stopped": "Stopped",
    "failed": "Not finished",
}
MAKING = ("Plain video", "Masked video")
FIGURES = {
    "moved": "Motion per frame, right and down",
    "consistency": "Correlation of neighboring frames; 1 for a still picture",
    "same_as_first": "Frames with frame 1’s things, by the checker",
    "right_frames": "Frames that show the prompt",
    "removed": "Weights removed",
    "seconds": "Time",
}


def asked(right: float, down: float) -> str:
    """The motion that was asked for."""
    return f"Requested per frame: {right:+.1%} right, {down:+.1%} down."
