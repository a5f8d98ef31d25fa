"""The examples in README, docs/ and every public docstring do what they show."""

import ast
import builtins
import contextlib
import doctest
import importlib.util
import io
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support.places import ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
# More than one page is called README.md.
NAMES = {page: str(page.relative_to(ROOT)) for page in [*PAGES, *sorted(ROOT.glob("*.md"))]}
SOURCES = sorted((ROOT / "python" / "tiercel").rglob("*.py*"))
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def run_doctest(source: str, name: str, namespace: dict[str, Any]) -> None:
    test = doctest.DocTestParser().get_doctest(source, namespace, name, name, 0)
    output = io.StringIO()
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    runner.run(test, out=output.write, clear_globs=False)
    namespace.update(test.globs)
    assert runner.failures == 0, output.getvalue()


def run_script(source: str, name: str, namespace: dict[str, Any]) -> str:
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        exec(compile(source, name, "exec"), namespace)
    return output.getvalue()


def run_program(source: str, name: str) -> str:
    """Run an example that starts processes as a separate file, and return its output."""
    program = Path(f"{name.partition('.')[0]}.py")
    program.write_text(source, encoding="utf-8")
    done = subprocess.run([sys.executable, program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, ""), name
    return done.stdout


def lacks_a_package(source: str) -> bool:
    """Whether an example needs an optional package that is not installed."""
    return re.search(r"^import pandas", source, re.MULTILINE) is not None and importlib.util.find_spec("pandas") is None


def python_examples(page: Path) -> list[tuple[str, str | None]]:
    """Return the Python blocks of a page, each with its output: the text block after it, if any."""
    blocks = [match.groups() for match in FENCE.finditer(page.read_text(encoding="utf-8"))]
    after = [*blocks[1:], ("", "")] if blocks else []
    return [
        (source, following if kind == "text" else None)
        for (language, source), (kind, following) in zip(blocks, after, strict=True)
        if language == "python"
    ]


@pytest.mark.parametrize("page", [page for page in PAGES if python_examples(page)], ids=NAMES.get)
def test_examples_of_a_page_run_in_order(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, Any] = {}
    for number, (source, expected) in enumerate(python_examples(page), start=1):
        name = f"{page.name}, example {number}"
        if lacks_a_package(source):
            continue
        if ">>>" in source:
            run_doctest(source, name, namespace)
        else:
            is_program = '__name__ == "__main__"' in source
            output = run_program(source, name) if is_program else run_script(source, name, namespace)
            assert expected is None or output == expected, name


def names_from_elsewhere(source: str) -> set[str]:
    """Return the names that an example uses but does not define."""
    used: set[str] = set()
    made = {*dir(builtins), "__name__"}
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Name():
                (used if isinstance(node.ctx, ast.Load) else made).add(node.id)
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef() | ast.ExceptHandler():
                made.add(node.name or "")
            case ast.arg():
                made.add(node.arg)
            case ast.Import() | ast.ImportFrom():
                made.update((each.asname or each.name).partition(".")[0] for each in node.names)
            case _:
                pass
    return used - made


@pytest.mark.parametrize("page", PAGES, ids=NAMES.get)
def test_examples_can_be_pasted_or_say_what_they_go_on_from(page: Path) -> None:
    for source, _ in python_examples(page):
        if ">>>" not in source:
            announced = re.match(r"# ([\w, ]+): from ", source)
            assert names_from_elsewhere(source) == set(announced[1].split(", ") if announced else ()), source


@pytest.mark.parametrize("page", PAGES, ids=NAMES.get)
def test_examples_that_need_what_is_not_here_are_python(page: Path) -> None:
    for kind, source in FENCE.findall(page.read_text(encoding="utf-8")):
        if kind == "py":
            ast.parse(source, page.name)


def docstrings() -> list[tuple[str, str]]:
    """Return docstrings with examples, of modules and stubs, by the name of what they document."""
    found: list[tuple[str, str]] = []
    for path in SOURCES:
        if path.suffix not in {".py", ".pyi"}:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
                text = ast.get_docstring(node)
                if text and ">>>" in text:
                    found.append((f"{path.name}:{getattr(node, 'name', 'module')}", text))
    return found


@pytest.mark.parametrize(("name", "text"), docstrings(), ids=[name for name, _ in docstrings()])
def test_examples_of_a_docstring_run(name: str, text: str) -> None:
    run_doctest(text, name, {})


def anchors(page: Path) -> set[str]:
    """Return the anchors that a renderer makes from the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", page.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", NAMES, ids=NAMES.get)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    for target, anchor in re.findall(r"\]\(([^)#]*)(?:#([^)]*))?\)", text):
        if not target.startswith("http"):
            there = page.parent / target if target else page
            assert there.exists(), f"{page.name} links to {target}"
            assert not anchor or anchor in anchors(there), f"{page.name} links to {target}#{anchor}"


@pytest.mark.parametrize("page", NAMES, ids=NAMES.get)
def test_lines_of_prose_fit_a_terminal(page: Path) -> None:
    prose = FENCE.sub("", page.read_text(encoding="utf-8")).splitlines()
    assert [line for line in prose if len(line) > 100 and not line.startswith("|")] == []


def test_no_two_pages_open_one_directory() -> None:
    # A reader who tries the pages in turn would find a collection with another embedder.
    opened: dict[str, Path] = {}
    for page in PAGES:
        for source, _ in python_examples(page):
            for name in re.findall(r"(?:open|Store|Files)\(\"([^\"]+)\"", source):
                assert opened.setdefault(name, page) == page, name


def test_every_command_is_documented() -> None:
    text = (ROOT / "docs" / "reference" / "cli.md").read_text(encoding="utf-8")
    for command in ("info", "build", "search", "bench", "demo"):
        assert f"`tiercel {command}" in text
