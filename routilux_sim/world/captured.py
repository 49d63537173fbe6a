"""Names captured before the simulation: who holds a reference to what the simulated world replaces, and swapping it.

``from time import sleep``, a default argument, a class attribute, a closure, ``self.clock = time.monotonic``, a lock
made at import: putting a replacement under the name in its module does not reach those. So the objects that the garbage
collector knows are searched for references, each is swapped when the world is installed, and put back afterwards. Knows
the kinds of containers that there are, and nothing of what the replacements do.

Not reached: elements of tuples that are no default arguments, of sets, keys of dictionaries, and what modules written
in C hold. Of the simulator itself, and of the modules that it patches from inside, nothing is touched.
"""

from __future__ import annotations

import functools
import gc
import itertools
import sys
import types
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from routilux_sim.addresses import address
from routilux_sim.world.ready import TRACERS

__all__ = ["Captured", "is_mutable"]

_UNTOUCHED = {"threading", "queue", "_queue", "time", "datetime", "_datetime", "_thread", "gc", "greenlet", "signal"}
_UNTOUCHED_PREFIXES = ("routilux_sim", "importlib._bootstrap", "greenlet.", "freezegun", *TRACERS)

_RUNNERS = ("_pytest.", "pluggy.", "xdist.", "execnet.")

_BATCH = 1_000
"""Objects whose references are looked through at once, in C; only a batch with a hit is looked at one by one."""

_HEAP_TYPE, _IMMUTABLE = 1 << 9, 1 << 8


def is_mutable(kind: type) -> bool:
    """Whether attributes of a class can be set: it is neither static nor immutable."""
    return bool(kind.__flags__ & _HEAP_TYPE) and not kind.__flags__ & _IMMUTABLE


def _is_untouched(module: Any) -> bool:
    return isinstance(module, str) and (module in _UNTOUCHED or module.startswith(_UNTOUCHED_PREFIXES))


def _is_own(kind: type) -> bool:
    """Whether a class is the simulator's own: what its objects refer to is there on purpose."""
    module = _module_of(kind)
    return isinstance(module, str) and module.startswith(_UNTOUCHED_PREFIXES)


# As the class itself has it, whatever its metaclass makes of asking.
_module_of = type.__dict__["__module__"].__get__


class _Swap:
    """One reference: how to read it, and how to put something there."""

    __slots__ = ("_get", "_put", "_saved")

    def __init__(self, get: Callable[[], Any], put: Callable[[Any], object]) -> None:
        self._get = get
        self._put = put
        self._saved: Any = _NOTHING

    def apply(self, targets: _Targets) -> None:
        """Swap, if there still is something that is to be replaced: others may have put something else there."""
        value = self._get()
        replacement = targets.replacement(value)
        if replacement is not None:
            self._put(replacement)
            self._saved = value

    def undo(self) -> None:
        """Put back what was there."""
        saved = self._saved
        if saved is not _NOTHING:
            self._saved = _NOTHING
            self._put(saved)


_NOTHING = object()


class _Targets:
    """What is looked for, by identity, and what to put in its place. Keeps both alive."""

    def __init__(self) -> None:
        self.by_id: dict[int, _Pair] = {}

    def add(self, original: Any, replacement: Any) -> None:
        self.by_id[address(original)] = _Pair(original, replacement)

    def replacement(self, value: Any) -> Any:
        """What to put in the place of ``value``; None to leave it."""
        pair = self.by_id.get(address(value))
        return None if pair is None else pair.replacement

    def or_itself(self, value: Any) -> Any:
        """What to put in the place of ``value``, which may be itself."""
        pair = self.by_id.get(address(value))
        return value if pair is None else pair.replacement


class _Pair:
    __slots__ = ("original", "replacement")

    def __init__(self, original: Any, replacement: Any) -> None:
        self.original = original
        self.replacement = replacement


