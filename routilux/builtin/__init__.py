"""Ready-made routines, for the steps that most workflows have.

Each is configured with `set_config(option=...)`, or with `configure(option=...)`, which returns the routine. Each has
two slots that do the same: `input`, and `trigger`, so that it can be an entry routine. Each takes one value out of an
event's data, by the option `key`, and passes the other data along. All but functions given as options can be stored
with the flow; where functions are taken, so are expressions (see `routilux.builtin.expression`), names of
transformations (see `routilux.builtin.transformations`) or methods of a subclass, which can be.

=================== ========================= ====================== ===========================================
routine             events                    key → what it adds     options beside ``key`` and ``output_key``
=================== ========================= ====================== ===========================================
TextClipper         output                    text → text,           max_length, unit, keep, ellipsis,
                                              truncated,             whole_words
                                              original_length
TextRenderer        output                    (all) → text           template, style, indent, missing
DataTransformer     output                    data → data            defaults, rename, fields, compute, keep,
                                                                     drop, missing; or transform()
DataFlattener       output                    data → data            mode, separator, max_depth, lists, max_items
DataValidator       valid, invalid            data → problems        rules, strict
ConditionalRouter   one a route, default      –                      routes, mode, default, on_error; or choose()
Filter              accepted, rejected        –, or items → items    condition, each, on_error; or accepts()
Mapper              output                    item → item            function, expression, each; or map_item()
Splitter            output (one an item),     items → item, index,   batch_size, separator
                    done                      total
Batcher             output                    item → items, count    size, group_by, total_key, skipped_key,
                                                                     flush_key
Aggregator          output, late              item → items, count,   count, required, order_by, combine, repeat,
                                              result                 group_by, total_key, skipped_key
ResultExtractor     output, missing           text → result          method, pattern, group, path, language, all,
                                                                     missing, default
TimeProvider        output                    – → time               format, timezone, precision
=================== ========================= ====================== ===========================================

A Splitter, a Mapper and an Aggregator or Batcher fit together as they are: ``items`` become events of one ``item`` with
its ``index`` and the ``total``, and these become ``items`` again.

Names load when they are first used. A stored flow names the modules of its routines; they must have been imported when
it is read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from routilux.builtin.base import BuiltinRoutine as BuiltinRoutine
    from routilux.builtin.clock import TimeProvider as TimeProvider
    from routilux.builtin.collecting import Aggregator as Aggregator
    from routilux.builtin.collecting import Batcher as Batcher
    from routilux.builtin.data import DataFlattener as DataFlattener
    from routilux.builtin.data import DataTransformer as DataTransformer
    from routilux.builtin.expression import Expression as Expression
    from routilux.builtin.expression import ExpressionError as ExpressionError
    from routilux.builtin.extraction import ExtractionError as ExtractionError
    from routilux.builtin.extraction import ResultExtractor as ResultExtractor
    from routilux.builtin.items import Mapper as Mapper
    from routilux.builtin.items import Splitter as Splitter
    from routilux.builtin.options import ConfigurationError as ConfigurationError
    from routilux.builtin.rendering import TextRenderer as TextRenderer
    from routilux.builtin.routing import ConditionalRouter as ConditionalRouter
    from routilux.builtin.routing import Filter as Filter
    from routilux.builtin.text import TextClipper as TextClipper
    from routilux.builtin.validation import DataValidator as DataValidator

_HOMES = {
    "Aggregator": "collecting",
    "Batcher": "collecting",
    "BuiltinRoutine": "base",
    "ConditionalRouter": "routing",
    "ConfigurationError": "options",
    "DataFlattener": "data",
    "DataTransformer": "data",
    "DataValidator": "validation",
    "Expression": "expression",
    "ExpressionError": "expression",
    "ExtractionError": "extraction",
    "Filter": "routing",
    "Mapper": "items",
    "ResultExtractor": "extraction",
    "Splitter": "items",
    "TextClipper": "text",
    "TextRenderer": "rendering",
    "TimeProvider": "clock",
}

__all__ = [  # noqa: PLE0604 - the keys are names
    *_HOMES,
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'routilux.builtin' has no attribute {name!r}")
    from importlib import import_module  # noqa: PLC0415 - only when something is used

    value = globals()[name] = getattr(import_module(f"{__name__}.{home}"), name)
    return value


def __dir__() -> list[str]:
    return __all__
