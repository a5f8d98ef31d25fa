"""The structure of the sources: which file imports which, and where that breaks the rules.

python tools/structure.py    prints violations; exit status 1 if there are any

The rules: neither files nor folders import each other in a circle; a crate depends on what the
drawing in ARCHITECTURE.md shows; no file has more than 500 lines, and no function more than 60.

Rust is read as text: `use` declarations and paths that begin with `crate`, `super` or `self`,
outside of tests. A name that a `mod.rs` or `lib.rs` re-exports counts as imported from the file
that defines it.
"""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
MAX_LINES: Final = 500
MAX_FUNCTION: Final = 60

Arrows = dict[str, set[str]]


def rust_sources(crate: Path) -> list[Path]:
    """Return the files of a crate that are not compiled for tests only."""
    found = sorted((crate / "src").rglob("*.rs"))
    tests: set[Path] = set()
    for path in found:
        folder = path.parent if path.stem in {"lib", "mod"} else path.with_suffix("")
        for name in re.findall(r"#\[cfg\(test\)\]\s*(?:pub(?:\([^)]*\))? )?mod (\w+);", path.read_text()):
            tests |= {folder / f"{name}.rs", folder / name / "mod.rs"}
    return [path for path in found if path not in tests]


def plain(text: str) -> str:
    """Return Rust code without the content of comments and quotes, with the same lines."""
    text = re.sub(r"//[^\n]*", "", text)
    text = re.sub(r"b?'(?:\\.|[^'\\])'", "' '", text)
    return re.sub(r'b?"(?:\\.|[^"\\])*"', lambda match: '"' + "\n" * match[0].count("\n") + '"', text)


def without_tests(text: str) -> str:
    """Return plain Rust code without what is compiled for tests only."""
    text = plain(text)
    out: list[str] = []
    at = 0
    for match in re.finditer(r"#\[cfg\((?:all\()?test[^\]]*\)\]\s*(?:#\[[^\]]*\]\s*)*", text):
        if match.start() < at:
            continue
        out.append(text[at : match.start()])
        at = end_of_item(text, match.end())
    out.append(text[at:])
    return "".join(out)


def end_of_item(text: str, start: int) -> int:
    """Return where the item that begins here ends: after its `;` or its block."""
    depth = 0
    for at in range(start, len(text)):
        if text[at] == "{":
            depth += 1
        elif text[at] == "}":
            depth -= 1
            if depth == 0:
                return at + 1
        elif text[at] == ";" and depth == 0:
            return at + 1
    return len(text)


def use_paths(tree: str) -> Iterator[list[str]]:
    """Return the paths of a `use` tree: `a::{b, c::d}` has `a::b` and `a::c::d`."""
    tree = tree.strip()
    brace = tree.find("{")
    if brace < 0:
        yield [part.strip() for part in tree.split(" as ")[0].split("::")]
        return
    head = [part.strip() for part in tree[:brace].split("::") if part.strip()]
    for branch in split_branches(tree[brace + 1 : tree.rfind("}")]):
        for path in use_paths(branch):
            yield head + ([] if path == ["self"] else path)


def split_branches(text: str) -> list[str]:
    """Split at the commas of the outermost level."""
    out, depth = [""], 0
    for letter in text:
        depth += {"{": 1, "}": -1}.get(letter, 0)
        if letter == "," and depth == 0:
            out.append("")
        else:
            out[-1] += letter
    return [branch for branch in out if branch.strip()]


