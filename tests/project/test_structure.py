"""The structure of the sources matches ARCHITECTURE.md."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
from support.places import ROOT


@pytest.fixture(scope="module")
def structure() -> ModuleType:
    spec = importlib.util.spec_from_file_location("structure", ROOT / "tools" / "structure.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_arrows_run_one_way_and_nothing_is_long(structure: ModuleType) -> None:
    assert structure.problems(ROOT) == []


def write(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def test_what_breaks_the_rules_is_found(structure: ModuleType, tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "ARCHITECTURE.md": "rust/low   first   (no other crate of tiercel)\nrust/top   second   -> low, mid\n",
            "rust/low/Cargo.toml": "[dependencies]\nserde = '1'\n",
            "rust/low/src/lib.rs": "mod a;\nmod b;\n#[cfg(test)]\nmod checks;\npub use a::A;\n",
            # By a name that the crate passes on, and by a path in the code.
            "rust/low/src/a.rs": "pub struct A;\nfn f() { crate::b::g() }\n",
            "rust/low/src/b.rs": "use crate::A;\npub fn g() {}\n#[cfg(test)]\nmod tests { use crate::checks; }\n",
            "rust/low/src/checks.rs": "use crate::a::A;\n",
            "rust/top/Cargo.toml": "[dependencies]\ntiercel-low.workspace = true\n",
            "rust/top/src/lib.rs": "fn long() {\n" + "    f();\n" * 60 + "}\n",
            "python/tiercel/__init__.py": "",
            "python/tiercel/one/x.py": "from tiercel.two import y\n",
            "python/tiercel/two/y.py": "from tiercel.one import z\n",
            "python/tiercel/one/z.py": "\n" * 501,
        },
    )
    found = structure.problems(tmp_path)
    told = "\n".join(found)
    assert (
        "a circle of 2 files:\n    rust/low/src/a.rs -> rust/low/src/b.rs\n    rust/low/src/b.rs -> rust/low/src/a.rs"
        in told
    )
    assert "a circle of 2 folders:\n    python/tiercel/one -> python/tiercel/two" in told
    assert "ARCHITECTURE.md draws {'top': {" in told
    assert "python/tiercel/one/z.py: 501 lines" in told
    assert "rust/top/src/lib.rs: long, 62 lines" in told
    assert len([line for line in found if not line.startswith(" ")]) == 5