class Captured:
    """The captured references of this process, as far as they have been found.

    Args:
        over: For each type of objects that are stood in for, what makes the stand-in of one.
    """

    def __init__(self, over: dict[type, Callable[[Any], Any]]) -> None:
        self._over = over
        self._targets = _Targets()
        self._swaps: list[_Swap] = []
        # What is found only by way of one program, or among what is young, goes when it has ended.
        self._passing: list[_Swap] = []
        # Kept, for no other module to have the address of one that is gone.
        self._modules: dict[int, object] = {}
        self._promotions: object = None
        self._temporary: dict[int, Any] = {}

    def find(
        self, rows: Iterable[tuple[Any, Any]], program: object, prepared: bool, lasting: Iterable[Any] = ()
    ) -> None:
        """Look for references.

        Args:
            rows: Originals and what takes their places.
            program: What is about to run.
            prepared: Names and locks have been ready since before the program was loaded: only what is new in the
                modules, and what the program itself holds, can be captured.
            lasting: Replacements that need not be taken away from modules that come while the world is installed.
        """
        pairs = list(rows)
        # Several names of one original may have replacements of their own.
        wanted = {address(original): (original, replacement) for original, replacement in pairs}
        kept = set(map(address, lasting))
        self._temporary = {
            address(replacement): original for original, replacement in pairs if address(replacement) not in kept
        }
        known = self._targets.by_id
        fresh = any(key not in known or known[key].replacement is not pair[1] for key, pair in wanted.items())
        objects: list[Any] | None = None
        swaps = self._swaps
        if fresh or self._promotions is None:
            self._begin_anew(wanted)
        elif prepared:
            objects = self._new_in_modules()
        elif _promotions() == self._promotions:
            # What is young now is found again by the next search, if it is still there.
            objects = gc.get_objects(0) + gc.get_objects(1)
            swaps = self._passing
        else:
            self._begin_anew(wanted)
        self._modules = {address(module): module for module in list(sys.modules.values())}
        _Search(self._targets, self._over, swaps).run(objects)
        if prepared:
            _Search(self._targets, self._over, self._passing).run(_reachable([program], set()))

    def _begin_anew(self, wanted: dict[int, tuple[Any, Any]]) -> None:
        self._swaps.clear()
        self._targets = _Targets()
        for original, replacement in wanted.values():
            self._targets.add(original, replacement)

    def _new_in_modules(self) -> list[Any] | None:
        new = [module for module in list(sys.modules.values()) if address(module) not in self._modules]
        names = {getattr(module, "__name__", None) for module in new}
        return _reachable([vars(module) for module in new if isinstance(module, types.ModuleType)], names)

    def apply(self) -> None:
        """Swap."""
        for swap in itertools.chain(self._swaps, self._passing):
            swap.apply(self._targets)

    def undo(self) -> None:
        """Put everything back, in the reverse order, and note what the garbage collector has done so far."""
        for swap in itertools.chain(reversed(self._passing), reversed(self._swaps)):
            swap.undo()
        self._passing.clear()
        for module in list(sys.modules.values()):
            if address(module) not in self._modules and type(module) is types.ModuleType:
                # It was imported inside, and has captured what stood there.
                for name, value in list(vars(module).items()):
                    if address(value) in self._temporary:
                        setattr(module, name, self._temporary[address(value)])

    def remember(self) -> None:
        """Whatever is made from now on is new; called when a campaign has ended."""
        self._promotions = _promotions()

    def forget(self) -> None:
        """Let go of everything."""
        self._swaps.clear()
        self._targets = _Targets()
        self._promotions = None


def _promotions() -> object:
    """Changes when objects leave the garbage collector's young generations."""
    return [generation["collections"] for generation in gc.get_stats()[1:]]


