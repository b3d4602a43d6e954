import ast
import sys
from pathlib import Path

import hardware.energy

FOLDER = Path(hardware.energy.__file__).parent


def test_the_meters_import_nothing_that_a_bare_board_lacks() -> None:
    files = sorted(FOLDER.glob("*.py"))
    assert len(files) > 10
    for file in files:
        for node in ast.walk(ast.parse(file.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            for name in names:
                ours = name.startswith("hardware.energy.")
                assert ours or name.split(".")[0] in sys.stdlib_module_names, (file.name, name)
