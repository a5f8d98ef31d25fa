"""The package as a whole: cheap to import, complete, and clear about how it was compiled."""

import importlib
import importlib.metadata
import re
import subprocess
import sys

import pytest
from support.places import ROOT

import tiercel
from tiercel import _core


def test_import_brings_nothing_that_it_does_not_need() -> None:
    script = "import sys, tiercel; print(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "tiercel._core" in loaded
    assert not loaded & {"numpy", "argparse", "dataclasses", "json", "ctypes", "matplotlib", "tiercel.cli"}


def test_every_public_name_is_there() -> None:
    for name in tiercel.__all__:
        assert getattr(tiercel, name) is not None
    assert set(tiercel.__all__) <= set(dir(tiercel))
    with pytest.raises(AttributeError, match="no_such_name"):
        tiercel.no_such_name  # noqa: B018


def documented_names() -> list[str]:
    """Names that docs and docstrings write as `tiercel.name`."""
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), *(ROOT / "python" / "tiercel").rglob("*.py")]
    text = "".join(page.read_text(encoding="utf-8") for page in pages)
    return sorted(
        {
            name
            for names in re.findall(r"`tiercel((?:\.[A-Za-z]\w*)+)|help\(tiercel((?:\.\w+)+)\)", text)
            for name in names
            if name
        }
    )


@pytest.mark.parametrize("first", ["cache.Store", "filters", "plain", "schema", "rerank"])
def test_every_documented_name_is_there_after_import_tiercel(first: str) -> None:
    names = documented_names()
    assert {".filters", ".cache.Store", ".open"} <= set(names)
    # In a separate process: another name may load a module that the next one needs.
    script = f"import tiercel; tiercel.{first}; [eval('tiercel' + name) for name in {names}]"
    subprocess.run([sys.executable, "-c", script], check=True)


def test_version_is_that_of_the_distribution() -> None:
    assert tiercel.__version__ == importlib.metadata.version("tiercel") == _core.__version__


def test_a_build_for_tests_warns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_core, "build_profile", "debug")
    with pytest.warns(RuntimeWarning, match="built for tests"):
        importlib.reload(tiercel)
