"""Build of the compiled modules; everything else is in pyproject.toml.

Switches, each an environment variable set to 1:

* ``SIGIL_BUILD_PURE``      no compiled modules (run with ``SIGIL_NATIVE_PURE=1``)
* ``SIGIL_BUILD_DEBUG``     assertions on, no optimisation, symbols
* ``SIGIL_BUILD_SANITIZE``  AddressSanitizer and UndefinedBehaviorSanitizer
* ``SIGIL_BUILD_TRACE``     line tracing, for the coverage of ``.pyx`` files
"""

import os
import sys
from pathlib import Path

from setuptools import Extension, setup

PURE, DEBUG, SANITIZE, TRACE = (
    os.environ.get(f"SIGIL_BUILD_{name}") == "1" for name in ("PURE", "DEBUG", "SANITIZE", "TRACE")
)

# Each compiled module and the C++ sources that it links, it alone but for number.cpp,
# which has no state; modules reach each other through their .pxd files.
MODULES = {
    "_hashing": [
        "hkdf.cpp",
        "hmac.cpp",
        "secret.cpp",
        "sha256.cpp",
        "sha256_armv8.cpp",
        "sha256_avx512.cpp",
        "sha256_portable.cpp",
        "sha256_shani.cpp",
    ],
    "_identifiers": ["uuid7.cpp"],
    "_canonical_text": [
        "json_transcoder.cpp",
        "json_diagnosis.cpp",
        "json_number.cpp",
        "json_levels.cpp",
        "json_proof.cpp",
        "json_level_portable.cpp",
        "json_level_sse2.cpp",
        "json_level_avx2.cpp",
        "json_level_avx512.cpp",
        "json_level_neon.cpp",
        "number.cpp",
    ],
    "_canonical_values": ["number.cpp"],
    "_sigil": ["base64url.cpp", "sigil_format.cpp"],
    "_keyring": [],
    "_sealing": [],
    "_batch": [],
    "_request_lines": [],
    "_seal_requests": [],
    "_verify_lines": [],
    "_known_keys": [],
    "_verify_requests": [],
    "_verify_batch": [],
    "_codec": [],
    "_signature": [],
    "_audit": ["audit_line.cpp"],
    "_audit_chain": [],
    "_bucket": ["bucket_table.cpp"],
    "_allowance": [],
}

# Plain C methods are quicker to call than Cython's own; "clinic" tells help() and inspect their signatures.
DIRECTIVES = {
    "language_level": 3,
    "binding": False,
    "embedsignature": True,
    "embedsignature.format": "clinic",
    "linetrace": TRACE,
}

if sys.platform == "win32":
    compile_flags, link_flags = ["/std:c++17", "/O2", "/EHsc"], []
else:
    compile_flags = ["-std=c++17", "-O3", "-fvisibility=hidden", "-Wall", "-Wextra"]
    # Floats come out as Python's do: no two operations become one that rounds once.
    compile_flags += ["-Wno-missing-field-initializers", "-g1", "-ffp-contract=off"]
    link_flags = []
    if DEBUG:
        compile_flags += ["-O0", "-g3", "-UNDEBUG"]
    if SANITIZE:
        flags = ["-fsanitize=address,undefined", "-fno-sanitize-recover=undefined"]
        compile_flags += [*flags, "-O1", "-g", "-fno-omit-frame-pointer"]
        link_flags += flags


def extensions() -> list[Extension]:
    """The compiled modules; none in a pure build."""
    if PURE:
        return []
    from Cython.Build import cythonize  # noqa: PLC0415 (a pure build needs none)

    modules = [
        Extension(
            f"sigil_native.{name}",
            [f"sigil_native/{name}.pyx", *(f"sigil_native/csrc/{source}" for source in sources)],
            include_dirs=["sigil_native/csrc"],
            depends=sorted(str(header) for header in Path("sigil_native/csrc").glob("*.h")),
            define_macros=[("CYTHON_TRACE", "1"), ("CYTHON_TRACE_NOGIL", "1")] if TRACE else [],
            extra_compile_args=compile_flags,
            extra_link_args=link_flags,
            language="c++",
        )
        for name, sources in MODULES.items()
    ]
    return cythonize(
        modules,
        compiler_directives=DIRECTIVES,
        # Coverage looks for the generated sources beside their modules.
        build_dir=None if TRACE else "build/cython",
    )


setup(ext_modules=extensions())
