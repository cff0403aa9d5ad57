"""Upstream's own tests against this cloud: tempest, configured from the cloud's own APIs."""

from __future__ import annotations

from pathlib import Path

from skerry.cloud.components import registry
from skerry.cloud.config.ini import render
from skerry.cloud.context import Context
from skerry.cloud.operations.verify.results import PATIENCE, Show, SuiteResults, follow
from skerry.cloud.resources.base import IMAGE, PRIVATE, PUBLIC, USER, own_images
from skerry.common.errors import PreflightError


def configuration(ctx: Context, folder: Path) -> str:
    """A tempest.conf for this cloud. Raises PreflightError when the cloud does not have what the tests need."""
    api = ctx.api
    image = own_images(api).get(IMAGE)
    public = api.network.find_network(PUBLIC, project_id=api.current_project_id)
    flavors = [api.compute.find_flavor(name) for name in ("m1.nano", "m1.tiny")]
    if image is None or public is None or None in flavors:
        raise PreflightError(
            "The cloud has no image 'tiny', no network 'public' or not its first flavors.",
            remedy="Run 'skerry up'.",
        )
    wanted = registry.in_cloud(ctx)
    extensions = sorted(extension.alias for extension in api.network.extensions())
    return render(
        {
            "DEFAULT": {"log_file": str(folder / "tempest.log"), "debug": False},
            "oslo_concurrency": {"lock_path": str(folder / "lock")},
            "auth": {
                "use_dynamic_credentials": True,
                "admin_username": "admin",
                "admin_password": ctx.secrets["admin"],
                "admin_project_name": "admin",
                "admin_domain_name": "Default",
            },
            "identity": {
                "uri_v3": ctx.url("keystone", "/v3"),
                "auth_version": "v3",
                "region": ctx.cloud.region,
            },
            "compute": {
                "image_ref": image.id,
                "image_ref_alt": image.id,
                "flavor_ref": flavors[0].id,
                "flavor_ref_alt": flavors[1].id,
                "fixed_network_name": PRIVATE,
                "build_timeout": PATIENCE,
            },
            "compute-feature-enabled": {
                "vnc_console": True,
                "serial_console": True,
                "cold_migration": False,
                "live_migration": False,
                "attach_encrypted_volume": False,
            },
            "network": {
                "public_network_id": public.id,
                "floating_network_name": PUBLIC,
                "project_network_cidr": "10.100.0.0/16",
            },
            "network-feature-enabled": {"api_extensions": extensions, "ipv6": True},
            "validation": {
                "run_validation": True,
                "connect_method": "floating",
                "auth_method": "keypair",
                "image_ssh_user": USER,
                "image_alt_ssh_user": USER,
                "network_for_ssh": PUBLIC,
                "ping_timeout": PATIENCE,
                "ssh_timeout": PATIENCE,
            },
            "service_available": {
                component.tests: component in wanted for component in registry.components() if component.tests
            }
            | {"cinder": False},
            **{
                section: options
                for component in wanted
                for section, options in component(ctx).tests_settings().items()
            },
        }
    )


def verify(root: Path | str, show: Show, *, regex: str | None = None, workers: int = 2) -> SuiteResults:
    """Run tempest's smoke tests (or those that match ``regex``) and report each result to ``show``.

    What failed is in the results; see ``results.demand``. Raises NotFoundError and CloudDownError before anything.
    """
    ctx = Context.existing(root)
    ctx.demand_up()
    folder = ctx.layout.state / "tempest"
    environment = {
        "PATH": f"{ctx.layout.env}/bin:{ctx.platform.path}",
        "HOME": str(ctx.layout.cache),  # tempest keeps a list of its workspaces there
        "LANG": "C.UTF-8",
    }
    if not (folder / ".stestr.conf").exists():
        ctx.platform.remove(folder)
        ctx.platform.run([ctx.layout.bin("tempest"), "init", str(folder)], env=environment)
    ctx.platform.make_folder(folder / "lock")
    ctx.platform.write(folder / "etc/tempest.conf", configuration(ctx, folder), mode=0o600)
    (folder / "results.txt").unlink(missing_ok=True)
    chosen = ["--regex", regex] if regex else ["--smoke"]
    argv = [ctx.layout.bin("tempest"), "run", *chosen, "--concurrency", str(workers)]
    results = SuiteResults("tempest", str(folder))
    follow(argv, folder, environment, lambda line: results.take(line, show), show)
    xml = f"cd '{folder}' && stestr last --subunit | subunit2junitxml -o report.xml"
    ctx.platform.run(["sh", "-c", xml], env=environment, check=False)
    return results
