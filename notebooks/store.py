"""Execute the notebook and store its outputs: ``uv run python notebooks/store.py``.

What differs between two executions without a reason is left out: times of execution and of
sampling, the version of Python, and standard error (which says that a first run compiles).
"""

import re
from pathlib import Path

import nbclient
import nbformat

NOTEBOOK = Path(__file__).with_name("quickstart.ipynb")
KEPT = {"kernelspec": ("display_name", "language", "name"), "language_info": ("name",)}


SAMPLING_TIME = re.compile(r"(?<=, seed 1), [\d.]+ s")


def main() -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbclient.NotebookClient(notebook, timeout=600, kernel_name="python3").execute()
    notebook.metadata = {
        part: {key: notebook.metadata[part][key] for key in keys} for part, keys in KEPT.items()
    }
    for cell in notebook.cells:
        cell.metadata = {}
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
            for output in cell.outputs:
                for kind, shown in output.get("data", {}).items():
                    output.data[kind] = SAMPLING_TIME.sub("", shown)
    nbformat.write(notebook, NOTEBOOK)


if __name__ == "__main__":
    main()
