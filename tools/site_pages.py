"""The site's pages that lie outside docs/: a hook that mkdocs.yml names.

SECURITY.md, CHANGELOG.md and CONTRIBUTING.md stay where forges look for them. Here they become
pages, and links between them and docs/ lead the other way.
"""

from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
OUTSIDE = {
    "SECURITY.md": "security.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
}
"""Each file outside docs/, and the page that it becomes."""


def on_files(files: Any, config: Any) -> Any:
    """Add the files outside docs/ as pages."""
    from mkdocs.structure.files import File  # a test reads OUTSIDE without MkDocs

    for name, page in OUTSIDE.items():
        text = (ROOT / name).read_text(encoding="utf-8")
        for other, its_page in OUTSIDE.items():
            text = text.replace(f"]({other}", f"]({its_page}")
        text = text.replace("](docs/", "](")
        files.append(File.generated(config, page, content=text))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Lead links out of docs/ to the pages that stand there for the files."""
    up = "../" * page.file.src_uri.count("/")
    for name, its_page in OUTSIDE.items():
        markdown = markdown.replace(f"]({up}../{name}", f"]({up}{its_page}")
    return markdown
