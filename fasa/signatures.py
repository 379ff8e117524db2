"""What a config file may say of a class, by its constructor's signature, read from the source: nothing is imported."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, GetCoreSchemaHandler, GetJsonSchemaHandler, ValidationInfo, create_model, field_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticKnownError, core_schema

from fasa.errors import UserError
from fasa.strict import Strict, check

ROOT, OURS = Path(__file__).parents[1], "fasa"
# What a config file can give; a parameter of any other type is no option.
TYPES = {"int": int, "float": float, "bool": bool, "str": str, "tuple": tuple, "Sequence": list, "Literal": Literal}
Options = type[Strict]


# ---------------------------------------------------------------------------------------------- from source to models
@cache
def options(*places: str, less: tuple[str, ...] = ()) -> Options:
    """A model of the options that constructors take, each told as ``module:Class``.

    Of a function ``__init__`` those are the parameters with a default, of a dataclass all fields, less those of
    ``less``. Descriptions are those of the classes' docstrings.
    """
    fields: dict[str, Any] = {}
    for place in places:
        node = _constructed(place)
        told = _described(ast.get_docstring(node) or "")
        for name, kind, default in _parameters(node):
            if name not in less:
                fields[name] = (kind, Field(default, description=told.get(name)))
    name = places[0].partition(":")[2] if places else "No"
    return create_model(f"{name}Options", __base__=Strict, **fields)


@cache
def literal(place: str) -> Any:
    """The value of a constant, told as ``module:NAME``, that is written out."""
    module, _, name = place.partition(":")
    for node in ast.parse(_source(module)).body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        if isinstance(node, ast.Assign | ast.AnnAssign) and any(ast.unparse(to) == name for to in targets if to):
            return ast.literal_eval(node.value or ast.Constant(None))
    raise LookupError(place)


def context_of(place: str) -> str:
    """How the first parameter of a constructor is annotated, without its module; empty where it is not."""
    init = _method(_constructed(place), "__init__")
    annotation = init.args.args[1].annotation if init and len(init.args.args) > 1 else None
    return ast.unparse(annotation).strip("'").rpartition(".")[2] if annotation else ""


def defined(place: str, beyond: str) -> set[str]:
    """The names that a class and its bases define, up to the class ``beyond``."""
    return {name for above, node in _ancestry(place) if above != beyond for name in _names(node)}


def statements(place: str) -> list[str]:
    """What the modules say that a class of another package and its bases there lie in.

    Comments, docstrings and layout train nothing.
    """
    modules = dict.fromkeys(above.partition(":")[0] for above, _ in _ancestry(place))
    return [_bare(ast.parse(_source(module))) for module in modules if module.split(".")[0] != OURS]


def _bare(tree: ast.Module) -> str:
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
            node.body[:1] = [ast.Pass()]
    return ast.unparse(tree)


def _names(node: ast.ClassDef) -> Iterator[str]:
    for each in node.body:
        if isinstance(each, ast.FunctionDef):
            yield each.name
        elif isinstance(each, ast.Assign):
            yield from (ast.unparse(target) for target in each.targets)
        elif isinstance(each, ast.AnnAssign) and each.value:
            yield ast.unparse(each.target)


def _source(module: str) -> str:
    if module.split(".")[0] == OURS:
        path = ROOT.joinpath(*module.split("."))
        return (path / "__init__.py" if path.is_dir() else path.with_suffix(".py")).read_text(encoding="utf-8")
    try:
        found = find_spec(module)  # imports the packages that it lies in, but not itself
    except ImportError:
        found = None
    if found is None or found.origin is None or not found.origin.endswith(".py"):
        raise LookupError(module)
    return Path(found.origin).read_text(encoding="utf-8")


@cache
def _definition(place: str) -> ast.ClassDef:
    module, _, name = place.partition(":")
    for node in ast.parse(_source(module)).body:
        if isinstance(node, ast.ClassDef) and node.name == name:
            return node
    raise LookupError(place)


def _ancestry(place: str) -> Iterator[tuple[str, ast.ClassDef]]:
    """The class and its bases, first to first, as far as they are ours or of its own package."""
    node = _definition(place)
    yield place, node
    for base in node.bases:
        if (found := _place_of(ast.unparse(base), place)) is not None:
            yield from _ancestry(found)


def _place_of(name: str, user: str) -> str | None:
    """Where the class is that the module of the class ``user`` calls ``name``; None outside of both packages."""
    module = user.partition(":")[0]
    for node in ast.parse(_source(module)).body:
        if isinstance(node, ast.ClassDef) and node.name == name:
            return f"{module}:{name}"
        if isinstance(node, ast.ImportFrom):
            above = module.split(".")[: -node.level] if node.level else []
            home = ".".join([*above, *([node.module] if node.module else [])])
            known = home.split(".")[0] in (OURS, module.split(".")[0])
            for alias in node.names:
                if name == (alias.asname or alias.name):
                    return f"{home}:{alias.name}" if known else None
    return None


def _constructed(place: str) -> ast.ClassDef:
    """The class, or the first of its bases that has the constructor."""
    nodes = [node for _, node in _ancestry(place)]
    return next((node for node in nodes if _method(node, "__init__") or node.decorator_list), nodes[0])


def _method(node: ast.ClassDef, name: str) -> ast.FunctionDef | None:
    return next((each for each in node.body if isinstance(each, ast.FunctionDef) and each.name == name), None)


def _parameters(node: ast.ClassDef) -> list[tuple[str, Any, Any]]:
    """Name, type and default (``...``: it must be given) of each option."""
    init = _method(node, "__init__")
    pairs: list[tuple[str, ast.expr | None, ast.expr | None]] = []
    if init is None:  # a dataclass
        said = [each for each in node.body if isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name)]
        pairs = [(each.target.id, each.annotation, each.value) for each in said if isinstance(each.target, ast.Name)]
    else:
        given, named = init.args.args, zip(init.args.kwonlyargs, init.args.kw_defaults, strict=True)
        with_default = list(zip(given[len(given) - len(init.args.defaults) :], init.args.defaults, strict=True))
        pairs = [(each.arg, each.annotation, default) for each, default in [*with_default, *named] if default]
    typed = [(name, _type(annotation), default) for name, annotation, default in pairs]
    return [(name, kind, _default(default)) for name, kind, default in typed if kind is not None]


def _type(annotation: ast.expr | None) -> Any:
    """The type that an annotation names; None where a config file cannot give it."""
    if annotation is None:
        return None
    try:
        return eval(ast.unparse(annotation), {"__builtins__": {}}, TYPES)
    except (NameError, AttributeError):
        return None


def _default(node: ast.expr | None) -> Any:
    if node is None:
        return ...
    try:
        return ast.literal_eval(node)
    except ValueError:  # an expression: what it comes to is shown nowhere
        return None


def _described(docstring: str) -> dict[str, str]:
    """What the section ``Args`` says of each argument."""
    section = re.search(r"^Args:\n((?:    .*\n|\n)+)", docstring + "\n", re.MULTILINE)
    said = re.findall(
        r"^    (\w[\w, ]*): ((?:.*\n)(?:        .*\n)*)", section.group(1) if section else "", re.MULTILINE
    )
    return {name: " ".join(text.split()) for names, text in said for name in names.split(", ")}


def made(kind: Callable[..., Any], given: Mapping[str, Any], where: str) -> None:
    """See that a class takes the values of its options, which it checks itself.

    Raises:
        UserError: it does not; ``where`` is what stands before its words.
    """
    try:
        kind(**given)
    except UserError as error:
        raise UserError(f"{where}: {error}") from error


# ------------------------------------------------------------------------------------------------- fields of a model
@cache
def partial(model: Options) -> Options:
    """``model`` with every field left out at will."""
    fields: dict[str, Any] = {
        name: (Annotated[(field.annotation, *field.metadata, Field(description=field.description))], None)
        for name, field in model.model_fields.items()
    }
    return create_model(f"Some{model.__name__}", __base__=model, **fields)


class OneOf:
    """Of a string in a model: it is one of ``names``."""

    def __init__(self, names: Collection[str]) -> None:
        self.names = list(names)

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.literal_schema(self.names)


class CheckedAs:
    """Of a mapping in a model: it is checked as ``model``, and kept as it was written."""

    def __init__(self, model: Options) -> None:
        self.model = model

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        def checked(content: Any) -> Any:
            return check(self.model, content)

        return core_schema.no_info_before_validator_function(
            checked, handler(source), json_schema_input_schema=self.model.__pydantic_core_schema__
        )


class Choice(Strict):
    """One of several by its name, with options that it takes; ``known`` has the constructors that take them."""

    known: ClassVar[Mapping[str, tuple[str, ...]]] = {}

    name: str
    options: dict[str, Any] = {}

    @classmethod
    def options_of(cls, name: str) -> Options:
        """A model of the options of ``name``."""
        return options(*cls.known[name])

    @field_validator("name")
    @classmethod
    def _is_known(cls, name: str) -> str:
        if name not in cls.known:
            raise PydanticKnownError("literal_error", {"expected": ", ".join(f"'{known}'" for known in cls.known)})
        return name

    @field_validator("options")
    @classmethod
    def _are_known(cls, given: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
        name = info.data.get("name")
        return given if name is None else check(cls.options_of(name), given)

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        found = handler.resolve_ref_schema(handler(schema))
        found["properties"]["name"]["enum"] = list(cls.known)
        found["allOf"] = [
            {
                "if": {"properties": {"name": {"const": name}}, "required": ["name"]},
                "then": {"properties": {"options": handler(cls.options_of(name).__pydantic_core_schema__)}},
            }
            for name in cls.known
        ]
        return found
