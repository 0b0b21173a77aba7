"""What callgrind's files are taken to say."""

from __future__ import annotations

from benchmarks.profiling.callgrind import Function, functions, hashing

_FILE = """\
# callgrind format
version: 1
creator: callgrind-3.19.0
positions: line
events: Ir
summary: 0

ob=(1) /lib/_hashing.so
fl=(1) csrc/hmac.cpp
fn=(1) sigil::(anonymous namespace)::finish(sigil::HmacState const&)
10 3
+1 4
fi=(2) csrc/secret.h
90 5
cfi=(3) csrc/sha256_portable.cpp
cfn=(2) sigil::compress(unsigned int*)
calls=2 7
-3 1000
* 6
fl=(3)
fn=(2)
7 1000

totals: 1018
""".splitlines()


def test_own_instructions_of_functions() -> None:
    """What was inlined counts for the function around it, and what was called does not."""
    spent = functions(_FILE)
    finish, compress = spent
    assert spent[finish] == 3 + 4 + 5 + 6
    assert spent[compress] == 1000
    assert compress == Function(
        "sigil::compress(unsigned int*)", "csrc/sha256_portable.cpp", "/lib/_hashing.so"
    )
    assert finish.short == "sigil::finish  [_hashing]"


def test_instructions_of_the_kernels() -> None:
    """SHA-256 is what the kernels' sources have, and nothing else."""
    assert hashing(functions(_FILE)) == 1000
