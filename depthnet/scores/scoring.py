"""Phases of eval_depthnet.py: models, statistics with controls, depth dump, figures."""

import dataclasses
import io
import json
from pathlib import Path

import numpy as np
import torch

from common.checkpoint import json_safe
from common.config import LocalConfig
from common.errors import ConfigError, DataError
from common.files.atomic import write_file
from common.logs import console
from common.runtime import choose_device
from datasets.readers.threedfaw import Keypoints, load_split
from depthnet.inference import all_pair_depths
from depthnet.models import LoadedDepthNet, load_model
from depthnet.scores.controls import make_controls
from depthnet.scores.evaluation import Faces, score_controls, score_networks
from depthnet.scores.figures import Panel, draw_faces, draw_heatmap
from depthnet.scores.report import comparison, pose_comparison, upstream_lines
from depthnet.settings import EvalSettings


def evaluate_depthnet(settings: EvalSettings, local: LocalConfig) -> None:
    """Everything that the flags ask for. Raises: DataError, ConfigError."""
    if not (settings.compute_stats or settings.dump_depths or settings.figures):
        raise ConfigError("nothing to do; give --compute-stats, --dump-depths FILE or --figures FOLDER.")
    if settings.stats_count < 2:
        raise ConfigError("--stats-count must be at least 2; statistics need pairs.")
    device = choose_device(settings.device)
    models = {name: load_model(name, local.snapshots) for name in settings.checkpoint}
    for model in models.values():
        model.networks.to(device).eval()
    root, cache = local.dataset(settings.dataset), local.cache(settings.dataset) / settings.dataset
    splits = {split: load_split(root, cache, split) for split in ("train", "valid", "test")}
    if settings.compute_stats:
        print_statistics(settings, models, splits, device)
    if settings.dump_depths:
        dump_depths(settings.dump_depths, models, Faces.of(splits["test"], device))
    if settings.figures:
        draw_figures(settings, models, splits["test"], device, root)


def print_statistics(
    settings: EvalSettings, models: dict[str, LoadedDepthNet], splits: dict[str, Keypoints], device: torch.device
) -> None:
    """The upstream report of every model's first run, then all runs beside the controls."""
    say = console().info
    valid = Faces.of(splits["valid"], device, settings.stats_count, splits["train"])
    test = Faces.of(splits["test"], device, train=splits["train"])
    if len(valid) < 2 or len(test) < 2:
        raise DataError(
            f"{settings.dataset}: {len(valid)} validation and {len(test)} test faces; statistics need 2 of each."
        )
    results: dict[str, dict[str, list[dict]]] = {"validation": {}, "test": {}}
    for name, model in models.items():
        results["validation"][name] = score_networks(model.networks, valid)
        results["test"][name] = score_networks(model.networks, test)
        runs = len(results["test"][name])
        say(f"{name} ({model.kind}, {runs} run{'s'[: runs > 1]}, dataset {settings.dataset}), run 0:")
        for line in upstream_lines(results["validation"][name][0], results["test"][name][0]):
            say(line)
    controls: dict[str, dict[str, dict]] = {"validation": {}, "test": {}}
    if settings.controls:
        made = make_controls(splits["train"])
        controls = {"validation": score_controls(made, valid), "test": score_controls(made, test)}
    for split, faces in (("validation", valid), ("test", test)):
        count = len(faces)
        say(f"{split}: all {count * (count - 1):,} ordered pairs of {count} faces, mean ± deviation over seeds")
        for line in comparison(results[split], controls[split]):
            say(line)
    if test.poses:
        say("test, DepthCorr by pose")
        for line in pose_comparison(results["test"], controls["test"]):
            say(line)
    if settings.json:
        content = {"settings": dataclasses.asdict(settings), "models": results, "controls": controls}
        write_file(settings.json, json.dumps(json_safe(content), indent=1))
        say(f"wrote {settings.json}")


def dump_depths(path: Path, models: dict[str, LoadedDepthNet], faces: Faces) -> None:
    """`preds`: (N, N, 66), [i, j] the depth of face i for target j, 0 where i = j; (N, 66) of models that see no
    target.

    The mean over a model's runs, since adversarial depths need no scaling per run. Raises: DataError for several
    models.
    """
    if len(models) != 1:
        raise DataError(f"--dump-depths takes one model, not {len(models)}; run it once for each.")
    (model,) = models.values()
    depths, _ = all_pair_depths(model.networks, faces.points, faces.points)
    preds = depths.mean(dim=0).cpu().numpy()
    if preds.shape[1] == 1:
        preds = preds[:, 0]
    else:
        preds[np.arange(len(preds)), np.arange(len(preds))] = 0
    buffer = io.BytesIO()
    np.savez(buffer, preds=preds)
    write_file(Path(path), buffer.getvalue())
    console().info(f"wrote {path}: preds {preds.shape}")


def draw_figures(
    settings: EvalSettings, models: dict[str, LoadedDepthNet], test: Keypoints, device: torch.device, root: Path
) -> None:
    """Figure 2: depths of test faces as 3D points; figure 3: true against predicted depth, one picture per model."""
    faces = Faces.of(test, device)
    chosen = np.linspace(0, len(faces) - 1, max(1, min(settings.faces, len(faces)))).round().astype(int)
    target = int(np.random.default_rng(0).integers(len(faces)))  # one target for all faces, as in the paper's figure
    panels = [Panel("true depth", test.depth)]
    for name, model in models.items():
        depths, _ = all_pair_depths(model.networks, faces.points, faces.points)
        first = depths[0].cpu().numpy()
        seen = first[:, 0] if first.shape[1] == 1 else first[:, target]
        panels.append(Panel(name, seen))
        path = settings.figures / f"heatmap_{Path(name).name}.png"
        draw_heatmap(path, name, test.depth, first)
        console().info(f"wrote {path}")
    path = settings.figures / "faces.png"
    photos = [root / "valid_img" / f"{test.ids[i]}.jpg" for i in chosen]
    draw_faces(path, test.points[chosen], [Panel(p.name, p.depth[chosen]) for p in panels], photos)
    console().info(f"wrote {path}")
