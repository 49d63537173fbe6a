"""Rewritten code does what it did: CPython's own modules pass CPython's own tests with every access in them noted."""

import json
import subprocess
import sys

import pytest

FEW = (["json", "json.decoder", "json.encoder", "textwrap", "heapq"], ["test.test_textwrap", "test.test_heapq"])
_MODULES = """
    argparse ast base64 bz2 calendar cmd collections configparser contextlib copy copyreg csv dataclasses difflib enum
    fnmatch fractions functools getopt glob graphlib gzip html.parser ipaddress json json.decoder json.encoder keyword
    mimetypes optparse pickle plistlib pprint queue random reprlib sched shelve shlex shutil statistics string textwrap
    tokenize types urllib.parse uuid weakref _weakrefset zipfile asyncio.base_events asyncio.events asyncio.futures
    asyncio.locks asyncio.queues asyncio.taskgroups asyncio.tasks asyncio.timeouts
"""
_TESTS = """
    test.test_argparse test.test_collections test.test_configparser test.test_contextlib test.test_contextlib_async
    test.test_copy test.test_coroutines test.test_csv test.test_difflib test.test_enum test.test_fnmatch
    test.test_fractions test.test_generators test.test_graphlib test.test_htmlparser test.test_ipaddress test.test_json
    test.test_optparse test.test_plistlib test.test_reprlib test.test_sched test.test_shlex test.test_string
    test.test_textwrap test.test_types test.test_urlparse test.test_userdict test.test_asyncio.test_locks
    test.test_asyncio.test_queues test.test_asyncio.test_taskgroups test.test_asyncio.test_timeouts
"""
MANY = (_MODULES.split(), _TESTS.split())


def assert_unbroken(modules, tests, least):
    """Nothing is refused, nothing fails that did not fail before, and it was not for want of accesses."""
    pytest.importorskip(tests[0], reason="this Python comes without its tests")
    command = [sys.executable, "-m", "tests.points.rewritten", *modules, "--", *tests]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=1000, check=False)
    assert ran.returncode == 0, ran.stderr
    result = json.loads(ran.stdout.splitlines()[-1])
    assert result["refused"] == []
    assert result["broken"] == []
    assert result["tests"] == result["tests again"]
    assert result["functions"] >= least
    assert result["calls"] > 100 * least


def test_a_few_modules_do_what_they_did():
    """Those whose tests are fast."""
    assert_unbroken(*FEW, least=30)


@pytest.mark.long
def test_many_modules_do_what_they_did():
    """With generators, coroutines, comprehensions, exception groups, and all that CPython's developers thought of."""
    assert_unbroken(*MANY, least=2000)
