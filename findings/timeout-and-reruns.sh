#!/bin/sh
# pytest-timeout 2.4.0 beside pytest-rerunfailures 16.7: only the first attempt of a test has its timeout.
#
# Expected: a test with @pytest.mark.timeout(1) that fails at once and is repeated (--reruns 1) has the second for each attempt,
#   so that a second attempt that hangs is ended after a second, as the first would be.
# Seen: pytest-timeout arms its timer around the whole protocol of the test, and pytest-rerunfailures repeats inside of it; the
#   timer is gone when the second attempt begins. That attempt sleeps for 4 s, far over its timeout, and passes.
#
# Needs python3 with venv and a package index. Ends with 0 when it is still so, 1 when it has changed.
set -eu
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/pip" install -qqq --disable-pip-version-check 'pytest==9.1.1' 'pytest-timeout==2.4.0' 'pytest-rerunfailures==16.7'
cat >"$work/test_it.py" <<'T'
import time
import pytest

attempts = []

@pytest.mark.timeout(1)
def test_second_attempt_is_slow():
    attempts.append(1)
    if len(attempts) == 1:
        raise AssertionError("the first attempt")
    time.sleep(4)

@pytest.mark.timeout(1)
def test_first_attempt_is_slow():
    time.sleep(4)
T
said=$("$work/env/bin/python" -m pytest -p no:cacheprovider -q --reruns 1 --rootdir "$work" "$work/test_it.py" -k second 2>&1 | tail -n 1) || true
other=$("$work/env/bin/python" -m pytest -p no:cacheprovider -q --rootdir "$work" "$work/test_it.py" -k first 2>&1 | tail -n 1) || true
echo "repeated: $said"
echo "alone:    $other"
case $said in *"1 passed, 1 deselected, 1 rerun"*) ;; *) echo changed; exit 1 ;; esac
case $other in *"1 failed"*) echo "still so" ;; *) echo changed; exit 1 ;; esac