def _reachable(roots: list[Any], modules: set[Any], limit: int = 50_000) -> list[Any] | None:
    """The objects that can be reached, not going through modules, nor through classes of other ``modules``.

    Nor through objects of the test runner's own: each of them knows the whole test session. None if there are more
    than the limit.
    """
    fences = {address(vars(module)) for module in list(sys.modules.values()) if isinstance(module, types.ModuleType)}
    fences.difference_update(map(address, roots))
    found: list[Any] = []
    frontier = roots
    while frontier:
        found += frontier
        if len(found) >= limit:
            return None
        following: list[Any] = []
        for item in gc.get_referents(*frontier):
            key = address(item)
            if key in fences or not gc.is_tracked(item):
                continue
            fences.add(key)
            kind = type(item)
            if issubclass(kind, type) and _module_of(item) not in modules:
                continue
            if issubclass(kind, types.ModuleType | types.CodeType | types.FrameType) or _is_runners(kind):
                continue
            following.append(item)
        frontier = following
    return found


def _is_runners(kind: type) -> bool:
    module = _module_of(kind)
    return isinstance(module, str) and module.startswith(_RUNNERS)


def _without_modules(objects: list[Any]) -> list[Any]:
    """What else there is; what a module's names refer to is found in its dictionary.

    CPython 3.12's ``_asyncio`` refers to freed iterators that it keeps for reuse. Whoever asks that module for its
    referents frees them a second time, after which its list of them never ends.
    """
    kinds = {kind for kind in set(map(type, objects)) if issubclass(kind, types.ModuleType)}
    return [item for item in objects if type(item) not in kinds]


class _Search:
    """One search through a list of objects."""

    def __init__(self, targets: _Targets, over: dict[type, Callable[[Any], Any]], swaps: list[_Swap]) -> None:
        self._targets = targets
        self._over = over
        self._swaps = swaps
        self._skipped: set[int] = {address(self._skipped_marker), address(targets.by_id)}
        self._types: dict[int, type] | None = None
        self._objects: list[Any] = []

    _skipped_marker = object()

    def run(self, found: list[Any] | None) -> None:
        """Look through the references that the objects hold that have been found; None: any object there is."""
        objects = _without_modules(gc.get_objects() if found is None else found)
        self._skipped.update((address(found), address(objects)))
        self._objects = objects
        self._add_targets(objects)
        wanted = {address(pair.original) for pair in self._targets.by_id.values()}
        for start in range(0, len(objects), _BATCH):
            batch = objects[start : start + _BATCH]
            if not wanted.isdisjoint(map(address, gc.get_referents(*batch))):
                for item in batch:
                    if item is not batch and not wanted.isdisjoint(map(address, gc.get_referents(item))):
                        self._look_into(item)
        self._objects = []

    def _add_targets(self, objects: list[Any]) -> None:
        """What is not an original but holds one unchangeably, and the objects that are stood in for."""
        targets = self._targets
        over = self._over
        interesting = {types.FunctionType, *_DERIVED, *over}
        derived: list[Any] = []
        for item in [item for item in objects if type(item) in interesting]:
            kind = type(item)
            if kind in over:
                if address(item) not in targets.by_id:
                    targets.add(item, over[kind](item))
            elif kind is not types.FunctionType:
                derived.append(item)
            elif _is_untouched(item.__globals__.get("__name__")):
                self._skip_function(item)
            elif item.__defaults__ is not None:
                derived.append(item.__defaults__)
        # Twice, for default arguments that are such things themselves.
        for item in derived + [item for item in derived if type(item) is tuple]:
            rebuilt = _rebuild(item, targets)
            if rebuilt is not None:
                targets.add(item, rebuilt)

    def _skip_function(self, function: types.FunctionType) -> None:
        self._skipped.update(map(address, function.__closure__ or ()))
        self._skipped.add(address(function.__defaults__))
        self._skipped.add(address(function.__kwdefaults__))

    def _look_into(self, item: Any) -> None:
        kind = type(item)
        if address(item) in self._skipped or any(map(_is_own, kind.__mro__)):
            return
        if kind is dict:
            self._look_into_dict(item)
        elif kind is types.CellType:
            self._swap(functools.partial(getattr, item, "cell_contents", None), _setter(item, "cell_contents"))
        elif kind is types.FunctionType:
            self._swap(functools.partial(getattr, item, "__defaults__"), _setter(item, "__defaults__"))
        elif issubclass(kind, list | deque):
            for index in range((list if issubclass(kind, list) else deque).__len__(item)):
                self._swap(functools.partial(_element, item, index), functools.partial(_set_element, item, index))
        elif issubclass(kind, dict):
            for key in list(dict.keys(item)):
                self._swap(functools.partial(dict.get, item, key), functools.partial(dict.__setitem__, item, key))
            self._look_into_instance(item)
        elif not issubclass(kind, type | types.ModuleType) and kind not in _DERIVED:
            self._look_into_instance(item)

    def _look_into_dict(self, item: dict[Any, Any]) -> None:
        if _is_untouched(item.get("__name__")) and "__spec__" in item:
            return
        owner = self._owner(item) if "__module__" in item else None
        if owner is not None and (_is_untouched(_module_of(owner)) or not is_mutable(owner)):
            return
        for key in list(item):
            put = functools.partial(item.__setitem__, key) if owner is None else _setter(owner, key)
            self._swap(functools.partial(item.get, key), put)

    def _owner(self, item: dict[Any, Any]) -> type | None:
        """The class whose namespace a dictionary is: it is to be changed through the class, which caches lookups."""
        if self._types is None:
            self._types = {
                address(gc.get_referents(vars(kind))[0]): kind for kind in self._objects if issubclass(type(kind), type)
            }
        return self._types.get(address(item))

    def _look_into_instance(self, item: Any) -> None:
        attributes = _attributes(item)
        if type(attributes) is dict:
            for key in list(attributes):
                self._swap(functools.partial(attributes.get, key), functools.partial(attributes.__setitem__, key))
        for base in type(item).__mro__:
            if is_mutable(base):
                for slot in list(vars(base).values()):
                    if type(slot) is types.MemberDescriptorType:
                        self._swap(functools.partial(_slot, slot, item), functools.partial(slot.__set__, item))

    def _swap(self, get: Callable[[], Any], put: Callable[[Any], object]) -> None:
        if self._targets.replacement(get()) is not None:
            self._swaps.append(_Swap(get, put))


