"""Find the landmarks of all faces in photos and draw them, estimate their depth, turn them, or fit meshes.

    python demo.py                                     # NASA's astronaut photo, which comes with scikit-image
    python demo.py photo.jpg folder/ "*.png" --out results --save overlay,json
    python demo.py crop.jpg --detector none            # the photo is one face
    python demo.py photo.jpg --box 120,80,200,200      # x,y,w,h of the face
    python demo.py folder/ --task mesh --resume        # only what is not there yet
    python demo.py me1.jpg me2.jpg --task reconstruct --same-person    # one identity for all

Tasks; --task NAME -h shows the options of one, --task all does everything:
{tasks}
Every input has its folder <out>/<name>/ with <name>.json (all faces, schema faces/1) and the files of --save; one
<out>/faces.csv has a row for every face.
"""

import argparse
import sys
import textwrap

from common.config import LocalConfig
from common.errors import ConfigError
from common.scripts import run_script
from tasks.settings import AllSettings, DemoSettings
from tasks.table import ALL, TASKS

# demos of GCN_ResNet: what they stand for
SUBCOMMANDS = {
    "renderer": ["--task", "reconstruct", "--save", "strip,json,csv"],
    "obj": ["--task", "reconstruct", "--save", "obj,json,csv"],
}


def run(settings: DemoSettings, local: LocalConfig) -> None:
    """Hand over to the task. Raises: ConfigError for an unknown one."""
    if settings.task not in (*TASKS, ALL):
        raise ConfigError(f"unknown --task '{settings.task}'; choose one of: {', '.join((*TASKS, ALL))}.")
    from tasks.run import run_demo  # not for --help

    run_demo(settings, local)


def manual() -> str:
    """The text of --help."""
    rows = [f"{name:12} {task.does}: {', '.join(task.kinds)}" for name, task in TASKS.items()]
    wrapped = [textwrap.fill(row, 116, initial_indent=" " * 4, subsequent_indent=" " * 17) for row in rows]
    return __doc__.format(tasks="\n".join(wrapped))


def settings_of(task: str) -> type[DemoSettings]:
    """The options of a task."""
    if task == ALL:
        return AllSettings
    return TASKS[task].settings if task in TASKS else DemoSettings


def main(arguments: list[str] | None = None) -> int:
    """Exit code: 0 done, 2 when something could not be processed."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    if arguments and arguments[0] in SUBCOMMANDS:
        arguments = [*SUBCOMMANDS[arguments[0]], *arguments[1:]]
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--task", default="landmarks")
    return run_script(run, settings_of(parser.parse_known_args(arguments)[0].task), manual(), arguments)


if __name__ == "__main__":
    sys.exit(main())
