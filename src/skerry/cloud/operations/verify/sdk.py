"""openstacksdk's own functional tests, of the services that this cloud has."""

from __future__ import annotations

from pathlib import Path

from skerry.cloud.components import registry
from skerry.cloud.context import Context
from skerry.cloud.operations.verify.accounts import Member, clouds_yaml
from skerry.cloud.operations.verify.results import PATIENCE, Show, SuiteResults, follow
from skerry.cloud.resources.base import IMAGE, PUBLIC

NAME = "settled"
TESTS = "openstack/tests/functional"
KNOWN = Path(__file__).with_name("programs") / "sdk-known.txt"  # tests that are left out, with their reasons
NONE_OF_THEM = "The specified regex doesn't match with anything"
LONGEST = 3600  # seconds for one test: upstream's limit is 5, which is for its unit tests


def run(
    ctx: Context,
    folder: Path,
    show: Show,
    users: list[Member],
    *,
    regex: str | None,
) -> SuiteResults:
    """Run the tests (those that match ``regex``), one after the other: they share a project."""
    results = SuiteResults("openstacksdk", str(folder))
    _settle(users[0])
    packages = ctx.layout.site_packages
    ctx.platform.write(folder / "clouds.yaml", clouds_yaml(ctx, users), mode=0o600)
    # The tests expect the folder of their source: a file that they upload as an image, and templates of stacks.
    ctx.platform.write(folder / "CONTRIBUTING.rst", "This is uploaded as an image.\n")
    (folder / "openstack").symlink_to(packages / "openstack")
    settings = {
        "PATH": f"{ctx.layout.env}/bin:{ctx.platform.path}",
        "HOME": str(folder),
        "LANG": "C.UTF-8",
        "OS_CLIENT_CONFIG_FILE": str(folder / "clouds.yaml"),
        "OPENSTACKSDK_FLAVOR": "m1.nano",
        "OPENSTACKSDK_IMAGE": IMAGE,
        "OPENSTACKSDK_FUNC_TEST_TIMEOUT": str(PATIENCE),
        "OS_TEST_TIMEOUT": str(LONGEST),
        "OS_LOG_CAPTURE": "1",
    }
    # Folder by folder: some others import what the wheel does not have, with which no test would run.
    for place in folders(ctx):
        tests = ["--test-path", f"{packages}/{TESTS}/{place}", "--top-dir", str(packages)]
        words = ["--exclude-list", str(KNOWN), "--concurrency", "1", *([regex] if regex else [])]
        seen: list[str] = []

        def take(line: str, seen: list[str] = seen) -> None:
            if results.take(line, show) or line.startswith(NONE_OF_THEM):
                seen.append(line)

        code = follow([ctx.layout.bin("stestr"), *tests, "run", *words], folder, settings, take, show)
        if not seen:
            results.check(place, f"stestr ended with exit code {code} before a test", show)
    return results


def _settle(user: Member) -> None:
    """Give a project what upstream's tests expect: the one network on which servers are that name none, and its router."""
    network = user.api.network
    public = network.find_network(PUBLIC, ignore_missing=False)
    own = network.create_network(name=NAME)
    subnet = network.create_subnet(name=NAME, network_id=own.id, ip_version=4, cidr="10.94.0.0/24")
    router = network.create_router(name=NAME, external_gateway_info={"network_id": public.id})
    network.add_interface_to_router(router, subnet_id=subnet.id)


def folders(ctx: Context) -> list[str]:
    """The tests of the services in this cloud's catalogue, and of what goes across them."""
    types = {
        endpoint.type.replace("-", "_") for part in registry.in_cloud(ctx) for endpoint in part.endpoints
    }
    have = {path.name for path in (ctx.layout.site_packages / TESTS).iterdir()}
    return sorted((types | {"cloud", "identity"}) & have)
