"""One cloud, seen from one host."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.samples.three_hosts import at

from skerry.common.errors import ConfigError


def test_a_host_that_cloud_toml_does_not_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no host 'nobody'"):
        _ = at(tmp_path, "nobody").host
