"""Old spellings of command lines, the papers' and ours, in one table; applied before argparse reads them.

A row holds only where the script has the new flag and not the old one as its own. Underscores in long flags are
hyphens, so `--batch_size` needs no row.
"""

# old flag: new flags, of which the first that the script knows is taken
RENAMED = {
    "--save-freq": ("--save-every",),
    "--eval-freq": ("--eval-every",),
    "--print-freq": ("--print-every",),
    "--batchsize": ("--batch-size",),
    "--batchsize-eval": ("--batch-size-eval", "--batch-size"),
    "--n-epochs": ("--epochs",),
    "--name": ("--sessionname", "--suffix"),  # DepthNets, Deep3D; RADAN's demo
    "--model-name": ("--sessionname",),  # Deep3D
    "--snapshot": ("--sessionname",),  # 3DDFA
    "--base-lr": ("--lr",),  # 3DDFA
    "--wd": ("--weight-decay",),
    "--test-initial": ("--eval",),
    "--dataset": ("--dataset-train",),  # 3FabRec
    "--dataset-train": ("--dataset",),
    "--dataset-val": ("--dataset",),
    "--st": ("--train-start",),
    "--data-path": ("--data",),  # Deep3D
    "--val-data-path": ("--val-data",),
    "--net-recog-path": ("--identity-weights",),
    "--use-last-fc": ("--one-head",),
    "--resume": ("--landmark-model", "--checkpoint"),  # of demos and evaluations
    "--model": ("--landmark-model", "--checkpoint"),
    "--reconstructor": ("--checkpoint",),
    "--pretrain-weights": ("--checkpoint",),  # GCN_ResNet
    "--facemodel": ("--face-model",),
    "--landmark-dir": ("--landmarks-from",),
    "--out-dir": ("--out",),
    "--results": ("--out",),  # FaceWarper
    "--mode": ("--device",),  # 3DDFA's demos
    "-m": ("--device",),
}
# old switch: what it stands for when it is on
SWITCHES = {
    "--cpu": ("--device", "cpu"),
    "--lr-adjust": ("--schedule", "step"),
    "--use-predicted": ("--use-groundtruth", "0"),
}
# today's flag and an old value of it: today's value
VALUES = {("--device", "gpu"): "cuda"}
# flags that mean nothing any more: whether a value always follows; else only 0, 1, true, …
IGNORED = {
    "--wait": True,
    "--print-freq-eval": True,
    "--seed": True,  # of evaluations, which draw nothing
    "--normalize": False,  # of evaluations; the model knows
    "--use-adaptive-wing-loss": False,  # of evaluations, which have no loss
    "--dlib-landmark": False,
    "--show-flag": False,
}
ENVIRONMENT = {"--gpu": "CUDA_VISIBLE_DEVICES"}
OLD_FLAGS = (*RENAMED, *SWITCHES, *IGNORED, *ENVIRONMENT)

TRUE = ("1", "true", "t", "yes", "y", "on")
FALSE = ("0", "false", "f", "no", "n", "off")


def hyphens(argument: str) -> str:
    """`--batch_size=4` → `--batch-size=4`; anything but a long flag stays."""
    if not argument.startswith("--"):
        return argument
    name, equals, value = argument.partition("=")
    return name.replace("_", "-") + equals + value


def replace_old_flags(arguments: list[str], known: list[str]) -> tuple[list[str], dict[str, str]]:
    """Today's spelling of a command line, and the environment variables that it stands for. Args: known: the script's
    flags.
    """
    result, environment, rest = [], {}, list(arguments)
    while rest:
        argument = rest.pop(0)
        if argument == "--":
            return [*result, argument, *rest], environment
        name, equals, value = argument.partition("=")
        if name in known or name not in OLD_FLAGS:
            result.append(argument)
            continue
        new = next((flag for flag in RENAMED.get(name, ()) if flag in known), None)
        if new is not None:
            result.append(new + equals + VALUES.get((new, value), value))
            if rest and (new, rest[0]) in VALUES:
                rest[0] = VALUES[new, rest[0]]
        elif name in SWITCHES and SWITCHES[name][0] in known:
            is_on = _value(value, rest, always=False) not in FALSE
            result += SWITCHES[name] if is_on else ()
        elif name in IGNORED:
            _value(value, rest, always=IGNORED[name])
        elif name in ENVIRONMENT and "--device" in known:
            environment[ENVIRONMENT[name]] = _value(value, rest, always=True)
        else:
            result.append(argument)
    return result, environment


def _value(given: str, rest: list[str], always: bool) -> str:
    """The flag's value, taken from the arguments that follow where it is not behind an equals sign."""
    if given or not rest or not (always or rest[0].lower() in TRUE + FALSE):
        return given.lower()
    return rest.pop(0).lower()
