"""The text of eval_depthnet.py: DepthNets' own report, then the same numbers over seeds beside controls."""

import statistics

from datasets.readers.threedfaw import POSES

COLUMNS = (  # key, title, format
    ("depth_corr", "DepthCorr", "{:.2f}"),
    ("kp_mean", "kp error", "{:.3e}"),
    ("gauge_corr", "gauge-fixed", "{:.2f}"),
    ("gauge_raw_corr", "gf/raw truth", "{:.2f}"),
    ("cosine", "cos z⊥", "{:.4f}"),
    ("beyond", "beyond template", "{:+.3f}"),
    ("beyond_mean", "beyond mean", "{:+.3f}"),
    ("pair_corr", "Pearson/face", "{:+.3f}"),
    ("r2_gain", "R² gain", "{:+.4f}"),
)


def upstream_lines(valid: dict, test: dict) -> list[str]:
    """The report of `--compute_stats` as the README of DepthNets shows it, for one run."""
    pairs = "src: all, tgt: all"
    lines = ["Computing stats on validation set...", f"DepthCorr: {valid['depth_corr']:.6f}", pairs, kp_line(valid)]
    lines += ["Computing stats on test set..."]
    if "table" in test:
        lines += ["DepthCorr:", *table_lines(test["table"])]
    else:
        lines += [f"DepthCorr: {test['depth_corr']:.6f}"]
    return [*lines, pairs, kp_line(test)]


def kp_line(scores: dict) -> str:
    """Mean and population deviation over pairs."""
    return f"kp error: {scores['kp_mean']:.6g}  +/-  {scores['kp_std']:.6g}"


def table_lines(table: list[list[float]]) -> list[str]:
    """Rows of sources, columns of targets; one line per pose for depths that do not see the target."""
    if len(table[0]) == 1:
        return [f"{pose} = {row[0]:.6f}" for pose, row in zip(POSES, table, strict=True)]
    rows = ["\t".join([pose, *(f"{value:.6f}" for value in row)]) for pose, row in zip(POSES, table, strict=True)]
    return ["\t" + "\t\t".join(POSES), *rows]


def spread(values: list[float], form: str) -> str:
    """Mean ± deviation over seeds (sample deviation; nothing for one seed)."""
    text = form.format(statistics.fmean(values))
    return text if len(values) == 1 else f"{text} ± {form.replace('+', '').format(statistics.stdev(values))}"


def comparison(models: dict[str, list[dict]], controls: dict[str, dict], markdown: bool = True) -> list[str]:
    """One row per model (mean ± deviation over its seeds) and per control, as a Markdown table."""
    rows = [["", *(title for _, title, _ in COLUMNS), "seeds"]]
    for name, runs in models.items():
        cells = [spread([run[key] for run in runs], form) for key, _, form in COLUMNS]
        rows.append([name, *cells, str(len(runs))])
    for name, scores in controls.items():
        cells = [form.format(scores[key]) if key in scores else "" for key, _, form in COLUMNS]
        rows.append([f"control: {name}", *cells, "–"])
    if not markdown:
        return ["\t".join(row) for row in rows]
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return [lines[0], "|" + "---|" * len(rows[0]), *lines[1:]]


def pose_comparison(models: dict[str, list[dict]], controls: dict[str, dict]) -> list[str]:
    """Table 2: DepthCorr by source pose (rows) and target pose, mean ± deviation over seeds; Markdown."""
    lines = ["| | source | " + " | ".join(f"target {pose}" for pose in POSES) + " |", "|" + "---|" * (len(POSES) + 2)]
    named = {**models, **{f"control: {name}": [scores] for name, scores in controls.items()}}
    for name, runs in named.items():
        if "table" not in runs[0]:
            continue
        for i, pose in enumerate(POSES):
            width = len(runs[0]["table"][i])
            cells = [spread([run["table"][i][j] for run in runs], "{:.2f}") for j in range(width)]
            cells = cells * len(POSES) if width == 1 else cells
            lines.append(f"| {name if i == 0 else ''} | {pose} | " + " | ".join(cells) + " |")
    return lines