class Crate:
    """The modules of a crate."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files = {self._module(path): path for path in rust_sources(folder)}
        self.texts = {module: without_tests(path.read_text()) for module, path in self.files.items()}
        self.passed_on = {module: dict(self._passed_on(module)) for module in self.files}

    def _module(self, path: Path) -> tuple[str, ...]:
        parts = path.relative_to(self.folder / "src").with_suffix("").parts
        return parts[:-1] if parts[-1] in {"mod", "lib"} else parts

    def _name(self, module: tuple[str, ...]) -> str:
        return str(self.files[module].relative_to(self.folder.parents[1]))

    def _passed_on(self, module: tuple[str, ...]) -> Iterator[tuple[str, tuple[str, ...]]]:
        for match in re.finditer(r"\bpub(?:\([^)]*\))?\s+use\s+([^;]+);", self.texts[module]):
            for path in use_paths(match[1]):
                full = self._absolute(path, module)
                if full is not None and full[-1] != "*":
                    yield path[-1], full

    def _absolute(self, path: list[str], module: tuple[str, ...]) -> tuple[str, ...] | None:
        """Return a path from the root of the crate, or None for one of another crate."""
        first, rest = path[0], tuple(path[1:])
        if first == "crate":
            return rest
        if first == "self":
            return module + rest
        if first == "super":
            here = module[:-1]
            while rest and rest[0] == "super":
                here, rest = here[:-1], rest[1:]
            return here + rest
        if (*module, first) in self.files:
            return (*module, first, *rest)
        return None

    def defines(self, path: tuple[str, ...]) -> tuple[str, ...] | None:
        """Return the module whose file defines the target of a path."""
        for _ in range(8):
            module = path
            while module and module not in self.files:
                module = module[:-1]
            if len(module) == len(path):
                return module
            onward = self.passed_on.get(module, {}).get(path[len(module)])
            if onward is None:
                return module
            path = onward
        return None

    def arrows(self) -> Arrows:
        """Return which file imports which."""
        out: Arrows = {}
        for module, text in self.texts.items():
            name = self._name(module)
            found = out.setdefault(name, set())
            for path in self._mentioned(module, text):
                target = self.defines(path)
                if target is not None and target != module and target in self.files:
                    found.add(self._name(target))
        return out

    def _mentioned(self, module: tuple[str, ...], text: str) -> Iterator[tuple[str, ...]]:
        rest = text
        for match in re.finditer(r"\b(pub(?:\([^)]*\))?\s+)?use\s+([^;]+);", text):
            rest = rest.replace(match[0], "")
            # A re-exported name is imported by its users.
            if match[1] is None:
                for path in use_paths(match[2]):
                    full = self._absolute(path, module)
                    if full is not None:
                        yield full
        names = "|".join(re.escape(inner[-1]) for inner in self.files if inner[:-1] == module and inner)
        begins = r"(?:crate|super|self" + (f"|{names}" if names else "") + ")"
        for match in re.finditer(rf"(?<![\w:]){begins}(?:::\w+)+", rest):
            full = self._absolute(match[0].split("::"), module)
            if full is not None:
                yield full


def python_arrows(package: Path) -> Arrows:
    """Return which module of the package imports which, anywhere except for types only."""
    files = {module_name(path, package): path for path in sorted(package.rglob("*.py"))}
    out: Arrows = {}
    for path in files.values():
        found = out.setdefault(str(path.relative_to(package.parents[1])), set())
        for name in imported(ast.parse(path.read_text())):
            target = files.get(name) or files.get(name.rpartition(".")[0])
            if target is not None and target != path and target.name != "__init__.py":
                found.add(str(target.relative_to(package.parents[1])))
    return out


def module_name(path: Path, package: Path) -> str:
    parts = path.relative_to(package.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported(tree: ast.AST) -> Iterator[str]:
    """Yield the names that a module imports, `a.b.c` for `from a.b import c`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module is not None:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def circles(arrows: Arrows) -> list[list[str]]:
    """Return files that import each other, even indirectly (Tarjan's strongly connected
    components).
    """
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    out: list[list[str]] = []

    def visit(node: str) -> None:
        index[node] = low[node] = len(index)
        stack.append(node)
        for other in sorted(arrows.get(node, ())):
            if other not in index:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in stack:
                low[node] = min(low[node], index[other])
        if low[node] == index[node]:
            component = [stack.pop()]
            while component[-1] != node:
                component.append(stack.pop())
            if len(component) > 1:
                out.append(sorted(component))

    for node in sorted(arrows):
        if node not in index:
            visit(node)
    return out


