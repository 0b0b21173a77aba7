#!/usr/bin/env bash
# The source distribution builds elsewhere and its wheel works alone: package.sh PYTHON
set -euo pipefail
python=$1
cd "$(dirname "$0")/../.."
elsewhere=$(mktemp -d)
trap 'rm -rf "$elsewhere"' EXIT

"$python" -c 'import sys; from setuptools import build_meta; build_meta.build_sdist(sys.argv[1])' \
  "$elsewhere" >"$elsewhere/log" 2>&1 || { cat "$elsewhere/log"; exit 1; }
cd "$elsewhere"
tar --extract --gzip --file sigil_native-*.tar.gz
"$python" -m pip --quiet --disable-pip-version-check wheel --no-deps --wheel-dir wheels ./sigil_native-*/

"$python" - wheels/*.whl <<'PYTHON'
import sys
import zipfile
from pathlib import Path

wheel = Path(sys.argv[1])
names = zipfile.ZipFile(wheel).namelist()
strangers = {name.split("/")[0] for name in names} - {"sigil_native", "sigil_command.py"}
assert all(name.endswith(".dist-info") for name in strangers), strangers
for wanted in ("py.typed", "_codec.pyi", "_codec.pyx", "_hashing.pxd", "csrc/hmac.h"):
    found = f"sigil_native/{wanted}" in names
    assert found != wanted.endswith(".pyx"), f"{wanted}: {'there' if found else 'missing'}"
size = wheel.stat().st_size
assert size < 2_000_000, f"the wheel has {size} bytes"
print(f"{wheel.name}: {len(names)} files, {size / 1000:.0f} kB")
PYTHON

"$python" -m venv alone
alone/bin/python -m pip --quiet --disable-pip-version-check install --no-index wheels/*.whl
cat >use.py <<'PYTHON'
import sigil_native

ring = sigil_native.KeyRing()
ring.add("correct horse battery staple, thrice")
codec = sigil_native.SigilCodec(ring)
sigil = codec.encode({"b": 1, "a": [True, None]}, tenant="acme")
assert codec.verify_json(sigil, b'{"a":[true,null],"b":1.0}', tenant="acme").text == sigil
print(sigil_native.__version__, sigil_native.backend, sigil)
PYTHON
alone/bin/python use.py
alone/bin/python sigil_native-*/tests/isolated/wheel.py
# The tests that the source distribution carries, on the package that was made of it.
mkdir checks
cp -r sigil_native-*/tests sigil_native-*/pyproject.toml checks
site=$(alone/bin/python -c 'import sysconfig; print(sysconfig.get_path("platlib"))')
(cd checks && PYTHONPATH=$site "$python" -m pytest --quiet --processes 2 tests/parity)
export SPIRAL_EVENT_SECRET='correct horse battery staple, thrice'
echo '{"b":1,"a":2}' | alone/bin/sigil encode --tenant acme - >sigil.txt
echo '{"a":2,"b":1}' | alone/bin/sigil verify --tenant acme --sigil-file sigil.txt -
# An auditor needs nothing but the wheel.
alone/bin/python -c 'import os, sigil_native, sys
chain = sigil_native.AuditChain(os.environ["SPIRAL_EVENT_SECRET"])
sys.stdout.buffer.write(chain.begin({}) + chain.append({"event": "sigil.encoded"}))' >audit.log
SIGIL_AUDIT_SECRET=$SPIRAL_EVENT_SECRET alone/bin/sigil audit verify audit.log
status=0
SIGIL_NATIVE_LEVEL=abacus alone/bin/sigil canon sigil.txt 2>said || status=$?
[[ $status == 78 && $(wc -l <said) == 1 ]] || { cat said; exit 1; }
# Nor does whoever limits an application.
alone/bin/python -c 'from sigil_native import TokenBucket, asgi
asgi.RateLimitMiddleware(None, TokenBucket(rate=20, burst=200))'

# Other people's Cython code calls the functions that the wheel's .pxd files declare.
mkdir other
cat >other/probe.pyx <<'CYTHON'
# distutils: language = c++
from libc.stdint cimport uint8_t
from sigil_native._hashing cimport HmacState, hmac_digest, hmac_init, wipe

def tag(bytes secret, bytes data):
    cdef HmacState state
    cdef uint8_t digest[32]
    hmac_init(&state, <const uint8_t*> <const char*> secret, len(secret))
    hmac_digest(&state, <const uint8_t*> <const char*> data, len(data), digest)
    wipe(&state, sizeof(state))
    return digest[:32]
CYTHON
cat >other/setup.py <<'PYTHON'
import sys
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup

site = sys.argv.pop(1)
headers = str(Path(site) / "sigil_native" / "csrc")
probe = Extension("probe", ["probe.pyx"], include_dirs=[headers], extra_compile_args=["-std=c++17"])
setup(name="probe", ext_modules=cythonize([probe], include_path=[site], language_level=3, quiet=True))
PYTHON
(cd other && "$python" -I setup.py "$site" --quiet build_ext --inplace >log 2>&1 || { cat log; exit 1; })
PYTHONPATH=other alone/bin/python - <<'PYTHON'
import hashlib
import hmac

import probe

assert probe.tag(b"k" * 32, b"data") == hmac.digest(b"k" * 32, b"data", "sha256")
print("cimport works")
PYTHON
