"""Services that come with a feature of cloud.toml."""

from __future__ import annotations

from pathlib import Path

from skerry.cloud.context import Context
from skerry.cloud.model.secrets import FIXED, NAMES
from skerry.cloud.operations import graph
from skerry.cloud.operations.rotate import EVERY


def at(root: Path, text: str) -> Context:
    (root / "etc/skerry").mkdir(parents=True)
    (root / "etc/skerry/cloud.toml").write_text(text)
    return Context.at(root)


def services(ctx: Context) -> set[str]:
    return {service.name for service in graph.services(ctx)}


def test_swift_comes_with_its_feature_only(tmp_path: Path) -> None:
    assert not [name for name in services(at(tmp_path / "a", "")) if "swift" in name]
    ctx = at(tmp_path / "b", 'features = ["swift"]\n')
    names = {name for name in services(ctx) if "swift" in name}
    assert names >= {
        "swift-proxy-server",
        "swift-account-server",
        "swift-container-server",
        "swift-object-server",
    }
    role = next(role for role in graph.roles(ctx) if role.name == "swift")
    assert all(file.secret for file in role.every_file())
    assert (
        "bind_ip = 127.0.0.1"
        in next(f for f in role.every_file() if f.path.name == "proxy-server.conf").content
    )


def test_where_objects_lie_is_not_rotated() -> None:
    assert set(FIXED) <= set(NAMES) and not set(FIXED) & set(EVERY)
