"""YAML files read into typed objects that refuse what they do not know, by file and field; told whole or by a base."""

from __future__ import annotations

import contextlib
import json
import math
import re
import reprlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, ClassVar, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

from fasa.errors import UserError, closest

LARGEST = 100_000  # values of a file with its aliases written out; ours have a few thousand
LARGEST_NUMBER = 2**53  # up to which every whole number is a float, too
# Names become folders, words of a shell, targets and patterns of Snakemake.
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,99}")
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]")  # all but a tab and a line's end
LONGEST_KEY = 100
MOST_BASES = 50  # ours have three
LENIENT = re.compile(r"[\t?!\ufeff]|[|>][-+0-9]*#")  # what libyaml takes in places where PyYAML refuses it
AS_YAML = {
    "model_type": "must be a mapping of keys to values",
    "dict_type": "must be a mapping of keys to values",
    "tuple_type": "must be a list",
    "list_type": "must be a list",
}


class Strict(BaseModel):
    """A frozen object whose unknown keys are errors. ``renamed`` says what keys of before are called now."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
    renamed: ClassVar[dict[str, str]] = {}


Text = Annotated[str, Field(min_length=1)]


class Named(Strict):
    """An entry of a file by its key there, or a file by its name: ``name`` is no key of its own."""

    name: str


Model = TypeVar("Model", bound=Strict)
NamedModel = TypeVar("NamedModel", bound=Named)
Content = dict[str, Any]


# ---------------------------------------------------------------------------------------------------- reading a file
class _Rules(yaml.constructor.SafeConstructor, yaml.resolver.Resolver):
    """YAML by the rules of version 1.2: 1e-3 is a number, ``no`` a word, and a mapping has a key once."""

    yaml_implicit_resolvers = {}

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value:
            said = key.value if isinstance(key, yaml.ScalarNode) else ""
            if len(said) > LONGEST_KEY or not said.isprintable():
                problem = f"a key is longer than {LONGEST_KEY} characters, or has some that cannot be printed"
                raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
            if (key.tag, str(key.value)) in seen:
                raise yaml.constructor.ConstructorError(None, None, f"key '{key.value}' is given twice", key.start_mark)
            seen.add((key.tag, str(key.value)))
        return super().construct_mapping(node, deep)

    def construct_yaml_float(self, node: yaml.ScalarNode) -> float:
        return _sized(super().construct_yaml_float(node), node)

    def construct_yaml_int(self, node: yaml.ScalarNode) -> int:
        if len(node.value) > 99:  # which Python would not convert
            _sized(math.inf, node)
        return _sized(super().construct_yaml_int(node), node)

    def construct_yaml_str(self, node: yaml.ScalarNode) -> str:
        text = super().construct_yaml_str(node)
        if found := CONTROL.search(text):
            problem = f"a text holds the character #x{ord(found[0]):04x}"
            raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark)
        return text


Number = TypeVar("Number", int, float)


def _sized(number: Number, node: yaml.ScalarNode) -> Number:
    """``number``, if it is finite and not so large that arithmetic fails."""
    if not abs(number) <= LARGEST_NUMBER:  # a NaN is not, either
        problem = f"{node.value[:20]} is no number that a setting can have"
        raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark)
    return number


_Rules.yaml_constructors = {
    **_Rules.yaml_constructors,
    "tag:yaml.org,2002:float": _Rules.construct_yaml_float,
    "tag:yaml.org,2002:int": _Rules.construct_yaml_int,
    "tag:yaml.org,2002:str": _Rules.construct_yaml_str,
}
for _tag, _pattern, _first in (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("int", r"[-+]?(?:0|[1-9][0-9]*)", "-+0123456789"),
    ("float", r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?", "-+.0123456789"),
    ("float", r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)", "-+."),
    ("merge", r"<<", "<"),
):
    _Rules.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(rf"^(?:{_pattern})$"), list(_first))


class _Loader(_Rules, yaml.SafeLoader):
    """PyYAML's own parser, whose words our errors have."""


if yaml.__with_libyaml__:

    class _FastLoader(_Rules, yaml.composer.Composer, yaml.CSafeLoader):
        """libyaml's parser, which is several times as fast, under PyYAML's composer, which refuses endless nesting."""

        def __init__(self, text: str) -> None:
            yaml.CSafeLoader.__init__(self, text)
            yaml.composer.Composer.__init__(self)

else:
    _FastLoader = _Loader  # type: ignore[assignment,misc]


