"""Size of a template's text: an upper bound of every expression in it, told before any alert comes.

Only few things grow: joined texts, `replace` by something long, `join` of characters, and `{% set %}` in a row.
"""

from __future__ import annotations

from collections.abc import Mapping

from jinja2 import nodes

from tocsin.decide.text import DESCRIPTION, LABEL_VALUE, LABELS, TITLE, cut_with_hash

LONGEST = {"description": DESCRIPTION, "labels": LABELS * LABEL_VALUE}  # characters of an input; of others TITLE
MOST = 5_000_000


def too_long(tree: nodes.Template) -> int:
    """The characters that some expression may make, where they are more than MOST; else 0."""
    sizes: dict[str, int] = {}
    largest = 0
    for node in _in_order(tree):
        match node:
            case nodes.Assign(target=nodes.Name(name=name), node=value):
                sizes[name] = size = _size(value, sizes)
            case nodes.For(target=target, iter=value):
                size = _size(value, sizes)
                sizes |= dict.fromkeys((one.name for one in _names(target)), size)
            case nodes.Output(nodes=parts):
                size = max((_size(part, sizes) for part in parts), default=0)
            case nodes.If(test=test):
                size = _size(test, sizes)
            case _:
                continue
        largest = max(largest, size)
        if largest > MOST:
            return largest
    return 0


def _in_order(node: nodes.Node) -> list[nodes.Node]:
    found = []
    for child in node.iter_child_nodes():
        found += [child, *_in_order(child)]
    return found


def _names(target: nodes.Node) -> list[nodes.Name]:
    return [target] if isinstance(target, nodes.Name) else list(target.find_all(nodes.Name))


def _size(node: nodes.Node, sizes: dict[str, int]) -> int:
    match node:
        case nodes.Name(name=name):
            return sizes.get(name, LONGEST.get(name, TITLE))
        case nodes.Getattr(node=nodes.Name(name="labels"), attr=attr) if attr not in ("items", "keys", "values"):
            return LABEL_VALUE
        case nodes.Getitem(node=nodes.Name(name="labels")):
            return LABEL_VALUE
        case nodes.TemplateData(data=text):
            return len(text)
        case nodes.Const(value=value):
            return len(value) if isinstance(value, str) else 1
        case nodes.Filter(name="replace", node=nodes.Expr() as text, args=[old, new, *_]):
            return _replaced(text, old, new, sizes)
        case nodes.Call(node=nodes.Getattr(node=text, attr="replace"), args=[old, new, *_]):
            return _replaced(text, old, new, sizes)
        case nodes.Filter(name="join", node=nodes.Expr() as parts, args=[between, *_]):
            return _size(parts, sizes) * (1 + _size(between, sizes))
        case _:
            return sum(_size(child, sizes) for child in node.iter_child_nodes())


def _replaced(text: nodes.Node, old: nodes.Node, new: nodes.Node, sizes: dict[str, int]) -> int:
    """Bound of a replacement: each `old` becomes `new`; an empty one stands between all characters."""
    length = _size(text, sizes)
    known = len(old.value) if isinstance(old, nodes.Const) and isinstance(old.value, str) else 0
    places = length // known if known else length + 1
    return length + places * _size(new, sizes)


def clipped(text: str, name: str, *, identity: bool = False) -> str:
    """An input as long as it may be; for a text that tells things apart what is cut leaves a hash."""
    most = DESCRIPTION if name == "description" else TITLE
    if len(text) <= most:
        return text
    return cut_with_hash(text, most) if identity else text[:most]


def clipped_labels(labels: Mapping[str, str], *, identity: bool = False) -> Mapping[str, str]:
    """Bound of labels, which are mostly short."""
    if max(map(len, labels.values()), default=0) <= LABEL_VALUE:
        return labels
    if identity:
        return {name: cut_with_hash(value, LABEL_VALUE) for name, value in labels.items()}
    return {name: value[:LABEL_VALUE] for name, value in labels.items()}
