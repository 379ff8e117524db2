"""What mkdocs makes the site of: the repository's own pages, what they link to, and pages made from code.

The pages keep their places, so that a relative link is right on the site and in the repository alike.
"""

from __future__ import annotations

import argparse
import json
import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
PAGES = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/*.md", "*/README.md", "results/reference/**/*.md")
LINK = re.compile(r"\[([^][]*)\]\(([^)\s#]+)(#[^)]*)?\)")
SCHEMAS = {
    "recipes": "A recipe: an entry of a file in `configs/recipes`",
    "scale": "A scale: a file of `configs/scales`",
    "table": "A table: a file of `configs/tables`",
    "figures": "A figure: an entry of `configs/figures.yaml`",
    "claims": "A claim: an entry of `configs/claims.yaml`",
    "config": "The workflow's own settings: `configs/config.yaml`",
}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """The theme's files, our pages in their places, the files that those link to, and the pages made here."""
    kept = [file for file in files if file.src_uri not in {page.name for page in (ROOT / "docs").glob("*")}]
    pages = sorted({path for pattern in PAGES for path in ROOT.glob(pattern) if ".venv" not in path.parts})
    linked = {target for page in pages for target in _linked(page)} - set(pages)
    for path in [*pages, *sorted(linked)]:
        kept.append(File.generated(config, path.relative_to(ROOT).as_posix(), abs_src_path=str(path)))
    kept.append(File.generated(config, "docs/commands.md", content=commands()))
    kept.append(File.generated(config, "docs/configuration.md", content=configuration()))
    return Files(kept)


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Links to a folder lead to its README, or stay as words."""

    def led(match: re.Match[str]) -> str:
        words, target = match[1], match[2]
        folder = ROOT / posixpath.normpath(posixpath.join(posixpath.dirname(page.file.src_uri), target))
        if "://" in target or not folder.is_dir():
            return match[0]
        return f"[{words}]({target.rstrip('/')}/README.md)" if (folder / "README.md").exists() else words

    return LINK.sub(led, markdown)


def on_page_content(html: str, **_: Any) -> str:
    """Docstrings name code by roles, as in ``:meth:`adapt```, which Markdown does not know: the code alone."""
    return re.sub(r":(?:meth|func|class|data|mod):(?=<code)", "", html)


def _linked(page: Path) -> Iterator[Path]:
    for _, target, _ in LINK.findall(page.read_text()):
        path = (page.parent / target).resolve()
        if "://" not in target and path.is_relative_to(ROOT) and path.is_file():
            yield path


def commands() -> str:
    """Every command of ``fasa``, by its own help."""
    from fasa.cli.main import parser  # not before mkdocs needs it: it loads every command

    (action,) = (action for action in parser()._actions if isinstance(action, argparse._SubParsersAction))
    parts = ["# Commands\n"]
    for name, command in action.choices.items():
        parts.append(f"## fasa {name}\n\n```\n{command.format_help()}```\n")
    return "\n".join(parts)


def configuration() -> str:
    """Every key of ``configs/``, from the schemas that editors use."""
    parts = [
        "# Configuration\n",
        "Unknown names, keys and options are refused. Editors complete them by `configs/schemas`.\n",
    ]
    for name, title in SCHEMAS.items():
        schema = json.loads((ROOT / f"configs/schemas/{name}.json").read_text())
        parts.append(f"## {title}\n")
        entry = schema if "properties" in schema else None
        if entry:
            parts.append(_keys(entry))
        for kind, definition in schema.get("$defs", {}).items():
            if "properties" in definition:
                parts.append(f"### {kind}\n\n{definition.get('description', '')}\n\n{_keys(definition)}")
    return "\n".join(parts)


def _keys(schema: dict[str, Any]) -> str:
    lines = ["| Key | Type | Without it | |", "|---|---|---|---|"]
    for key, value in schema["properties"].items():
        told = " ".join(value.get("description", "").split())
        without = f"`{json.dumps(value['default'])}`" if "default" in value else "–"
        without = "" if key in schema.get("required", ()) else without
        lines.append(f"| `{key}` | {_kind(value)} | {without} | {told} |".replace("\n", " "))
    return "\n".join(lines) + "\n"


def _kind(value: dict[str, Any]) -> str:
    if "$ref" in value:
        return value["$ref"].rpartition("/")[2]
    if "enum" in value or "const" in value:
        return ", ".join(f"`{json.dumps(choice)}`" for choice in value.get("enum", [value.get("const")]))
    if "anyOf" in value:
        return " or ".join(dict.fromkeys(_kind(choice) for choice in value["anyOf"]))
    if value.get("type") == "array":
        return f"list of {_kind(value['items'])}" if isinstance(value.get("items"), dict) else "list"
    return value.get("type", "anything")
