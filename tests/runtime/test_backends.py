from __future__ import annotations

import sys

import numpy as np
import pytest

from ser_edge_runtime import backends
from ser_edge_runtime.backends import BACKENDS, VARIABLE, Unusable, available_backends, choose
from ser_edge_runtime.errors import NoInterpreter, UnknownInterpreter


def found(name):
    return lambda: backends.Backend(name, object, lambda *_: None, None)


def missing(reason):
    def look():
        raise Unusable(reason)

    return look


@pytest.fixture(autouse=True)
def no_variable(monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)


@pytest.fixture
def installed(monkeypatch):
    """Pretends that exactly the packages given are installed."""

    def pretend(*names):
        monkeypatch.setattr(
            backends,
            "_IMPORTS",
            {n: found(n) if n in names else missing(f"no {n} here") for n in BACKENDS},
        )

    return pretend


def test_ai_edge_litert_comes_first_then_tflite_runtime(installed):
    installed(*BACKENDS)
    assert choose().name == "ai-edge-litert"
    installed("tflite-runtime", "tensorflow")
    assert choose().name == "tflite-runtime"


def test_tensorflow_is_used_only_where_it_is_loaded_already(installed, monkeypatch):
    installed("tensorflow")
    monkeypatch.delitem(sys.modules, "tensorflow", raising=False)
    with pytest.raises(NoInterpreter):
        choose()
    monkeypatch.setitem(sys.modules, "tensorflow", object())
    assert choose().name == "tensorflow"


def test_tensorflow_is_used_if_it_is_asked_for(installed):
    installed(*BACKENDS)
    assert choose("tensorflow").name == "tensorflow"


def test_without_any_the_reason_for_each_is_told_in_one_line(installed, monkeypatch):
    installed()
    monkeypatch.setitem(sys.modules, "tensorflow", object())
    with pytest.raises(NoInterpreter) as caught:
        choose()
    message = str(caught.value)
    assert message.isprintable()
    assert all(f"{name}: no {name} here" in message for name in BACKENDS)


def test_the_one_that_was_named_is_not_replaced_by_another(installed):
    installed("ai-edge-litert")
    with pytest.raises(NoInterpreter, match="tflite-runtime cannot be used: no tflite-runtime"):
        choose("tflite-runtime")


def test_the_environment_variable_names_one(installed, monkeypatch):
    installed(*BACKENDS)
    monkeypatch.setenv(VARIABLE, "tflite-runtime")
    assert choose().name == "tflite-runtime"
    assert choose("ai-edge-litert").name == "ai-edge-litert"
    monkeypatch.setenv(VARIABLE, "")
    assert choose().name == "ai-edge-litert"
    monkeypatch.setenv(VARIABLE, "onnx")
    with pytest.raises(UnknownInterpreter, match="'onnx' is unknown"):
        choose()


def test_an_unknown_name_is_a_wrong_option():
    with pytest.raises(UnknownInterpreter) as caught:
        choose("litert")
    assert caught.value.exit_code == 2
    assert all(name in str(caught.value) for name in BACKENDS)


@pytest.fixture
def fake_package(tmp_path, monkeypatch):
    """Puts a package of the given files first on the path, as if freshly installed."""

    def put(name, files):
        for module in [m for m in sys.modules if m == name or m.startswith(f"{name}.")]:
            monkeypatch.delitem(sys.modules, module)
        (tmp_path / name).mkdir()
        for file, content in files.items():
            (tmp_path / name / file).write_text(content)
        monkeypatch.syspath_prepend(tmp_path)

    yield put
    for module in list(sys.modules):
        if str(tmp_path) in str(getattr(sys.modules[module], "__file__", "")):
            del sys.modules[module]


WORKING = """
class Interpreter: pass
def load_delegate(path, options): pass
class OpResolverType: BUILTIN_WITHOUT_DEFAULT_DELEGATES = 3
"""


def test_tflite_runtime_is_refused_with_numpy_2_before_it_is_imported(fake_package, monkeypatch):
    fake_package(
        "tflite_runtime",
        {"__init__.py": "__version__ = '2.14.0'", "interpreter.py": "raise SystemExit('imported')"},
    )
    monkeypatch.setattr(np, "__version__", "2.4.6")
    with pytest.raises(NoInterpreter, match=r"pip install 'numpy<2'"):
        choose("tflite-runtime")


@pytest.mark.parametrize(("numpy", "package"), [("1.26.4", "2.14.0"), ("2.4.6", "2.15.0")])
def test_tflite_runtime_is_taken_with_the_numpy_it_was_built_for(
    fake_package, monkeypatch, numpy, package
):
    fake_package(
        "tflite_runtime", {"__init__.py": f"__version__ = '{package}'", "interpreter.py": WORKING}
    )
    monkeypatch.setattr(np, "__version__", numpy)
    assert choose("tflite-runtime").name == "tflite-runtime"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("raise ImportError('libfoo.so.1: cannot\\nopen')", "libfoo.so.1: cannot open"),
        ("import not_there_at_all", "No module named 'not_there_at_all'"),
        ("raise OSError", "OSError"),
        ("x = 1", "load_delegate|Interpreter"),
    ],
)
def test_a_broken_installation_is_told_from_a_missing_one(
    fake_package, monkeypatch, content, reason
):
    fake_package("tflite_runtime", {"__init__.py": "", "interpreter.py": content})
    monkeypatch.setattr(np, "__version__", "1.26.4")
    with pytest.raises(NoInterpreter, match=reason) as caught:
        choose("tflite-runtime")
    assert "install it again" in str(caught.value)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    ("name", "package", "file"),
    [
        ("ai-edge-litert", "ai_edge_litert", "interpreter.py"),
        ("tensorflow", "tensorflow", "__init__.py"),
    ],
)
@pytest.mark.parametrize("content", ["raise ImportError('libx')", "import not_there_at_all"])
def test_the_other_packages_may_be_broken_too(fake_package, name, package, file, content):
    fake_package(package, {"__init__.py": "", file: content})
    with pytest.raises(NoInterpreter, match=f"{name} cannot be used: it does not import"):
        choose(name)


def test_tensorflow_that_is_missing_is_listed_as_that(monkeypatch):
    from importlib import util

    monkeypatch.setattr(util, "find_spec", lambda name: None)
    (fault,) = [why for name, _, why in available_backends() if name == "tensorflow"]
    assert "pip install 'ser-edge[train]'" in fault


@pytest.mark.parametrize(
    ("name", "module", "hint"),
    [
        ("ai-edge-litert", "ai_edge_litert", "pip install 'ai-edge-litert'"),
        ("tflite-runtime", "tflite_runtime", r"pip install 'ser-edge\[tflite-runtime\]'"),
        ("tensorflow", "tensorflow", r"pip install 'ser-edge\[train\]'"),
    ],
)
def test_a_missing_package_is_named_with_what_installs_it(monkeypatch, name, module, hint):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(NoInterpreter, match=f"{name} cannot be used: not installed: {hint}"):
        choose(name)


def test_available_backends_lists_all_and_at_least_one_works():
    rows = available_backends()
    assert [name for name, _, _ in rows] == list(BACKENDS)
    usable = [(name, version) for name, version, fault in rows if fault is None]
    assert usable
    assert all(version for _, version in usable)
    assert choose().name == usable[0][0]


def test_available_backends_does_not_import_tensorflow():
    import subprocess

    script = (
        "import sys\nfrom ser_edge_runtime.backends import available_backends\n"
        "available_backends()\nassert 'tensorflow' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