def long_files(root: Path) -> list[str]:
    """Return files of code with more lines than a reader should have to hold."""
    out: list[str] = []
    for path in code(root):
        count = len(path.read_text().splitlines())
        if count > MAX_LINES:
            out.append(f"{path.relative_to(root)}: {count} lines")
    return out


def code(root: Path) -> list[Path]:
    """Return all files of code, including tests and benchmarks, except stubs."""
    places = ("rust/*/src/**/*.rs", "rust/*/tests/**/*.rs", "rust/*/benches/**/*.rs", "python/**/*.py", "tests/**/*.py")
    return sorted(path for place in (*places, "benches/**/*.py", "tools/**/*.py") for path in root.glob(place))


def long_functions(root: Path) -> list[str]:
    """Return functions with more lines than fit a screen, not counting docstrings."""
    out: list[str] = []
    for path in code(root):
        found = rust_functions(path.read_text()) if path.suffix == ".rs" else python_functions(path.read_text())
        out += [f"{path.relative_to(root)}: {name}, {count} lines" for name, count in found if count > MAX_FUNCTION]
    return out


def rust_functions(text: str) -> Iterator[tuple[str, int]]:
    text = plain(text)
    for match in re.finditer(r"\bfn (\w+)", text):
        end = end_of_item(text, match.start())
        yield match[1], text.count("\n", match.start(), end) + 1


def python_functions(text: str) -> Iterator[tuple[str, int]]:
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0]
            documented = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            yield node.name, lines - ((first.end_lineno or 0) - first.lineno + 1 if documented else 0)


def rooms(arrows: Arrows) -> Arrows:
    """Return the same between folders, and between folders and the files beside them."""
    out: Arrows = {}
    for source, targets in arrows.items():
        found = out.setdefault(room(source), set())
        # Two files beside the folders count as files.
        found |= {room(target) for target in targets if {room(source), room(target)} != {source, target}}
        found.discard(room(source))
    return out


def room(file: str) -> str:
    parts = file.split("/")
    depth = 4 if parts[0] == "rust" else 3
    return "/".join(parts[:depth])


def drawn(root: Path) -> Arrows:
    """Return which crate depends on which, as ARCHITECTURE.md draws it."""
    lines = (root / "ARCHITECTURE.md").read_text().splitlines()
    found = (re.match(r"rust/(\w+) .*-> ([\w, ]+)$", line) for line in lines)
    return {match[1]: set(match[2].split(", ")) for match in found if match}


def declared(root: Path) -> Arrows:
    """Return the same from the manifests of the crates."""
    out: Arrows = {}
    for path in sorted(root.glob("rust/*/Cargo.toml")):
        names: dict[str, object] = tomllib.loads(path.read_text()).get("dependencies", {})
        # Optional dependencies are for tests.
        always = (name for name, how in names.items() if not (isinstance(how, dict) and "optional" in how))
        crates = {name.removeprefix("tiercel-") for name in always if name.startswith("tiercel-")}
        if crates:
            out[path.parent.name] = crates
    return out


def all_arrows(root: Path) -> Arrows:
    """Return which file imports which, in Rust and Python."""
    arrows = python_arrows(root / "python" / "tiercel")
    for manifest in sorted(root.glob("rust/*/Cargo.toml")):
        arrows |= Crate(manifest.parent).arrows()
    return arrows


def told(kind: str, arrows: Arrows) -> list[str]:
    """Describe import circles."""
    out: list[str] = []
    for circle in circles(arrows):
        out.append(f"a circle of {len(circle)} {kind}:")
        out += [f"    {source} -> {', '.join(sorted(arrows[source] & set(circle)))}" for source in circle]
    return out


def problems(root: Path) -> list[str]:
    """Return the violations of the rules, line by line."""
    arrows = all_arrows(root)
    out = told("files", arrows) + told("folders", rooms(arrows))
    if drawn(root) != declared(root):
        out.append(f"ARCHITECTURE.md draws {drawn(root)}, the manifests say {declared(root)}")
    return out + long_files(root) + long_functions(root)


def main() -> int:
    found = problems(ROOT)
    print("\n".join(found) or "nothing breaks the rules")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