def _attributes(item: Any) -> Any:
    """An object's own dictionary, if it has one, without asking the object: nothing of a program may run here."""
    for base in type(item).__mro__:
        found = vars(base).get("__dict__")
        if found is not None:
            return found.__get__(item) if type(found) is types.GetSetDescriptorType else None
    return None


def _setter(owner: Any, name: str) -> Callable[[Any], object]:
    return functools.partial(setattr, owner, name)


def _element(items: Any, index: int) -> Any:
    kind = list if issubclass(type(items), list) else deque
    return kind.__getitem__(items, index) if index < kind.__len__(items) else None


def _set_element(items: Any, index: int, value: Any) -> None:
    kind = list if issubclass(type(items), list) else deque
    if index < kind.__len__(items):
        kind.__setitem__(items, index, value)


def _slot(slot: types.MemberDescriptorType, item: Any) -> Any:
    try:
        return slot.__get__(item)
    except AttributeError:
        return None


_DERIVED = {types.BuiltinMethodType, staticmethod, classmethod, functools.partial}


def _rebuild(item: Any, targets: _Targets) -> Any:
    """The same around a replacement; None if nothing in it is replaced."""
    kind = type(item)
    if kind is tuple:
        rebuilt = tuple(targets.or_itself(value) for value in item)
        return rebuilt if any(new is not old for new, old in zip(rebuilt, item, strict=True)) else None
    if kind is types.BuiltinMethodType:
        if item.__name__ == "__new__":
            return None  # In the namespace of the type itself, from where classes derived later on take it.
        replacement = targets.replacement(item.__self__)
        return None if replacement is None else getattr(replacement, item.__name__, None)
    if kind is functools.partial:
        function = targets.replacement(item.func)
        return None if function is None else functools.partial(function, *item.args, **item.keywords)
    function = targets.replacement(item.__func__)
    return None if function is None else kind(function)
