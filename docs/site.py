"""Hooks of MkDocs: the reference, a page for each public object, and links to what lies beside the documents."""

import re
from pathlib import Path

from mkdocs.structure.files import File

ROOT = Path(__file__).parents[1]
OUTSIDE = re.compile(r"(!?)\[([^\]]*)\]\((?:\.\./)+((?:results|tuning|examples|saved_models|benchmarks)/[^)]*)\)")

OBJECTS = {
    "Layers": [
        "TwoArgActivation", "TwoArgMaxPooling2D", "TwoArgDense", "TwoArgRNNCell", "CellTypes", "InnerNetwork",
        "BakedActivation", "models.PairActivation", "models.PairRNNCell", "models.JointLayerNormalization",
        "Interpolation",
    ],
    "Functions": [
        "convert", "bake", "describe", "set_phi", "set_evaluation", "clone_model", "sharing_scope", "assert_shared",
    ],
    "Networks": [
        "models.mlp", "models.cnn", "models.resnet", "models.transformer", "models.recurrent", "models.matched_widths",
        "models.widths_for_budget", "models.compare",
    ],
    "Analysis": [
        "analysis.SurfaceDisplay", "analysis.SurfaceCallback", "analysis.surfaces", "analysis.soft_xor",
        "analysis.fit_quadratic", "analysis.pre_activations",
    ],
    "Export": ["export.formats", "export.verify"],
    "Experiments": [
        "experiments.training.datasets", "experiments.training.text", "experiments.training.algorithmic",
        "experiments.training.generation.generate", "experiments.training.sessions.run_sessions",
        "experiments.training.run_record.Record", "experiments.pretraining.pretrain",
        "experiments.play.page.write_play",
        "experiments.comparison.compare",
        "experiments.tuning.OuterHyperModel", "experiments.robustness.attack", "experiments.robustness.corrupt",
    ],
}  # fmt: skip

WIDE = ("where-phi-pays/README.md", "claims/README.md")
"""Pages whose tables need the room of the list of contents."""


def on_config(config):
    """Put a page for each object into the navigation."""
    pages = [{group: [{_name(o): _page(o)} for o in objects]} for group, objects in OBJECTS.items()]
    reference = {"Reference": [{"Overview": "reference/index.md"}, *pages]}
    config.nav = [reference if "Reference" in entry else entry for entry in config.nav]
    return config


def on_files(files, config):
    """Write the pages."""
    lines = ["# Reference", "A page for each object. The command line has [a page of its own](../commands.md)."]
    for group, objects in OBJECTS.items():
        lines.append(f"## {group}")
        lines.append("\n".join(f"* [`{o}`]({_page(o).split('/')[1]})" for o in objects))
        for o in objects:
            files.append(File.generated(config, _page(o), content=f"# {_name(o)}\n\n::: keras_twoarg.{o}\n"))
    files.append(File.generated(config, "reference/index.md", content="\n\n".join(lines)))
    return files


def on_page_markdown(markdown, page, config, files):
    """Name files outside of the documents instead of linking to them, and take their pictures along."""
    if page.file.src_uri in WIDE:
        page.meta["hide"] = ["toc"]
    to_root = "../" * page.file.src_uri.count("/")

    def one(match):
        image, text, path = match.groups()
        if not image:
            return f"{text} (`{path}`)"
        if files.get_file_from_path(path) is None:
            files.append(File.generated(config, path, abs_src_path=str(ROOT / path)))
        return f"![{text}]({to_root}{path})"

    return OUTSIDE.sub(one, markdown)


def _name(path):
    return path.split(".")[-1]


def _page(path):
    return f"reference/{path.replace('.', '-')}.md"
