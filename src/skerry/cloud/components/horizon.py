"""horizon: the dashboard."""

from __future__ import annotations

from skerry.cloud.components.base.openstack import OpenStackComponent
from skerry.cloud.config import ini
from skerry.cloud.engine.step import Step
from skerry.cloud.model.ports import Port
from skerry.cloud.model.secrets import Secret
from skerry.cloud.model.users import WEB
from skerry.cloud.steps.once import Once
from skerry.cloud.supervise.service import File, Folder, Service

REFUSED = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Dashboard: request refused</title></head>
<body style="font: 16px/1.5 system-ui, sans-serif; max-width: 42em; margin: 4em auto; padding: 0 1em">
<h1>The dashboard does not take this request</h1>
<p>Most often the name in the browser's address bar is one that the dashboard does not know. It answers at
<a href="{url}">{url}</a> and at <code>localhost</code>.</p>
<p>If you run this cloud: add the name to <code>ALLOWED_HOSTS</code> in <code>{site}</code>, as in
<code>ALLOWED_HOSTS += ["cloud.example.org"]</code>, then run <code>sudo ./skerry up</code>.</p>
</body></html>
"""
# heat's pages come from a package of their own, which the dashboard would find by files that are put into its own.
WITH_HEAT = """
import heat_dashboard.enabled
import openstack_dashboard.local.enabled

openstack_dashboard.local.enabled.__path__.extend(heat_dashboard.enabled.__path__)
"""
HEATS_POLICY = """
heat_conf = Path(heat_dashboard.__file__).parent / "conf"
POLICY_FILES["orchestration"] = str(heat_conf / "heat_policy.yaml")
DEFAULT_POLICY_FILES["orchestration"] = str(heat_conf / "default_policies/heat.yaml")
"""
SETTINGS, SITE = "skerry_dashboard", "site_settings.py"


class Horizon(OpenStackComponent):
    name = "horizon"
    title = "dashboard (horizon)"
    user = WEB
    apis = (Port("horizon", 8080),)
    secrets = (Secret("horizon"),)
    tests = "horizon"
    panel = "/project/"

    def tests_settings(self) -> ini.Sections:
        return {"dashboard": {"dashboard_url": self.ctx.url("horizon", "/")}}

    def folders(self) -> list[Folder]:
        return [
            *super().folders(),
            Folder(self.state / "static", self.user),
            Folder(self.etc / "templates", group=self.user),
        ]

    def files(self) -> list[File]:
        static = self.state / "static"
        local = f'''# Written by skerry. Your own settings belong in {SITE} beside this file; they win.
import sys
from pathlib import Path

from django.utils.translation import gettext_lazy as _

DEBUG = False
# Compressed on first use: the keys of an offline manifest differ between runs of Python 3.13.
COMPRESS_OFFLINE = False
ALLOWED_HOSTS = ["{self.ctx.listen}", "localhost"]
SECRET_KEY = "{self.ctx.secrets["horizon"]}"
STATIC_ROOT = "{static}"
OPENSTACK_HOST = "{self.ctx.listen}"
OPENSTACK_KEYSTONE_URL = "{self.ctx.url("keystone", "/v3")}"
OPENSTACK_KEYSTONE_DEFAULT_ROLE = "member"
OPENSTACK_API_VERSIONS = {{"identity": 3, "image": 2}}
SESSION_ENGINE = "django.contrib.sessions.backends.cache"
CACHES = {{
    "default": {{
        "BACKEND": "django.core.cache.backends.memcached.PyMemcacheCache",
        "LOCATION": "unix:{self.cache_socket}",
        # A cache that is away has nothing: who was logged in logs in again.
        "OPTIONS": {{"ignore_exc": True}},
    }},
    # Hundreds of small reads for a page, by one client for all threads: memcached's would mix their answers up.
    "compressor": {{
        "BACKEND": "django.core.cache.backends.locmem.LocMemCache",
        "OPTIONS": {{"MAX_ENTRIES": 10000}},
    }},
}}
COMPRESS_CACHE_BACKEND = "compressor"
EMAIL_BACKEND = "django.core.mail.backends.console.EmailBackend"
OPENSTACK_NEUTRON_NETWORK = {{"enable_router": True, "enable_distributed_router": False}}
IMAGE_BACKENDS = [("raw", _("Raw")), ("qcow2", _("QCOW2 - QEMU Emulator"))]
CREATE_INSTANCE_FLAVOR_SORT = {{"key": "ram", "reverse": False}}
LAUNCH_INSTANCE_DEFAULTS = {{"create_volume": False, "hide_create_volume": True}}
TIME_ZONE = "UTC"
LOGGING = {{
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {{"console": {{"class": "logging.StreamHandler", "level": "INFO"}}}},
    "root": {{"handlers": ["console"], "level": "WARNING"}},
}}
exec((Path(__file__).parent / "{SITE}").read_text())
'''
        with_heat = "heat" in self.ctx.cloud.features
        settings = f"""# Written by skerry: the dashboard's settings, with this cloud's in place of a file of the package.
import sys
from pathlib import Path

import skerry_dashboard_local
{WITH_HEAT if with_heat else ""}
sys.modules["local.local_settings"] = skerry_dashboard_local
from openstack_dashboard.settings import *  # noqa

# The page for a request that is refused. Those of the dashboard show who is logged in, which is not yet known then.
TEMPLATES.append({{"BACKEND": "django.template.backends.dummy.TemplateStrings", "DIRS": ["{self.etc / "templates"}"]}})
{HEATS_POLICY if with_heat else ""}"""
        refused = REFUSED.format(url=self.ctx.url("horizon", "/"), site=self.etc / SITE)
        return [
            File(self.etc / "skerry_dashboard_local.py", local, secret=True),
            File(self.etc / f"{SETTINGS}.py", settings),
            File(self.etc / "templates/400.html", refused),
            self.site(SITE, "Yours: settings here win over those in skerry_dashboard_local.py."),
        ]

    def _environment(self) -> dict[str, str]:
        return {
            "DJANGO_SETTINGS_MODULE": SETTINGS,
            "PYTHONPATH": str(self.etc),
            "PYTHONDONTWRITEBYTECODE": "1",
        }

    def work(self) -> list[Step]:
        def create(report: object) -> None:
            script = (
                "import django; django.setup()\n"
                "from django.core.management import call_command\n"
                "call_command('collectstatic', interactive=False, verbosity=0)\n"
            )
            argv = [self.ctx.layout.bin("python"), "-c", script]
            self.ctx.platform.run(argv, env=self._environment(), timeout=600)
            self.ctx.platform.run(["chown", "-R", f"{self.user}:{self.user}", str(self.state / "static")])

        return [
            Once(
                self.ctx,
                "create:horizon",
                "dashboard: styles and scripts",
                create,
                of=[self.ctx.layout.env.name, *(["heat"] if "heat" in self.ctx.cloud.features else [])],
                needs=("configure:horizon", "bytecode"),
                cost=4,
                heavy=True,
            )
        ]

    def services(self) -> list[Service]:
        return [
            self.api(
                "horizon",
                "django.core.wsgi:get_wsgi_application()",
                env=self._environment(),
                after=("create:horizon", "start:keystone"),
                path="/auth/login/",
                title=self.title,
                lines=f"static-map = /static={self.state}/static\n",
                cost=5,
            )
        ]
