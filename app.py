"""Launch the lab from this folder, as a Space does: `python app.py --help` lists the flags."""

from maskunet.app import arguments, launch, main

__all__ = ["arguments", "launch", "main"]

if __name__ == "__main__":
    main()