def read_yaml(path: Path) -> Content:
    """The mapping in a YAML file.

    Raises:
        UserError: the file is missing, is not YAML in UTF-8, holds no mapping, a key twice, a number that is not
            finite, or aliases that contain themselves or unfold without end.
    """
    try:
        document = _load(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}).") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8 text; save it as UTF-8.") from error
    except RecursionError as error:
        raise UserError(f"{path} is not valid YAML: it is nested too deeply.") from error
    except yaml.reader.ReaderError as error:
        raise UserError(f"{path} is not valid YAML: it holds the character #x{error.character:04x}.") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f" at line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", error)
        if "'\\t'" in str(problem):
            problem = "a tab stands where YAML wants spaces"
        raise UserError(f"{path} is not valid YAML{line}: {problem}.") from error
    except (ValueError, KeyError) as error:  # a tag, such as !!int, before what is none
        raise UserError(f"{path} is not valid YAML: {error} is not what its tag says.") from error
    if document is None:
        raise UserError(f"{path} is empty; it must hold a mapping of keys to values.")
    if not isinstance(document, dict):
        raise UserError(f"{path} must hold a mapping of keys to values.")
    return document


def _load(text: str) -> Any:
    """The document in ``text`` or None; where libyaml refuses it, PyYAML says why."""
    if not LENIENT.search(text):
        with contextlib.suppress(ValueError, KeyError, RecursionError, yaml.YAMLError):
            return _document(_FastLoader(text))
    return _document(_Loader(text))


def _document(loader: _Loader | _FastLoader) -> Any:
    node = loader.get_single_node()
    if node is None:
        return None
    _unfolded(node, (), {})
    return loader.construct_document(node)


def _unfolded(node: yaml.Node, above: tuple[int, ...], sizes: dict[int, int]) -> int:
    """How many values a node holds with its aliases written out.

    Raises:
        YAMLError: it contains itself, or holds more than :data:`LARGEST`.
    """
    if id(node) in above:
        raise yaml.constructor.ConstructorError(None, None, "an alias contains itself", node.start_mark)
    if id(node) not in sizes:
        inner = [] if isinstance(node, yaml.ScalarNode) else node.value
        parts = [part for pair in inner for part in (pair if isinstance(pair, tuple) else (pair,))]
        sizes[id(node)] = 1 + sum(_unfolded(part, (*above, id(node)), sizes) for part in parts)
    if sizes[id(node)] > LARGEST:
        problem = f"its aliases unfold to more than {LARGEST:,} values"
        raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark)
    return sizes[id(node)]


def entries(path: Path, what: str) -> Iterator[tuple[str, Content, str]]:
    """The entries of a YAML file: name, content, and what an error calls it, such as "figures.yaml: figure 'fig3'".

    Raises:
        UserError: as :func:`read_yaml`, or an entry's name or content is not what it must be.
    """
    for name, content in read_yaml(path).items():
        where = f"{path}: {what} '{name}'"
        check_name(name, where)
        if not isinstance(content, dict):
            raise UserError(f"{where} must be a mapping of keys to values.")
        yield name, content, where


def check_name(name: object, where: str) -> None:
    """See that a name can be a folder and a target.

    Raises:
        UserError: it cannot.
    """
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise UserError(f"{where} must be named by letters, digits, _ and - alone, 100 at most, the first no -.")


# ------------------------------------------------------------------------------------------------ from it to a model
def parse(model: type[Model], content: Content, where: str) -> Model:
    """``content`` as a ``model``; as in JSON, nothing becomes what it is not: "3" is no number, and ``true`` none.

    Raises:
        UserError: names ``where``, the field, and what it may be.
    """
    try:
        return model.model_validate_json(json.dumps(content), strict=True)
    except ValidationError as error:
        # A misspelt key is also a missing one: tell the misspelling.
        told = [(_dotted(line["loc"]), _told(model, line)) for line in error.errors()]
        field, sentence = min(told, key=lambda each: not each[1].startswith("unknown key"))
        sentence = sentence.replace("{field}", field) if field else sentence.removeprefix("'{field}': ")
        raise UserError(f"{where}: {sentence}.") from error


def parse_entry(model: type[NamedModel], name: str, content: Content, where: str) -> NamedModel:
    """As :func:`parse`, of what stands under a ``name``.

    Raises:
        UserError: as :func:`parse`, or ``content`` has a ``name``, too.
    """
    if "name" in content:
        raise UserError(f"{where}: unknown key 'name'; '{name}' is its name.")
    return parse(model, {**content, "name": name}, where)


