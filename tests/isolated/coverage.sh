#!/usr/bin/env bash
# What the tests reach: Python with branches, and the lines of the Cython modules, which are built for tracing in a
# copy of the tree. Fails under the given percentage of either: coverage.sh PYTHON FOLDER PERCENT TESTERS [PYTEST...]
set -euo pipefail
python=$1 copy=$2 least=$3 testers=$4
shift 4
cd "$(dirname "$0")/../.."
reports=$PWD/reports/coverage
mkdir -p "$copy" "$reports"
git ls-files --cached --others --exclude-standard -z | xargs -0 cp --parents --update --target-directory "$copy"
[ -d ../shared ] && ln -sfn "$(realpath ../shared)" "$(dirname "$copy")/shared"
cd "$copy"
# Some tests look for the environment beside the sources.
ln -sfn "$(realpath "$(dirname "$python")/..")" .venv
SIGIL_BUILD_TRACE=1 "$python" setup.py --quiet build_ext --inplace --parallel "$(nproc)"

rm -f .coverage .coverage.*
status=0
PYTHONDONTWRITEBYTECODE='' "$python" -m coverage run -m pytest --processes "$testers" \
  -m "not untraced" "$@" || status=$?
"$python" -m coverage combine --quiet
"$python" -m coverage html --quiet --fail-under 0 --directory "$reports"
"$python" -m coverage json --quiet --fail-under 0 -o "$reports/coverage.json"
# Both reports are wanted, whichever of them fails.
for sources in '*.py' '*.pyx'; do
  "$python" -m coverage report --include "$sources" --format markdown --skip-covered --sort cover \
    --fail-under "$least" >"$reports/summary-${sources#*.}.md" || status=$?
  cat "$reports/summary-${sources#*.}.md"
done
exit "$status"