def check(model: type[Strict], content: Any) -> Any:
    """``content`` unchanged, which a validator saw to be a ``model``.

    Raises:
        ValidationError: it is none; pydantic puts the field before it, and :func:`parse` tells it.
    """
    try:
        model.model_validate_json(json.dumps(content), strict=True)
    except ValidationError as error:
        lines = [
            InitErrorDetails(
                type=PydanticCustomError("told", "{told}", {"told": _told(model, line)}),
                loc=line["loc"],
                input=line["input"],
            )
            for line in error.errors()
        ]
        raise ValidationError.from_exception_data(model.__name__, lines) from error
    return content


def _shown(given: object) -> str:
    """A value as YAML has it, shortened."""
    return json.dumps(given) if given is None or isinstance(given, bool) else reprlib.repr(given)


def _dotted(place: tuple[int | str, ...]) -> str:
    return ".".join(str(part) for part in place if part != "[key]")


def _told(model: type[BaseModel], line: Any) -> str:
    """A sentence about one of pydantic's errors; ``{field}`` is where."""
    kind, place, context, given = line["type"], line["loc"], line.get("ctx", {}), line["input"]
    if kind == "told":
        return context["told"]
    expected = re.findall(r"'([^']*)'", str(context.get("expected", "")))
    if place[-1:] == ("[key]",) and kind == "literal_error":
        return f"unknown key '{{field}}'{_of(given, expected)}"
    if kind == "extra_forbidden":
        found, key = _model_at(model, place[:-1]), str(place[-1])
        renamed = getattr(found, "renamed", {}).get(key, "")
        if renamed.rpartition(".")[0] or renamed in found.model_fields:
            verb = "it is called" if "." not in renamed else "it stands under"
            return f"unknown key '{{field}}'; {verb} '{renamed}' now"
        known = sorted(_keys(found, top=len(place) == 1))
        return f"unknown key '{{field}}'{_of(key, known)}"
    text = AS_YAML.get(kind) or line["msg"].removeprefix("Value error, ").rstrip(".")
    text = text[:1].lower() + text[1:]
    if kind in AS_YAML or kind == "literal_error" or kind.endswith(("_type", "_parsing")):
        text += f", not {_shown(given)}{closest(given, expected)}"
    text = re.sub(r"(?:tuple|list) should have (.*) after validation", r"must have \1", text)
    return f"'{{field}}': {text}"


def _of(key: object, known: list[str]) -> str:
    """The nearest of the ``known`` keys; all of them where none is near."""
    return closest(key, known) or f"; known here: {', '.join(known) or 'none'}"


def _keys(model: type[BaseModel], top: bool) -> set[str]:
    return {*model.model_fields} - ({"name"} if top and issubclass(model, Named) else set())


def _model_at(model: type[BaseModel], place: tuple[int | str, ...]) -> type[BaseModel]:
    """The nested model at ``place``; the deepest one reached."""
    for part in place:
        field = model.model_fields.get(str(part))
        inner = getattr(field, "annotation", None)
        candidates = [inner, *getattr(inner, "__args__", ())]
        found = [c for c in candidates if isinstance(c, type) and issubclass(c, BaseModel)]
        model = found[0] if found else model
    return model


# ------------------------------------------------------------------------------------------------------------- bases
def resolve(
    name: str,
    read: Callable[[str, str | None], Content],
    where: Callable[[str], str],
    above: tuple[str, ...] = (),
) -> Content:
    """What ``name`` says, laid over what its ``base`` says, and so on down to one without a base.

    Args:
        read: gives what a name says; its second argument is the name that has it as base, None at first. It raises a
            UserError where there is no such thing.
        where: what an error calls a name.
        above: the names whose bases are being looked up.

    Raises:
        UserError: bases in a circle or without end, a base that is no name, or as ``read``.
    """
    difference = dict(read(name, above[-1] if above else None))
    if "base" not in difference:
        return difference
    base = difference.pop("base")
    if not isinstance(base, str):
        raise UserError(f"{where(name)}: 'base': must be a name, not {_shown(base)}.")
    if base in (*above, name):
        circle = " -> ".join((*(*above, name)[(*above, name).index(base) :], base))
        raise UserError(f"{where(name)} has itself among its bases: {circle}.")
    if len(above) == MOST_BASES:
        raise UserError(f"{where(above[0])} has more than {MOST_BASES} bases, one above the other; say more in it.")
    return merge(resolve(base, read, where, (*above, name)), difference)


def merge(base: Content, difference: Content) -> Content:
    """``base`` with ``difference`` laid over it, mappings merged key by key; an augmenter is replaced whole."""
    merged = dict(base)
    for key, value in difference.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = merge(merged[key], value) if both and key not in ("augmenter", "milestones") else value
    return merged
